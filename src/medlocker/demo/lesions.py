"""Signs of diabetic retinopathy: how many, where, and their shapes.

Units are those of :mod:`medlocker.demo.anatomy`. Two windows of every eye stay free of lesions, so that there
is room for a mark even in a severe case.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from medlocker.demo.anatomy import Eye

Points = NDArray[np.float64]
Kind = Literal["microaneurysm", "haemorrhage", "hard_exudate", "cotton_wool_spot"]

_QUIET_HALF_SIDE = 0.36
_SOFT_EDGE = 0.03
_COUNTS: Mapping[str, Mapping[str, tuple[int, int]]] = {
    "none": {},
    "mild": {"microaneurysm": (4, 10), "haemorrhage": (3, 8), "exudate_cluster": (0, 2)},
    "severe": {
        "microaneurysm": (10, 28),
        "haemorrhage": (10, 24),
        "exudate_cluster": (2, 5),
        "cotton_wool_spot": (1, 4),
    },
}
"""Lowest and highest number per grade, both included."""
GRADES = tuple(_COUNTS)
"""``none``, ``mild``, ``severe``."""


@dataclass(frozen=True)
class Lesion:
    """One lesion.

    Args:
        outline: (N, 2) float64 polygon.
        strength: 0 to 1, how much it stands out.
    """

    kind: Kind
    outline: Points
    strength: float


@dataclass(frozen=True)
class Findings:
    """The lesions of one eye and where there are none.

    Args:
        lesions: In the order in which they were drawn; none touches a quiet window.
        quiet_centres: Centres of two square windows without lesions.
        quiet_half_side: Half of their side.
    """

    lesions: tuple[Lesion, ...]
    quiet_centres: tuple[tuple[float, float], ...]
    quiet_half_side: float = _QUIET_HALF_SIDE


def plan_lesions(rng: np.random.Generator, eye: Eye, *, grade: str) -> Findings:
    """Draw the lesions of one eye.

    Args:
        eye: Lesions keep off its disc.
        grade: A key of the table of counts: ``none``, ``mild`` or ``severe``.
    """
    windows = _quiet_windows(rng)
    load = {name: int(rng.integers(low, high + 1)) for name, (low, high) in _COUNTS[grade].items()}
    severe = grade == "severe"
    lesions: list[Lesion] = []
    for _ in range(load.get("exudate_cluster", 0)):
        lesions += _exudates(rng, eye, windows, severe)
    for _ in range(load.get("cotton_wool_spot", 0)):
        at = _place(rng, eye, windows, room=0.09)
        angle, size = rng.uniform(0, np.pi), rng.uniform(0.035, 0.07)
        outline = _blob(rng, at, size, 0.22, stretch=rng.uniform(1.0, 1.7), angle=angle)
        lesions.append(Lesion("cotton_wool_spot", outline, float(rng.uniform(0.6, 0.95))))
    for _ in range(load.get("haemorrhage", 0)):
        lesions.append(_haemorrhage(rng, eye, windows, severe))
    for _ in range(load.get("microaneurysm", 0)):
        at = _place(rng, eye, windows, room=0.02)
        outline = _blob(rng, at, rng.uniform(0.006, 0.011), 0.12)
        lesions.append(Lesion("microaneurysm", outline, float(rng.uniform(0.55, 0.95))))
    kept = tuple(lesion for lesion in lesions if not _reaches_into(lesion, windows))
    return Findings(kept, tuple((float(x), float(y)) for x, y in windows))


def _reaches_into(lesion: Lesion, windows: Points) -> bool:
    """Tell whether a lesion's bounding box, with room for its soft edge, touches a quiet window."""
    low, high = lesion.outline.min(axis=0) - _SOFT_EDGE, lesion.outline.max(axis=0) + _SOFT_EDGE
    apart = (low > windows + _QUIET_HALF_SIDE) | (high < windows - _QUIET_HALF_SIDE)
    return bool((~apart.any(axis=1)).any())


