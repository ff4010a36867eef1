"""Train a classifier on labelled images and write it as a surrogate."""

from __future__ import annotations

import json
import os
from collections.abc import Collection
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from medlocker.classifiers import InputSpec
from medlocker.errors import InputError
from medlocker.files import replacing_folder
from medlocker.labels import Labels
from medlocker.metrics import Criterion, Metrics, choose_criterion
from medlocker.train._pixels import PixelStore
from medlocker.train._plots import confusion_matrix, learning_curve
from medlocker.train._samples import Found, Sample, check_classes, find_samples, stratified
from medlocker.train._watch import TrainingWatch, check_rules
from medlocker.train.augment import MARGIN
from medlocker.train.backbone import Backbone, Weights, make_backbone, suggested_size
from medlocker.train.export import Written, check_output, write_model
from medlocker.train.loop import LoopOptions, Split, Trained, fit

MIN_SIZE_PX, MAX_SIZE_PX = 32, 1024


@dataclass(frozen=True)
class TrainOptions:
    """How to train a classifier.

    Args:
        epochs: At most.
        size: Side of the square input, pixels; None: 224, or 299 for Inception.
        batch_size: Images per step.
        lr: Highest learning rate of AdamW.
        seed: Of split, order and augmentation.
        validation: Share of each class kept to judge epochs by.
        patience: Stop after so many epochs without a better criterion.
        limit: Use at most about this many images.
        device: torch's name, or ``"auto"``: a GPU if there is one.
    """

    epochs: int = 12
    size: int | None = None
    batch_size: int = 32
    lr: float = 5e-4
    seed: int = 0
    validation: float = 0.15
    patience: int = 6
    limit: int | None = None
    device: str = "auto"

    def __post_init__(self) -> None:
        check_rules(
            (
                ("epochs", self.epochs >= 1, "at least 1", self.epochs),
                ("batch size", self.batch_size >= 2, "at least 2", self.batch_size),
                ("learning rate", 0 < self.lr <= 1, "above 0 and at most 1", self.lr),
                ("seed", 0 <= self.seed < 2**63, "from 0 to 2^63 - 1", self.seed),
                (
                    "validation",
                    0 < self.validation <= 0.9,
                    "a share above 0 and at most 0.9",
                    self.validation,
                ),
                ("patience", self.patience >= 1, "at least 1", self.patience),
                ("limit", self.limit is None or self.limit >= 4, "at least 4", self.limit),
                (
                    "size",
                    self.size is None or MIN_SIZE_PX <= self.size <= MAX_SIZE_PX,
                    f"from {MIN_SIZE_PX} to {MAX_SIZE_PX}",
                    self.size,
                ),
            )
        )


class TrainObserver(TrainingWatch):
    """What a caller may want to see; every method does nothing here."""

    def found(self, found: Found) -> None:
        """Images and labels were compared."""

    def backbone(self, backbone: Backbone) -> None:
        """The network is there."""

    def exporting(self) -> None:
        """Training is over, files are being written."""


@dataclass(frozen=True, eq=False)
class TrainResult:
    """What was trained.

    Args:
        classes: In the order of the logits.
        criterion: What decided which weights were kept.
        best_epoch: Counted from 1.
        metrics: On the validation images.
        train_images: How many were learned from.
        unreadable: Names of images that were skipped.
        found: Images and labels compared.
        history: One row per epoch.
    """

    out: Path
    architecture: str
    classes: tuple[str, ...]
    criterion: Criterion
    best_epoch: int
    metrics: Metrics
    train_images: int
    unreadable: tuple[str, ...]
    found: Found
    history: tuple[dict[str, Any], ...]
    written: Written

    def to_json(self) -> dict[str, Any]:
        """Return what ``--json`` prints."""
        return {
            "out": str(self.out),
            "architecture": self.architecture,
            "classes": list(self.classes),
            "train_images": self.train_images,
            "validation": self.metrics.to_json(),
            "criterion": self.criterion,
            "best_epoch": self.best_epoch,
            "epochs": len(self.history),
            "unlabelled": len(self.found.unlabelled),
            "unknown_labels": len(self.found.unknown),
            "excluded": len(self.found.excluded),
            "excluded_unknown": len(self.found.unmatched),
            "unreadable": list(self.unreadable),
            "sha256": self.written.sha256,
            "weights_sha256": self.written.weights_sha256,
            "onnx_difference": self.written.onnx_difference,
            "seconds": sum(row["seconds"] for row in self.history),
        }


