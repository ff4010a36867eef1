"""One folder per file format: everything that reads, writes and marks files of that format."""

from medlocker.formats._method import MarkedFile
from medlocker.formats._methods import METHODS, kept, mark_file, reach, unmark_file
from medlocker.formats._registry import (
    encode_frames,
    encode_image,
    metadata_digest,
    read_image,
)

__all__ = [
    "METHODS",
    "MarkedFile",
    "encode_frames",
    "encode_image",
    "kept",
    "mark_file",
    "metadata_digest",
    "reach",
    "read_image",
    "unmark_file",
]
