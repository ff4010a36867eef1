"""PNG, written with everything else as it was read."""

from medlocker.formats.png._file import (
    encode_png,
    glance_png,
    metadata_png,
    read_png,
)
from medlocker.formats.png._held import complete_png, hold_png, tell_range_png
from medlocker.formats.png._rows import SIGNATURE

__all__ = [
    "SIGNATURE",
    "complete_png",
    "encode_png",
    "glance_png",
    "hold_png",
    "metadata_png",
    "read_png",
    "tell_range_png",
]
