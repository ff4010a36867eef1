"""How many lesions are kept out: by a segmenter, and by candidates that are not a clinician's.

MEDLOCKER_DATA=... python benchmarks/regions.py [--segmenter DIR] [--tune]

Judged on the quarter of the photographs with masks that a hash of the name holds out (``--list`` writes their
names, for ``medlocker train segmenter --exclude``), and on the held-out quarter of those with boxes.
``--tune`` measures on the others instead, to choose kernels and limits on.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from _idrid import LOGO, data_folder, held_out_names, lesion_boxes
from _split import held_out
from _tables import share, table
from medlocker.errors import NoRoomError
from medlocker.formats import read_image
from medlocker.geometry import Box
from medlocker.images import Image, viewed
from medlocker.protect import Settings, find_placement_avoiding, find_placement_space
from medlocker.regions import CandidateFinder, Finder, Findings, load_regions, load_segmenter
from medlocker.regions.scale import Scale, covered, to_scale
from medlocker.train.segmenter_choice import Score, truth_of

TWIN_LEVELS = 2.0
"""Thumbnails that differ less, in grey levels, show the same photograph; others differ by at least 2.9."""
KINDS = {"EX": "hard exudates", "HE": "haemorrhages", "MA": "microaneurysms", "SE": "soft exudates"}


@dataclass(frozen=True, eq=False)
class Photograph:
    """One photograph and the masks of its lesions, by kind."""

    name: str
    image: Image
    masks: dict[str, np.ndarray]


def photographs_with_masks(data: Path, *, tune: bool) -> Iterator[Photograph]:
    """Yield the held-out quarter of the photographs with masks, or the others."""
    folder = data / "idrid" / "segmentation"
    names = sorted(path.name for path in (folder / "images").iterdir())
    chosen = held_out(dict.fromkeys(names, "all"))
    masks = load_regions(folder / "masks").among(names)
    for name in names:
        if (name in chosen) != tune:
            image = read_image((folder / "images" / name).read_bytes(), name=name)
            yield Photograph(name, image, masks.masks_for(name, width=image.width, height=image.height))


def thumbnail(path: Path) -> np.ndarray:
    """Return a photograph of 48 x 32 pixels, float32 grey levels."""
    colors = viewed(read_image(path.read_bytes(), name=path.name))
    return to_scale(colors, Scale(colors.shape[:2], (32, 48))).astype(np.float32)


def photographs_with_boxes(data: Path, *, tune: bool) -> Iterator[Photograph]:
    """Yield the held-out quarter of the photographs with boxes; a box counts as a lesion as a whole."""
    exudates, blood = (
        load_regions(data / "idrid" / "boxes.csv", only=(kind,)) for kind in ("hard_exudates", "haemorrhage")
    )
    known = set(lesion_boxes(data).source.names)
    chosen = set(held_out_names(data))
    masked = [thumbnail(path) for path in sorted((data / "idrid" / "segmentation" / "images").iterdir())]
    for name in sorted(known):
        if (name in chosen) != tune:
            path = data / "idrid" / "images" / name
            # most photographs with masks are in this set too, under other names
            if min(np.abs(thumbnail(path) - other).mean() for other in masked) < TWIN_LEVELS:
                continue
            image = read_image(path.read_bytes(), name=name)
            size = {"width": image.width, "height": image.height}
            masks = {
                kind: covered(regions.boxes_for(name, **size), **size)
                for kind, regions in (("hard exudate boxes", exudates), ("haemorrhage boxes", blood))
            }
            yield Photograph(name, image, masks)


def measure(
    photographs: Sequence[Photograph], find: Callable[[Photograph], tuple[Box, ...]]
) -> tuple[list[Score], float]:
    """Score each photograph's boxes at full resolution; returns seconds an image too."""
    scores = []
    spent = 0.0
    for photo in photographs:
        started = time.process_time()
        boxes = find(photo)
        spent += time.process_time() - started
        truth = truth_of({kind: mask for kind, mask in photo.masks.items() if mask.any()})
        score = Score()
        score.add(truth, covered(boxes, width=photo.image.width, height=photo.image.height))
        scores.append(score)
    return scores, spent / max(len(photographs), 1)


def lesion_share(scores: Sequence[Score], kinds: Sequence[str]) -> str:
    """Return the share kept out with an interval over photographs: lesions of one eye are found together."""
    counts = np.array(
        [[sum(part.get(kind, 0) for kind in kinds) for part in (s.kept_out, s.lesions)] for s in scores]
    ).reshape(-1, 2)
    found, total = (int(value) for value in counts.sum(axis=0))
    if total == 0:
        return "-"
    drawn = counts[np.random.default_rng(0).integers(0, len(counts), (2000, len(counts)))].sum(axis=1)
    drawn = drawn[drawn[:, 1] > 0]
    low, high = np.percentile(drawn[:, 0] / drawn[:, 1], (2.5, 97.5))
    return f"{found / total:.0%} ({low:.0%} to {high:.0%}, {found}/{total})"


