"""Veils of all kinds for tests; fields that veils get later have a plain value here and nowhere else."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

from hypothesis import strategies as st

from medlocker.geometry import Box
from medlocker.veil import _RANGES, Veil

PLAIN: dict[str, Any] = {
    "period_px": 20,
    "size_px": 22,
    "grain_px": 1,
    "angle": 3000,
    "phase_x": 100,
    "phase_y": 40000,
    "opacity": 9000,
    "ground": 0,
    "tint": 0xFFFFFF,
    "stagger": 32768,
    "turn": 32768,
    "scale": 300,
    "warp_256": 256,
    "texture": 0,
    "negatives": 1,
    "mounted": 0,
    "stamps": 8,
    "soft_px": 3,
    "key": "c0ffee" * 5,
}


def make_veil(**changes: Any) -> Veil:
    """A veil of small copies for small images."""
    lowest = {one.name: _RANGES[one.name][0] for one in fields(Veil) if one.name in _RANGES}
    return Veil(**{**lowest, **PLAIN, **changes})


@st.composite
def veils(draw: st.DrawFn, *, width: int = 64, height: int = 48, opacity: int = 65535) -> Veil:
    """A veil that an image of some size can have.

    Args:
        draw: Of Hypothesis.
        width: Of the image, pixels.
        height: Of the image, pixels.
        opacity: Highest.
    """
    size = draw(st.integers(1, 40))
    boxes = st.builds(
        Box,
        st.integers(0, width - 1),
        st.integers(0, height - 1),
        st.integers(1, width),
        st.integers(1, height),
    )
    return make_veil(
        period_px=draw(st.integers(max(size // 2, 4), 60)),
        size_px=size,
        grain_px=draw(st.sampled_from((1, 1, 2, 3, 4))),
        angle=draw(st.integers(0, 65535)),
        phase_x=draw(st.integers(0, 65535)),
        phase_y=draw(st.integers(0, 65535)),
        opacity=draw(st.integers(1, opacity)),
        ground=draw(st.sampled_from((0, 0, 1, opacity // 3))),
        tint=draw(st.integers(0, 0xFFFFFF)),
        stagger=draw(st.integers(0, 65535)),
        turn=draw(st.integers(0, 32768)),
        scale=draw(st.integers(0, 500)),
        warp_256=draw(st.sampled_from((0, 200, 2000))),
        texture=draw(st.sampled_from((0, 0, 30))),
        negatives=draw(st.integers(0, 1)),
        mounted=draw(st.integers(0, 1)),
        stamps=draw(st.integers(1, 5)),
        soft_px=draw(st.integers(1, 9)),
        key=draw(st.binary(min_size=1, max_size=64)).hex(),
        keep_out=tuple(draw(st.lists(boxes, max_size=4))),
    )
