"""What hardening withstands, and what it costs.

    MEDLOCKER_DATA=... python benchmarks/hardening.py --model .cache/surrogates/idrid-efficientnet_lite0

Without MEDLOCKER_DATA the attacks run on synthetic photographs, and the costs are left out.
"""

from __future__ import annotations

import argparse
import itertools
import os
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from _idrid import Case, cases, data_folder, lesion_boxes
from _tables import share, table
from medlocker.classifiers import Classifier, load_classifier
from medlocker.demo import GRADES, synthesise
from medlocker.errors import NoRoomError
from medlocker.evaluate import ssim_map
from medlocker.evaluate.removal import Inverted, MarkGuess, blind, candidates, fill_telea, psnr, weigh_colors
from medlocker.formats import read_image
from medlocker.geometry import Box
from medlocker.images import Image
from medlocker.logo import builtin_logo, render
from medlocker.mark import Mark
from medlocker.marking import mark_pixels
from medlocker.placements import FreePlacements
from medlocker.protect import DEFAULT_MARGIN, PAPER_BUDGET, STANDARD_HARDENING, Harden
from medlocker.search import ScreenedSearch
from search import run

LOGO = builtin_logo()
WIDTH, HEIGHT = 1072, 712
SIZES_PX = (178, 56)
OPACITY = (0.4, 0.95)
RESTORED_DB = 35.0

VARIANTS: dict[str, Harden] = {
    "plain": Harden(),
    "warp 0.5": Harden(warp=0.5 / 56),
    "warp 1": Harden(warp=1 / 56),
    "warp 2": Harden(warp=2 / 56),
    "texture 10": Harden(texture=10),
    "texture 24": Harden(texture=24),
    "standard": STANDARD_HARDENING,
    "standard, opaque 10 %": replace(STANDARD_HARDENING, opaque=0.1),
}
IN_FULL = ("plain", "standard")
COSTED = ("plain", "warp 1", "texture 24", "standard", "standard, opaque 10 %")

_ATTACKS_TEXT = """\
Logos of {sizes} px in turn, opacity {opacity[0]} to {opacity[1]}, a random free place, the same for all.
Share restored above {db:g} dB (95 % Wilson interval), and median PSNR over the marked pixels. *Blind*
knows the logo and the program; *hardening known* fits the warp and knows the texture's size; *best of
everything* also weighs the inversion against the surroundings, and is chosen with the original in hand. The
last columns: what can be told without the marked pixels, and how many marks leak more than that.
"""
_COSTS_TEXT = """\
{images} held-out photographs that the model gets right, opacity 0.39 to 0.8, lesion boxes kept out, logo
0.25, screened search of at most {budget} evaluations. SSIM of the logo itself to the plain one, on mid grey.
"""


@dataclass(frozen=True)
class Trial:
    """One mark attacked; PSNR over the marked pixels, dB.

    Args:
        left: Of the mark left as it is.
        blind: Of the blind inversion.
        smoothed: Of the best of the blind inversion's smoothed versions.
        knowing: Of the best that knowledge of the hardening gives without a look at the surroundings.
        best: Of the best of everything, chosen with the original in hand.
        surroundings: Of the best of two fillings that ignore the marked pixels (T3).
        seconds: Of the blind attack.
    """

    left: float
    blind: float
    smoothed: float
    knowing: float
    best: float
    surroundings: float
    seconds: float


# ----------------------------------------------------------------------------------------- attacks


def photographs(data: Path | None) -> Iterator[tuple[Image, tuple[Box, ...]]]:
    """Yield pictures and their lesions' boxes, spread over the set."""
    if data is None:
        for seed in range(100_000):
            made = synthesise(seed, grade=GRADES[seed % len(GRADES)], width=WIDTH, height=HEIGHT)
            stats = cv2.connectedComponentsWithStats(made.mask)[2][1:]
            boxes = tuple(Box(*(int(v) for v in row[:4])) for row in stats)
            yield Image(made.image, "rgb", "png", b""), boxes
        return
    regions = lesion_boxes(data)
    files = sorted((data / "idrid" / "images").iterdir())
    for i in range(len(files)):
        file = files[i * 7 % len(files)]
        image = read_image(file.read_bytes(), name=file.name)
        yield image, regions.boxes_for(file.name, width=image.width, height=image.height)