def kept(finder: Finder, photo: Photograph) -> tuple[Box, ...]:
    """Return the boxes that a run would keep out, after giving up what leaves the logo no room."""
    room = room_of(finder, photo)
    return room[0] if room else ()


def room_of(finder: Finder, photo: Photograph) -> tuple[tuple[Box, ...], int] | None:
    """Return kept-out boxes and the size of the logo beside them; None where there is no room."""
    image = photo.image
    size = (image.width, image.height)

    def room(*, boxes: Sequence[Box]) -> int:
        return find_placement_space(
            Settings(preset="paper"),
            LOGO,
            width=image.width,
            height=image.height,
            boxes=boxes,
            step=4,
            seed=bytes(32),
            key=bytes(32),
        ).size_px

    try:
        size_px, boxes, _ = find_placement_avoiding(
            (), finder.find(viewed(image)), size=size, finder=finder, room=room
        )
    except NoRoomError:
        return None
    return boxes, size_px


def truth_boxes(photo: Photograph) -> Findings:
    """Return the boxes of the true masks: what --regions with these masks keeps out."""
    from medlocker.regions import boxes_from_mask

    return Findings(tuple(box for mask in photo.masks.values() for box in boxes_from_mask(mask)))


def row_of(name: str, scores: Sequence[Score], seconds: float, kinds: Sequence[str]) -> list[str]:
    """Return one row of a table."""
    pixels = sum(sum(score.lesion_pixels.values()) for score in scores)
    hit = sum(sum(score.kept_out_pixels.values()) for score in scores)
    area = np.mean([score.covered for score in scores])
    cells = [lesion_share(scores, [kind]) for kind in kinds]
    return [name, lesion_share(scores, kinds), f"{hit / pixels:.0%}", f"{area:.0%}", f"{seconds:.2f}", *cells]


def found(finder: Finder, photo: Photograph) -> tuple[Box, ...]:
    """Return all that a finder finds."""
    return finder.find(viewed(photo.image)).boxes


def report(
    title: str, photographs: Sequence[Photograph], finders: dict[str, Finder], kinds: list[str]
) -> None:
    """Print one table."""
    print(f"## {title}: {len(photographs)} photographs\n")
    rows = [
        row_of(name, *measure(photographs, partial(found, finder)), kinds) for name, finder in finders.items()
    ]
    rows += [
        row_of(
            f"{name}, as kept out by a run",
            *measure(photographs, partial(kept, finder)),
            kinds,
        )
        for name, finder in finders.items()
        if finder.droppable
    ]
    rows.append(
        row_of("the true boxes", *measure(photographs, lambda photo: truth_boxes(photo).boxes), kinds)
    )
    head = ["regions", "lesions kept out", "lesion pixels", "image covered", "s an image"]
    print(table([*head, *(KINDS.get(kind, kind) for kind in kinds)], rows))
    print("\nA lesion is kept out if 95 % of its pixels lie inside of boxes. Intervals: 95 %, over images.\n")


def report_room(photographs: Sequence[Photograph], finders: dict[str, Finder]) -> None:
    """Print what size of logo finds room."""
    print(f"## Room for a logo of a quarter of the shorter side: {len(photographs)} photographs\n")
    rows = []
    for name, finder in finders.items():
        rooms = [room_of(finder, photo) for photo in photographs]
        sizes = [
            room[1] / min(p.image.height, p.image.width)
            for room, p in zip(rooms, photographs, strict=True)
            if room
        ]
        full = sum(size > 0.249 for size in sizes)
        rows.append(
            [
                name,
                share(full, len(photographs)),
                share(len(sizes), len(photographs)),
                f"{np.median(sizes):.3f}" if sizes else "-",
            ]
        )
    print(table(["regions", "full size", "any size", "median size"], rows))
    print()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--segmenter", type=Path)
    parser.add_argument("--list", type=Path, help="write the names of the held-out photographs and stop")
    parser.add_argument("--tune", action="store_true")
    arguments = parser.parse_args()
    data = data_folder()
    if arguments.list:
        names = [photo.name for photo in photographs_with_masks(data, tune=False)]
        arguments.list.write_text("\n".join(names) + "\n")
        return
    finders: dict[str, Finder] = {"fundus candidates": CandidateFinder("fundus")}
    if arguments.segmenter:
        finders["segmenter"] = load_segmenter(arguments.segmenter)
    masked = list(photographs_with_masks(data, tune=arguments.tune))
    report("Masks", masked, finders, list(KINDS))
    report_room(masked, finders)
    boxed = list(photographs_with_boxes(data, tune=arguments.tune))
    if arguments.tune:
        boxed = boxed[:40]
    report("Boxes", boxed, finders, ["hard exudate boxes", "haemorrhage boxes"])


if __name__ == "__main__":
    main()
