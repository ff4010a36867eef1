"""JPEG: read as pixels; marked in the coefficients of the blocks under a mark, all others as they were."""

from medlocker.formats.jpeg._blocks import extent
from medlocker.formats.jpeg._coefficients import read_coefficients
from medlocker.formats.jpeg._file import glance_jpeg, metadata_jpeg, read_jpeg
from medlocker.formats.jpeg._packet import add_packet_jpeg, packet_jpeg
from medlocker.formats.jpeg._stream import frame_of

__all__ = [
    "add_packet_jpeg",
    "extent",
    "frame_of",
    "glance_jpeg",
    "metadata_jpeg",
    "packet_jpeg",
    "read_coefficients",
    "read_jpeg",
]
