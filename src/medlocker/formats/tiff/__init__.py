"""TIFF of one page or several, in strips or tiles."""

from medlocker.formats.tiff._file import encode_tiff, encode_tiff_frames, metadata_tiff, read_tiff

__all__ = ["encode_tiff", "encode_tiff_frames", "metadata_tiff", "read_tiff"]
