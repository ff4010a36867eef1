"""The styles that are tried: the one that ships with the program, others that are known, and random ones."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from itertools import islice
from typing import Any

import numpy as np

from medlocker.errors import InputError
from medlocker.veilstyle import VeilStyle

MOST_OPACITY = 0.15
"""Of a chosen veil, unless the user allows more."""
_SMALLEST_TILE = 0.03
"""Share of the shorter side. A smaller logo is not seen as one on a picture of some hundred pixels."""
_PERIODS, _FILLS = (0.03, 0.2), (0.5, 1.3)
_LEAST_OPACITY = 0.8
"""Of the opacity that is allowed."""
_MOST_SCALE, _MOST_WARP = 0.5, 0.15
_TEXTURES = (0, 0, 64, 96)
_BY_KEY = ("spread", "stagger", "turn", "scale", "warp", "texture")
"""What protects against somebody who prepares, by removing veils or by training on them."""
_GROUNDS = (0.0, 0.0, 0.0, 0.03, 0.06)
_TINTS = (0xFFFFFF, 0x808080, 0x000000)
_MOST_TRIES = 50
"""For each style that is wanted: drawn ones may be equal, or too small."""

_KNOWN: tuple[Mapping[str, Any], ...] = (
    {"period": 0.045, "fill": 1.2, "warp": 0.1},
    {"period": 0.12, "fill": 0.6, "warp": 0.12},
    {"period": 0.16, "fill": 0.75},
    {"period": 0.12, "fill": 0.6, "ground": 0.06, "tint": 0xFFFFFF},
    {"period": 0.16, "fill": 0.6, "texture": 96, "negatives": False},
    {"period": 0.14, "fill": 0.7, "texture": 96},
    {"period": 0.045, "fill": 0.8, "negatives": False},
    {"period": 0.1, "fill": 0.8},
    {"period": 0.16, "fill": 0.8},
    {"period": 0.08, "fill": 0.6, "texture": 64},
    {"period": 0.032, "fill": 1.2, "texture": 64},
    {"period": 0.065, "fill": 1.0},
    {"period": 0.12, "fill": 0.75, "ground": 0.03, "tint": 0x000000, "texture": 64},
    {"period": 0.1, "fill": 1.1, "negatives": False},
    {"period": 0.045, "fill": 1.0, "ground": 0.06, "tint": 0xFFFFFF},
    {"period": 0.2, "fill": 0.6, "texture": 64},
    {"period": 0.16, "fill": 1.1},
    {"texture": 96},
    {"negatives": False},
    {"scale": 0.5},
    {"ground": 0.05, "tint": 0x000000},
)
"""Good on some models and data sets, or far from the others: dense fine copies and sparse coarse ones mislead
different families of networks."""


def variants(
    base: VeilStyle,
    *,
    count: int,
    opacities: tuple[float, float],
    size: float | None,
    rng: np.random.Generator,
) -> list[VeilStyle]:
    """Return styles to try, all different, the base first.

    What differs from image to image by key is never less than the base has: no surrogate at hand would miss
    it, but who prepares for veils would find them easier.

    Args:
        count: How many, at least 1.
        opacities: Lowest and highest.
        size: Of a copy, share of the shorter side, if the user has fixed it.
        rng: Of the random ones.
    """
    found: dict[VeilStyle, None] = {}
    for changes in islice(_changes(base, opacities, rng), _MOST_TRIES * count):
        style = replace(base, **changes)
        style = replace(style, **{name: max(getattr(style, name), getattr(base, name)) for name in _BY_KEY})
        if size is not None:
            try:
                style = style.with_tile(size)
            except InputError:  # its period would be out of range
                continue
        elif found and style.period * style.fill < _SMALLEST_TILE:
            continue
        found.setdefault(style)
        if len(found) == count:
            break
    return list(found)


def _changes(
    base: VeilStyle, opacities: tuple[float, float], rng: np.random.Generator
) -> Iterator[Mapping[str, Any]]:
    low, high = opacities
    yield {"opacity": min(max(base.opacity, low), high)}
    for known in _KNOWN:
        yield {"opacity": high, **known}
    while True:
        yield _random(base, opacities, rng)


def _random(base: VeilStyle, opacities: tuple[float, float], rng: np.random.Generator) -> Mapping[str, Any]:
    """Change about half of the fields."""
    lowest = max(opacities[0], _LEAST_OPACITY * opacities[1])
    drawn: dict[str, Any] = {
        "period": float(np.exp(rng.uniform(*np.log(_PERIODS)))),
        "fill": float(rng.uniform(*_FILLS)),
        "scale": float(rng.uniform(min(base.scale, _MOST_SCALE), _MOST_SCALE)),
        "warp": float(rng.uniform(min(base.warp, _MOST_WARP), _MOST_WARP)),
        "texture": int(rng.choice(_TEXTURES)),
        "ground": float(rng.choice(_GROUNDS)),
        "negatives": bool(rng.random() < 0.5),
    }
    tint, opacity = int(rng.choice(_TINTS)), float(rng.uniform(lowest, opacities[1]))
    changes = {name: _short(value) for name, value in drawn.items() if rng.random() < 0.5}
    return {"opacity": _short(opacity), **changes, **({"tint": tint} if changes.get("ground") else {})}


def _short(value: Any) -> Any:
    return round(value, 4) if isinstance(value, float) else value
