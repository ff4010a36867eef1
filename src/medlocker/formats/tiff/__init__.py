"""TIFF of one page or several, in strips or tiles."""

from medlocker.formats.tiff._file import (
    complete_tiff,
    encode_tiff,
    glance_tiff,
    hold_tiff,
    metadata_tiff,
    read_tiff,
    tell_range_tiff,
)
from medlocker.formats.tiff._packet import add_packet_tiff, packet_tiff

__all__ = [
    "add_packet_tiff",
    "complete_tiff",
    "encode_tiff",
    "glance_tiff",
    "hold_tiff",
    "metadata_tiff",
    "packet_tiff",
    "read_tiff",
    "tell_range_tiff",
]
