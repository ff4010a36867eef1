"""Which models `medlocker audit` finds to be trained on the marked files of a release, and which it must not.

    MEDLOCKER_DATA=... python benchmarks/audit.py [--out .cache/audit] [--seeds 3] [--epochs 15] [--size 128]

Photographs of IDRiD (referable or not), shorter side 356 px, are marked with every preset. MobileNetV2 from
ImageNet's weights learns, by the program's own trainer with its mirrors, crops, turns and colours: the marked
files; the originals of the same; the marked files of another owner's release of the same; other photographs.
The weights of the best validation epoch are kept, or (`last`) those after a fixed number of epochs.
Then every model is asked about every release. What is there already is not made again.
"""

from __future__ import annotations

import argparse
import csv
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

import medlocker as ml
from _idrid import data_folder
from _last_weights import train_to_the_end
from _pretrained import pretrained
from _split import held_out
from _tables import table
from medlocker.audit import Marker, ask, choose, compare_with_others
from medlocker.certificates import load_owner, new_owner, open_release, owner_access
from medlocker.classifiers import Classifier, batch_for, load_classifier
from medlocker.files import write_atomic
from medlocker.options import AUDITED_IMAGES, OTHER_MARKS
from medlocker.train import TrainOptions

_BACKBONE = "mobilenetv2_100"
_SIZE_PX = (536, 356)
_EPOCHS_TO_THE_END = 20
_PRESETS = ("veil", "strong", "paper")
_FEW = (25, 50, 100)
_REPEATS = 40


@dataclass(frozen=True)
class Study:
    """Folders and settings."""

    out: Path
    seeds: int
    epochs: int
    size: int

    @property
    def labels(self) -> Path:
        """Table of all photographs."""
        return self.out / "labels.csv"

    def release(self, name: str) -> Path:
        """Folder of a release."""
        return self.out / f"release-{name}"


def prepare(study: Study) -> None:
    """Write small photographs in two folders, and their labels."""
    data = data_folder() / "idrid"
    with (data / "labels.csv").open(newline="") as stream:
        ill = {row["image"]: "yes" if int(row["grade"]) >= 2 else "no" for row in csv.DictReader(stream)}
    away = held_out(ill, share=0.42)
    for name in ill:
        target = study.out / ("others" if name in away else "originals") / name
        if not target.exists():
            picture = np.asarray(cv2.imread(str(data / "images" / name)), np.uint8)
            _save(
                target, np.asarray(cv2.resize(picture, _SIZE_PX, interpolation=cv2.INTER_AREA), np.uint8), 92
            )
    lines = "".join(f"{name},{label}\n" for name, label in ill.items())
    write_atomic(study.labels, f"image,referable\n{lines}".encode("ascii"), overwrite=True)


def mark(study: Study) -> None:
    """Make the releases: of every preset one, and a second of veils by another owner."""
    for name in (*_PRESETS, "veil-second"):
        owner = study.out / ("second" if name == "veil-second" else name)
        if not owner.with_name(f"{owner.name}.sign.key").exists():
            new_owner(owner)
        if (study.release(name) / "certificate").exists():
            continue
        kind = name.removesuffix("-second")
        veil = kind == "veil"
        ml.protect(
            study.out / "originals",
            owner=owner,
            out=study.release(name),
            preset=ml.Veil() if veil else ml.Marks(preset=kind, search="random", budget=1),  # type: ignore[arg-type]
            models=() if veil else "medlocker.testing:LinearClassifier",
            lesions="none",
        )


def change(
    study: Study, name: str, how: Callable[[NDArray[np.uint8]], NDArray[np.uint8]], quality: int
) -> Path:
    """Write the marked files of the release of veils, changed in some way."""
    folder = study.out / f"changed-{name}"
    for path in sorted((study.release("veil") / "images").iterdir()):
        if not (folder / path.name).exists():
            _save(folder / path.name, how(np.asarray(cv2.imread(str(path)), np.uint8)), quality)
    return folder


def _halved(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return np.asarray(cv2.resize(picture, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA), np.uint8)


def _save(path: Path, picture: NDArray[np.uint8], quality: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), picture, [cv2.IMWRITE_JPEG_QUALITY, quality])


