"""COCO's run-length encoded masks: the box around one, without drawing it."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import accumulate
from typing import Any

MAX_SIDE = 10_000_000


def box_from_runs(value: Mapping[str, Any]) -> tuple[float, float, float, float]:
    """Return the box around a mask that is given as ``{"size": [height, width], "counts": ...}``.

    Counts are lengths of runs down the columns, in turns outside and inside: a list, or the text that COCO's
    tools compress it to (5 bits a character, from the third run on differences to the last but one).

    Args:
        value: The annotation's ``segmentation``.

    Returns:
        x, y, width, height, pixels.

    Raises:
        ValueError: With the rule that is broken.
    """
    size, counts = value.get("size"), value.get("counts")
    if not isinstance(size, list) or len(size) != 2 or not all(type(side) is int for side in size):
        raise ValueError("expected runs (RLE) with a size of height and width")
    height, width = size
    if not (0 < height <= MAX_SIDE and 0 < width <= MAX_SIDE):
        raise ValueError("expected runs (RLE) of a picture")
    runs = _decompressed(counts) if isinstance(counts, str) else counts
    if not isinstance(runs, list) or not all(type(run) is int and run >= 0 for run in runs):
        raise ValueError("expected runs (RLE) as a list of numbers, or as COCO's text")
    ends = list(accumulate(runs))
    if not ends or ends[-1] != height * width:
        raise ValueError(f"expected runs (RLE) of {height} x {width} pixels in all")
    left, top, right, bottom = width, height, 0, 0
    for start, end in zip(ends[0::2], ends[1::2], strict=False):
        if start == end:
            continue
        first, last = start // height, (end - 1) // height
        left, right = min(left, first), max(right, last + 1)
        if first == last:
            top, bottom = min(top, start % height), max(bottom, (end - 1) % height + 1)
        else:  # over the foot of a column and the head of the next
            top, bottom = 0, height
    if left >= right:
        raise ValueError("expected a region, got an empty mask")
    return float(left), float(top), float(right - left), float(bottom - top)


def _decompressed(text: str) -> list[int]:
    """Undo COCO's compression of runs (``rleFrString`` of its mask API)."""
    runs: list[int] = []
    value, shift = 0, 0
    for character in text:
        code = ord(character) - 48
        if not 0 <= code < 64 or shift > 30:
            raise ValueError("expected runs (RLE) as COCO's text")
        value |= (code & 0x1F) << shift
        shift += 5
        if code & 0x20:
            continue
        if code & 0x10:
            value -= 1 << shift
        runs.append(value + (runs[-2] if len(runs) > 2 else 0))
        value, shift = 0, 0
    if shift:
        raise ValueError("expected runs (RLE) as COCO's text")
    return runs
