"""The IDRiD photographs that no surrogate was trained on, as search problems."""

from __future__ import annotations

import csv
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from _split import held_out
from medlocker.classifiers import Classifier
from medlocker.errors import NoRoomError
from medlocker.formats import encode_image, read_image
from medlocker.geometry import Box
from medlocker.images import Image, viewed
from medlocker.labels import load_labels
from medlocker.logo import builtin_logo, render
from medlocker.marking import mark_pixels
from medlocker.placements import FreePlacements
from medlocker.protect import DecoySource
from medlocker.regions import Regions, load_regions
from medlocker.search import Candidate, Preview, Problem, margins_of

LOGO = builtin_logo()


@dataclass(frozen=True, eq=False)
class Case:
    """One photograph that the model gets right, and what may be done to it."""

    name: str
    image: Image
    problem: Problem
    boxes: tuple[Box, ...]


def data_folder() -> Path:
    """Return the folder that MEDLOCKER_DATA names."""
    named = os.environ.get("MEDLOCKER_DATA")
    if not named:
        raise SystemExit("set MEDLOCKER_DATA to the folder that holds idrid/")
    return Path(named)


def held_out_names(data: Path) -> list[str]:
    """Return the held-out quarter, sorted."""
    with (data / "idrid" / "labels.csv").open(newline="") as stream:
        labels = {row["image"]: row["grade"] for row in csv.DictReader(stream)}
    return sorted(held_out(labels))


def lesion_boxes(data: Path) -> Regions:
    """Return the lesions' boxes; the optic disc is anatomy."""
    return load_regions(data / "idrid" / "boxes.csv", exclude=("optic_disc",))


def lesion_donors(data: Path, *, regions: Regions) -> DecoySource | None:
    """Return the lesions that decoys are made like, as a run over the whole data set takes them."""
    folder = data / "idrid" / "images"
    return DecoySource.among(regions, [(path.name, path) for path in sorted(folder.iterdir())])


def cases(
    data: Path,
    model: Classifier,
    *,
    opacity: tuple[float, float],
    regions: Regions | None,
    size: float = 0.25,
) -> Iterator[Case]:
    """Yield the held-out photographs that the model classifies correctly and that have room for the logo."""
    labels = load_labels(data / "idrid" / "labels.csv", column="grade")
    low, high = (round(value * 65535) for value in opacity)
    for name in held_out_names(data):
        image = read_image((data / "idrid" / "images" / name).read_bytes(), name=name)
        label = int(labels.for_name(name) or 0)
        preview = Preview(image, [model], logo=LOGO)
        if int(model.logits(preview.clean_canvases[0][None]).argmax()) != label:
            continue
        boxes = regions.boxes_for(name, width=image.width, height=image.height) if regions else ()
        size_px = round(size * min(image.height, image.width))
        support = render(LOGO, size_px).support
        placements = FreePlacements(image=(image.width, image.height), support=support, boxes=boxes)
        problem = Problem(preview, (label,), placements, size_px, low, high)
        try:
            if len(problem.free):
                yield Case(name, image, problem, boxes)
        except NoRoomError:
            continue


def judged_margin(case: Case, model: Classifier, marks: Candidate) -> float:
    """Return the margin of the real thing: marked, encoded, decoded again, resized by the exact pipeline.

    Also compares every region with the original.
    """
    marked = mark_pixels(case.image, marks, logo=LOGO)
    again = read_image(encode_image(case.image, marked.pixels), name=case.name)
    for box in case.boxes:
        window = (slice(box.y, box.bottom), slice(box.x, box.right))
        if not np.array_equal(again.pixels[window], case.image.pixels[window]):
            raise SystemExit(f"{case.name}: a pixel inside a region changed")
    logits = model.logits(model.canvas(viewed(again))[None])
    return float(margins_of(logits, case.problem.labels[0])[0])