def train(study: Study, folder: Path, name: str, *, seed: int, epochs: int) -> None:
    """Train one model by the program's own command."""
    out = study.out / "models" / name
    if (out / "model.card.json").exists():
        return
    started = time.perf_counter()
    command = [
        *(sys.executable, "-m", "medlocker", "train", "classifier", str(folder)),
        *("--labels", str(study.labels), "--label-column", "referable", "--backbone", _BACKBONE),
        *("--weights", str(pretrained(_BACKBONE, study.out / "imagenet")), "--epochs", str(epochs)),
        *("--patience", str(epochs), "--size", str(study.size), "--seed", str(seed), "--out", str(out)),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(done.stderr)
    print(f"trained {name} in {time.perf_counter() - started:.0f} s", file=sys.stderr, flush=True)


def train_last(study: Study, folder: Path, name: str, *, seed: int) -> None:
    """Train one model and keep the weights of its last epoch."""
    out = study.out / "models" / name
    if (out / "model.card.json").exists():
        return
    weights = pretrained(_BACKBONE, study.out / "imagenet")
    if weights is None:
        raise SystemExit(f"no weights of {_BACKBONE}")
    train_to_the_end(
        folder,
        study.labels,
        out,
        backbone=_BACKBONE,
        weights=weights,
        options=TrainOptions(
            epochs=_EPOCHS_TO_THE_END, patience=_EPOCHS_TO_THE_END, size=study.size, seed=seed
        ),
    )


def jobs(study: Study) -> list[tuple[str, Callable[[], None]]]:
    """Return all models to train, the most important ones first."""
    veil = study.release("veil") / "images"
    found: list[tuple[str, Callable[[], None]]] = []

    def add(name: str, folder: Path, seed: int = 0, epochs: int = study.epochs) -> None:
        found.append((name, partial(train, study, folder, name, seed=seed, epochs=epochs)))

    def add_last(kind: str, folder: Path, seed: int) -> None:
        name = f"{kind}-last-{seed}"
        found.append((name, partial(train_last, study, folder, name, seed=seed)))

    for seed in range(study.seeds, 2 * study.seeds):
        add_last("veil", veil, seed)
    for seed in range(study.seeds, 2 * study.seeds):
        add_last("originals", study.out / "originals", seed)
    for seed in range(study.seeds):
        add(f"veil-{seed}", veil, seed)
        add(f"originals-{seed}", study.out / "originals", seed)
        add(f"veil-second-{seed}", study.release("veil-second") / "images", seed)
        add(f"others-{seed}", study.out / "others", seed)
    for preset in _PRESETS[1:]:
        for seed in range(study.seeds):
            add(f"{preset}-{seed}", study.release(preset) / "images", seed)
    for epochs in (4, 8):
        add(f"veil-epochs-{epochs}", veil, epochs=epochs)
    add("veil-jpeg-50", change(study, "jpeg-50", lambda picture: picture, 50))
    add("veil-halved", change(study, "halved", _halved, 92))
    return found


def scores(study: Study, release: str, names: Sequence[str]) -> dict[str, NDArray[np.float64]]:
    """Ask all models about a release, and keep what they say."""
    kept = study.out / f"scores-{AUDITED_IMAGES}"
    missing = [name for name in names if not (kept / f"{release}-{name}.npy").exists()]
    if missing:
        models: list[Classifier] = [load_classifier(study.out / "models" / name) for name in missing]
        keys = load_owner(study.out / release)
        opened = open_release(study.release(release), keys.signing.public)
        access = owner_access(opened, keys.identity())
        sample = choose(access, lambda name: True, images=AUDITED_IMAGES, seed=0)
        marker = Marker(access, opened.logo(), models, OTHER_MARKS, 0, sample.faintness)
        with study.labels.open(newline="") as stream:
            truth = {row["image"]: row["referable"] for row in csv.DictReader(stream)}
        truths = [partial(_index_of, truth, model.classes) for model in models]
        answers = ask(marker, sample.members, truths, batch=batch_for(models), workers=1)
        kept.mkdir(exist_ok=True)
        for name, some in zip(missing, answers.scores, strict=True):
            np.save(kept / f"{release}-{name}.npy", some)
    return {name: np.load(kept / f"{release}-{name}.npy") for name in names}


def _index_of(truth: dict[str, str], classes: tuple[str, ...], name: str) -> int:
    return classes.index(truth[name])


def row(name: str, some: NDArray[np.float64]) -> list[str]:
    """Return one model's row."""
    found = compare_with_others(some)
    return [
        name,
        f"{len(some)}",
        f"{found.p_value:.5f}",
        f"{found.surer:.1%} ({found.interval[0]:.1%} to {found.interval[1]:.1%})",
        f"{found.gain:+.3f} ({found.gain_interval[0]:+.3f} to {found.gain_interval[1]:+.3f})",
    ]


def power(some: NDArray[np.float64], images: int) -> tuple[float, float]:
    """Return the median p-value of so many images, and how often it is below 0.01."""
    rng = np.random.default_rng(images)
    values = [
        compare_with_others(some[rng.choice(len(some), images, replace=False)]).p_value
        for _ in range(_REPEATS)
    ]
    return float(np.median(values)), float(np.mean(np.array(values) < 0.01))


def main() -> int:
    """Make what is missing, and print tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, default=Path(".cache/audit"))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=15)
    parser.add_argument("--size", type=int, default=128)
    parser.add_argument("--only", nargs="+", help="only models whose names begin so")
    options = parser.parse_args()
    study = Study(options.out, options.seeds, options.epochs, options.size)
    prepare(study)
    mark(study)
    names = []
    for name, job in jobs(study):
        if options.only is None or name.startswith(tuple(options.only)):
            job()
            names.append(name)
    head = ("model trained on", "images", "p-value", "surer with the own mark", "log-odds gained")
    for release in _PRESETS:
        asked = [
            name
            for name in names
            if release == "veil" or name.split("-")[0] in (release, "originals", "others")
        ]
        found = scores(study, release, asked)
        print(
            f"\nrelease of preset {release}\n\n{table(head, [row(name, found[name]) for name in asked])}",
            flush=True,
        )
        trained = [name for name in asked if name.split("-")[0] == release and "second" not in name]
        rows = [
            [name, f"{images}", f"{middle:.4f}", f"{share:.0%}"]
            for name in trained
            for images in _FEW
            for middle, share in [power(found[name], images)]
        ]
        print("\n" + table(("model", "images", "p-value, median", "below 0.01"), rows), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
