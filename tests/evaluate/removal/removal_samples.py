"""Small marked pictures to attack, and a classifier that a logo surely misleads."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache, cached_property

import numpy as np
from numpy.typing import NDArray

from medlocker.attacks import changed, widened
from medlocker.classifiers import BaseClassifier, Card, InputSpec
from medlocker.demo import GRADES, synthesise
from medlocker.evaluate.removal import Evidence, Item, psnr
from medlocker.images import Image
from medlocker.logo import Logo, builtin_logo, render
from medlocker.mark import Mark
from medlocker.marking import mark_pixels
from medlocker.protect import Harden

LOGO = builtin_logo()
Bytes = NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class Marked:
    """A marked picture and what its attackers do not have."""

    clean: Bytes
    pixels: Bytes
    mask: NDArray[np.bool_]
    marks: tuple[Mark, ...]

    @cached_property
    def evidence(self) -> Evidence:
        """One object, so that an attack's finder looks at it once."""
        return Evidence(self.pixels, widened(self.mask, 2), LOGO)

    def psnr(self, restored: Bytes) -> float:
        return psnr(restored, self.clean, self.mask)


def put(clean: Bytes, marks: tuple[Mark, ...], *, logo: Logo = LOGO) -> Marked:
    """Put marks on a picture."""
    pixels = mark_pixels(Image(clean, "rgb", "png", b""), marks, logo=logo).pixels
    return Marked(clean, pixels, changed(clean, pixels), marks)


@cache
def photograph(seed: int, side: int = 192) -> Bytes:
    """A synthetic photograph, the same for all who ask for it."""
    image = synthesise(seed, grade=GRADES[seed % len(GRADES)], width=side, height=side).image
    image.flags.writeable = False
    return image


def marked_photograph(
    seed: int,
    *,
    harden: Harden | None = None,
    size_px: int = 48,
    side: int = 192,
    opacity: tuple[float, float] = (0.4, 0.8),
    count: int = 1,
    degrees: int = 0,
) -> Marked:
    """A synthetic photograph with marks side by side, at places and opacities of the seed."""
    rng = np.random.default_rng([41, seed])
    hardening = (harden or Harden()).for_size(size_px, rng.bytes(32))
    rotation = round(degrees * 65536 / 360) % 65536
    frame = render(LOGO, size_px, rotation=rotation).coverage.shape[1]
    marks = []
    for k in range(count):
        # each in its own column, so that they do not touch
        x = int(rng.integers(8, side // count - frame - 8)) + k * side // count
        y = int(rng.integers(8, side - frame - 8))
        mark = Mark(x, y, size_px, round(float(rng.uniform(*opacity)) * 65535), rotation)
        if hardening is not None:
            mark = replace(
                mark, key=hardening.key.hex(), warp_256=hardening.warp_256, texture=hardening.texture
            )
        marks.append(mark)
    return put(photograph(seed, side), tuple(marks))


def gentle(seed: int, side: int = 96) -> Bytes:
    """A picture of slopes without any detail: what surroundings foretell exactly."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0:side, 0:side] / side
    planes = [rng.uniform(60, 160) + rng.uniform(-40, 40) * x + rng.uniform(-40, 40) * y for _ in range(3)]
    return np.asarray(np.clip(np.rint(np.stack(planes, axis=2)), 0, 255), dtype=np.uint8)


class QuadrantClassifier(BaseClassifier):
    """Says how many of the canvas's four quadrants have something very bright in them; 5 classes.

    The built-in logo is bright, so a mark adds one; without it the answer of :func:`gentle` is 0.
    """

    has_gradients = False

    def __init__(self, side: int = 48, name: str = "quadrants") -> None:
        super().__init__(
            Card(InputSpec(height=side, width=side, layout="NHWC", channels=3)),
            name=name,
            fingerprint="0" * 64,
            classes=("0", "1", "2", "3", "4"),
        )

    def answer(self, batch: NDArray[np.float32]) -> NDArray[np.float32]:
        half = self.height // 2
        bright = np.stack(
            [
                batch[:, rows, cols].min(axis=3).max(axis=(1, 2)) > 0.72
                for rows in (slice(0, half), slice(half, None))
                for cols in (slice(0, half), slice(half, None))
            ],
            axis=1,
        ).sum(axis=1)
        return np.asarray(np.eye(5)[bright] * 4, dtype=np.float32)


def items(count: int, *, targets: int = 1, side: int = 96) -> list[Item]:
    """Gentle pictures that :class:`QuadrantClassifier` calls 0, each with one mark in a quadrant."""
    found = []
    for seed in range(count):
        rng = np.random.default_rng([43, seed])
        x, y = (int(v) for v in rng.integers(4, side // 2 - 28, 2) + rng.integers(0, 2, 2) * side // 2)
        made = put(gentle(seed, side), (Mark(x, y, 24, round(float(rng.uniform(0.75, 0.85)) * 65535)),))
        found.append(Item(f"{seed}.png", made.clean, made.pixels, (0,) * targets))
    return found


def each(count: int, *, harden: Harden | None = None, side: int = 192, size_px: int = 48) -> Iterator[Marked]:
    """Several marked photographs."""
    for seed in range(count):
        yield marked_photograph(seed, harden=harden, side=side, size_px=size_px)
