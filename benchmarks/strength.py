"""How strong marks are: accuracy left on the models they were searched on, and on models never seen.

MEDLOCKER_DATA=... python benchmarks/strength.py --surrogate DIR [--surrogate DIR] --target DIR [--limit N]
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from _idrid import LOGO, data_folder, held_out_names, lesion_boxes
from _tables import share, table
from medlocker.classifiers import Classifier, load_classifier
from medlocker.errors import NoRoomError
from medlocker.geometry import Box
from medlocker.images import Image, encode_image, read_image, viewed
from medlocker.labels import load_labels
from medlocker.logo import render
from medlocker.marking import mark_pixels
from medlocker.placements import FreePlacements
from medlocker.protect import Settings
from medlocker.release import make_search
from medlocker.search import Candidate, Driver, Found, Preview, Problem, RandomSearch, Search

SIZE = 0.25


@dataclass(frozen=True, eq=False)
class Photograph:
    """One held-out photograph."""

    name: str
    image: Image
    label: int
    boxes: tuple[Box, ...]


def photographs(data: Path, *, limit: int | None) -> list[Photograph]:
    """Read the held-out quarter."""
    labels = load_labels(data / "idrid" / "labels.csv", column="grade")
    regions = lesion_boxes(data)
    found = []
    for name in held_out_names(data)[:limit]:
        image = read_image((data / "idrid" / "images" / name).read_bytes(), name=name)
        boxes = regions.boxes_for(name, width=image.width, height=image.height)
        found.append(Photograph(name, image, int(labels.for_name(name) or 0), boxes))
    return found


def problem_of(photo: Photograph, surrogates: Sequence[Classifier], settings: Settings) -> Problem:
    """Build the search problem of one photograph."""
    size_px = round(SIZE * min(photo.image.height, photo.image.width))
    support = render(LOGO, size_px).support
    placements = FreePlacements(
        image=(photo.image.width, photo.image.height), support=support, boxes=photo.boxes
    )
    return Problem(
        Preview(photo.image, surrogates, logo=LOGO),
        (photo.label,) * len(surrogates),
        placements,
        size_px,
        *settings.opacity_range,
        levels=settings.texture_levels,
        most_marks=settings.most_marks,
    )


def judged(photo: Photograph, marks: Candidate, targets: Sequence[Classifier]) -> list[bool]:
    """Tell for every target whether it is right on the marked, encoded and decoded photograph."""
    pixels = mark_pixels(photo.image, marks, logo=LOGO).pixels if marks else photo.image.pixels
    again = read_image(encode_image(photo.image, pixels), name=photo.name)
    for box in photo.boxes:
        window = (slice(box.y, box.bottom), slice(box.x, box.right))
        if not np.array_equal(again.pixels[window], photo.image.pixels[window]):
            raise SystemExit(f"{photo.name}: a pixel inside a region changed")
    colors = viewed(again)
    return [int(t.logits(t.canvas(colors)[None]).argmax()) == photo.label for t in targets]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--surrogate", type=Path, action="append", required=True)
    parser.add_argument("--target", type=Path, action="append", default=[])
    parser.add_argument("--limit", type=int)
    parser.add_argument("--marks", type=int)
    parser.add_argument("--confidence", type=float)
    arguments = parser.parse_args()
    surrogates = [load_classifier(path) for path in arguments.surrogate]
    targets = [*surrogates, *(load_classifier(path) for path in arguments.target)]
    photos = photographs(data_folder(), limit=arguments.limit)
    paper = Settings(preset="paper")
    strong = Settings(preset="strong", budget=60, marks=arguments.marks, margin=arguments.confidence)
    ways: list[tuple[str, Settings, Search]] = [
        ("random placement (control)", paper, RandomSearch(budget=1)),
        ("paper", paper, make_search(paper, surrogates)),
        ("strong", strong, make_search(strong, surrogates)),
    ]
    clean = np.array([judged(photo, (), targets) for photo in photos])
    names = ", ".join(model.name for model in surrogates)
    print(
        f"## Searched on {names}: {len(photos)} held-out photographs, lesions kept out, opacity at most 0.8\n"
    )
    rows = [["clean", "-", "-", *(share(int(clean[:, k].sum()), len(photos)) for k in range(len(targets)))]]
    for name, settings, search in ways:
        rows.append(way(name, settings, search, photos, surrogates, targets, clean))
    print(table(["mark", "evaluations", "s an image", *(target.name for target in targets)], rows))
    print(
        "\nClean: accuracy. Below: accuracy left among the photographs that the model gets right when clean."
    )


def way(
    name: str,
    settings: Settings,
    search: Search,
    photos: Sequence[Photograph],
    surrogates: Sequence[Classifier],
    targets: Sequence[Classifier],
    clean: np.ndarray,
) -> list[str]:
    """Search and judge one kind of mark; a photograph without room keeps its unmarked answer."""
    driver = Driver(surrogates)
    found: dict[int, Found] = {}
    tasks, order = [], []
    for i, photo in enumerate(photos):
        problem = problem_of(photo, surrogates, settings)
        try:
            if len(problem.free):
                tasks.append(search.run(problem, rng=np.random.default_rng([7, i])))
                order.append(i)
        except NoRoomError:
            continue
    for key, result in driver.run(tasks):
        found[order[key]] = result
    right = clean.copy()
    for i, result in found.items():
        right[i] = judged(photos[i], result.marks, targets)
    left = [share(int((right & clean)[:, k].sum()), int(clean[:, k].sum())) for k in range(len(targets))]
    evaluations = np.mean([result.evaluations for result in found.values()]) / len(surrogates)
    return [name, f"{evaluations:.1f}", f"{driver.clock.total / max(len(found), 1):.2f}", *left]


if __name__ == "__main__":
    main()
