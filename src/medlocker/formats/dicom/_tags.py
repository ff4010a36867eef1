"""Reading a DICOM file's header with pydicom, which inflates deflated files whole, however large."""

from __future__ import annotations

import zlib
from pathlib import Path
from typing import Any

from pydicom import dcmread
from pydicom.dataset import Dataset

from medlocker.formats.dicom._parts import DEFLATED, SYNTAX, most_inflated, read_meta
from medlocker.formats.dicom._quiet import quiet

_MAX_META_BYTES = 1 << 20
_PIECE_BYTES = 1 << 20


def read_tags(path: Path, **options: Any) -> Dataset:
    """Read a file with pydicom, without its warnings.

    Args:
        path: The file.
        options: See ``pydicom.dcmread``.

    Raises:
        Exception: Of many kinds, if it is damaged or holds more than can be.
    """
    if not path.is_file():
        raise ValueError("expected a regular file")  # to open a pipe is to wait for ever
    _check_deflated(path)
    with quiet():
        return dcmread(path, **options)


def _check_deflated(path: Path) -> None:
    """Raise ValueError if a deflated data set is a bomb."""
    with path.open("rb") as stream:
        start = stream.read(_MAX_META_BYTES)
        elements, end = read_meta(start)
        written = elements.get(SYNTAX)
        if written is None or start[written.value_at : written.end].strip(b" \0") != DEFLATED.encode("ascii"):
            return
        stream.seek(end)
        left = most_inflated(path.stat().st_size - end)
        unpacker = zlib.decompressobj(-zlib.MAX_WBITS)
        packed = stream.read(_PIECE_BYTES)
        while packed and not unpacker.eof:
            left -= len(unpacker.decompress(packed, _PIECE_BYTES))
            if left < 0:
                raise ValueError("expected a deflated data set of plausible size")
            packed = unpacker.unconsumed_tail or stream.read(_PIECE_BYTES)
