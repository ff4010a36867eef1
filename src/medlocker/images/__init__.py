"""Read and write medical stills losslessly."""

from medlocker.images._image import Image, Kind, Pixels, pixel_digest, viewed
from medlocker.images._limits import LIMITS, Limits
from medlocker.images._registry import encode_image, metadata_digest, output_suffix, read_image

__all__ = [
    "LIMITS",
    "Image",
    "Kind",
    "Limits",
    "Pixels",
    "encode_image",
    "metadata_digest",
    "output_suffix",
    "pixel_digest",
    "read_image",
    "viewed",
]
