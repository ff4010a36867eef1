"""What veils leave of models that were never asked, beside what other marks leave; and what they cost.

    MEDLOCKER_DATA=... python benchmarks/veil.py --target DIR [--target DIR ...] [--surrogate DIR]
        [--data-set idrid|isic2017] [--limit N] [--table main|opacity|period|ablation|decoys|attacks]
        [--veil LOGO_DIR] [--tune]

main: clean images, three plain logos at random, a grey panel that changes as much as the veil, `strong`
(searched on --surrogate), and the veil. opacity, period: curves. ablation: one thing changed at a time.
decoys: none, those that fill up to a share,
those like other images' lesions. attacks: what processing gives back. Every image is marked by the
program's own pipeline at its own size and format, written, read again and judged by each target's own
pipeline. Nothing is searched on a target. --tune takes the images kept to tune on instead of those to judge
on; --veil takes a style that was prepared.
"""

from __future__ import annotations

import argparse
import hashlib
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from _idrid import LOGO, data_folder, lesion_boxes, lesion_donors
from _split import held_out, kept_to_tune_on
from _tables import share, table
from medlocker.classifiers import Classifier, load_classifier, with_gradients
from medlocker.engines import make_search
from medlocker.errors import NoRoomError
from medlocker.evaluate import Control
from medlocker.formats import influence_box, mark_file, read_image
from medlocker.geometry import Box
from medlocker.images import Image, viewed
from medlocker.information import measure_information
from medlocker.labels import class_indices, load_labels
from medlocker.legibility import measure_legibility
from medlocker.marking import mark_pixels
from medlocker.metrics import cohen_kappa, kappa_interval, kappa_weighting, measure
from medlocker.preparedveil import load_prepared_veil
from medlocker.protect import DecoySource, Settings, find_placement_space, pose_problem
from medlocker.protect.veiled import draw, reduce_opacity
from medlocker.search import BatchScheduler, Preview
from medlocker.veil import Veil
from medlocker.veilstyle import DEFAULT_STYLE, VeilStyle

COLUMNS = {"idrid": "grade", "isic2017": "melanoma"}
Pixels = NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class Photograph:
    """One image: lesion boxes grown by what marking beside them would change."""

    name: str
    image: Image
    label: str
    boxes: tuple[Box, ...]
    has_regions: bool
    """Of the data set: decoys are only where some image has regions."""
    donors: DecoySource | None = None

    @property
    def key(self) -> bytes:
        return hashlib.sha256(self.name.encode()).digest()


def photographs(data_set: str, *, limit: int | None, tune: bool) -> Iterator[Photograph]:
    data = data_folder()
    labels = load_labels(data / data_set / "labels.csv", column=COLUMNS[data_set])
    regions = lesion_boxes(data) if data_set == "idrid" else None
    donors = lesion_donors(data, regions=regions) if regions else None
    names = sorted((kept_to_tune_on if tune else held_out)(labels.rows))
    if limit is not None and limit < len(names):
        names = [names[round(i * (len(names) - 1) / (limit - 1))] for i in range(limit)]
    for name in names:
        image = read_image((data / data_set / "images" / name).read_bytes(), name=name)
        boxes = regions.boxes_for(name, width=image.width, height=image.height) if regions else ()
        grown = tuple(influence_box(image, box) for box in boxes)
        yield Photograph(name, image, str(labels.for_name(name)), grown, regions is not None, donors)


def check_regions(photo: Photograph, after: Pixels) -> None:
    for box in photo.boxes:
        window = (slice(box.y + 1, box.bottom - 1), slice(box.x + 1, box.right - 1))
        if not np.array_equal(after[window], photo.image.pixels[window]):
            raise SystemExit(f"{photo.name}: a pixel inside a region changed")


def drawn(photo: Photograph, settings: Settings) -> Veil:
    """Draw the veil of one photograph as `protect` does."""
    return draw(
        settings,
        LOGO,
        photo.image,
        photo.boxes,
        key=photo.key[:16],
        with_decoys=settings.decoys and photo.has_regions,
        donors=photo.donors,
    )


