"""What it is worth to choose how veils look: the chosen style against the shipped one, on models never seen.

    MEDLOCKER_DATA=... python benchmarks/veilchoice.py --model DIR --model DIR [--model DIR]
        [--target DIR ...] [--data-set idrid|isic2017] [--limit N] [--sample N] [--budget N]
        [--aim same|key|wrong] [--together]

Every model is left out once: the others choose on the photographs kept to tune on, and the style is put on
the held-out ones, which are encoded, read again and judged by the model that was left out. Last, all choose
together and judge what they chose, and so do the targets, which never choose; beside it what `prepare`
forecasts. --together does only that. Lesion boxes are kept out, with decoys.
"""

from __future__ import annotations

import argparse
import hashlib
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from _idrid import LOGO, data_folder, lesion_boxes, lesion_donors
from _split import held_out, kept_to_tune_on
from _tables import share, table
from medlocker.classifiers import Classifier, load_classifier
from medlocker.formats import influence_box, mark_file, read_image
from medlocker.geometry import Box
from medlocker.images import Image, viewed
from medlocker.information import measure_information
from medlocker.labels import class_indices, load_labels
from medlocker.metrics import cohen_kappa, kappa_interval, kappa_weighting
from medlocker.prepare import ChosenVeil, VeilPreparation, prepare_veil
from medlocker.protect import Settings
from medlocker.protect.legibility import visible_change
from medlocker.protect.veiled import draw, reduce_opacity
from medlocker.release import find_inputs
from medlocker.veilstyle import DEFAULT_STYLE, VeilStyle

COLUMNS = {"idrid": "grade", "isic2017": "melanoma"}


@dataclass(frozen=True, eq=False)
class Photograph:
    """One held-out photograph, and what is kept out of it."""

    name: str
    image: Image
    boxes: tuple[Box, ...]


class Bench:
    """One data set, its models, and the photographs to judge on."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.options = options
        self.folder = data_folder() / options.data_set
        self.labels = load_labels(self.folder / "labels.csv", column=COLUMNS[options.data_set])
        self.regions = lesion_boxes(data_folder()) if options.data_set == "idrid" else None
        self.donors = lesion_donors(data_folder(), regions=self.regions) if self.regions else None
        self.models: list[Classifier] = [load_classifier(path) for path in (*options.model, *options.target)]
        self.classes = [class_indices(self.labels, model.classes).indices for model in self.models]
        names = sorted(held_out(self.labels.rows))[: options.limit]
        self.photographs = [self._read(name) for name in names]
        self.truth = [
            np.array([classes[str(self.labels.for_name(name))] for name in names]) for classes in self.classes
        ]
        self.clean = [
            np.concatenate([model.logits(model.canvas(viewed(p.image))[None]) for p in self.photographs])
            for model in self.models
        ]

    def _read(self, name: str) -> Photograph:
        image = read_image((self.folder / "images" / name).read_bytes(), name=name)
        size = {"width": image.width, "height": image.height}
        boxes = self.regions.boxes_for(name, **size) if self.regions else ()
        return Photograph(name, image, tuple(influence_box(image, box) for box in boxes))

    def choose(self, models: Sequence[int]) -> ChosenVeil:
        """Choose with some of the models, on the photographs kept to tune on."""
        options = self.options
        with TemporaryDirectory() as folder:
            listed = Path(folder) / "tune-on.txt"
            paths = [self.folder / "images" / name for name in sorted(kept_to_tune_on(self.labels.rows))]
            listed.write_text("".join(f"{path.absolute()}\n" for path in paths))
            preparation = VeilPreparation(
                find_inputs(listed),
                [self.models[k] for k in models],
                LOGO,
                Settings(preset="veil", aim=options.aim),
                labels=self.labels,
                classes=tuple(self.classes[k] for k in models),
                regions=self.regions,
                sample=options.sample,
                budget=options.budget and options.budget * len(models),
            )
            return prepare_veil(preparation)

    def rows(self, what: str, style: VeilStyle, judges: Sequence[int]) -> list[list[str]]:
        """Put a style on all photographs, and return what is left of each judge's answers."""
        settings = Settings(preset="veil", style=style)
        seen, marked = [], []
        for one in self.photographs:
            key = hashlib.sha256(one.name.encode()).digest()[:16]
            veil = draw(
                settings,
                LOGO,
                one.image,
                one.boxes,
                key=key,
                with_decoys=self.regions is not None,
                donors=self.donors,
            )
            while True:
                again = read_image(mark_file(one.image, (veil,), logo=LOGO).data, name=one.name)
                psnr = visible_change(one.image, again).psnr_db
                weaker = reduce_opacity(veil, psnr_db=psnr, settings=settings)
                if weaker is None:
                    break
                veil = weaker
            seen.append(psnr)
            marked.append([self.models[k].canvas(viewed(again)) for k in judges])
        legible = f"{np.median(seen):.1f} / {min(seen):.1f}"
        rows = []
        for position, k in enumerate(judges):
            model, truth = self.models[k], self.truth[k]
            logits = np.concatenate([model.logits(views[position][None]) for views in marked])
            answers, weighting = logits.argmax(axis=1), kappa_weighting(model.classes)
            right = self.clean[k].argmax(axis=1) == truth
            confusion = np.zeros((len(model.classes),) * 2, np.int64)
            np.add.at(confusion, (truth, answers), 1)
            low, high = kappa_interval(confusion, weighting=weighting)
            found = measure_information(logits, truth)
            information = "-" if found is None else f"{found.plain.left:.0%}"
            kappa = f"{cohen_kappa(confusion, weighting=weighting):.2f} ({low:.2f} to {high:.2f})"
            left = share(int((right & (answers == truth)).sum()), int(right.sum()))
            most = f"{np.bincount(answers).max() / len(answers):.0%}"
            rows.append([model.name, what, left, kappa, information, most, legible])
        return rows


