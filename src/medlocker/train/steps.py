"""The one training loop: AdamW, one cycle of the learning rate, clipped gradients."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from medlocker.errors import ModelError

_WEIGHT_DECAY = 0.05
_MAX_NORM = 5.0
_FIRST, _LAST = 25.0, 100.0
"""The peak of the learning rate is so many times its first and its last value."""

B = TypeVar("B")


def one_cycle(
    optimizer: torch.optim.Optimizer, *, lr: float, steps: int, warm_up: int
) -> torch.optim.lr_scheduler.OneCycleLR:
    """Return a schedule that rises in ``warm_up`` steps and falls in the rest.

    Step it after the optimizer.
    """
    total = max(steps, warm_up + 2)
    return torch.optim.lr_scheduler.OneCycleLR(
        optimizer,
        max_lr=lr,
        total_steps=total,
        pct_start=(warm_up + 1) / total,
        cycle_momentum=False,
        div_factor=_FIRST,
        final_div_factor=_LAST / _FIRST,
    )


class Steps:
    """Trains a network, epoch by epoch.

    Args:
        lr: Highest learning rate.
        steps: Batches in all epochs.
        warm_up: Of these, until the learning rate is highest.
        device: torch's name.
    """

    def __init__(
        self, network: nn.Module, *, lr: float, steps: int, warm_up: int, device: torch.device
    ) -> None:
        self._network = network.to(device).to(memory_format=torch.channels_last)
        self._optimizer = torch.optim.AdamW(parameter_groups(network), lr=lr)
        self._schedule = one_cycle(self._optimizer, lr=lr, steps=steps, warm_up=warm_up)
        self.lr = 0.0
        """Of the last step."""

    def epoch(
        self,
        batches: Iterable[B],
        loss_of: Callable[[B], tuple[Tensor, int]],
        *,
        on_images: Callable[[int], None],
    ) -> float:
        """Learn from each batch once.

        Args:
            loss_of: Returns the mean loss of a batch and its number of images.
            on_images: Called with that number after each step.

        Returns:
            The mean loss of an image.

        Raises:
            ModelError: If the loss becomes NaN.
        """
        self._network.train()
        total, seen = 0.0, 0
        for batch in batches:
            self.lr = float(self._schedule.get_last_lr()[0])
            loss, count = loss_of(batch)
            self._optimizer.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
            nn.utils.clip_grad_norm_(self._network.parameters(), _MAX_NORM)
            self._optimizer.step()
            self._schedule.step()
            total, seen = total + float(loss.detach()) * count, seen + count
            on_images(count)
        if not math.isfinite(total):
            raise ModelError("the training loss became NaN or infinite", hint="lower the learning rate: --lr")
        return total / seen


def parameter_groups(network: nn.Module) -> list[dict[str, Any]]:
    """Return parameters with weight decay (kernels) and without (biases, norms)."""
    decayed = [p for p in network.parameters() if p.requires_grad and p.ndim > 1]
    free = [p for p in network.parameters() if p.requires_grad and p.ndim <= 1]
    return [{"params": decayed, "weight_decay": _WEIGHT_DECAY}, {"params": free, "weight_decay": 0.0}]