def veiled(photo: Photograph, settings: Settings) -> Pixels:
    """Veil one photograph as `protect` does: decoys, legibility, the file written and read again."""
    veil = drawn(photo, settings)
    after = np.asarray(read_image(mark_file(photo.image, [veil], logo=LOGO).data, name=photo.name).pixels)
    weaker = reduce_opacity(veil, psnr_db=psnr(photo.image.pixels, after), settings=settings)
    if weaker is not None:
        after = np.asarray(
            read_image(mark_file(photo.image, [weaker], logo=LOGO).data, name=photo.name).pixels
        )
    check_regions(photo, after)
    return after


def all_veiled(photos: Sequence[Photograph], settings: Settings) -> list[Pixels]:
    with ThreadPoolExecutor(2) as pool:
        return list(pool.map(partial(veiled, settings=settings), photos))


def psnr(before: Pixels, after: Pixels) -> float:
    return float(10 * np.log10(255**2 / np.square(before.astype(np.float32) - after).mean()))


def random_logos(photo: Photograph) -> Pixels:
    """Put three plain logos at random free places; those of them that find room."""
    control = Control(LOGO, opacity=0.8, size=0.25, seed=1)
    size = round(0.25 * min(photo.image.height, photo.image.width))
    for count in (3, 2, 1):
        try:
            marks = control.marks(photo.image, name=photo.name, sizes_px=(size,) * count, boxes=photo.boxes)
        except NoRoomError:
            continue
        return np.asarray(mark_pixels(photo.image, marks, logo=LOGO).pixels)
    return np.asarray(photo.image.pixels)


def panel(photo: Photograph, like: Pixels) -> Pixels:
    """Lay mid-grey over what a veil changed, at the opacity that changes as much in the mean."""
    before = photo.image.pixels.astype(np.float32)
    touched = (like != photo.image.pixels).any(axis=2, keepdims=True)
    change = float(np.abs(like - before)[touched[..., 0]].mean())
    whole = float(np.abs(128 - before)[touched[..., 0]].mean())
    after = np.where(touched, before + (128 - before) * min(change / whole, 1), before)
    return np.asarray(np.rint(after), np.uint8)


def strong(photos: Sequence[Photograph], surrogate: Classifier, index: Any) -> list[Pixels]:
    """Search `strong` marks on the surrogate, as `protect` does."""
    settings = Settings(preset="strong")
    search = make_search(settings, [surrogate])
    tasks, order = [], []
    for number, photo in enumerate(photos):
        preview = Preview(photo.image, [surrogate], logo=LOGO)
        size = {"width": photo.image.width, "height": photo.image.height}
        try:
            room = find_placement_space(
                settings, LOGO, **size, boxes=photo.boxes, step=preview.step, seed=photo.key, key=photo.key
            )
        except NoRoomError:
            continue
        problem = pose_problem(settings, preview, room=room, labels=(index[photo.label],))
        tasks.append(search.run(problem, rng=np.random.default_rng([7, number])))
        order.append(number)
    pictures = [np.asarray(photo.image.pixels) for photo in photos]
    for key, found in BatchScheduler([surrogate]).run(tasks):
        photo = photos[order[key]]
        pictures[order[key]] = np.asarray(mark_pixels(photo.image, found.marks, logo=LOGO).pixels)
    return pictures


@dataclass(frozen=True, eq=False)
class Judge:
    """Targets and what they say of the unmarked photographs."""

    photos: Sequence[Photograph]
    targets: Sequence[Classifier]
    truths: Sequence[NDArray[np.int64]]
    clean: Sequence[NDArray[np.float32]]

    @classmethod
    def of(cls, photos: Sequence[Photograph], targets: Sequence[Classifier], data_set: str) -> Judge:
        labels = load_labels(data_folder() / data_set / "labels.csv", column=COLUMNS[data_set])
        truths = []
        for target in targets:
            index = class_indices(labels, target.classes).indices
            truths.append(np.array([index[photo.label] for photo in photos], np.int64))
        pictures = [np.asarray(photo.image.pixels) for photo in photos]
        return cls(photos, targets, truths, [ask(target, photos, pictures) for target in targets])

    def cells(self, pictures: Sequence[Pixels]) -> list[str]:
        """Return for each target: accuracy, left, kappa, AUC, information left."""
        found = []
        for target, truth, clean in zip(self.targets, self.truths, self.clean, strict=True):
            logits = ask(target, self.photos, pictures)
            answers, right = logits.argmax(axis=1), clean.argmax(axis=1) == truth
            metrics = measure(logits, truth)
            weighting = kappa_weighting(target.classes)
            low, high = kappa_interval(metrics.confusion, weighting=weighting)
            told = measure_information(logits, truth)
            information = "-" if told is None else f"{told.plain.left:+.0%} of {told.plain.control:.0%}"
            auc = "" if metrics.auc is None else f", AUC {metrics.auc:.2f}"
            kappa = cohen_kappa(metrics.confusion, weighting=weighting)
            left = share(int(((answers == truth) & right).sum()), int(right.sum()))
            found.append(
                f"{metrics.accuracy:.0%}; {left}; {kappa:.2f} ({low:.2f} to {high:.2f}){auc}; {information}"
            )
        return found


