"""How surely `medlocker whose` finds the marked image that a picture was made of, and nothing else.

    MEDLOCKER_DATA=... python benchmarks/tracing.py [--marked 200] [--asked 60] [--foreign 2000]
        [--preset veil] [--only halftone] [--fill 100000]

Photographs are marked and their fingerprints taken. Every asked image is changed in each way and looked for
among all; then foreign pictures are: photographs that were never marked, of eyes and of skin, whole and cut.
With --fill so many fingerprints of noise lie among the known ones: time and memory at that size.
"""

from __future__ import annotations

import argparse
import resource
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

import medlocker as ml
from _idrid import data_folder
from _tables import share, table
from medlocker.formats import read_image
from medlocker.images import viewed
from medlocker.testing import LinearClassifier
from medlocker.tracing import Candidate, Fingerprint, fingerprint_of, query_of, trace

Picture = NDArray[np.uint8]
Change = Callable[[Picture, np.random.Generator], Picture]
_SIDE_PX = 700


def _scaled(picture: Picture, factor: float) -> Picture:
    way = cv2.INTER_AREA if factor < 1 else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(picture, None, fx=factor, fy=factor, interpolation=way), np.uint8)


def _half(picture: Picture, rng: np.random.Generator) -> Picture:
    height, width = (round(side * 0.5**0.5) for side in picture.shape[:2])
    y, x = rng.integers(0, picture.shape[0] - height), rng.integers(0, picture.shape[1] - width)
    return picture[y : y + height, x : x + width]


def _jpeg(picture: Picture, quality: int) -> Picture:
    return np.asarray(cv2.imdecode(cv2.imencode(".jpg", picture, [1, quality])[1], 1), np.uint8)


def _turned(picture: Picture, rng: np.random.Generator) -> Picture:
    height, width = picture.shape[:2]
    turn = cv2.getRotationMatrix2D((width / 2, height / 2), float(rng.choice([-3, 3])), 1)
    return np.asarray(cv2.warpAffine(picture, turn, (width, height)), np.uint8)


def _gamma(picture: Picture) -> Picture:
    return np.asarray(255 * (picture / 255.0) ** 1.6, np.uint8)


def _screenshot(picture: Picture) -> Picture:
    small = _scaled(picture, 0.8)
    screen = np.full((small.shape[0] + 160, small.shape[1] + 320, 3), 235, np.uint8)
    cv2.putText(screen, "Image viewer  File  Edit", (20, 40), 0, 1, (40, 40, 40), 2)
    screen[100 : 100 + small.shape[0], 240 : 240 + small.shape[1]] = small
    return screen


def _halftone(picture: Picture) -> Picture:
    grey = picture.mean(axis=2)
    y, x = np.mgrid[: grey.shape[0], : grey.shape[1]]
    screen = (np.sin(1.1 * x + 0.6 * y) + np.sin(1.1 * y - 0.6 * x)) / 4 + 0.5
    dots = np.where(grey / 255 > screen, 255, 0).astype(np.uint8)
    return np.repeat(cv2.GaussianBlur(dots, (0, 0), 1.2)[..., None], 3, axis=2)


def _grey(picture: Picture) -> Picture:
    return np.repeat(picture.mean(axis=2).astype(np.uint8)[..., None], 3, axis=2)


CHANGES: dict[str, Change] = {
    "none": lambda picture, rng: picture,
    "crop to 50 %": _half,
    "JPEG 30": lambda picture, rng: _jpeg(picture, 30),
    "resized 0.25": lambda picture, rng: _scaled(picture, 0.25),
    "resized 2": lambda picture, rng: _scaled(picture, 2),
    "turned by 3 degrees": _turned,
    "mirrored": lambda picture, rng: picture[:, ::-1],
    "grey": lambda picture, rng: _grey(picture),
    "gamma 1.6": lambda picture, rng: _gamma(picture),
    "screenshot": lambda picture, rng: _screenshot(picture),
    "halftone": lambda picture, rng: _halftone(picture),
    "half the size, crop, JPEG 30": lambda picture, rng: _jpeg(_half(_scaled(picture, 0.5), rng), 30),
    "crop, turned, gamma": lambda picture, rng: _gamma(_turned(_half(picture, rng), rng)),
    "screenshot, mirrored, JPEG 50": lambda picture, rng: _jpeg(_screenshot(picture)[:, ::-1], 50),
}