@dataclass(frozen=True, eq=False)
class _Data:
    train: Split
    validation: Split
    train_names: tuple[str, ...]
    validation_names: tuple[str, ...]
    unreadable: tuple[str, ...]


def train_classifier(
    folder: Path,
    labels: Labels,
    *,
    backbone: str,
    out: Path,
    weights: Weights = "hub",
    exclude: Collection[str] = (),
    options: TrainOptions | None = None,
    overwrite: bool = False,
    observer: TrainObserver | None = None,
) -> TrainResult:
    """Train a classifier and write ``model.safetensors``, ``model.onnx``, ``model.card.json`` and reports.

    Every image is decoded once and resized by the rule of the card, ``stretch``. Validation images are seen
    exactly as :func:`medlocker.classifiers.load_classifier` will see them.

    Args:
        backbone: Architecture of timm, or of torchvision.
        out: New folder.
        weights: Starting weights: a state dict, ``"hub"`` or ``"none"``.
        exclude: Names of images to leave out, for instance those kept to judge on.
        overwrite: Replace a surrogate that exists.

    Raises:
        InputError: If images and labels give nothing to learn from.
        ModelError: If the network cannot be made, trained or exported.
        OutputExistsError: If ``out`` exists.
    """
    options = options or TrainOptions()
    watch = observer or TrainObserver()
    check_output(out, overwrite=overwrite)
    refuse_inside(out, folder)
    device = device_of(options.device)
    found = find_samples(folder, labels, exclude=exclude, limit=options.limit, seed=options.seed)
    watch.found(found)
    size = options.size or suggested_size(backbone)
    with torch.random.fork_rng(), PixelStore() as store:
        torch.manual_seed(options.seed)  # fresh layers and dropout have no generator of their own
        base = make_backbone(backbone, weights=weights, outputs=len(found.classes), size=size)
        watch.backbone(base)
        data = _load(found, store, options, size=size, watch=watch)
        watch.training(options.epochs * len(data.train.labels))
        loop = LoopOptions(
            epochs=options.epochs,
            size=size,
            batch_size=options.batch_size,
            lr=options.lr,
            seed=options.seed,
            patience=options.patience,
            criterion=choose_criterion(found.classes),
            device=device,
            mean=base.mean,
            std=base.std,
        )
        trained = fit(
            base.network, data.train, data.validation, loop, on_images=watch.trained, on_epoch=watch.epoch
        )
        watch.exporting()
        with replacing_folder(out, check=lambda: check_output(out, overwrite=overwrite)) as temporary:
            card = _card(base, found.classes, trained, loop, train_images=len(data.train.labels))
            samples = data.validation.canvases[:8].astype(np.float32)
            written = write_model(temporary, base.network, card, samples=samples)
            report = _report(base, found, data, trained, loop, options)
            _write_reports(temporary, report, trained, loop.criterion, found.classes)
    return TrainResult(
        out=out,
        architecture=base.architecture,
        classes=found.classes,
        criterion=loop.criterion,
        best_epoch=trained.best_epoch,
        metrics=trained.metrics,
        train_images=len(data.train.labels),
        unreadable=data.unreadable,
        found=found,
        history=trained.history,
        written=written,
    )


def refuse_inside(out: Path, folder: Path) -> None:
    """Refuse an output folder among the images.

    Raises:
        InputError: If it lies there.
    """
    if Path(os.path.realpath(out)).is_relative_to(os.path.realpath(folder)):
        raise InputError(f"output {out.name}: expected a folder outside of the images", subject=out.name)


def device_of(name: str) -> str:
    """Return torch's name of the device to use.

    Raises:
        InputError: If torch has no such device.
    """
    if name == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    try:
        torch.zeros(1, device=name)
    except (RuntimeError, AssertionError, NotImplementedError):  # torch raises all three
        raise InputError(f"device: expected auto, cpu or one that torch has, got {name!r:.40}") from None
    return name


