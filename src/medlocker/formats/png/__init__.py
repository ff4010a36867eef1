"""PNG, written with everything else as it was read."""

from medlocker.formats.png._file import (
    build_png,
    encode_png,
    glance_png,
    header_of,
    metadata_png,
    read_png,
)
from medlocker.formats.png._held import complete_png, hold_png, tell_range_png
from medlocker.formats.png._rows import SIGNATURE

__all__ = [
    "SIGNATURE",
    "build_png",
    "complete_png",
    "encode_png",
    "glance_png",
    "header_of",
    "hold_png",
    "metadata_png",
    "read_png",
    "tell_range_png",
]
