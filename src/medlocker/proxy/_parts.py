"""What is asked of a DICOM file in memory: its UIDs, its header, where its pixels begin."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from pydicom import Dataset
from pydicom.uid import UID, DeflatedExplicitVRLittleEndian

from medlocker.dicomweb import is_uid
from medlocker.errors import MedlockerError, UnsupportedImageError
from medlocker.formats.dicom import MARK_TEXT, read_tags_from

_STUDY, _SERIES, _INSTANCE, _DERIVATION = 0x0020000D, 0x0020000E, 0x00080018, 0x00082111
_NAMES = [_STUDY, _SERIES, _INSTANCE, _DERIVATION]


@dataclass(frozen=True)
class Names:
    """What a file calls itself.

    Args:
        study, series, uid: UIDs.
        says_marked: Whether it says that medlocker marked it.
        syntax: UID of its transfer syntax.
    """

    study: str
    series: str
    uid: str
    says_marked: bool
    syntax: str


@contextmanager
def readable() -> Iterator[None]:
    """Turn what pydicom raises, which may quote values, into one sentence.

    Raises:
        UnsupportedImageError: If the block fails for any reason but want of memory.
    """
    try:
        yield
    except (MedlockerError, MemoryError):
        raise
    except Exception as error:  # untrusted bytes: errors of many kinds
        raise UnsupportedImageError("expected a sound DICOM file, got a damaged one") from error


def names_of(data: bytes) -> Names:
    """Read what a file calls itself.

    Raises:
        UnsupportedImageError: If it is damaged or lacks a UID.
    """
    with readable():
        header = read_tags_from(
            io.BytesIO(data), size=len(data), stop_before_pixels=True, specific_tags=list(_NAMES)
        )
        # as stored: converting values may warn, and warnings quote them
        texts = [_text(header, tag) for tag in _NAMES]
        syntax = str(header.file_meta.get("TransferSyntaxUID", ""))
    if not all(map(is_uid, (*texts[:3], syntax))):
        raise UnsupportedImageError("expected a DICOM file with UIDs of study, series and instance")
    return Names(texts[0], texts[1], texts[2], MARK_TEXT in texts[3], syntax)


def header_of(data: bytes) -> Dataset:
    """Read everything before the pixels.

    Raises:
        UnsupportedImageError: If it is damaged.
    """
    with readable():
        return read_tags_from(io.BytesIO(data), size=len(data), stop_before_pixels=True)


def pixels_at(data: bytes) -> tuple[Dataset, int]:
    """Read everything before the pixels, and say where their value begins; -1 if there are none.

    Raises:
        UnsupportedImageError: If it is damaged, or deflated.
    """
    stream = io.BytesIO(data)
    with readable():
        header = read_tags_from(stream, size=len(data), stop_before_pixels=True)
        syntax = UID(header.file_meta.TransferSyntaxUID)
        if syntax == DeflatedExplicitVRLittleEndian:
            raise UnsupportedImageError("frames of a deflated file cannot be taken out of it")
        at = stream.tell()
    if at >= len(data):
        return header, -1
    return header, at + (8 if syntax.is_implicit_VR else 12)


def _text(header: Dataset, tag: int) -> str:
    item = header.get_item(tag)
    value = b"" if item is None or item.value is None else item.value
    return bytes(value).decode("ascii", "replace").strip("\0 ")
