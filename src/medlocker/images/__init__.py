"""Read and write medical stills losslessly."""

from medlocker.images._dicomids import dicom_identity, has_dicom_name, is_dicom_file, series_key
from medlocker.images._image import (
    Frames,
    FramesHash,
    Image,
    Kind,
    Pixels,
    content_digest,
    frames_digest,
    pixel_digest,
    viewed,
)
from medlocker.images._limits import LIMITS, Limits
from medlocker.images._niftiwindow import ShownRange
from medlocker.images._registry import (
    encode_frames,
    encode_image,
    metadata_digest,
    read_image,
)

__all__ = [
    "LIMITS",
    "Frames",
    "FramesHash",
    "Image",
    "Kind",
    "Limits",
    "Pixels",
    "ShownRange",
    "content_digest",
    "dicom_identity",
    "encode_frames",
    "encode_image",
    "frames_digest",
    "has_dicom_name",
    "is_dicom_file",
    "metadata_digest",
    "pixel_digest",
    "read_image",
    "series_key",
    "viewed",
]
