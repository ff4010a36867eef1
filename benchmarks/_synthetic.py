"""Endless synthetic fundus photographs to pre-train on, varied, with maps of what lies where.

The eyes are those of :mod:`medlocker.demo`; lesions, light and camera vary more than a demonstration needs,
and nothing is kept free. An eye is costly to plan and to paint, so several photographs are taken of each.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from medlocker.demo.anatomy import Eye, plan_eye
from medlocker.demo.frame import Frame, Plane, blurred, mix
from medlocker.demo.ground import Picture, draw_look, paint_eye
from medlocker.files import make_folder

Rng = np.random.Generator
Points = NDArray[np.float64]

KINDS = ("dot", "blot", "flame", "exudate", "cotton_wool", "laser", "fibrosis", "new_vessels")
MAPS = (*KINDS, "disc", "vessels")
"""What the maps show, in order."""
GRADES = 5
MAP_SIDE = 40
SIDE_PX = 224
_HEIGHT_PX = 208
_PHOTOGRAPHS_OF_ONE_EYE = 4
_LOADS: tuple[Mapping[str, tuple[int, int]], ...] = (
    {},
    {"dot": (1, 8)},
    {"dot": (3, 18), "blot": (0, 10), "flame": (0, 3), "exudate": (0, 5), "cotton_wool": (0, 3)},
    {"dot": (8, 40), "blot": (6, 36), "flame": (0, 8), "exudate": (0, 6), "cotton_wool": (0, 5)},
    {"dot": (5, 40), "blot": (3, 36), "flame": (0, 8), "exudate": (0, 6), "cotton_wool": (0, 5)},
)
"""Lowest and highest number of each kind; of exudates: of clusters."""
_HALF_AS_OFTEN = ("exudate", "cotton_wool", "flame")
_PROLIFERATIVE = 4


@dataclass(frozen=True, eq=False)
class Photographs:
    """Photographs and what is in them.

    Args:
        images: (N, SIDE_PX, SIDE_PX, 3) uint8, stretched to a square as classifiers stretch them.
        maps: (N, len(MAPS), MAP_SIDE, MAP_SIDE) uint8, the share of each cell that is covered, 255 is all.
        grades: (N,) int64, 0 to 4.
    """

    images: NDArray[np.uint8]
    maps: NDArray[np.uint8]
    grades: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.grades)


def photographs(count: int, *, seed: int, cache: Path, workers: int = 2) -> Photographs:
    """Take photographs, or read those that were taken with the same arguments.

    Args:
        count: Rounded up to whole eyes.
        seed: The same seed gives the same photographs on one machine.
        cache: Folder for one file per field.
        workers: Processes.
    """
    fields = tuple(Photographs.__dataclass_fields__)
    files = {name: cache / f"{count}-{seed}.{name}.npy" for name in fields}
    if not all(file.is_file() for file in files.values()):
        make_folder(cache)
        eyes = -(-count // _PHOTOGRAPHS_OF_ONE_EYE)
        with ProcessPoolExecutor(workers) as pool:
            taken = [shot for eye in pool.map(_of_one_eye, _seeds(seed, eyes), chunksize=8) for shot in eye]
        for position, name in enumerate(fields):
            np.save(files[name], np.stack([shot[position] for shot in taken]))
    return Photographs(**{name: np.load(file, mmap_mode="r") for name, file in files.items()})


def _seeds(seed: int, eyes: int) -> Iterator[tuple[int, int]]:
    return ((seed, eye) for eye in range(eyes))


def _of_one_eye(seed: tuple[int, int]) -> list[tuple[Any, ...]]:
    cv2.setNumThreads(1)
    rng = np.random.default_rng(seed)
    eye = plan_eye(rng)
    frame = _draw_frame(rng)
    healthy = paint_eye(frame, eye, draw_look(rng), rng)
    grades = rng.permutation(GRADES)[:_PHOTOGRAPHS_OF_ONE_EYE]
    return [_photograph(healthy, frame, eye, int(grade), rng) for grade in grades]


def _draw_frame(rng: Rng) -> Frame:
    """Draw where the field of view lies: whole, or cut above and below as most cameras do."""
    width = round(_HEIGHT_PX * rng.uniform(1.25, 1.6))
    radius = _HEIGHT_PX * float(rng.uniform(0.48, 0.64))
    centre = (width / 2 + float(rng.normal(0, 0.04)) * width, _HEIGHT_PX * float(rng.normal(0.5, 0.02)))
    return Frame(width, _HEIGHT_PX, centre, radius)


def _photograph(healthy: Picture, frame: Frame, eye: Eye, grade: int, rng: Rng) -> tuple[Any, ...]:
    """Return the fields of :class:`Photographs` for one photograph."""
    lesions = _draw_lesions(eye, grade, rng)
    picture = _colored(healthy, rng)
    covers = {kind: _paint(picture, frame, kind, shapes, rng) for kind, shapes in lesions.items() if shapes}
    _lay_reflexes(picture, frame, rng)
    image = _expose(picture, frame, rng)
    covers["disc"] = np.clip(frame.spot(eye.disc, eye.disc_radius * 0.6) * 2 - 0.5, 0, 1)
    strokes = [(_tube(v.points, v.widths), 1.0) for v in eye.vessels if v.widths[0] > 0.012]
    covers["vessels"] = frame.fill(strokes)
    maps = np.zeros((len(MAPS), MAP_SIDE, MAP_SIDE), np.uint8)
    for position, name in enumerate(MAPS):
        if name in covers:
            small = cv2.resize(covers[name], (MAP_SIDE, MAP_SIDE), interpolation=cv2.INTER_AREA)
            maps[position] = np.rint(np.clip(small, 0, 1) * 255)
    return image, maps, np.int64(grade)


def _colored(healthy: Picture, rng: Rng) -> Picture:
    """Return the eye in another light: from brown and dim to pink and bright."""
    gamma = np.exp(rng.normal(0.0, 0.18) + rng.normal(0.0, 0.1, 3)).astype(np.float32)
    gain = np.exp(rng.normal(0.0, 0.12) + rng.normal(0.0, 0.1, 3)).astype(np.float32)
    return np.asarray(np.power(np.clip(healthy, 1e-3, None), gamma) * gain, np.float32)


def _draw_lesions(eye: Eye, grade: int, rng: Rng) -> dict[str, list[tuple[Points, float]]]:
    """Draw outlines and strengths by kind."""
    lesions: dict[str, list[tuple[Points, float]]] = {kind: [] for kind in KINDS}
    for kind, (low, high) in _LOADS[grade].items():
        # many photographs have few lesions: square of a uniform number
        number = low + int(rng.random() ** 2 * (high + 1 - low))
        number = 0 if kind in _HALF_AS_OFTEN and rng.random() < 0.4 else number
        for _ in range(number):
            lesions[kind] += _SHAPES[kind](_place(eye, rng), eye, rng)
    if grade == 2 and not (lesions["blot"] or lesions["exudate"] or lesions["cotton_wool"]):
        lesions["blot"] += [s for _ in range(2) for s in _blot(_place(eye, rng), eye, rng)]
    if grade == _PROLIFERATIVE:
        signs = [kind for kind in ("laser", "fibrosis", "new_vessels") if rng.random() < 0.55]
        for kind in signs or ["new_vessels"]:
            lesions[kind] += _SHAPES[kind](_place(eye, rng), eye, rng)
        if rng.random() < 0.3:  # bled before the retina
            lesions["blot"].append((_blob(_place(eye, rng), rng.uniform(0.1, 0.25), 0.3, rng), 1.0))
    return lesions


def _place(eye: Eye, rng: Rng) -> Points:
    while True:
        point = rng.uniform(-0.92, 0.92, 2)
        if np.hypot(*point) < 0.92 and np.hypot(*(point - eye.disc)) > eye.disc_radius * 1.2:
            return np.asarray(point)


def _dot(at: Points, eye: Eye, rng: Rng) -> list[tuple[Points, float]]:
    return [(_blob(at, rng.uniform(0.007, 0.014), 0.1, rng), float(rng.uniform(0.5, 0.95)))]


def _blot(at: Points, eye: Eye, rng: Rng) -> list[tuple[Points, float]]:
    size = float(np.exp(rng.uniform(np.log(0.015), np.log(0.07))))
    return [(_blob(at, size, 0.4, rng, stretch=rng.uniform(1, 1.6)), float(rng.uniform(0.4, 1.0)))]


def _flame(at: Points, eye: Eye, rng: Rng) -> list[tuple[Points, float]]:
    """Return a streak along the nerve fibres, which leave the disc."""
    angle = float(np.arctan2(at[1] - eye.disc[1], at[0] - eye.disc[0]) + rng.normal(0.0, 0.25))
    outline = _blob(at, rng.uniform(0.015, 0.035), 0.4, rng, stretch=rng.uniform(1.8, 3.5), angle=angle)
    return [(outline, float(rng.uniform(0.5, 1.0)))]


def _exudates(at: Points, eye: Eye, rng: Rng) -> list[tuple[Points, float]]:
    """Return a cluster, now and then a ring, often near the fovea."""
    if rng.random() < 0.5:
        at = np.asarray(eye.fovea) + rng.normal(0.0, 0.18, 2)
    number, spread = int(rng.integers(3, 30)), float(rng.uniform(0.03, 0.16))
    turns = rng.uniform(0, 2 * np.pi, number)
    reach = spread * (
        rng.normal(1.0, 0.15, number) if rng.random() < 0.3 else np.abs(rng.normal(0, 1, number))
    )
    specks = at + np.stack([np.cos(turns), np.sin(turns)], axis=1) * reach[:, None]
    largest = float(rng.uniform(0.008, 0.035))
    shapes = []
    for speck in specks:
        size = max(0.006, largest * float(rng.random()) ** 2)
        outline = _blob(speck, size, 0.3, rng, stretch=rng.uniform(1, 1.6))
        shapes.append((outline, float(rng.uniform(0.5, 1.0))))
    return shapes


def _cotton_wool(at: Points, eye: Eye, rng: Rng) -> list[tuple[Points, float]]:
    return [(_blob(at, rng.uniform(0.03, 0.07), 0.25, rng, stretch=rng.uniform(1, 1.8)), rng.uniform(0.5, 1))]


def _laser(at: Points, eye: Eye, rng: Rng) -> list[tuple[Points, float]]:
    """Return burns in rows about the macula."""
    step = float(rng.uniform(0.07, 0.13))
    grid = np.stack(np.meshgrid(np.arange(-1, 1, step), np.arange(-1, 1, step)), axis=-1).reshape(-1, 2)
    grid = grid + rng.normal(0.0, step * 0.2, grid.shape)
    free = np.hypot(*(grid - eye.fovea).T) > rng.uniform(0.4, 0.6)
    free &= (np.hypot(*(grid - eye.disc).T) > 0.25) & (rng.random(len(grid)) < rng.uniform(0.4, 0.95))
    size = float(rng.uniform(0.018, 0.035))
    return [(_blob(burn, size, 0.15, rng), float(rng.uniform(0.5, 1.0))) for burn in grid[free]]


def _fibrosis(at: Points, eye: Eye, rng: Rng) -> list[tuple[Points, float]]:
    start = np.asarray(eye.disc) if rng.random() < 0.6 else at
    moves = np.cumsum(rng.normal(0.0, 0.07, (int(rng.integers(4, 14)), 2)), axis=0)
    return [
        (
            _blob(start + move, rng.uniform(0.03, 0.12), 0.5, rng, stretch=rng.uniform(1, 3)),
            rng.uniform(0.3, 1),
        )
        for move in moves
    ]


def _new_vessels(at: Points, eye: Eye, rng: Rng) -> list[tuple[Points, float]]:
    """Return a tangle of thin loops, often on the disc."""
    start = np.asarray(eye.disc) + rng.normal(0, 0.05, 2) if rng.random() < 0.5 else at
    tangle = []
    for _ in range(int(rng.integers(6, 22))):
        steps = int(rng.integers(8, 26))
        headings = rng.uniform(0, 2 * np.pi) + np.cumsum(rng.normal(rng.normal(0, 0.2), 0.35, steps))
        path = start + np.cumsum(np.stack([np.cos(headings), np.sin(headings)], axis=1) * 0.012, axis=0)
        tangle.append((_tube(path, np.full(steps, 0.007)), float(rng.uniform(0.6, 1.0))))
    return tangle


_SHAPES = {
    "dot": _dot,
    "blot": _blot,
    "flame": _flame,
    "exudate": _exudates,
    "cotton_wool": _cotton_wool,
    "laser": _laser,
    "fibrosis": _fibrosis,
    "new_vessels": _new_vessels,
}
_TURNS = np.linspace(0.0, 2.0 * np.pi, 20, endpoint=False)
_WAVES = np.arange(2, 6)


def _blob(
    at: Points, radius: float, rough: float, rng: Rng, *, stretch: float = 1.0, angle: float | None = None
) -> Points:
    """Return an irregular closed outline; turned by chance if no angle is given."""
    waves = rng.normal(0.0, rough / _WAVES**0.7)
    radii = 1 + np.sin(np.outer(_TURNS, _WAVES) + rng.uniform(0, 2 * np.pi, 4)) @ waves
    radii = radius * np.clip(radii, 0.35, 1.9)
    turn = rng.uniform(0, np.pi) if angle is None else angle
    x, y = radii * np.cos(_TURNS) * stretch, radii * np.sin(_TURNS)
    c, s = np.cos(turn), np.sin(turn)
    return np.stack([at[0] + x * c - y * s, at[1] + x * s + y * c], axis=1)


def _tube(path: Points, widths: NDArray[np.float64]) -> Points:
    ahead = np.gradient(path, axis=0)
    ahead /= np.maximum(np.hypot(ahead[:, 0], ahead[:, 1]), 1e-9)[:, None]
    side = np.stack([-ahead[:, 1], ahead[:, 0]], axis=1) * widths[:, None] / 2
    return np.concatenate([path + side, (path - side)[::-1]])


_BLOOD = np.array([0.5, 1.0, 0.6], np.float32)
_PALE = {
    "exudate": ((0.97, 0.86, 0.42), 0.5, 0.9),
    "cotton_wool": ((0.92, 0.85, 0.68), 3.0, 0.75),
    "fibrosis": ((0.85, 0.80, 0.60), 2.5, 0.7),
    "laser": ((0.85, 0.75, 0.5), 1.0, 0.6),
}
"""Colour, blur in pixels, and greatest share of the colour."""


def _paint(picture: Picture, frame: Frame, kind: str, shapes: list[tuple[Points, float]], rng: Rng) -> Plane:
    """Paint all lesions of one kind in place; return what they cover."""
    if kind in _PALE:
        color, blur_px, share = _PALE[kind]
        cover = frame.fill(shapes, blur_px=blur_px * float(rng.uniform(0.5, 1.5)))
        tinted = np.array(color, np.float32) * rng.normal(1.0, 0.08, 3).astype(np.float32)
        tinted *= np.float32(max(float(picture.mean()) * 2.2, 0.3))  # dim photographs have dim exudates
        if kind == "laser" and rng.random() < 0.6:  # pigment about the burns
            halo = np.clip(blurred(cover, 2.0) - 0.5 * cover, 0, 1)
            mix(picture, np.array([0.15, 0.08, 0.05], np.float32), halo * np.float32(rng.uniform(0.3, 0.8)))
        mix(picture, tinted, cover * np.float32(share * rng.uniform(0.6, 1.05)))
        return cover
    cover = frame.fill(
        shapes, blur_px=0.4 if kind in ("dot", "new_vessels") else float(rng.uniform(0.4, 1.6))
    )
    depth = np.float32(rng.uniform(0.6, 1.4))
    for c in range(3):
        picture[..., c] *= cv2.exp(-_BLOOD[c] * depth * cover)
    return cover


def _lay_reflexes(picture: Picture, frame: Frame, rng: Rng) -> None:
    """Add what is no lesion and looks a little like one: silvery reflexes of young eyes, dust, drusen."""
    if rng.random() < 0.2:
        strands = []
        for _ in range(int(rng.integers(4, 16))):
            steps = int(rng.integers(10, 30))
            headings = rng.uniform(0, 2 * np.pi) + np.cumsum(rng.normal(0, 0.15, steps))
            moves = np.cumsum(np.stack([np.cos(headings), np.sin(headings)], axis=1) * 0.02, axis=0)
            path = rng.uniform(-0.7, 0.7, 2) + moves
            strands.append(
                (_tube(path, np.full(steps, rng.uniform(0.01, 0.04))), float(rng.uniform(0.3, 1.0)))
            )
        sheen = frame.fill(strands, blur_px=float(rng.uniform(1.5, 4)))
        mix(picture, np.array([0.75, 0.75, 0.65], np.float32), sheen * np.float32(rng.uniform(0.1, 0.4)))
    if rng.random() < 0.2:
        specks = [
            (
                _blob(rng.uniform(-0.8, 0.8, 2), rng.uniform(0.008, 0.03), 0.2, rng),
                float(rng.uniform(0.2, 0.6)),
            )
            for _ in range(int(rng.integers(1, 12)))
        ]
        shade = np.array([0.2, 0.12, 0.08] if rng.random() < 0.4 else [0.9, 0.7, 0.4], np.float32)
        speckled = frame.fill(specks, blur_px=float(rng.uniform(1.5, 4)))
        mix(picture, shade, speckled * np.float32(rng.uniform(0.15, 0.45)))


def _expose(picture: Picture, frame: Frame, rng: Rng) -> NDArray[np.uint8]:
    """Light, focus, cut and develop; return (SIDE_PX, SIDE_PX, 3) uint8."""
    x, y = frame.grid()
    at = rng.normal(0.0, 0.3, 2)
    light = 1 - rng.uniform(0.1, 0.55) * np.clip((x - at[0]) ** 2 + (y - at[1]) ** 2, 0, 2.2)
    light = light + rng.normal(0, 0.08) * x + rng.normal(0, 0.08) * y
    picture *= (np.clip(light, 0.05, None) * np.exp(rng.normal(0.0, 0.25)))[..., None].astype(np.float32)
    rim = np.hypot(x, y)
    if rng.random() < 0.35:  # haze or a leaking flash along the edge
        turn = rng.uniform(0, 2 * np.pi)
        side = np.clip((x * np.cos(turn) + y * np.sin(turn)) * 1.5 + rng.uniform(-0.3, 1.0), 0, 1)
        leak = np.clip(np.exp((rim - 1.0) * rng.uniform(4, 11)) * side, 0, 1)
        mix(picture, rng.uniform(0.4, 0.95, 3).astype(np.float32), leak.astype(np.float32) * np.float32(0.5))
    if rng.random() < 0.15:  # a cloudy lens
        veiled = np.full(rim.shape, rng.uniform(0.05, 0.35), np.float32)
        mix(picture, picture.mean(axis=(0, 1)).astype(np.float32), veiled)
    shot = blurred(picture, float(rng.uniform(0.2, 1.2)) ** 2)
    shot = np.clip(shot, 0, 1.6)
    shot = shot / (1 + np.clip(shot - 0.72, 0, None) * 0.55)
    shot *= np.clip((1.0 - rim) * frame.radius / 2 + 0.5, 0, 1).astype(np.float32)[..., None]
    shot += rng.normal(0, rng.uniform(0.0, 0.02), shot.shape).astype(np.float32)
    square = cv2.resize(shot, (SIDE_PX, SIDE_PX), interpolation=cv2.INTER_LINEAR)
    return np.asarray(np.clip(np.rint(square * 255), 0, 255).astype(np.uint8))