def _haemorrhage(rng: np.random.Generator, eye: Eye, windows: Points, severe: bool) -> Lesion:
    at = _place(rng, eye, windows, room=0.08)
    if severe and rng.random() < 0.3:  # flame-shaped: along the nerve fibres, which leave the disc
        angle = float(np.arctan2(at[1] - eye.disc[1], at[0] - eye.disc[0]) + rng.normal(0.0, 0.25))
        size, stretch = rng.uniform(0.018, 0.034), rng.uniform(1.8, 2.8)
    else:
        angle = float(rng.uniform(0, np.pi))
        size, stretch = rng.uniform(0.014, 0.045 if severe else 0.026), rng.uniform(1.0, 1.5)
    outline = _blob(rng, at, size, 0.3, stretch=stretch, angle=angle)
    return Lesion("haemorrhage", outline, float(rng.uniform(0.6, 1.0)))


def _exudates(rng: np.random.Generator, eye: Eye, windows: Points, severe: bool) -> list[Lesion]:
    """Scatter waxy specks, loosely or along part of a ring (circinate)."""
    centre = _place(rng, eye, windows, room=0.10)
    if rng.random() < 0.5:  # most lie about the macula
        near = np.asarray(eye.fovea) + rng.normal(0.0, 0.2, 2)
        centre = near if _is_free(near, eye, windows, room=0.06) else centre
    ring = rng.random() < 0.45
    count = int(rng.integers(12, 32) if severe else rng.integers(3, 9))
    spread = rng.uniform(0.08, 0.16) if severe else rng.uniform(0.03, 0.08)
    start, arc = rng.uniform(0, 2 * np.pi), rng.uniform(1.5, 4.5)
    specks: list[Lesion] = []
    for _ in range(count):
        if ring:
            turn, reach = start + arc * rng.random(), spread * rng.normal(1.0, 0.13)
            offset = reach * np.array([np.cos(turn), np.sin(turn)])
        else:
            offset = rng.normal(0.0, spread * 0.55, 2)
        if not _is_free(centre + offset, eye, windows, room=0.03):
            continue
        size = float(np.clip(rng.lognormal(np.log(0.0085), 0.45), 0.005, 0.03))
        outline = _blob(
            rng, centre + offset, size, 0.28, stretch=rng.uniform(1, 1.8), angle=rng.uniform(0, np.pi)
        )
        specks.append(Lesion("hard_exudate", outline, float(rng.uniform(0.6, 1.0))))
    return specks


def _blob(
    rng: np.random.Generator,
    centre: Points,
    radius: float,
    rough: float,
    *,
    stretch: float = 1.0,
    angle: float = 0.0,
) -> Points:
    """Return an irregular closed outline: an ellipse with a random radius, smooth around the turn."""
    turns = np.linspace(0.0, 2.0 * np.pi, 24, endpoint=False)
    waves = np.arange(2, 6)
    amplitude = rng.normal(0.0, rough / waves**0.7, len(waves))
    phase = rng.uniform(0.0, 2.0 * np.pi, len(waves))
    radii = radius * np.clip(1.0 + np.sin(np.outer(turns, waves) + phase) @ amplitude, 0.35, 1.9)
    x, y = radii * np.cos(turns) * stretch, radii * np.sin(turns)
    return np.stack(
        [
            centre[0] + x * np.cos(angle) - y * np.sin(angle),
            centre[1] + x * np.sin(angle) + y * np.cos(angle),
        ],
        axis=1,
    )


def _quiet_windows(rng: np.random.Generator) -> Points:
    """Return the centres of two square windows that stay free of lesions, on opposite sides."""
    turn = rng.uniform(0.0, 2.0 * np.pi)
    turns = np.array([turn, turn + np.pi + rng.normal(0.0, 0.4)])
    return np.asarray(np.stack([np.cos(turns), np.sin(turns)], axis=1) * 0.52)


def _place(rng: np.random.Generator, eye: Eye, windows: Points, *, room: float) -> Points:
    """Return a place for a lesion of a given radius; the most central of the tries if none is free."""
    tries = rng.uniform(-0.88, 0.88, (40, 2))
    for point in tries:
        if _is_free(point, eye, windows, room=room):
            return np.asarray(point)
    return np.asarray(tries[int(np.argmin(np.abs(tries).max(axis=1)))])


def _is_free(point: Points, eye: Eye, windows: Points, *, room: float) -> bool:
    if np.hypot(*point) + room > 0.92:
        return False
    if np.hypot(*(point - np.asarray(eye.disc))) < eye.disc_radius * 1.25 + room:
        return False
    return bool((np.abs(windows - point).max(axis=1) > _QUIET_HALF_SIDE + room).all())