def ask(target: Classifier, photos: Sequence[Photograph], pictures: Sequence[Pixels]) -> NDArray[np.float32]:
    pieces = []
    for start in range(0, len(pictures), 16):
        canvases = [
            target.canvas(viewed(photo.image, picture))
            for photo, picture in zip(photos[start : start + 16], pictures[start : start + 16], strict=True)
        ]
        pieces.append(target.logits(np.stack(canvases)))
    return np.concatenate(pieces)


def quality(photos: Sequence[Photograph], pictures: Sequence[Pixels]) -> str:
    values = [
        psnr(photo.image.pixels, picture)
        for photo, picture in zip(photos, pictures, strict=True)
        if (photo.image.pixels != picture).any()
    ]
    if not values:
        return "-"
    areas = [
        float((photo.image.pixels != picture).any(axis=2).mean())
        for photo, picture in zip(photos, pictures, strict=True)
    ]
    kept = [
        measure_legibility(photo.image.pixels, picture).contrast
        for photo, picture in zip(photos[::4], pictures[::4], strict=True)
    ]
    contrast = [value for value in kept if value is not None]
    return (
        f"{np.median(values):.1f} / {min(values):.1f} dB; {np.mean(areas):.0%}; "
        f"{np.median(contrast):.0%} / {min(contrast):.0%}"
        if contrast
        else f"{np.median(values):.1f} / {min(values):.1f} dB; {np.mean(areas):.0%}"
    )


ATTACKS: dict[str, Callable[[Pixels], Pixels]] = {
    "as it is": lambda pixels: pixels,
    "JPEG 75": lambda pixels: _coded(pixels, 75),
    "JPEG 50": lambda pixels: _coded(pixels, 50),
    "half and back": lambda pixels: _scaled(pixels, 0.5),
    "blur, sigma 2": lambda pixels: np.asarray(cv2.GaussianBlur(pixels, (0, 0), 2), np.uint8),
    "blur, sigma 4": lambda pixels: np.asarray(cv2.GaussianBlur(pixels, (0, 0), 4), np.uint8),
    "median 5": lambda pixels: np.asarray(cv2.medianBlur(pixels, 5), np.uint8),
    "median 11": lambda pixels: np.asarray(cv2.medianBlur(pixels, 11), np.uint8),
    "non-local means": lambda pixels: np.asarray(
        cv2.fastNlMeansDenoisingColored(pixels, None, 10, 10, 7, 21), np.uint8
    ),
    "quarter and back": lambda pixels: _scaled(pixels, 0.25),
}


def _coded(pixels: Pixels, level: int) -> Pixels:
    data = cv2.imencode(".jpg", pixels[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, level])[1]
    decoded = cv2.imdecode(data, cv2.IMREAD_COLOR)
    if decoded is None:
        raise ValueError("expected what was just written")
    return np.ascontiguousarray(decoded[..., ::-1], dtype=np.uint8)


def _scaled(pixels: Pixels, scale: float) -> Pixels:
    height, width = pixels.shape[:2]
    small = cv2.resize(pixels, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.resize(small, (width, height), interpolation=cv2.INTER_LINEAR), np.uint8)


