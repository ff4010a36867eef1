"""From stored samples to what a viewer shows: modality LUT, VOI window or LUT, polarity (PS3.3, C.11).

The table is made for every sample there can be, so one look-up shows a pixel. Its inverse says which sample
is shown as a level of the logo.
"""

from __future__ import annotations

import io
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.filereader import read_dataset

from medlocker.formats.dicom._layout import Layout, Words
from medlocker.formats.dicom._parts import Parts
from medlocker.formats.dicom._tags import quiet

_PICTURE = 0x0028
"""Group of all elements that describe pixels."""

_GROUPS = (0x52009229, 0x52009230)
"""The shared functional groups and those of each frame."""

_PADDING = 0x00280120
_FEW = 16
"""A narrower range than this is told by its exact window; else by the usual one, which all viewers know."""

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Window:
    """A VOI window as it is written.

    Args:
        center: Decimal text.
        width: Decimal text.
        function: ``LINEAR``, ``LINEAR_EXACT`` or ``SIGMOID``.
    """

    center: str
    width: str
    function: str = "LINEAR"


@dataclass(frozen=True, eq=False)
class DisplayMapping:
    """How samples are shown.

    Args:
        table: (2**bits,) of the samples' type: the level that each is shown as; None if it is itself.
        inks: (256,) samples that are shown as the levels of a logo; None with ``table``.
        window: Where the header gave none the image's own range as a window, else None.
        source: ``window``, ``table`` or ``range``: where the contrast comes from.
    """

    table: NDArray[Any] | None = None
    inks: NDArray[Any] | None = None
    window: Window | None = None
    source: str = "range"


def read_header(parts: Parts) -> Dataset:
    """Return what of the data set before the pixels says how these are shown.

    Raises:
        Exception: Of many kinds, if values are damaged.
    """
    dialect = parts.dialect
    needed = (e for e in parts.elements.values() if e.tag >> 16 == _PICTURE or e.tag in _GROUPS)
    stream = io.BytesIO(b"".join(parts.head[e.at : e.end] for e in needed))
    return read_dataset(stream, not dialect.explicit, dialect.order == "<")


