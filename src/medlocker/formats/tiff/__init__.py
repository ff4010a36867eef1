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

__all__ = [
    "complete_tiff",
    "encode_tiff",
    "glance_tiff",
    "hold_tiff",
    "metadata_tiff",
    "read_tiff",
    "tell_range_tiff",
]
