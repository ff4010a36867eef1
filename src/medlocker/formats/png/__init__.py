"""PNG, written with everything else as it was read."""

from medlocker.formats.png._file import build_png, encode_png, header_of, metadata_png, read_png
from medlocker.formats.png._rows import SIGNATURE

__all__ = ["SIGNATURE", "build_png", "encode_png", "header_of", "metadata_png", "read_png"]
