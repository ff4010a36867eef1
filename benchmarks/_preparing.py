"""Train a classifier whose images were painted on, until it is no longer thrown by what is painted."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import timm
import torch
from numpy.typing import NDArray
from torch import nn

from _spoiling import Painter, Pixels
from medlocker.evaluate.removal.prepared import painted, shrunk_to_shorter
from medlocker.files import make_folder, replacing_folder
from medlocker.formats import read_image
from medlocker.images import viewed
from medlocker.labels import order_classes
from medlocker.metrics import Metrics, choose_criterion, measure
from medlocker.train import Backbone, Weights
from medlocker.train.augment import MARGIN
from medlocker.train.backbone import make_backbone
from medlocker.train.export import check_output, write_model
from medlocker.train.loop import LoopOptions, Split, fit, predict


@dataclass(frozen=True)
class Preparation:
    """How to train on painted images.

    Args:
        size: Side of the square input, pixels.
        shorter_px: Images are shrunk to this shorter side before they are painted on, in their own shape:
            marks keep their form, as on the files. Smaller ones stay.
        copies: How often each image is painted on, anew, in a round.
        clean: How often it is shown as it is in a round.
        draws: How often each validation image is painted on.
        most_rounds: Stop there at the latest.
        patience: Stop after so many rounds that gained less than ``gain``.
        gain: In kappa, of two classes in the area under the curve.
        batch_size: Images a step.
        lr: Highest learning rate of a round.
        seed: Of weights, order, views and paint.
    """

    size: int = 224
    shorter_px: int = 336
    copies: int = 4
    clean: int = 1
    draws: int = 4
    most_rounds: int = 10
    patience: int = 3
    gain: float = 0.01
    batch_size: int = 32
    lr: float = 5e-4
    seed: int = 0


@dataclass(frozen=True, eq=False)
class Pictures:
    """Labelled images in their own shape.

    Args:
        colors: Each (H, W, 3) uint8.
        labels: (N,) int64.
    """

    colors: tuple[Pixels, ...]
    labels: NDArray[np.int64]


def load_pictures(folder: Path, names: Sequence[str], labels: Mapping[str, str], shorter_px: int) -> Pictures:
    """Read images and shrink them to a shorter side."""
    classes = order_classes(set(labels.values()))

    def one(name: str) -> Pixels:
        colors = viewed(read_image((folder / name).read_bytes(), name=name)).astype(np.uint8)
        return shrunk_to_shorter(colors, shorter_px)

    with ThreadPoolExecutor(2) as pool:
        colors = tuple(pool.map(one, names))
    return Pictures(colors, np.array([classes.index(labels[name]) for name in names], np.int64))


def prepare_target(
    train: Pictures,
    validation: Pictures,
    classes: tuple[str, ...],
    paint: Painter,
    *,
    backbone: str,
    weights: Weights,
    out: Path,
    settings: Preparation,
    seconds: float,
    say: Callable[[str], None],
) -> dict[str, Any] | None:
    """Train in rounds on images painted on anew, and write a surrogate's folder.

    A round shows every image ``copies`` times painted and ``clean`` times as it is, under one cosine of the
    learning rate. After each the painted validation images are asked; the best round's weights are kept.

    Args:
        train: To learn from.
        validation: To choose the round by; judge on others.
        classes: In the order of the labels.
        paint: Puts random marks on a picture.
        backbone: timm's name.
        weights: To start from.
        out: A folder, replaced if it is a surrogate's.
        settings: See there.
        seconds: Pause after so many; the next call with the same arguments goes on, as if it had not paused.
        say: Told of progress.

    Returns:
        The curve, one row a round, and what was kept, as in ``training.json``; None when paused.
    """
    torch.manual_seed(settings.seed)
    base = make_backbone(backbone, weights=weights, outputs=len(classes), size=settings.size)
    loop = LoopOptions(
        epochs=1,
        size=settings.size,
        batch_size=settings.batch_size,
        lr=settings.lr,
        seed=settings.seed,
        patience=1,
        criterion=choose_criterion(classes),
        device="cpu",
        mean=base.mean,
        std=base.std,
    )
    make_folder(out.parent)
    progress = _Progress(base.network, out.with_name(f"{out.name}.paused.pt"))
    side = round(settings.size * MARGIN)
    looks = _Looks(validation, paint, settings)
    plain = [painted(train.colors, None, side=side, seed=())] * settings.clean
    labels = np.tile(train.labels, settings.clean + settings.copies)
    began = time.perf_counter()
    while progress.rounds < settings.most_rounds and progress.idle < settings.patience:
        if time.perf_counter() - began > seconds:
            progress.pause()
            say(f"paused after round {progress.rounds}")
            return None
        started, round_ = time.perf_counter(), progress.rounds + 1
        fresh = [
            painted(train.colors, paint, side=side, seed=(settings.seed, round_, copy))
            for copy in range(settings.copies)
        ]
        painting = time.perf_counter() - started
        shown = Split(np.concatenate([*plain, *fresh]), labels)
        options = replace(loop, seed=settings.seed + round_)
        on_painted = fit(
            base.network, shown, looks.painted, options, on_images=lambda _: None, on_epoch=lambda _: None
        ).metrics
        on_clean = measure(predict(base.network, looks.clean.canvases, loop), looks.clean.labels)
        row = {
            "round": round_,
            "painted": on_painted.to_json(),
            "clean": on_clean.to_json(),
            "painting_seconds": painting,
            "seconds": time.perf_counter() - started,
        }
        progress.add(row, _worth(on_painted), gain=settings.gain)
        worth = f"painted {_worth(on_painted):.3f}, clean {_worth(on_clean):.3f}"
        say(f"round {round_}: {worth}, {row['seconds']:.0f} s")
    base.network.load_state_dict(progress.best)
    report = {
        "architecture": base.architecture,
        "start": {"weights": base.origin, "licence": base.licence},
        "settings": asdict(settings),
        "classes": list(classes),
        "train_images": len(train.labels),
        "curve": progress.curve,
        "best_round": progress.best_round,
        "settled": progress.idle >= settings.patience,
    }
    _write(out, base, classes, report, looks.clean, settings)
    progress.forget()
    return report


class _Progress:
    """What is known after some rounds; can be paused between two."""

    def __init__(self, network: nn.Module, file: Path) -> None:
        self.curve: list[dict[str, Any]] = []
        self.best: dict[str, torch.Tensor] = {}
        self.best_round = 0
        self.idle = 0
        self._value = self._mark = -1.0
        self._network, self._file = network, file
        if file.is_file():
            state = torch.load(file, weights_only=True)
            network.load_state_dict(state.pop("network"))
            vars(self).update(state)

    @property
    def rounds(self) -> int:
        """How many there were."""
        return len(self.curve)

    def add(self, row: dict[str, Any], value: float, *, gain: float) -> None:
        """Note a round; small gains count when together they reach ``gain``."""
        self.curve.append(row)
        self.idle = 0 if value > self._mark + gain else self.idle + 1
        self._mark = max(value, self._mark) if self.idle == 0 else self._mark
        if value > self._value:
            self._value, self.best_round = value, self.rounds
            self.best = {name: tensor.clone() for name, tensor in self._network.state_dict().items()}

    def pause(self) -> None:
        """Keep everything for another time."""
        state = {name: value for name, value in vars(self).items() if name not in ("_network", "_file")}
        torch.save({**state, "network": self._network.state_dict()}, self._file)

    def forget(self) -> None:
        """Remove what :meth:`pause` kept."""
        self._file.unlink(missing_ok=True)


class _Looks:
    """The validation images, clean and painted on: the same paint after every round."""

    def __init__(self, pictures: Pictures, paint: Painter, settings: Preparation) -> None:
        canvases = [
            painted(pictures.colors, paint, side=settings.size, seed=(settings.seed, 0, draw))
            for draw in range(settings.draws)
        ]
        self.painted = Split(np.concatenate(canvases), np.tile(pictures.labels, settings.draws))
        self.clean = Split(painted(pictures.colors, None, side=settings.size, seed=()), pictures.labels)


def _worth(metrics: Metrics) -> float:
    return metrics.qwk if metrics.auc is None else metrics.auc


def _write(
    out: Path,
    base: Backbone,
    classes: tuple[str, ...],
    report: dict[str, Any],
    clean: Split,
    settings: Preparation,
) -> None:
    card = {
        "input": {
            "height": settings.size,
            "width": settings.size,
            "layout": "NCHW",
            "range": [0, 1],
            "mean": list(base.mean),
            "std": list(base.std),
            "resize": "stretch",
        },
        "classes": list(classes),
        "output": "logits",
        "architecture": base.architecture,
        "start": report["start"],
        "train_images": report["train_images"],
        "metrics": {"validation": report["curve"][report["best_round"] - 1]["clean"]},
    }
    with replacing_folder(out, check=lambda: check_output(out, overwrite=True)) as temporary:
        write_model(temporary, base.network, card, samples=clean.canvases[:8].astype(np.float32))
        report["versions"] = {"torch": torch.__version__, "timm": timm.__version__}
        text = json.dumps(report, indent=1) + "\n"
        (temporary / "training.json").write_text(text, encoding="utf-8")
