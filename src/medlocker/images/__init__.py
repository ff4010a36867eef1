"""One image in memory, whatever file it came from; and how much of a file is believed."""

from medlocker.images._image import (
    CHANNELS,
    Frames,
    FramesHash,
    Image,
    Kind,
    Pixels,
    content_digest,
    frames_digest,
    pixel_digest,
    rgb_to_ybr,
    viewed,
    ybr_to_rgb,
)
from medlocker.images._limits import (
    LIMITS,
    NO_LIMITS,
    DamagedError,
    Limits,
    check_frames,
    check_size,
    refuse,
    translated,
)

__all__ = [
    "CHANNELS",
    "LIMITS",
    "NO_LIMITS",
    "DamagedError",
    "Frames",
    "FramesHash",
    "Image",
    "Kind",
    "Limits",
    "Pixels",
    "check_frames",
    "check_size",
    "content_digest",
    "frames_digest",
    "pixel_digest",
    "refuse",
    "rgb_to_ybr",
    "translated",
    "viewed",
    "ybr_to_rgb",
]
