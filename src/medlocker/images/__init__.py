"""Read and write medical stills losslessly."""

from medlocker.images._image import Image, Kind, Pixels, pixel_digest, viewed

__all__ = ["Image", "Kind", "Pixels", "pixel_digest", "viewed"]
