"""What the marks of IDRiD photographs tell of the diagnosis without any look at the pictures.

    MEDLOCKER_DATA=... python benchmarks/sidechannels.py [--photographs all|tune|held-out|rest] [--files]
    [--seed N]

No model is involved. Veils without decoys, with those that fill up to a share, and with those made like
other images' lesions; `strong` and `paper`. Lesions are kept out, grown as JPEG needs it. By default
layouts are known exactly, as boxes and marks are drawn: the best view that any attacker could have, and
quick. --files writes every veil by `protect`'s own pipeline, reads it again, and takes layout and marks
from original and marked pixels, as `evaluate --removal` does. `strong` and `paper` are placed at random:
size, number and turn are as their pipeline finds them, but a search would choose other free places.

tune: photographs kept to tune on; held-out: those that judge; rest: all that do not judge.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from _idrid import LOGO, data_folder, lesion_boxes, lesion_donors
from _split import held_out, kept_to_tune_on
from _tables import table
from medlocker.errors import NoRoomError
from medlocker.evaluate import ImageFeatures, measure_side_channels, trace
from medlocker.evaluate.layout import layout_numbers
from medlocker.formats import influence_box, read_image
from medlocker.geometry import Box
from medlocker.labels import load_labels
from medlocker.logo import render
from medlocker.placements import FreePlacements
from medlocker.protect import Settings, find_placement_space
from medlocker.regions.scale import covered
from veil import Photograph, drawn, veiled

_STEP = 4
Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Row:
    """One way of marking.

    Args:
        name: Of the row.
        traces: Of every photograph that could be marked.
        given: Share of an image that is left free although no region asks for it, mean.
        free: Share of an image that is left free in all, mean.
    """

    name: str
    traces: Sequence[ImageFeatures]
    given: float | None
    free: float


def names_of(which: str) -> list[str]:
    labels = load_labels(data_folder() / "idrid" / "labels.csv", column="grade").rows
    judging = held_out(labels)
    chosen = {
        "all": set(labels),
        "tune": kept_to_tune_on(labels),
        "held-out": judging,
        "rest": set(labels) - judging,
    }[which]
    return sorted(chosen)


def read_photographs(names: Sequence[str]) -> list[Photograph]:
    """Return photographs that are read again from disk wherever their pixels are needed."""
    data = data_folder()
    labels = load_labels(data / "idrid" / "labels.csv", column="grade")
    regions = lesion_boxes(data)
    donors = lesion_donors(data, regions=regions)

    def one(name: str) -> Photograph:
        image = read_image((data / "idrid" / "images" / name).read_bytes(), name=name)
        boxes = regions.boxes_for(name, width=image.width, height=image.height)
        grown = tuple(influence_box(image, box) for box in boxes)
        return Photograph(name, image, str(labels.for_name(name)), grown, True, donors)

    with ThreadPoolExecutor(2) as pool:
        return list(pool.map(one, names))


def free_of_veil(photo: Photograph, settings: Settings) -> Mask:
    """Return (H, W) where a veil keeps out."""
    veil = drawn(photo, settings)
    return covered(veil.keep_out, width=photo.image.width, height=photo.image.height)


def veil_row(name: str, photos: Sequence[Photograph], settings: Settings, *, files: bool) -> Row:
    traces, given, free = [], [], []
    for photo in photos:
        holes = free_of_veil(photo, settings)
        own = covered(photo.boxes, width=photo.image.width, height=photo.image.height)
        given.append(float((holes & ~own).mean()))
        free.append(float(holes.mean()))
        if files:
            before = np.asarray(photo.image.pixels)
            traces.append(trace(before, veiled(photo, settings), photo.label))
        else:
            traces.append(ImageFeatures(layout_numbers(~holes), np.zeros(1), photo.label))
    return Row(name, traces, float(np.mean(given)), float(np.mean(free)))


def marks_row(name: str, photos: Sequence[Photograph], settings: Settings, *, seed: int) -> Row:
    """Put as many marks as fit at random free places, of the size and turn that the preset finds."""
    traces, free = [], []
    for photo in photos:
        width, height = photo.image.width, photo.image.height
        try:
            room = find_placement_space(
                settings,
                LOGO,
                width=width,
                height=height,
                boxes=photo.boxes,
                step=_STEP,
                seed=photo.key,
                key=photo.key,
            )
        except NoRoomError:
            continue
        rng = np.random.default_rng([seed, *np.frombuffer(photo.key, np.uint32).tolist()])
        support = render(LOGO, room.size_px, rotation=room.rotation, hardening=room.hardening).support
        taken: list[Box] = []
        marked: Mask = np.zeros((height, width), np.bool_)
        for _ in range(room.most_marks):
            places = FreePlacements(image=(width, height), support=support, boxes=(*photo.boxes, *taken))
            try:
                x, y = (int(value) for value in places.sample(rng, 1)[0])
            except NoRoomError:
                break
            marked[y : y + support.shape[0], x : x + support.shape[1]] |= support
            taken.append(Box(x, y, support.shape[1], support.shape[0]))
        traces.append(ImageFeatures(layout_numbers(marked), np.zeros(1), photo.label))
        free.append(1 - float(marked.mean()))
    return Row(name, traces, None, float(np.mean(free)))


def with_shuffled_labels(row: Row) -> Row:
    """Return the control: the same layouts, labels dealt out anew."""
    dealt = np.random.default_rng(0).permutation([one.label for one in row.traces])
    shuffled = [replace(one, label=str(label)) for one, label in zip(row.traces, dealt, strict=True)]
    return replace(row, name=f"{row.name}, labels shuffled", traces=shuffled)


def cells(row: Row, *, files: bool) -> list[list[str]]:
    lines = []
    for found in measure_side_channels(row.traces)[: 2 if files else 1]:
        told = found.told
        if told is None:
            raise SystemExit(f"{row.name}: too few photographs")
        lines.append(
            [
                row.name,
                found.channel,
                str(told.n),
                _with(told.auc, told.interval),
                _with(told.mean_auc, told.mean_interval),
                _with(told.kappa, told.kappa_interval),
                f"{row.free:.1%}",
                "-" if row.given is None else f"{row.given:.1%}",
            ]
        )
    return lines


def _with(value: float, interval: tuple[float, float]) -> str:
    return f"{value:.2f} ({interval[0]:.2f} to {interval[1]:.2f})"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--photographs", choices=("all", "tune", "held-out", "rest"), default="all")
    parser.add_argument("--files", action="store_true", help="take veils from files that were written")
    parser.add_argument("--seed", type=int, default=0, help="of the places of single marks")
    options = parser.parse_args()
    photos = read_photographs(names_of(options.photographs))
    alone = [replace(photo, donors=None) for photo in photos]
    settings = Settings(preset="veil")
    rows: list[Callable[[], Row]] = [
        lambda: veil_row("veil, no decoys", photos, replace(settings, decoys=False), files=options.files),
        lambda: veil_row("veil, filled up to a share", alone, settings, files=options.files),
        lambda: veil_row("veil, like other images' lesions", photos, settings, files=options.files),
    ]
    if options.files:  # seconds a photograph
        rows = [rows[0], rows[2]]
    else:
        for preset in ("strong", "paper"):
            chosen: Any = preset
            name, marks = f"`{preset}`, random places", Settings(preset=chosen)
            rows.append(partial(marks_row, name, photos, marks, seed=options.seed))
    head = ["marks", "read from", "n", "AUC, grade 2 to 4 against 0 and 1", "mean AUC of each grade"]
    print(table([*head, "kappa", "free in all", "given away"], []), flush=True)
    control: Row | None = None
    for make in rows:
        row = make()
        control = control or row
        for line in cells(row, files=options.files):
            print("| " + " | ".join(line) + " |", flush=True)
    if control is not None:
        for line in cells(with_shuffled_labels(control), files=options.files):
            print("| " + " | ".join(line) + " |", flush=True)


if __name__ == "__main__":
    main()