def photographs(folder: str) -> Iterator[Picture]:
    """Yield the photographs of a data set, the shorter side at most 700 px."""
    for path in sorted((data_folder() / folder / "images").iterdir()):
        colors = np.asarray(viewed(read_image(path.read_bytes(), name=path.name)), np.uint8)
        yield _scaled(colors, min(_SIDE_PX / min(colors.shape[:2]), 1))


def marked_by(preset: str, picture: Picture, seed: int) -> Picture:
    """Mark a picture; single marks lie at random, where a search would put them by a model."""
    style: Any = ml.Veil() if preset == "veil" else ml.Marks(preset=preset, search="random", budget=1)  # type: ignore[arg-type]
    model = None if preset == "veil" else LinearClassifier(size=24)
    return np.asarray(style(model, picture, keep_out=[], seed=seed).apply(picture), np.uint8)


def noise(count: int) -> Iterator[Candidate]:
    """Yield fingerprints of nothing, with as many points as real ones have."""
    rng = np.random.default_rng(1)
    for number in range(count):
        points = rng.uniform(0, 512, (100, 2)).astype(np.float32)
        bits = rng.integers(0, 256, (100, 16), np.uint8)
        yield Candidate("f" * 32, number, "", 0, Fingerprint(points, bits))


def changed(
    asked: Sequence[tuple[int, Picture]], known: Sequence[Candidate], *, title: str, only: Sequence[str]
) -> None:
    """Print how many are found after each change."""
    print(table([title, "found", "fewest points", "most of another image", "s"], []))
    for name in only or CHANGES:
        change = CHANGES[name]
        right, least, other, started = 0, 10**6, 0, time.perf_counter()
        for number, marked in asked:
            found = trace(query_of(change(marked, np.random.default_rng(number))), known)
            if found is None:
                continue
            is_it = found.candidate.index == number
            right += is_it and found.is_found
            least = min(least, found.likeness.matches if is_it else 0)
            other = max(other, found.second if is_it else found.likeness.matches)
        each = (time.perf_counter() - started) / len(asked)
        print(f"| {name} | {share(right, len(asked))} | {least} | {other} | {each:.2f} |", flush=True)


def foreign_ones(pictures: Sequence[Picture], known: Sequence[Candidate], *, count: int) -> None:
    """Print how many foreign pictures are found wrongly."""
    rng, wrong, most = np.random.default_rng(0), 0, 0
    for number in range(count):
        picture = pictures[number % len(pictures)]
        found = trace(query_of(picture if number < len(pictures) else _half(picture, rng)), known)
        wrong += found is not None and found.is_found
        most = max(most, 0 if found is None else found.likeness.matches)
    print(
        f"\nForeign pictures found wrongly: {share(wrong, count)}; at most {most} points in common.",
        flush=True,
    )


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--marked", type=int, default=200)
    parser.add_argument("--asked", type=int, default=60)
    parser.add_argument("--foreign", type=int, default=2000)
    parser.add_argument("--preset", default="veil")
    parser.add_argument("--only", action="append", default=[], help="only this change")
    parser.add_argument("--fill", type=int, default=0)
    options = parser.parse_args()
    cv2.setNumThreads(1)
    known: list[Candidate] = []
    asked: list[tuple[int, Picture]] = []
    foreign: list[Picture] = []
    for number, picture in enumerate(photographs("idrid")):
        if number >= options.marked:
            foreign.append(picture)
            continue
        marked = marked_by(options.preset, picture, number)
        known.append(Candidate("0" * 32, number, str(number), 0, fingerprint_of(marked)))
        if len(asked) < options.asked and number % max(options.marked // options.asked, 1) == 0:
            asked.append((number, marked))
    title = f"{options.preset}, {len(asked)} of {options.marked} marked photographs"
    changed(asked, known, title=title, only=options.only)
    if options.foreign:
        foreign_ones([*foreign, *photographs("isic2017")], known, count=options.foreign)
    if options.fill:
        started = time.perf_counter()
        queries = query_of(_half(asked[0][1], np.random.default_rng(0)))
        found = trace(queries, (one for part in (known, noise(options.fill)) for one in part))
        print(
            f"\nAmong {options.fill} more: {time.perf_counter() - started:.1f} s with making them, "
            f"right: {found is not None and found.candidate.index == asked[0][0]}, peak memory "
            f"{resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10} MB."
        )


if __name__ == "__main__":
    main()
