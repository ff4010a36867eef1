"""What is read of a header with pydicom: without warnings, bombs, or any identifier that is ever shown.

Pydicom's warnings quote values, which may be a patient's, and are no news to a user. Filters of warnings
belong to the process, and leaving a block brings back those from before it. So whatever silences warnings
while other threads read images does so here, one thread at a time: else one that leaves would let the
warnings of another through.
"""

from __future__ import annotations

import hashlib
import logging
import threading
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from pydicom import dcmread
from pydicom.dataset import Dataset

from medlocker.formats.dicom._parts import DEFLATED, SYNTAX, looks_like_dicom, most_inflated, read_meta

_LOCK = threading.RLock()
_LOG = logging.getLogger("pydicom")
_MAX_META_BYTES = 1 << 20
_PIECE_BYTES = 1 << 20
_LOOKED_AT = 1024
"""Bytes; without a preamble the first two elements must lie in them."""
_SUFFIXES = frozenset({".dcm", ".dicom", ".ima"})
_TAGS = ["SeriesInstanceUID", "SOPInstanceUID", "Rows", "Columns", "PhotometricInterpretation"]
_HEADER_TAGS = [*_TAGS, "StudyInstanceUID"]


@contextmanager
def quiet() -> Iterator[None]:
    """Drop every warning, and every log line of pydicom; one thread at a time, for both are the process's."""
    with _LOCK, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        before, _LOG.disabled = _LOG.disabled, True
        try:
            yield
        finally:
            _LOG.disabled = before


def read_tags(path: Path, **options: Any) -> Dataset:
    """Read a file with pydicom, without its warnings; it inflates deflated ones whole, however large.

    Args:
        path: The file.
        options: See ``pydicom.dcmread``.

    Raises:
        Exception: Of many kinds, if it is damaged or holds more than can be.
    """
    if not path.is_file():
        raise ValueError("expected a regular file")  # to open a pipe is to wait for ever
    with path.open("rb") as stream:
        return read_tags_from(stream, size=path.stat().st_size, **options)


def read_tags_from(stream: BinaryIO, *, size: int, **options: Any) -> Dataset:
    """Read an open file of so many bytes from its start; see :func:`read_tags`.

    With ``stop_before_pixels`` the stream is left at the element of the pixels, unless the file is deflated.
    """
    _check_deflated(stream, size)
    stream.seek(0)
    with quiet():
        return dcmread(stream, **options)


def _check_deflated(stream: BinaryIO, size: int) -> None:
    """Raise ValueError if a deflated data set is a bomb."""
    start = stream.read(_MAX_META_BYTES)
    elements, end = read_meta(start)
    written = elements.get(SYNTAX)
    if written is None or start[written.value_at : written.end].strip(b" \0") != DEFLATED.encode("ascii"):
        return
    stream.seek(end)
    left = most_inflated(size - end)
    unpacker = zlib.decompressobj(-zlib.MAX_WBITS)
    packed = stream.read(_PIECE_BYTES)
    while packed and not unpacker.eof:
        left -= len(unpacker.decompress(packed, _PIECE_BYTES))
        if left < 0:
            raise ValueError("expected a deflated data set of plausible size")
        packed = unpacker.unconsumed_tail or stream.read(_PIECE_BYTES)


def has_dicom_name(path: Path) -> bool:
    """Tell whether a file is called as DICOM files are."""
    return path.suffix.lower() in _SUFFIXES


def is_dicom_file(path: Path) -> bool:
    """Tell whether a file looks like DICOM, with a preamble or without; False if it cannot be read."""
    try:
        if not path.is_file():
            return False
        with path.open("rb") as stream:
            return looks_like_dicom(stream.read(_LOOKED_AT))
    except OSError:
        return False


def dicom_identity(path: Path) -> tuple[str, str] | None:
    """Return digests of a DICOM file's Series and SOP Instance UIDs, for finding duplicates.

    Reads the header only.

    Returns:
        64 lower-case hex digits each, or None if the file is no DICOM or lacks one of the two.
    """
    header = _header(path)
    if header is None:
        return None
    series, instance = header.get("SeriesInstanceUID"), header.get("SOPInstanceUID")
    if not series or not instance:
        return None
    return _digest("series", str(series)), _digest("instance", str(instance))


def instance_and_study(path: Path) -> tuple[str, str] | None:
    """Return a DICOM file's SOP and Study Instance UIDs; they go into no message.

    Reads the header only.

    Returns:
        Both, or None if the file is no DICOM or has no SOP Instance UID.
    """
    header = _header(path)
    if header is None or not header.get("SOPInstanceUID"):
        return None
    return str(header["SOPInstanceUID"]), str(header.get("StudyInstanceUID") or "")


def series_key(path: Path) -> str | None:
    """Return what DICOM files of one series, size and colour model share.

    Images with the same key are slices of one object: they should bear the same mark. Reads the header only.

    Returns:
        64 lower-case hex digits, or None if the file is no DICOM or names no series.
    """
    header = _header(path)
    if header is None or not header.get("SeriesInstanceUID"):
        return None
    return _digest("slices", *(str(header.get(tag, "")) for tag in _TAGS if tag != "SOPInstanceUID"))


def _header(path: Path) -> dict[str, Any] | None:
    if not (has_dicom_name(path) or is_dicom_file(path)):
        return None
    try:
        found = read_tags(path, stop_before_pixels=True, force=True, specific_tags=list(_HEADER_TAGS))
        with quiet():
            return {tag: found.get(tag) for tag in _HEADER_TAGS}
    except Exception:  # untrusted bytes: pydicom raises errors of many kinds
        return None


def _digest(*parts: str) -> str:
    return hashlib.sha256("\n".join(("medlocker-dicom-v1", *parts)).encode("utf-8", "replace")).hexdigest()