def _looks_like(style: VeilStyle) -> str:
    """Return what differs from the shipped style."""
    own, shipped = style.to_json(), DEFAULT_STYLE.to_json()
    return ", ".join(f"{name} {value}" for name, value in own.items() if value != shipped[name])


def forecast_rows(found: ChosenVeil) -> list[list[str]]:
    """Return what is expected of models never seen, from the photographs kept to tune on."""
    rows = []
    for told in found.forecast.chosen:
        low, high = told.kappa_interval
        left = share(round((told.left or 0) * told.right), told.right)
        information = "-" if told.information is None else f"{told.information:.0%}"
        kappa = f"{told.kappa:.2f} ({low:.2f} to {high:.2f})"
        rows.append([told.model, "forecast, left out", left, kappa, information, "-", "-"])
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--model", type=Path, action="append", required=True)
    parser.add_argument("--target", type=Path, action="append", default=[])
    parser.add_argument("--data-set", choices=COLUMNS, default="idrid")
    parser.add_argument("--limit", type=int)
    parser.add_argument("--sample", type=int, default=96)
    parser.add_argument("--budget", type=int, help="for each model")
    parser.add_argument("--together", action="store_true")
    parser.add_argument("--aim", choices=("same", "key", "wrong"), default="same")
    bench = Bench(parser.parse_args())
    everyone = range(len(bench.models))
    rows = bench.rows("shipped", DEFAULT_STYLE, everyone)
    choosers = range(len(bench.options.model))
    for out in (*choosers, None):
        choosing = [k for k in choosers if k != out]
        if not choosing or (bench.options.together and out is not None):
            continue
        begun = time.monotonic()
        found = bench.choose(choosing)
        chosen = found.prepared
        who = "chosen by the others" if out is not None else "chosen by all"
        print(
            f"{who if out is None else f'{bench.models[out].name} left out'}: {_looks_like(chosen.style)}; "
            f"{chosen.facts['evaluations']} evaluations, {time.monotonic() - begun:.0f} s",
            flush=True,
        )
        rows += bench.rows(who, chosen.style, everyone if out is None else [out])
        if out is None:
            rows += forecast_rows(found)
    rows.sort(key=lambda row: row[0])
    head = ["model", "style", "left", "kappa", "information", "commonest answer", "PSNR, dB, median / least"]
    print(table(head, rows))


if __name__ == "__main__":
    main()
