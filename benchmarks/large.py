"""12-megapixel photographs: reading + marking + writing against decoding + encoding alone, in one run.

MEDLOCKER_DATA=... python benchmarks/large.py
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import cv2
import numpy as np

from _idrid import LOGO, data_folder
from _tables import table
from medlocker.formats import encode_image, read_image
from medlocker.mark import Mark
from medlocker.marking import mark_pixels, unmark_pixels


def timed(call: Callable[[], Any], *, rounds: int) -> tuple[Any, float]:
    """Return the result and the median seconds of some rounds."""
    spent = []
    for _ in range(rounds):
        started = time.perf_counter()
        result = call()
        spent.append(time.perf_counter() - started)
    return result, median(spent)


def measure(path: Path, *, rounds: int = 3) -> dict[str, float]:
    """Time one photograph; the mark is a quarter of the shorter side at opacity 0.8."""
    data = path.read_bytes()
    image, read = timed(lambda: read_image(data, name=path.name), rounds=rounds)
    plain, encode = timed(lambda: encode_image(image, image.pixels), rounds=rounds)
    mark = Mark(x=image.width // 8, y=image.height // 8, size_px=image.height // 4, opacity=52428)
    marked, marking = timed(lambda: mark_pixels(image, [mark], logo=LOGO), rounds=rounds)
    written, encode_marked = timed(lambda: encode_image(image, marked.pixels), rounds=rounds)
    decoded, cv_decode = timed(
        lambda: cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR), rounds=rounds
    )
    _, cv_encode = timed(lambda: cv2.imencode(".png", decoded), rounds=rounds)
    again, reread = timed(lambda: read_image(written, name=path.name), rounds=rounds)
    back, unmark = timed(
        lambda: unmark_pixels(again, [mark], logo=LOGO, residual=marked.residual), rounds=rounds
    )
    if not np.array_equal(back, image.pixels):
        raise SystemExit(f"{path.name}: not restored")
    return {
        "ours": read + marking + encode_marked,
        "same codecs": read + encode,
        "opencv": cv_decode + cv_encode,
        "marking": marking,
        "reread": reread,
        "unmark": unmark,
        "bytes": len(written) / len(data),
        "residual": float(len(marked.residual)),
        "plain": float(len(plain)),
    }


def main() -> None:
    paths = sorted((data_folder() / "idrid" / "full").glob("*.jpg"))
    rows = [measure(path) for path in paths]
    mean = {key: sum(row[key] for row in rows) / len(rows) for key in rows[0]}
    print(
        f"## Large images: {len(paths)} photographs of 4288 x 2848, JPEG in, PNG out, all restored exactly\n"
    )
    print(
        table(
            ["what", "ms", "ratio to decode + encode alone"],
            [
                ["decode + encode alone, our codecs", f"{1e3 * mean['same codecs']:.0f}", "1"],
                [
                    "decode + encode alone, OpenCV",
                    f"{1e3 * mean['opencv']:.0f}",
                    f"{mean['opencv'] / mean['same codecs']:.2f}",
                ],
                [
                    "read + mark + write",
                    f"{1e3 * mean['ours']:.0f}",
                    f"{mean['ours'] / mean['same codecs']:.2f}",
                ],
                ["of it: render, blend, residual", f"{1e3 * mean['marking']:.0f}", ""],
                ["restoring: read again + unmark", f"{1e3 * (mean['reread'] + mean['unmark']):.0f}", ""],
            ],
        )
    )
    print(
        f"\nFile growth JPEG to PNG: {mean['bytes']:.1f} times; residual {mean['residual'] / 1024:.0f} KiB."
    )


if __name__ == "__main__":
    main()