def _load(
    found: Found, store: PixelStore, options: TrainOptions, *, size: int, watch: TrainObserver
) -> _Data:
    """Split, decode, and drop what cannot be read."""
    samples = found.samples
    chosen = set(stratified([s.label for s in samples], options.validation, seed=options.seed))
    parts = (
        ([s for i, s in enumerate(samples) if i not in chosen], round(size * MARGIN)),
        ([s for i, s in enumerate(samples) if i in chosen], size),
    )
    watch.reading(len(samples))
    spec = InputSpec(height=size, width=size)
    splits: list[Split] = []
    kept: list[list[Sample]] = []
    unreadable: list[str] = []
    for members, side in parts:
        pixels = store.decode([s.path for s in members], spec, side=side, on_image=watch.read)
        for position, reason in pixels.failed.items():
            unreadable.append(members[position].name)
            watch.unreadable(members[position].name, reason)
        good = [i for i in range(len(members)) if i not in pixels.failed]
        canvases = pixels.canvases if len(good) == len(members) else pixels.canvases[good]
        kept.append([members[i] for i in good])
        splits.append(Split(canvases, np.array([members[i].label for i in good], np.int64)))
    readable = [found.classes[s.label] for part in kept for s in part]
    check_classes(readable, found.classes, what="readable images")
    for part, what in zip(kept, ("training", "validation"), strict=True):
        if {s.label for s in part} != set(range(len(found.classes))):
            raise InputError(f"{what} images: expected a readable image of every class")
    names = [tuple(s.name for s in part) for part in kept]
    return _Data(splits[0], splits[1], names[0], names[1], tuple(unreadable))


def _card(
    base: Backbone, classes: tuple[str, ...], trained: Trained, loop: LoopOptions, *, train_images: int
) -> dict[str, Any]:
    card: dict[str, Any] = {
        "input": {
            "height": loop.size,
            "width": loop.size,
            "layout": "NCHW",
            "range": [0, 1],
            "mean": list(base.mean),
            "std": list(base.std),
            "resize": "stretch",
        },
        "classes": list(classes),
        "output": "logits",
        "architecture": base.architecture,
        "start": {"weights": base.origin, "licence": base.licence},
        "train_images": train_images,
        "metrics": {"validation": trained.metrics.to_json()},
    }
    return card


def _report(
    base: Backbone, found: Found, data: _Data, trained: Trained, loop: LoopOptions, options: TrainOptions
) -> dict[str, Any]:
    import timm

    return {
        "architecture": base.architecture,
        "start": {"weights": base.origin, "licence": base.licence, "notes": list(base.notes)},
        "options": {**asdict(options), "size": loop.size, "device": loop.device},
        "classes": list(found.classes),
        "criterion": loop.criterion,
        "best_epoch": trained.best_epoch,
        "stopped_early": trained.stopped_early,
        "validation": {**trained.metrics.to_json(), "confusion": trained.metrics.confusion.tolist()},
        "history": list(trained.history),
        "split": {
            "train": list(data.train_names),
            "validation": list(data.validation_names),
            "excluded": list(found.excluded),
        },
        "unreadable": list(data.unreadable),
        "unlabelled": len(found.unlabelled),
        "unknown_labels": len(found.unknown),
        "excluded_unknown": list(found.unmatched),
        "versions": {"torch": torch.__version__, "timm": timm.__version__},
    }


def _write_reports(
    folder: Path, report: dict[str, Any], trained: Trained, criterion: Criterion, classes: tuple[str, ...]
) -> None:
    text = json.dumps(report, ensure_ascii=False, indent=1) + "\n"
    (folder / "training.json").write_text(text, encoding="utf-8")
    curve = learning_curve(trained.history, criterion=criterion, best_epoch=trained.best_epoch)
    (folder / "learning-curve.png").write_bytes(curve)
    (folder / "confusion-matrix.png").write_bytes(confusion_matrix(trained.metrics.confusion, classes))
