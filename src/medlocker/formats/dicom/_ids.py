"""Which DICOM files belong together, as digests: from a header alone, and no identifier is ever shown."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from medlocker.formats.dicom._parts import looks_like_dicom
from medlocker.formats.dicom._quiet import quiet
from medlocker.formats.dicom._tags import read_tags

_LOOKED_AT = 1024
"""Bytes; without a preamble the first two elements must lie in them."""
_SUFFIXES = frozenset({".dcm", ".dicom", ".ima"})
_TAGS = ["SeriesInstanceUID", "SOPInstanceUID", "Rows", "Columns", "PhotometricInterpretation"]


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
        found = read_tags(path, stop_before_pixels=True, force=True, specific_tags=list(_TAGS))
        with quiet():
            return {tag: found.get(tag) for tag in _TAGS}
    except Exception:  # untrusted bytes: pydicom raises errors of many kinds
        return None


def _digest(*parts: str) -> str:
    return hashlib.sha256("\n".join(("medlocker-dicom-v1", *parts)).encode("utf-8", "replace")).hexdigest()
