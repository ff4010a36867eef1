"""Changing single elements of a DICOM file, and changing them back to the very bytes they had."""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from typing import TypeAlias

from medlocker.formats._edits import Edit, apply_edits
from medlocker.formats.dicom._parts import Parts, with_head
from medlocker.formats.dicom._walk import EXPLICIT, build_element

_META_LENGTH = 0x00020000

Changes: TypeAlias = Mapping[int, tuple[str, bytes] | None]
"""By tag the new value representation and value, or None to leave the element out."""


def plan_edits(parts: Parts, changes: Changes) -> list[Edit]:
    """Return the edits that replace, add and leave out elements before the pixels.

    The length that the meta information gives for itself follows.
    """
    edits: list[Edit] = []
    meta_grows = 0
    for tag, change in sorted(changes.items()):
        meta = tag >> 16 == 2
        element = parts.elements.get(tag)
        if element is None and (change is None or (meta and parts.meta_end == 0)):
            continue
        data = b"" if change is None else build_element(
            tag, *change, dialect=EXPLICIT if meta else parts.dialect
        )  # fmt: skip
        at, length = (_place(parts, tag), 0) if element is None else (element.at, element.end - element.at)
        edits.append(Edit(at, length, data))
        meta_grows += (len(data) - length) * meta
    told = parts.elements.get(_META_LENGTH)
    if told is not None and meta_grows:
        (length,) = struct.unpack_from("<I", parts.head, told.value_at)
        edits.append(Edit(told.value_at, 4, struct.pack("<I", length + meta_grows & 0xFFFFFFFF)))
    # those added at one place stay in the order of their tags
    return sorted(edits, key=lambda edit: edit.at)


def _place(parts: Parts, tag: int) -> int:
    """Return where an element that is missing belongs."""
    later = [e.at for e in parts.elements.values() if e.tag > tag and (e.tag >> 16 == 2) == (tag >> 16 == 2)]
    if later:
        return min(later)
    return parts.meta_end if tag >> 16 == 2 else len(parts.head)


def changed(parts: Parts, changes: Changes, others: Sequence[Edit] = ()) -> tuple[Parts, tuple[Edit, ...]]:
    """Return parts with other elements, and the edits that undo it.

    Args:
        parts: A file.
        changes: See :data:`Changes`.
        others: Edits of elements that ``changes`` does not name.
    """
    planned = plan_edits(parts, changes)
    # what is added before an element stands before it, also before one that goes
    edits = sorted((*planned, *others), key=lambda edit: (edit.at, edit.length > 0)) if others else planned
    head, undo = apply_edits(parts.head, edits)
    return with_head(parts, head, parts.tail), undo
