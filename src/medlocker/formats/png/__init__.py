"""PNG, written with everything else as it was read."""

from medlocker.formats.png._file import (
    encode_png,
    glance_png,
    metadata_png,
    read_png,
)
from medlocker.formats.png._held import complete_png, hold_png, tell_range_png
from medlocker.formats.png._packet import add_packet_png, packet_png
from medlocker.formats.png._rows import SIGNATURE

__all__ = [
    "SIGNATURE",
    "add_packet_png",
    "complete_png",
    "encode_png",
    "glance_png",
    "hold_png",
    "metadata_png",
    "packet_png",
    "read_png",
    "tell_range_png",
]