def variants(name: str, style: VeilStyle) -> dict[str, Settings]:
    """Return the rows of a table of veils."""
    base = Settings(preset="veil", style=style)
    none = replace(base, legibility=0.0)
    if name == "opacity":
        values = (0.04, 0.06, 0.08, 0.1, 0.12, 0.15, 0.2, 0.25)
        return {f"opacity {v:g}": replace(none, style=replace(style, opacity=v)) for v in values}
    if name == "period":
        shares = (0.03, 0.045, 0.07, 0.1, 0.14, 0.2, 0.3)
        return {f"period {v:g}": replace(none, style=replace(style, period=v)) for v in shares}
    if name == "ablation":
        changes: dict[str, dict[str, Any]] = {
            "rows not staggered": {"stagger": 0.0},
            "copies not turned": {"turn": 0.0},
            "one size": {"scale": 0.0},
            "no warp": {"warp": 0.0},
            "more warp (0.12)": {"warp": 0.12},
            "no texture": {"texture": 0},
            "no negatives": {"negatives": False},
            "one period for all images": {"spread": 0.0},
            "copies further apart (fill 0.5)": {"fill": 0.5},
            "copies overlap (fill 1)": {"fill": 1.0},
            "grey ground of 0.05": {"ground": 0.05, "tint": 0x808080},
            "white ground of 0.05": {"ground": 0.05, "tint": 0xFFFFFF},
            "one stamp": {"stamps": 1},
        }
        rows = {what: replace(base, style=replace(style, **change)) for what, change in changes.items()}
        dense = VeilStyle(period=0.045, spread=0.0, fill=1.2, opacity=0.125, warp=0.1, texture=32)
        rows["dense and fine (as shipped before)"] = replace(base, style=dense)
        return {"as it is": base, **rows, "no decoys": replace(base, decoys=False)}
    return {"veil": base}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--target", type=Path, action="append", required=True)
    parser.add_argument("--surrogate", type=Path, help="`strong` is searched on it")
    parser.add_argument("--data-set", choices=sorted(COLUMNS), default="idrid")
    parser.add_argument("--limit", type=int)
    parser.add_argument("--veil", type=Path, help="folder of `medlocker prepare --preset veil`")
    parser.add_argument("--tune", action="store_true")
    parser.add_argument(
        "--table", choices=("main", "opacity", "period", "ablation", "decoys", "attacks"), default="main"
    )
    options = parser.parse_args()
    photos = list(photographs(options.data_set, limit=options.limit, tune=options.tune))
    targets = [load_classifier(path) for path in options.target]
    names = [path.name.removeprefix(f"{options.data_set}-") for path in options.target]
    judge = Judge.of(photos, targets, options.data_set)
    style = load_prepared_veil(options.veil).style if options.veil else DEFAULT_STYLE
    what = "kept to tune on" if options.tune else "held out"
    print(
        f"{len(photos)} images {what}. Each cell: accuracy; share of the answers right when clean that stay "
        "right; kappa; AUC with two classes; information left above the most frequent class.\n"
    )
    print(table(["mark", "PSNR median / worst; area; contrast kept", *names], []), flush=True)

    def row(name: str, pictures: Sequence[Pixels]) -> None:
        cells = [name, quality(photos, pictures), *judge.cells(pictures)]
        print("| " + " | ".join(cells) + " |", flush=True)

    clean = [np.asarray(photo.image.pixels) for photo in photos]
    row("clean", clean)
    if options.table == "main":
        row("three plain logos at random", [random_logos(photo) for photo in photos])
        settings = Settings(preset="veil", style=style)
        veils = all_veiled(photos, settings)
        row("grey panel, as much change", [panel(*pair) for pair in zip(photos, veils, strict=True)])
        if options.surrogate:
            labels = load_labels(
                data_folder() / options.data_set / "labels.csv", column=COLUMNS[options.data_set]
            )
            model = with_gradients(load_classifier(options.surrogate), options.surrogate)
            index = class_indices(labels, model.classes).indices
            row(f"strong, searched on {options.surrogate.name}", strong(photos, model, index))
        row("veil", veils)
        return
    if options.table == "attacks":
        settings = Settings(preset="veil", style=style)
        veils = all_veiled(photos, settings)
        for name, attack in ATTACKS.items():
            row(f"clean, {name}", [attack(picture) for picture in clean])
            row(f"veil, {name}", [attack(picture) for picture in veils])
        return
    if options.table == "decoys":
        settings = Settings(preset="veil", style=style)
        alone = [replace(photo, donors=None) for photo in photos]
        row("no decoys", [veiled(photo, replace(settings, decoys=False)) for photo in photos])
        row("filled up to a share", [veiled(photo, settings) for photo in alone])
        row("like other images' lesions", all_veiled(photos, settings))
        return
    for name, settings in variants(options.table, style).items():
        row(name, all_veiled(photos, settings))


if __name__ == "__main__":
    main()