def read_shown(parts: Parts, layout: Layout, middle: Words) -> DisplayMapping:
    """Work out how an image's samples are shown.

    Args:
        parts: The file.
        layout: What its header says.
        middle: (H, W, C) samples of the frame that is shown.

    Raises:
        Exception: Of many kinds, if the header is damaged.
    """
    if layout.kind == "palette":
        return DisplayMapping()
    if layout.kind == "rgb":
        return DisplayMapping() if layout.stored == layout.allocated else _made(_spread(layout), layout)
    with quiet():
        header = read_header(parts)
        groups = list(_groups(header, layout.frames // 2))
        values = np.arange(1 << layout.stored, dtype=np.float64) - layout.sign
        values = _modality(values, groups, parts.dialect.order)
        levels, source = _voi(values, groups, parts.dialect.order)
    window: Window | None = None
    used = slice(None)
    if levels is not None and len(np.unique(np.round(levels * 255))) < 2:
        levels, source = _spread(layout), "range"  # a window beside all samples shows nothing
    if levels is None and layout.stored <= 8 and not layout.signed and values[0] == 0:
        levels = _spread(layout)
    if levels is None:
        low, high = _range(middle, parts, layout)
        if values[low] == values[high]:  # an even image: any contrast will do
            low, high = 0, len(values) - 1
        window = _own_window(float(values[low]), float(values[high]))
        levels = window_levels(values, window)
        used = slice(low, high + 1)
    if layout.photometric == "MONOCHROME1":
        levels = 1 - levels
    return _made(levels, layout, used=used, window=window, source=source)


def _spread(layout: Layout) -> Floats:
    return np.arange(1 << layout.stored, dtype=np.float64) / ((1 << layout.stored) - 1)


def _made(
    levels: Floats,
    layout: Layout,
    *,
    used: slice = slice(None),
    window: Window | None = None,
    source: str = "range",
) -> DisplayMapping:
    top = (1 << layout.allocated) - 1
    table = np.floor(np.nan_to_num(levels) * top + 0.5).clip(0, top).astype(layout.dtype)
    if len(table) == top + 1 and np.array_equal(table, np.arange(top + 1)):
        return DisplayMapping(window=window, source=source)
    return DisplayMapping(table, _inks(table, used, top), window, source)


def _inks(table: NDArray[Any], used: slice, top: int) -> NDArray[Any]:
    """Return for each of 256 levels the sample that is shown most like it.

    Of several shown alike it is the one nearest to the middle of the contrast, so that a blend begins where
    the contrast does.
    """
    first = used.start or 0
    levels = table[used].astype(np.int64)
    middle = int(np.abs(levels - top // 2).argmin())
    order = np.abs(np.arange(len(levels)) - middle).argsort(kind="stable")
    known, at = np.unique(levels[order], return_index=True)
    samples = order[at]
    wanted = np.arange(256) * (top // 255)
    right = np.searchsorted(known, wanted).clip(0, len(known) - 1)
    left = (right - 1).clip(0)
    nearest = np.where(wanted - known[left] <= known[right] - wanted, left, right)
    return np.asarray(samples[nearest] + first, dtype=table.dtype)


def _range(middle: Words, parts: Parts, layout: Layout) -> tuple[int, int]:
    """Return the least and greatest sample, the one that fills what was not imaged left out."""
    samples = middle
    padding = parts.value(_PADDING)
    if len(padding) >= 2:
        (fill,) = struct.unpack_from(f"{parts.dialect.order}H", padding)
        inside = middle != ((fill ^ layout.sign) & ((1 << layout.stored) - 1))
        samples = middle[inside] if inside.any() else middle
    return int(samples.min()), int(samples.max())


def _own_window(low: float, high: float) -> Window:
    """Return the window that shows a range of values from black to white."""
    low, high = min(low, high), max(low, high)
    center, width = (low + high) / 2, high - low
    if width < _FEW:
        return Window(f"{center:.9g}", f"{width:.9g}", "LINEAR_EXACT")
    return Window(f"{center + 0.5:.9g}", f"{width + 1:.9g}")


def window_levels(values: Floats, window: Window) -> Floats:
    """Return the levels, 0 to 1, that a window shows values as (PS3.3, C.11.2.1.2 and C.11.2.1.3)."""
    center, width = float(window.center), float(window.width)
    if window.function == "SIGMOID":
        with np.errstate(over="ignore"):
            return np.asarray(1 / (1 + np.exp(-4 * (values - center) / width)))
    if window.function != "LINEAR_EXACT":
        center, width = center - 0.5, width - 1
    if width <= 0:
        return np.where(values > center, 1.0, 0.0)
    return np.asarray(((values - center) / width + 0.5).clip(0, 1))


def _groups(header: Dataset, frame: int) -> Iterator[Dataset]:
    """Yield the data sets that may hold a frame's look-up tables: its own group, the shared one, the top."""
    for tag, index in (("PerFrameFunctionalGroupsSequence", frame), ("SharedFunctionalGroupsSequence", 0)):
        items = header.get(tag) or []
        if index < len(items):
            for inner in ("PixelValueTransformationSequence", "FrameVOILUTSequence"):
                yield from (items[index].get(inner) or [])[:1]
    yield header


def _modality(values: Floats, groups: list[Dataset], order: str) -> Floats:
    for group in groups:
        tables = group.get("ModalityLUTSequence")
        if tables:
            return _looked_up(values, tables[0], order)[0]
        slope, intercept = _first(group.get("RescaleSlope")), _first(group.get("RescaleIntercept"))
        if slope is not None and intercept is not None:
            made = values * slope + intercept
            if slope != 0 and np.isfinite(made).all():
                return np.asarray(made)
    return values


def _voi(values: Floats, groups: list[Dataset], order: str) -> tuple[Floats | None, str]:
    for group in groups:
        center, width = _first(group.get("WindowCenter")), _first(group.get("WindowWidth"))
        function = str(group.get("VOILUTFunction") or "LINEAR")
        if center is not None and width is not None and width >= (1 if function == "LINEAR" else 1e-12):
            return window_levels(values, Window(repr(center), repr(width), function)), "window"
        tables = group.get("VOILUTSequence")
        if tables:
            levels, bits = _looked_up(values, tables[0], order)
            top = max((1 << bits) - 1, float(levels.max()))
            return levels / top, "table"
    return None, "range"


def _first(value: object) -> float | None:
    """Return the first of one or several decimal numbers, None if there is no finite one."""
    if value is None or value == "":
        return None
    if not isinstance(value, str | int | float):
        several = list(value)  # type: ignore[call-overload]
        value = several[0] if several else None
    try:
        number = float(str(value))
    except ValueError:
        return None
    return number if np.isfinite(number) else None


def _looked_up(values: Floats, item: Dataset, order: str) -> tuple[Floats, int]:
    """Return values looked up in a LUT of the standard's form, and the bits of its entries."""
    count, first, bits = (int(number) for number in item["LUTDescriptor"].value)
    count = count or 1 << 16
    data = item["LUTData"].value
    if isinstance(data, bytes):
        kind = "u1" if len(data) in (count, count + 1) else f"{order}u2"
        entries = np.frombuffer(data, kind, count)
    else:
        entries = np.atleast_1d(np.asarray(data, dtype=np.int64))[:count] & 0xFFFF
    if len(entries) != count:
        raise ValueError("expected as many entries as announced")
    if first > 0x7FFF and values.min() < 0:
        first -= 1 << 16
    at = (np.floor(values) - first).clip(0, count - 1).astype(np.int64)
    return entries[at].astype(np.float64), min(max(bits, 1), 16)