def attack(task: tuple[int, Image, tuple[Box, ...]], *, harden: Harden) -> Trial | None:
    """Mark a picture at a random free place and attack it; None if the logo has no room."""
    number, image, boxes = task
    rng = np.random.default_rng([35, number])  # the same place and opacity for every variant
    size_px = SIZES_PX[number % len(SIZES_PX)]
    hardening = harden.for_size(size_px, rng.bytes(32))
    opacity = round(rng.uniform(*OPACITY) * 65535)
    raster = render(LOGO, size_px, hardening=hardening)
    try:
        places = FreePlacements(
            image=(image.width, image.height),
            # its whole frame: the same places for every warp
            support=np.ones(raster.coverage.shape, np.bool_),
            boxes=boxes,
        )
        x, y = (int(v) for v in places.sample(rng, 1)[0])
    except NoRoomError:
        return None
    mark = Mark(x, y, size_px, opacity)
    if hardening is not None:
        mark = replace(
            mark,
            key=hardening.key.hex(),
            warp_256=hardening.warp_256,
            texture=hardening.texture,
            opaque_permille=hardening.opaque_permille,
        )
    marked = mark_pixels(image, [mark], logo=LOGO).pixels
    support = np.zeros((image.height, image.width), np.bool_)
    support[y : y + size_px, x : x + size_px] = raster.support
    judge = partial(psnr, original=image.pixels, support=support)
    started = time.perf_counter()
    found = blind(marked, LOGO)
    seconds = time.perf_counter() - started
    scores = {
        how: judge(one)
        for how, one in candidates(marked, LOGO, found, warp=harden.warp, texture=harden.texture).items()
    }
    told = Inverted(marked, MarkGuess(x, y, size_px, opacity), raster)
    return Trial(
        left=judge(marked),
        blind=scores["blind"],
        smoothed=max(value for how, value in scores.items() if how.startswith("blind, ")),
        knowing=max(
            value for how, value in scores.items() if "weighed" not in how and "cancelled" not in how
        ),
        best=max(scores.values()),
        surroundings=max(judge(fill_telea(marked, support)), judge(weigh_colors(marked, told, texture=1e5))),
        seconds=seconds,
    )


def attacks(data: Path | None, *, images: int, others: int, workers: int) -> None:
    """Print what attackers restore of every variant."""
    rows = []
    counts = {name: images if name in IN_FULL else others for name in VARIANTS}
    with ProcessPoolExecutor(workers, initializer=cv2.setNumThreads, initargs=(1,)) as pool:
        for name, count in counts.items():
            trials: list[Trial] = []
            tasks = enumerate(photographs(data))
            while len(trials) < count:
                batch = [(i, *one) for i, one in itertools.islice(tasks, count - len(trials))]
                if not batch:
                    break
                found = pool.map(partial(attack, harden=VARIANTS[name]), batch)
                trials += [trial for trial in found if trial is not None]
            if trials:
                rows.append(_row(name, trials))
                print(rows[-1][0], rows[-1][2], file=sys.stderr)
    what = "IDRiD photographs" if data else "synthetic photographs"
    print(f"\n### Restored from {what}, {WIDTH} x {HEIGHT}\n")
    print(_ATTACKS_TEXT.format(sizes=" and ".join(map(str, SIZES_PX)), opacity=OPACITY, db=RESTORED_DB))
    head = [
        "mark",
        "left as it is",
        "blind",
        "blind, smoothed",
        "hardening known, smoothed",
        "best of everything",
        "surroundings only",
        f"best above {RESTORED_DB:g} dB, surroundings not",
        "s per blind attack",
    ]
    print(table(head, rows))


def _row(name: str, trials: Sequence[Trial]) -> list[str]:
    def cell(values: list[float]) -> str:
        return f"{share(sum(v > RESTORED_DB for v in values), len(values))}; {np.median(values):.1f} dB"

    leaking = sum(t.best > RESTORED_DB >= t.surroundings for t in trials)
    return [
        name,
        f"{np.median([t.left for t in trials]):.1f} dB",
        cell([t.blind for t in trials]),
        cell([t.smoothed for t in trials]),
        cell([t.knowing for t in trials]),
        cell([t.best for t in trials]),
        cell([t.surroundings for t in trials]),
        share(leaking, len(trials)),
        f"{np.median([t.seconds for t in trials]):.1f}",
    ]


