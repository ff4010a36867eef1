"""How strong marks are: accuracy left on the models they were searched on, and on models never seen.

    MEDLOCKER_DATA=... python benchmarks/strength.py --surrogate DIR [--surrogate DIR] --target DIR
        [--limit N] [--data-set idrid|isic2017] [--ways random,paper,strong,...] [--learned LOGO_DIR]

Ways: random (one plain logo at a random free place), random3 (as many and as large as strong's), paper,
strong, and strong with one thing changed: one-mark, two-marks, upright, levels-0/16/64/127, margin-1,
area-0.08/0.25/0.4, opacity-1, bear-shrinking, square (no gradients), learned (starts from
LOGO_DIR). Every mark is put on the full-size image, encoded, decoded and judged by the target's own
pipeline; with --survive also after JPEG 75 and after resizing to half and back.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from _idrid import LOGO, data_folder, lesion_boxes
from _split import held_out
from _tables import share, table
from medlocker.classifiers import Classifier, load_classifier, with_gradients
from medlocker.engines import make_search
from medlocker.errors import NoRoomError
from medlocker.formats import encode_image, read_image
from medlocker.geometry import Box
from medlocker.images import Image, viewed
from medlocker.labels import class_indices, load_labels
from medlocker.logo import LearnedLogo, load_learned
from medlocker.marking import likeness, mark_pixels
from medlocker.protect import Settings, find_placement_space, pose_problem
from medlocker.search import (
    BatchScheduler,
    Candidate,
    Found,
    Preview,
    Problem,
    Proposal,
    Search,
    random_layout,
)

COLUMNS = {"idrid": "grade", "isic2017": "melanoma"}
Pixels = NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class Photograph:
    """One held-out photograph."""

    name: str
    image: Image
    label: str
    boxes: tuple[Box, ...]


class RandomLayout(Search):
    """As many plain logos as the preset puts on, at random free places."""

    name = "random-layout"

    def steps(self, problem: Problem, rng: np.random.Generator) -> Any:
        """Yield one layout."""
        yield Proposal([random_layout(problem, "", rng)])


def photographs(data: Path, data_set: str, *, limit: int | None) -> Iterator[Photograph]:
    """Read the held-out quarter; where only some are taken, they are spread over the names."""
    labels = load_labels(data / data_set / "labels.csv", column=COLUMNS[data_set])
    regions = lesion_boxes(data) if data_set == "idrid" else None
    names = sorted(held_out(labels.rows))
    if limit is not None and limit < len(names):
        names = [names[round(i * (len(names) - 1) / (limit - 1))] for i in range(limit)]
    for name in names:
        image = read_image((data / data_set / "images" / name).read_bytes(), name=name)
        boxes = regions.boxes_for(name, width=image.width, height=image.height) if regions else ()
        yield Photograph(name, image, str(labels.for_name(name)), boxes)


def jpeg75(pixels: Pixels) -> Pixels:
    data = cv2.imencode(".jpg", pixels[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 75])[1]
    decoded = cv2.imdecode(data, cv2.IMREAD_COLOR)
    if decoded is None:
        raise ValueError("expected what was just written")
    return np.ascontiguousarray(decoded[..., ::-1], dtype=np.uint8)


def halved(pixels: Pixels) -> Pixels:
    height, width = pixels.shape[:2]
    small = cv2.resize(pixels, (width // 2, height // 2), interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.resize(small, (width, height), interpolation=cv2.INTER_LINEAR), np.uint8)


TRANSFORMS: dict[str, Callable[[Pixels], Pixels]] = {"JPEG 75": jpeg75, "half and back": halved}
STRONG = Settings(preset="strong")
WAYS: dict[str, Settings] = {
    "random": Settings(preset="paper"),
    "random3": STRONG,
    "paper": Settings(preset="paper"),
    "strong": STRONG,
    "one-mark": replace(STRONG, marks=1),
    "two-marks": replace(STRONG, marks=2),
    "upright": replace(STRONG, rotation=0),
    "levels-0": replace(STRONG, levels=0, search="square"),
    "levels-16": replace(STRONG, levels=16),
    "levels-64": replace(STRONG, levels=64),
    "levels-127": replace(STRONG, levels=127),
    "margin-1": replace(STRONG, margin=1.0),
    "area-0.08": replace(STRONG, max_area=0.08),
    "area-0.25": replace(STRONG, size=0.37, max_area=0.25),
    "area-0.4": replace(STRONG, size=0.47, max_area=0.4),
    "area-0.4-levels-127": replace(STRONG, size=0.47, max_area=0.4, levels=127),
    "opacity-1": replace(STRONG, opacity=(0.39, 1.0)),
    "bear-shrinking": replace(STRONG, bear_shrinking=True),
    "square": replace(STRONG, search="square"),
    "learned": STRONG,
}


@dataclass(frozen=True, eq=False)
class Bench:
    """What all ways have in common.

    Args:
        photos: Held-out photographs.
        surrogates: Searched on.
        targets: Judged on, the surrogates first.
        indices: Per target, from a label to the index of its class.
        learned: A learned logo, or None.
        transforms: What the marked photographs must survive.
    """

    photos: Sequence[Photograph]
    surrogates: Sequence[Classifier]
    targets: Sequence[Classifier]
    indices: Sequence[Any]
    learned: LearnedLogo | None
    transforms: Sequence[str]

    def right(self, photo: Photograph, pixels: Pixels) -> list[bool]:
        """Tell for every target whether it answers with the label."""
        return [
            int(target.logits(target.canvas(pixels)[None])[0].argmax()) == index[photo.label]
            for target, index in zip(self.targets, self.indices, strict=True)
        ]

    def problem(self, photo: Photograph, settings: Settings, number: int, *, learned: bool) -> Problem:
        """Pose the search problem exactly as `protect` does.

        Raises:
            NoRoomError: If the logo fits nowhere.
        """
        image = photo.image
        preview = Preview(image, self.surrogates, logo=LOGO)
        seed = np.random.default_rng([3, number]).bytes(32)
        room = find_placement_space(
            settings,
            LOGO,
            width=image.width,
            height=image.height,
            boxes=photo.boxes,
            step=preview.step,
            seed=seed,
            key=seed,
        )
        labels = tuple(index[photo.label] for index in self.indices[: len(self.surrogates)])
        texture = ""
        if learned and self.learned is not None:
            texture = self.learned.texture_for(photo.label, grey=False)
        return pose_problem(settings, preview, room=room, labels=labels, learned=texture)


@dataclass
class Row:
    """What one way did."""

    right: dict[str, NDArray[np.bool_]]
    evaluations: float
    seconds: float
    area: float
    likeness: float


def run_way(bench: Bench, way: str, clean: NDArray[np.bool_]) -> Row:
    """Search and judge all photographs; one without room keeps its unmarked answer."""
    settings = WAYS[way]
    search: Search = make_search(settings, bench.surrogates)
    if way.startswith("random"):
        search = RandomLayout(budget=1)
    driver = BatchScheduler(bench.surrogates)
    tasks, order = [], []
    for number, photo in enumerate(bench.photos):
        try:
            problem = bench.problem(photo, settings, number, learned=way == "learned")
        except NoRoomError:
            continue
        tasks.append(search.run(problem, rng=np.random.default_rng([7, number])))
        order.append(number)
    started = time.perf_counter()
    found: dict[int, Found] = {order[key]: result for key, result in driver.run(tasks)}
    seconds = (time.perf_counter() - started) / max(len(found), 1)
    right = {name: clean.copy() for name in ("", *bench.transforms)}
    areas, likenesses = [], []
    for number, result in found.items():
        photo = bench.photos[number]
        pixels = marked(photo, result.marks)
        areas.append(float((pixels != photo.image.pixels).any(axis=2).mean()))
        likenesses += [likeness(mark, logo=LOGO) for mark in result.marks]
        for name in right:
            seen = viewed(photo.image, pixels)
            right[name][number] = bench.right(photo, TRANSFORMS[name](seen) if name else seen)
    evaluations = float(np.mean([result.evaluations for result in found.values()]))
    return Row(right, evaluations, seconds, float(np.mean(areas)), float(np.mean(likenesses)))


def marked(photo: Photograph, marks: Candidate) -> Pixels:
    """Mark, encode, decode, and make sure that no pixel of a region changed."""
    pixels = mark_pixels(photo.image, marks, logo=LOGO).pixels
    again = read_image(encode_image(photo.image, pixels), name=photo.name).pixels
    for box in photo.boxes:
        window = (slice(box.y, box.bottom), slice(box.x, box.right))
        if not np.array_equal(again[window], photo.image.pixels[window]):
            raise SystemExit(f"{photo.name}: a pixel inside a region changed")
    return np.asarray(again)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--surrogate", type=Path, action="append", required=True)
    parser.add_argument("--target", type=Path, action="append", default=[])
    parser.add_argument("--data-set", choices=sorted(COLUMNS), default="idrid")
    parser.add_argument("--ways", default="random,random3,paper,strong")
    parser.add_argument("--learned", type=Path)
    parser.add_argument("--survive", action="store_true")
    parser.add_argument("--limit", type=int)
    arguments = parser.parse_args()
    surrogates = [with_gradients(load_classifier(path), path) for path in arguments.surrogate]
    targets = [*surrogates, *(load_classifier(path) for path in arguments.target)]
    data = data_folder()
    labels = load_labels(data / arguments.data_set / "labels.csv", column=COLUMNS[arguments.data_set])
    bench = Bench(
        list(photographs(data, arguments.data_set, limit=arguments.limit)),
        surrogates,
        targets,
        [class_indices(labels, target.classes).indices for target in targets],
        load_learned(arguments.learned) if arguments.learned else None,
        list(TRANSFORMS) if arguments.survive else [],
    )
    clean = np.array([bench.right(photo, viewed(photo.image)) for photo in bench.photos])
    names = ", ".join(model.name for model in surrogates)
    print(f"## Searched on {names}: {len(bench.photos)} held-out photographs, opacity at most 0.8\n")
    head = ["mark", "evaluations", "s an image", "area", "likeness", *(target.name for target in targets)]
    count = len(bench.photos)
    rows = [["clean", "-", "-", "-", "-", *(share(int(n), count) for n in clean.sum(axis=0))]]
    print(table(head, rows), flush=True)
    for way in arguments.ways.split(","):
        row = run_way(bench, way, clean)
        for name, right in row.right.items():
            left = [
                share(int((right & clean)[:, k].sum()), int(clean[:, k].sum())) for k in range(len(targets))
            ]
            cells = [f"{row.evaluations:.1f}", f"{row.seconds:.2f}", f"{row.area:.1%}", f"{row.likeness:.2f}"]
            line = [way, *cells, *left] if not name else [f"{way}, {name}", *("" for _ in cells), *left]
            print("| " + " | ".join(line) + " |", flush=True)
    print(
        "\nClean: accuracy. Below: accuracy left among the photographs that the model gets right when clean."
    )


if __name__ == "__main__":
    main()
