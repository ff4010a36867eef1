"""The training loop: weighted cross-entropy, AdamW, cosine with warm-up, the best weights kept."""

from __future__ import annotations

import copy
import math
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

_WEIGHT_DECAY = 0.05
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
        options: See there.
        on_images: Called with the number of images after each step.
        on_epoch: Called with the row of history after each epoch.
        classes: How many the network tells apart; None if images of all are there.

    Raises:
        ModelError: If the loss becomes NaN.
    """
    device = torch.device(options.device)
    network.to(device).to(memory_format=torch.channels_last)
    steps = _batches_in(len(train.labels), options.batch_size)
    optimizer = torch.optim.AdamW(parameter_groups(network), lr=options.lr)
    schedule = Cosine(
        optimizer, lr=options.lr, steps=steps * options.epochs, warm_up=_warm_up(steps, options)
    )
    criterion = nn.CrossEntropyLoss(weight=_class_weights(train.labels, classes).to(device))
    scale, shift = _affine(options, device)
    generator = torch.Generator().manual_seed(options.seed)
    history: list[dict[str, Any]] = []
    best: tuple[float, int, Metrics, dict[str, Tensor]] | None = None
    for epoch in range(1, options.epochs + 1):
        started = time.perf_counter()
        network.train()
        total, seen = 0.0, 0
        for positions in _shuffled(len(train.labels), options.batch_size, generator):
            schedule.step()
            pixels = torch.from_numpy(train.canvases[positions]).to(device)
            images = augment(pixels, size=options.size, generator=generator).mul_(scale).add_(shift)
            loss = criterion(network(images), torch.from_numpy(train.labels[positions]).to(device))
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            nn.utils.clip_grad_norm_(network.parameters(), 5.0)
            optimizer.step()
            total, seen = total + float(loss.detach()) * len(positions), seen + len(positions)
            on_images(len(positions))
        if not math.isfinite(total):
            raise ModelError("the training loss became NaN or infinite", hint="lower the learning rate: --lr")
        metrics = measure(predict(network, validation.canvases, options), validation.labels)
        row = {
            "epoch": epoch,
            "lr": schedule.last,
            "train_loss": total / seen,
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


def parameter_groups(network: nn.Module) -> list[dict[str, Any]]:
    """Return parameters with weight decay (kernels) and without (biases, norms)."""
    decayed = [p for p in network.parameters() if p.requires_grad and p.ndim > 1]
    free = [p for p in network.parameters() if p.requires_grad and p.ndim <= 1]
    return [{"params": decayed, "weight_decay": _WEIGHT_DECAY}, {"params": free, "weight_decay": 0.0}]


def _class_weights(labels: NDArray[np.int64], classes: int | None) -> Tensor:
    """Return weights with mean 1 over the images."""
    counts = np.bincount(labels, minlength=classes or 0).astype(np.float64)
    weights = (1 / np.maximum(counts, 1)) ** _BALANCE
    weights *= counts.sum() / (weights * counts).sum()
    return torch.from_numpy(weights.astype(np.float32))


def _batches_in(count: int, batch_size: int) -> int:
    return sum(1 for _ in _slices(count, batch_size))


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


class Cosine:
    """Learning rate: linear from almost zero, then half a cosine down to 1 % of the peak."""

    def __init__(self, optimizer: torch.optim.Optimizer, *, lr: float, steps: int, warm_up: int) -> None:
        self._optimizer, self._lr, self._steps, self._warm_up = optimizer, lr, steps, warm_up
        self._at = 0
        self.last = 0.0

    def step(self) -> None:
        """Set the learning rates of the next step."""
        if self._at < self._warm_up:
            share = (self._at + 1) / (self._warm_up + 1)
        else:
            progress = (self._at - self._warm_up) / max(self._steps - self._warm_up, 1)
            share = 0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * progress))
        self.last = self._lr * share
        for group in self._optimizer.param_groups:
            group["lr"] = self.last
        self._at += 1