# ------------------------------------------------------------------------------------------- costs


def costs(data: Path, model: Classifier, *, most: int) -> None:
    """Print how hardening changes the search, the residual and the look."""
    found = cases(data, model, opacity=(0.39, 0.8), regions=lesion_boxes(data))
    plain = list(itertools.islice(found, most))
    rows = []
    for name in COSTED:
        chosen = [_hardened(case, VARIANTS[name], i) for i, case in enumerate(plain)]
        outcome = run(name, ScreenedSearch(budget=PAPER_BUDGET, margin=DEFAULT_MARGIN), model, chosen)
        started = time.perf_counter()
        residuals = [
            len(mark_pixels(case.image, found.marks, logo=LOGO).residual)
            for case, found in zip(chosen, outcome.found, strict=True)
        ]
        marking = (time.perf_counter() - started) / len(chosen)
        rows.append(
            [
                name,
                share(int(outcome.fooled.sum()), len(chosen)),
                f"{outcome.evaluations.mean():.1f}",
                f"{outcome.seconds / len(chosen) * 1000:.0f}",
                f"{marking * 1000:.1f}",
                f"{np.mean(residuals) / 1024:.1f}",
                *_look(VARIANTS[name]),
            ]
        )
    print(f"\n### What hardening costs against {model.name}\n")
    print(_COSTS_TEXT.format(images=len(plain), budget=PAPER_BUDGET))
    head = [
        "mark",
        "fooled",
        "evaluations",
        "search, ms an image",
        "marking, ms an image",
        "residual, KiB an image",
        "SSIM at 178 px",
        "SSIM at 56 px",
    ]
    print(table(head, rows))


def _hardened(case: Case, harden: Harden, number: int) -> Case:
    problem = case.problem
    key = np.random.default_rng([36, number]).bytes(32)
    hardening = harden.for_size(problem.size_px, key)
    support = render(LOGO, problem.size_px, hardening=hardening).support
    size = (case.image.width, case.image.height)
    placements = FreePlacements(image=size, support=support, boxes=case.boxes)
    return replace(case, problem=replace(problem, placements=placements, hardening=hardening))


def _look(harden: Harden) -> list[str]:
    found = []
    for size_px in SIZES_PX:
        plain = _on_grey(size_px, Harden(), 0)
        support = render(LOGO, size_px).support
        values = [ssim_map(plain, _on_grey(size_px, harden, key))[support].mean() for key in range(8)]
        found.append(f"{np.mean(values):.2f}")
    return found


def _on_grey(size_px: int, harden: Harden, key: int) -> NDArray[np.float32]:
    hardening = harden.for_size(size_px, np.random.default_rng([37, key]).bytes(32))
    raster = render(LOGO, size_px, hardening=hardening)
    coverage = raster.coverage[..., None] / 255
    grey = (raster.color * coverage + 128 * (1 - coverage)) @ [0.299, 0.587, 0.114]
    return np.asarray(grey / 255, dtype=np.float32)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=Path, help="surrogate for the costs")
    parser.add_argument("--images", type=int, default=100, help="of plain and standard marks")
    parser.add_argument("--others", type=int, default=40, help="of every other variant")
    parser.add_argument("--cost-images", type=int, default=100)
    parser.add_argument("--synthetic", action="store_true", help="attack synthetic photographs")
    parser.add_argument("--only", choices=["attacks", "costs"])
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    arguments = parser.parse_args()
    data = data_folder() if "MEDLOCKER_DATA" in os.environ else None
    print("## Hardening")
    if arguments.only != "costs":
        attacks(
            None if arguments.synthetic else data,
            images=arguments.images,
            others=arguments.others,
            workers=arguments.workers,
        )
    if arguments.only != "attacks" and data and arguments.model:
        costs(data, load_classifier(arguments.model), most=arguments.cost_images)


if __name__ == "__main__":
    main()
