"""Regions from Pascal VOC XML: one file for each image."""

from __future__ import annotations

from xml.etree.ElementTree import Element

from medlocker.regions._csv import to_number
from medlocker.regions._shapes import UNNAMED_KIND, ImageNotes, RowBox, stated_size


def is_voc(root: Element) -> bool:
    """Tell whether XML is of Pascal VOC."""
    return root.tag == "annotation"


def voc_notes(root: Element) -> ImageNotes:
    """Return each object's box; from 1 on or from 0 on, both readings are inside.

    Raises:
        ValueError: Naming the object (counted from 1), if a number is missing or wrong.
    """
    rows = []
    for number, item in enumerate(root.iterfind("object"), 1):
        try:
            rows.append(((item.findtext("name") or "").strip() or UNNAMED_KIND, _box(item)))
        except ValueError as error:
            raise ValueError(f"object {number}: {error}") from None
    sides = [(root.findtext(f"size/{side}") or "").strip() for side in ("width", "height")]
    size = stated_size(*(int(side) if side.isdecimal() and len(side) < 9 else 0 for side in sides))
    return ImageNotes((root.findtext("filename") or "").strip(), size, rows)


def _box(item: Element) -> RowBox:
    left, top, right, bottom = (
        to_number(item.findtext(f"bndbox/{edge}") or "") for edge in ("xmin", "ymin", "xmax", "ymax")
    )
    if not (left <= right and top <= bottom):
        raise ValueError("expected xmin, ymin, xmax and ymax in this order")
    return left - 1, top - 1, right - left + 2, bottom - top + 2
