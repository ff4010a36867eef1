"""The header of an instance in DICOM JSON (PS3.18 annex F), and the long values that it only points to."""

from __future__ import annotations

import json
import math
from typing import Any

from pydicom import Dataset
from pydicom.dataelem import DataElement

from medlocker.errors import InputError, UnsupportedImageError
from medlocker.formats.dicom import quiet
from medlocker.proxy._parts import header_of, readable

_INLINE_BYTES = 1024
"""As base64; what is longer stands elsewhere."""
_MOST_DEPTH = 32


def describe(data: bytes, *, bulk: str) -> bytes:
    """Return the header of a DICOM file in JSON, without pixels.

    Args:
        bulk: Address that the place of a long value is appended to.

    Raises:
        UnsupportedImageError: If it is damaged, or holds what JSON cannot.
    """
    header = header_of(data)
    with readable(), quiet():
        places: dict[int, str] = {}
        _find_long(header, "", places)
        told = header.to_json_dict(
            bulk_data_threshold=_INLINE_BYTES,
            bulk_data_element_handler=lambda element: f"{bulk}/{places[id(element)]}",
            suppress_invalid_tags=True,
        )
        return json.dumps(_finite(told), allow_nan=False).encode("ascii")


def bulk_value(data: bytes, place: str) -> bytes:
    """Return a long value of a header by its place: ``00091001``, inside a sequence ``00400275.0.00091001``.

    Raises:
        InputError: If there is none.
        UnsupportedImageError: If the file is damaged.
    """
    missing = InputError("there is no such value")
    at = header_of(data)
    parts = place.split(".")
    if len(parts) % 2 == 0 or len(parts) > 2 * _MOST_DEPTH:
        raise missing
    with readable(), quiet():
        try:
            for tag, item in zip(parts[:-1:2], parts[1::2], strict=True):
                at = at[int(tag, 16)].value[int(item)]
            element = at[int(parts[-1], 16)]
        except (KeyError, IndexError, ValueError, TypeError, OverflowError):
            raise missing from None
        if not _is_long(element):
            raise missing
        return bytes(element.value)


def _find_long(header: Dataset, before: str, places: dict[int, str], depth: int = 0) -> None:
    if depth > _MOST_DEPTH:
        raise UnsupportedImageError("expected sequences of at most 32 levels")
    for element in header:
        place = f"{before}{int(element.tag):08X}"
        if element.VR == "SQ":
            for number, item in enumerate(element.value):
                _find_long(item, f"{place}.{number}.", places, depth + 1)
        else:
            places[id(element)] = place


def _is_long(element: DataElement) -> bool:
    return isinstance(element.value, bytes) and len(element.value) > _INLINE_BYTES // 4 * 3


def _finite(value: Any) -> Any:
    """Put null in the place of numbers that JSON does not know."""
    if isinstance(value, dict):
        return {name: _finite(one) for name, one in value.items()}
    if isinstance(value, list):
        return [_finite(one) for one in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
