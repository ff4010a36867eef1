"""JPEG in, JPEG out: time against decoding + encoding alone, and how much files grow.

MEDLOCKER_DATA=... OMP_NUM_THREADS=1 python benchmarks/jpeg.py

Times are of the processor, all ways in turn, the median of a few rounds: the ratio is of one run.
"""

from __future__ import annotations

import io
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from statistics import mean, median

import cv2
import numpy as np
import simplejpeg
from numpy.typing import NDArray
from PIL import Image as Pillow

from _idrid import LOGO, data_folder
from _tables import table
from medlocker.formats import MarkedFile, mark_file, read_image, unmark_file
from medlocker.images import Image, content_digest
from medlocker.logo import pack_overlay, render
from medlocker.mark import Mark
from medlocker.marking import covered_px

ROUNDS = 5
SAMPLE = 40
PAPER, STRONG = (
    "paper: 1 plain mark, 1/16 of the image",
    "strong: 3 turned, textured marks, 12 % of the image",
)
PLAIN, OPTIMISED = "decode + encode, simplejpeg", "decode + encode, OpenCV, optimised"
MODEL_SIDE = 224
"""The texture has cells of about a pixel of a model of this input."""


def paper_marks(image: Image, _: int) -> list[Mark]:
    """One mark of a sixteenth of the image's area, opacity 0.8, in the middle of the left half."""
    size = _size_for(image, 1 / 16, lambda side: Mark(0, 0, side, 52428))
    return [_placed(image, Mark(0, 0, size, 52428), 0.3, 0.5)]


def strong_marks(image: Image, seed: int) -> list[Mark]:
    """Three turned marks of 4 % each with the boldest texture that the preset ``strong`` may find."""
    rng = np.random.default_rng(seed)
    size = _size_for(image, 0.04, lambda side: Mark(0, 0, side, 52428, 4000))
    cells = min(max(round(size / max(image.width, image.height) * MODEL_SIDE), 2), 128)
    marks = []
    for across, down in ((0.2, 0.25), (0.8, 0.3), (0.45, 0.75)):
        texture = (32 * rng.choice([-1, 1], (cells, cells, 3))).astype(np.int8)
        mark = Mark(0, 0, size, 52428, int(rng.integers(65536)), overlay=pack_overlay(texture))
        marks.append(_placed(image, mark, across, down))
    return marks


def _size_for(image: Image, share: float, make: Callable[[int], Mark]) -> int:
    wanted = share * image.width * image.height
    side = int(np.sqrt(wanted))
    return round(side * math.sqrt(wanted / covered_px(make(side), logo=LOGO)))


def _placed(image: Image, mark: Mark, across: float, down: float) -> Mark:
    height, width = render(LOGO, mark.size_px, rotation=mark.rotation).coverage.shape
    x = int(np.clip(across * image.width - width / 2, 0, image.width - width))
    y = int(np.clip(down * image.height - height / 2, 0, image.height - height))
    return replace(mark, x=x, y=y)


WAYS: dict[str, Callable[[Image, int], list[Mark]]] = {PAPER: paper_marks, STRONG: strong_marks}


def timings(paths: Sequence[Path]) -> dict[str, float]:
    """Return the milliseconds of each way, the mean over the photographs."""
    spent: dict[str, list[float]] = {}
    for path in paths:
        ways = _ways(path.read_bytes())
        rounds: dict[str, list[float]] = {name: [] for name in ways}
        for _ in range(ROUNDS):
            for name, call in ways.items():
                started = time.process_time()
                call()
                rounds[name].append(time.process_time() - started)
        for name, seconds in rounds.items():
            spent.setdefault(name, []).append(1e3 * median(seconds))
    return {name: mean(values) for name, values in spent.items()}


