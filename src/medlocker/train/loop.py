"""Training a classifier: weighted cross-entropy on random views, the best weights kept."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from medlocker.errors import ModelError
from medlocker.metrics import Criterion, Metrics, measure
from medlocker.train.augment import augment
from medlocker.train.steps import Steps

_WARM_UP_EPOCHS = 1.0
_BALANCE = 0.5
"""Exponent of the inverse class frequency: halfway between none (0) and full balance (1)."""


@dataclass(frozen=True, eq=False)
class Split:
    """Images and their labels.

    Args:
        canvases: (N, side, side, 3) uint8.
        labels: (N,) int64.
    """

    canvases: NDArray[np.uint8]
    labels: NDArray[np.int64]


@dataclass(frozen=True)
class LoopOptions:
    """How to train.

    Args:
        epochs: At most.
        size: Side of the input, pixels.
        batch_size: Images per step.
        lr: Highest learning rate.
        seed: Of order, augmentation and dropout.
        patience: Stop after so many epochs without a better criterion.
        criterion: What decides which weights are kept.
        device: torch's name.
        mean: Per channel, of inputs in 0..1.
        std: Per channel.
    """

    epochs: int
    size: int
    batch_size: int
    lr: float
    seed: int
    patience: int
    criterion: Criterion
    device: str
    mean: tuple[float, ...]
    std: tuple[float, ...]


@dataclass(frozen=True, eq=False)
class Trained:
    """What a run found.

    Args:
        best_epoch: Counted from 1.
        metrics: On the validation images, with the best weights, which the network holds now.
        history: One row per epoch.
        stopped_early: Whether patience ran out.
    """

    best_epoch: int
    metrics: Metrics
    history: tuple[dict[str, Any], ...]
    stopped_early: bool


def fit(
    network: nn.Module,
    train: Split,
    validation: Split,
    options: LoopOptions,
    *,
    on_images: Callable[[int], None],
    on_epoch: Callable[[dict[str, Any]], None],
    classes: int | None = None,
) -> Trained:
    """Train a network in place and leave it with the best weights, in evaluation mode, on its device.

    Args:
        network: (N, 3, size, size) to (N, K) logits.
        train: Larger than the input, for random crops.
        validation: At the input's size, exactly as a user of the model resizes.
        on_images: Called with the number of images after each step.
        on_epoch: Called with the row of history after each epoch.
        classes: How many the network tells apart; None if images of all are there.

    Raises:
        ModelError: If the loss becomes NaN.
    """
    device = torch.device(options.device)
    steps = len(_slices(len(train.labels), options.batch_size))
    teacher = Steps(
        network,
        lr=options.lr,
        steps=steps * options.epochs,
        warm_up=_warm_up(steps, options),
        device=device,
    )
    criterion = nn.CrossEntropyLoss(weight=_class_weights(train.labels, classes).to(device))
    scale, shift = _affine(options, device)
    generator = torch.Generator().manual_seed(options.seed)

    def loss_of(positions: NDArray[np.int64]) -> tuple[Tensor, int]:
        pixels = torch.from_numpy(train.canvases[positions]).to(device)
        images = augment(pixels, size=options.size, generator=generator).mul_(scale).add_(shift)
        labels = torch.from_numpy(train.labels[positions]).to(device)
        return criterion(network(images), labels), len(positions)

    history: list[dict[str, Any]] = []
    best: tuple[float, int, Metrics, dict[str, Tensor]] | None = None
    for epoch in range(1, options.epochs + 1):
        started = time.perf_counter()
        batches = _shuffled(len(train.labels), options.batch_size, generator)
        loss = teacher.epoch(batches, loss_of, on_images=on_images)
        metrics = measure(predict(network, validation.canvases, options), validation.labels)
        row = {
            "epoch": epoch,
            "lr": teacher.lr,
            "train_loss": loss,
            **{f"validation_{key}": value for key, value in metrics.to_json().items() if key != "n"},
            "seconds": time.perf_counter() - started,
        }
        history.append(row)
        on_epoch(row)
        value = metrics.value(options.criterion)
        if best is None or value > best[0] or (value == best[0] and metrics.loss < best[2].loss):
            best = value, epoch, metrics, copy.deepcopy(network.state_dict())
        elif epoch - best[1] >= options.patience:
            break
    if best is None:
        raise ModelError(f"expected at least one epoch, got {options.epochs}")
    network.load_state_dict(best[3])
    network.eval()
    return Trained(best[1], best[2], tuple(history), stopped_early=len(history) < options.epochs)


def predict(network: nn.Module, canvases: NDArray[np.uint8], options: LoopOptions) -> NDArray[np.float32]:
    """Return logits (N, K) of whole images (N, size, size, 3) uint8."""
    device = torch.device(options.device)
    scale, shift = _affine(options, device)
    network.eval()
    pieces = []
    with torch.inference_mode():
        for start in range(0, len(canvases), options.batch_size):
            pixels = torch.from_numpy(np.ascontiguousarray(canvases[start : start + options.batch_size]))
            images = pixels.to(device).permute(0, 3, 1, 2).float().mul_(scale).add_(shift)
            pieces.append(network(images).float().cpu().numpy())
    return np.concatenate(pieces)


def _affine(options: LoopOptions, device: torch.device) -> tuple[Tensor, Tensor]:
    mean = torch.tensor(options.mean, device=device).view(1, 3, 1, 1)
    std = torch.tensor(options.std, device=device).view(1, 3, 1, 1)
    return 1 / (255 * std), -mean / std


def _class_weights(labels: NDArray[np.int64], classes: int | None) -> Tensor:
    """Return weights with mean 1 over the images."""
    counts = np.bincount(labels, minlength=classes or 0).astype(np.float64)
    weights = (1 / np.maximum(counts, 1)) ** _BALANCE
    weights *= counts.sum() / (weights * counts).sum()
    return torch.from_numpy(weights.astype(np.float32))


def _slices(count: int, batch_size: int) -> list[slice]:
    """Cut a range into batches; a single image left over is dropped, batch norm cannot learn from it."""
    starts = range(0, count, batch_size)
    slices = [slice(start, min(start + batch_size, count)) for start in starts]
    if len(slices) > 1 and slices[-1].stop - slices[-1].start == 1:
        slices.pop()
    return slices


def _shuffled(count: int, batch_size: int, generator: torch.Generator) -> list[NDArray[np.int64]]:
    order = torch.randperm(count, generator=generator).numpy()
    return [order[part] for part in _slices(count, batch_size)]


def _warm_up(steps: int, options: LoopOptions) -> int:
    return max(1, round(min(_WARM_UP_EPOCHS, options.epochs / 5) * steps))
