"""The healthy eye of a synthetic fundus photograph: where disc, fovea and vessels lie.

Lengths are in units of the radius of the field of view, positions relative to its centre, y downwards.
The eye is planned with the optic disc on the right and mirrored at the end, if at all.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Points = NDArray[np.float64]
"""(N, 2) float64, x and y."""

_STEP = 0.02
_WIDEST = {"artery": 0.023, "vein": 0.032}
_TEMPORAL = (
    (0.0, 0.0),
    (0.0, 0.10),
    (-0.06, 0.26),
    (-0.22, 0.46),
    (-0.52, 0.60),
    (-0.92, 0.62),
    (-1.5, 0.48),
)
_NASAL = ((0.0, 0.0), (0.02, 0.09), (0.10, 0.24), (0.24, 0.46), (0.38, 0.74), (0.50, 1.05))


@dataclass(frozen=True)
class Vessel:
    """One unbranched stretch of a vessel.

    Args:
        points: (N, 2) float64, from the disc outwards, N at least 2.
        widths: (N,) float64, full widths.
        kind: Which blood it carries; veins are wider and darker.
        order: 0 leaves the disc, 1 branches off that, and so on.
    """

    points: Points
    widths: NDArray[np.float64]
    kind: Literal["artery", "vein"]
    order: int


@dataclass(frozen=True)
class Eye:
    """Anatomy of one eye.

    Args:
        disc: Centre of the optic disc.
        disc_radius: Its horizontal radius; the disc is slightly taller than wide.
        cup: Centre of the cup.
        fovea: Centre of the fovea.
        vessels: Thinnest first, so that thick ones are drawn over them.
    """

    disc: tuple[float, float]
    disc_radius: float
    cup: tuple[float, float]
    cup_radius: float
    fovea: tuple[float, float]
    vessels: tuple[Vessel, ...]


def plan_eye(rng: np.random.Generator) -> Eye:
    """Draw the anatomy of one eye, left or right."""
    disc = np.array([rng.uniform(0.50, 0.72), rng.uniform(-0.12, 0.06)])
    radius = float(rng.uniform(0.125, 0.15))
    fovea = disc + np.array([-rng.uniform(0.60, 0.70), rng.uniform(0.04, 0.11)])
    cup = disc + radius * np.array([rng.uniform(-0.22, 0.0), rng.uniform(-0.12, 0.12)])
    side = 1.0 if rng.random() < 0.5 else -1.0
    mirror = np.array([side, 1.0])
    grown = _grow_vessels(rng, disc, fovea)
    vessels = [Vessel(v.points * mirror, v.widths, v.kind, v.order) for v in grown]
    vessels.sort(key=lambda vessel: float(vessel.widths[0]))
    return Eye(
        disc=_pair(disc * mirror),
        disc_radius=radius,
        cup=_pair(cup * mirror),
        cup_radius=radius * float(rng.uniform(0.32, 0.55)),
        fovea=_pair(fovea * mirror),
        vessels=tuple(vessels),
    )


def _grow_vessels(rng: np.random.Generator, disc: Points, fovea: Points) -> list[Vessel]:
    """Grow four arcades of one artery and one vein each, small vessels at the disc, and all branches."""
    trunks: list[Vessel] = []
    for up in (-1.0, 1.0):
        for controls, calibre in ((_TEMPORAL, 1.0), (_NASAL, 0.72)):
            stretch = rng.uniform(0.9, 1.08, 2)
            for kind in ("artery", "vein"):
                jitter = rng.normal(0.0, 0.035, (len(controls), 2))
                jitter[0] *= 0.6
                path = _spline(np.asarray(controls) * [1.0, up] * stretch + jitter)
                width = _WIDEST[kind] * calibre * rng.uniform(0.85, 1.1)
                trunks += _cut(_add_tortuosity(rng, path) + disc, width, 0.45, kind, 0, fovea)
    for angle in rng.uniform(0.0, 2.0 * np.pi, int(rng.integers(5, 9))):
        kind = "artery" if rng.random() < 0.5 else "vein"
        path = _walk(rng, disc, float(angle), float(rng.uniform(0.2, 0.55)))
        trunks += _cut(path, float(rng.uniform(0.007, 0.011)), 0.4, kind, 1, fovea)
    vessels = list(trunks)
    parents = [vessel for vessel in trunks if vessel.order == 0]
    for order, gap in ((1, 0.15), (2, 0.13), (3, 0.16)):
        children: list[Vessel] = []
        for parent in parents:
            children += _branch(rng, parent, order, gap, fovea)
        vessels += children
        parents = children
    return vessels


def _branch(rng: np.random.Generator, parent: Vessel, order: int, gap: float, fovea: Points) -> list[Vessel]:
    """Grow the branches of one vessel, on alternating sides."""
    branches: list[Vessel] = []
    turn = 1.0 if rng.random() < 0.5 else -1.0
    at = rng.uniform(0.5, 1.3) * gap + (0.16 if order == 1 else 0.0)
    while (index := int(at / _STEP)) < len(parent.points) - 2:
        heading = parent.points[index + 1] - parent.points[index]
        angle = float(np.arctan2(heading[1], heading[0])) + turn * float(rng.uniform(0.5, 1.1))
        width = float(parent.widths[index] * rng.uniform(0.42, 0.72))
        if width > 0.0034:
            length = float(rng.uniform(0.25, 0.75)) * (0.75 ** (order - 1))
            path = _walk(rng, parent.points[index], angle, length, bend=-turn * float(rng.uniform(0.0, 1.2)))
            branches += _cut(path, width, 0.4, parent.kind, order, fovea)
        turn = -turn if rng.random() < 0.8 else turn
        at += gap * float(rng.uniform(0.6, 1.6))
    return branches


def _walk(rng: np.random.Generator, start: Points, angle: float, length: float, bend: float = 0.0) -> Points:
    """Walk in a slowly and randomly turning direction; bend is radians per unit length."""
    steps = max(int(length / _STEP), 3)
    noise = np.cumsum(rng.normal(0.0, 0.09, steps))
    noise -= np.linspace(0.0, noise[-1], steps) * 0.5
    headings = angle + noise + bend * _STEP * np.arange(steps)
    moves = np.stack([np.cos(headings), np.sin(headings)], axis=1) * _STEP
    return np.asarray(np.concatenate([start[None], start + np.cumsum(moves, axis=0)]))


def _add_tortuosity(rng: np.random.Generator, path: Points) -> Points:
    """Add the slight tortuosity of a real vessel, none at its origin."""
    count = len(path)
    knots = rng.normal(0.0, 0.011, (count // 6 + 3, 2))
    knots[0] = 0.0
    at = np.linspace(0.0, len(knots) - 1.0, count)
    smooth = 0.5 - 0.5 * np.cos(np.pi * (at % 1.0))
    low = np.minimum(at.astype(int), len(knots) - 2)
    return np.asarray(path + knots[low] * (1 - smooth[:, None]) + knots[low + 1] * smooth[:, None])


def _spline(controls: Points) -> Points:
    """Pass a Catmull-Rom curve through control points, sampled about every step."""
    padded = np.concatenate([2 * controls[:1] - controls[1:2], controls, 2 * controls[-1:] - controls[-2:-1]])
    pieces: list[Points] = []
    for a, b, c, d in zip(padded, padded[1:], padded[2:], padded[3:], strict=False):
        t = np.arange(0.0, 1.0, _STEP / max(float(np.hypot(*(c - b))), _STEP))[:, None]
        pieces.append(
            0.5 * (2 * b + (c - a) * t + (2 * a - 5 * b + 4 * c - d) * t**2 + (3 * b - a - 3 * c + d) * t**3)
        )
    return np.concatenate([*pieces, controls[-1:]])


def _cut(path: Points, width: float, taper: float, kind: str, order: int, fovea: Points) -> Sequence[Vessel]:
    """Cut a path where it leaves the field of view or reaches the fovea, which has no vessels; add widths."""
    outside = np.hypot(path[:, 0], path[:, 1]) > 1.04
    inside_fovea = np.hypot(*(path - fovea).T) < 0.13
    stops = np.flatnonzero(outside | inside_fovea)
    widths = width * np.linspace(1.0, taper, len(path))
    end = int(stops[0]) if len(stops) else len(path)
    if end < 4:
        return []
    return [Vessel(path[:end], widths[:end], "artery" if kind == "artery" else "vein", order)]


def _pair(point: Points) -> tuple[float, float]:
    return float(point[0]), float(point[1])