def _ways(data: bytes) -> dict[str, Callable[[], object]]:
    """Return what is timed with one file."""
    image = read_image(data, name="photograph")
    quality = _quality_of_equal_size(image, len(data))

    def decode() -> NDArray[np.uint8]:
        return np.asarray(simplejpeg.decode_jpeg(data, "RGB", fastdct=False, fastupsample=False))

    def by_opencv() -> object:
        options = [cv2.IMWRITE_JPEG_QUALITY, quality, cv2.IMWRITE_JPEG_OPTIMIZE, 1]
        pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
        return None if pixels is None else cv2.imencode(".jpg", pixels, options)

    def by_pillow() -> None:
        Pillow.open(io.BytesIO(data)).save(io.BytesIO(), "JPEG", quality=quality, optimize=True)

    return {
        "decode": decode,
        PLAIN: lambda: simplejpeg.encode_jpeg(decode(), quality, colorsubsampling="420", fastdct=False),
        OPTIMISED: by_opencv,
        "decode + encode, Pillow, optimised": by_pillow,
        **{
            f"read + mark + write, {name}": partial(_mark, data, make(image, 0))
            for name, make in WAYS.items()
        },
    }


def _mark(data: bytes, marks: Sequence[Mark]) -> MarkedFile:
    return mark_file(read_image(data, name="photograph"), marks, logo=LOGO)


def _quality_of_equal_size(image: Image, size: int) -> int:
    """Return the quality at which a plain encoder writes a file of about the original's size."""
    return min(
        range(40, 100, 3),
        key=lambda q: abs(len(simplejpeg.encode_jpeg(image.pixels, q, colorsubsampling="420")) - size),
    )


def growth(paths: Sequence[Path]) -> dict[str, list[tuple[float, float, float]]]:
    """Return for each way and photograph: growth of the file, residual of it, area; all restored exactly."""
    found: dict[str, list[tuple[float, float, float]]] = {name: [] for name in WAYS}
    for number, path in enumerate(paths):
        data = path.read_bytes()
        image = read_image(data, name=path.name)
        for name, make in WAYS.items():
            marks = make(image, number)
            marked = mark_file(image, marks, logo=LOGO)
            again = read_image(marked.data, name=path.name)
            back = unmark_file(again, marks, logo=LOGO, residual=marked.residual, method=marked.method)
            if content_digest(read_image(back, name=path.name)) != content_digest(image):
                raise SystemExit(f"{path.name}: not restored")
            area = sum(covered_px(mark, logo=LOGO) for mark in marks) / (image.width * image.height)
            found[name].append((len(marked.data) / len(data) - 1, len(marked.residual) / len(data), area))
    return found


def main() -> None:
    """Print both tables."""
    folder = data_folder() / "idrid"
    full = sorted((folder / "full").glob("*.jpg"))
    small = sorted((folder / "images").glob("*.jpg"))
    small = small[:: max(len(small) // SAMPLE, 1)][:SAMPLE]
    times = timings(full[:4])
    plain, optimised = times[PLAIN], times[OPTIMISED]
    print("## JPEG in, JPEG out: 4 photographs of 4288 x 2848\n")
    print(
        table(
            ["what", "ms of processor", "to decode + encode", "to the same with optimised tables"],
            [
                [name, f"{value:.0f}", f"{value / plain:.2f}", f"{value / optimised:.2f}"]
                for name, value in times.items()
            ],
        )
    )
    print("\n## Growth of files, all restored exactly\n")
    rows = []
    for title, paths in ((f"{len(small)} of 1072 x 712", small), (f"{len(full)} of 4288 x 2848", full)):
        for name, values in growth(paths).items():
            grown, residual, area = (np.array(column) for column in zip(*values, strict=True))
            rows.append(
                [
                    title,
                    name,
                    f"{area.mean():.1%}",
                    f"{grown.mean():+.1%}",
                    f"{grown.max():+.1%}",
                    f"{residual.mean():.0%}",
                ]
            )
    print(table(["photographs", "mark", "area", "growth, mean", "largest", "residual"], rows))


if __name__ == "__main__":
    main()
