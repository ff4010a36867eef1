"""Training a segmenter on random crops: a loss that fears missed lesions more than false ones."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from medlocker.train._segmenter_data import CropSampler
from medlocker.train.augment import jitter_colors
from medlocker.train.steps import Steps

_MISSED, _FALSE = 0.7, 0.3
"""Weights of missed and false pixels in the Tversky index (Salehi et al. 2017)."""
_POSITIVE_WEIGHT = 3.0
_WARM_UP = 0.1


@dataclass(frozen=True)
class SegmenterLoop:
    """How to train.

    Args:
        steps: Batches in one pass.
        batch_size: Crops in a batch.
        lr: Highest learning rate.
        seed: Of the colours' augmentation.
        device: torch's name.
        mean: Per channel, of inputs in 0..1.
        std: Per channel.
    """

    epochs: int
    steps: int
    batch_size: int
    lr: float
    seed: int
    device: str
    mean: tuple[float, ...]
    std: tuple[float, ...]


def recall_loss(logits: Tensor, masks: Tensor) -> Tensor:
    """Return cross-entropy plus one minus the Tversky index of a batch, both leaning towards recall.

    Args:
        logits: (N, 1, h, w).
        masks: (N, 1, h, w) of 0 and 1.
    """
    weight = torch.tensor(_POSITIVE_WEIGHT, device=logits.device)
    crossed = functional.binary_cross_entropy_with_logits(logits, masks, pos_weight=weight)
    found = logits.sigmoid()
    hit = (found * masks).sum()
    missed = ((1 - found) * masks).sum()
    false = (found * (1 - masks)).sum()
    return crossed + 1 - (hit + 1) / (hit + _MISSED * missed + _FALSE * false + 1)


def fit_segmenter(
    network: nn.Module,
    train: CropSampler,
    validation: CropSampler,
    loop: SegmenterLoop,
    *,
    on_crops: Callable[[int], None],
    on_epoch: Callable[[dict[str, Any]], None],
) -> tuple[dict[str, Any], ...]:
    """Train a network in place; the last weights stay, the learning rate has come down to almost nothing.

    Args:
        network: (N, 3, h, w) to (N, 1, h, w) logits.
        validation: Gives crops for the loss in the history; drawn once.
        on_crops: Called with the number of crops after each step.
        on_epoch: Called with the row of history after each epoch.

    Returns:
        One row per epoch.

    Raises:
        ModelError: If the loss becomes NaN.
    """
    device = torch.device(loop.device)
    steps = loop.epochs * loop.steps
    warm_up = max(1, round(_WARM_UP * steps))
    teacher = Steps(network, lr=loop.lr, steps=steps, warm_up=warm_up, device=device)
    generator = torch.Generator().manual_seed(loop.seed)
    mean = torch.tensor(loop.mean, device=device).view(1, 3, 1, 1) * 255
    std = torch.tensor(loop.std, device=device).view(1, 3, 1, 1) * 255
    kept = [validation.draw(loop.batch_size) for _ in range(4)]

    def loss_of(crops: tuple[np.ndarray, np.ndarray], *, augmented: bool = True) -> tuple[Tensor, int]:
        images = torch.from_numpy(crops[0]).to(device).float()
        if augmented:
            images = jitter_colors(images, generator=generator)
        images = ((images - mean) / std).contiguous(memory_format=torch.channels_last)
        return recall_loss(network(images), torch.from_numpy(crops[1]).to(device)), len(images)

    history: list[dict[str, Any]] = []
    for epoch in range(1, loop.epochs + 1):
        started = time.perf_counter()
        crops = (train.draw(loop.batch_size) for _ in range(loop.steps))
        loss = teacher.epoch(crops, loss_of, on_images=on_crops)
        network.eval()
        with torch.inference_mode():
            judged = float(np.mean([float(loss_of(crops, augmented=False)[0]) for crops in kept]))
        row = {
            "epoch": epoch,
            "lr": teacher.lr,
            "train_loss": loss,
            "validation_loss": judged,
            "seconds": time.perf_counter() - started,
        }
        history.append(row)
        on_epoch(row)
    return tuple(history)
