"""The removal network itself; imported only where torch is."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import torch
from torch import Tensor, nn

from medlocker.attacks import Floats

_LR = 2e-3


class UNet(nn.Module):
    """From colours and mask to colours; what it changes lies under the mask only.

    Args:
        width: Channels of the first level; 24 make 0.43 million weights.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        a, b, c = width, 2 * width, 4 * width
        self.first, self.second = _block(4, a, 1), _block(a, b, 1)
        self.deep = nn.Sequential(_block(b, c, 1), _block(c, c, 2))
        self.up, self.last = _block(b + c, b, 1), _block(a + b, a, 1)
        self.out = nn.Conv2d(a, 3, 1)

    def forward(self, inputs: Tensor) -> Tensor:
        """Map (N, 4, h, w) to (N, 3, h, w)."""
        top = self.first(inputs)
        middle = self.second(nn.functional.avg_pool2d(top, 2, ceil_mode=True))
        bottom = self.deep(nn.functional.avg_pool2d(middle, 2, ceil_mode=True))
        middle = self.up(torch.cat([middle, _like(bottom, middle)], 1))
        top = self.last(torch.cat([top, _like(middle, top)], 1))
        colors, mask = inputs[:, :3], inputs[:, 3:]
        made: Tensor = colors + mask * self.out(top)
        return made


def _block(inputs: int, outputs: int, dilation: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    for count in (inputs, outputs):
        layers += [
            nn.Conv2d(count, outputs, 3, padding=dilation, dilation=dilation),
            nn.GroupNorm(4, outputs),
            nn.SiLU(),
        ]
    return nn.Sequential(*layers)


def _like(small: Tensor, large: Tensor) -> Tensor:
    return nn.functional.interpolate(small, size=large.shape[2:], mode="bilinear", align_corners=False)


def train(
    pairs: Iterator[tuple[Floats, Floats]], *, steps: int, width: int, seed: int
) -> Callable[[Floats], Floats]:
    """Train on batches of marked and clean windows, by the mean absolute error under the mask.

    Args:
        pairs: (N, h, w, 4) and (N, h, w, 3) float32 in 0..1, as long as they are asked for.
        steps: How many batches.
        width: Of the network.
        seed: Of its first weights.

    Returns:
        The network on arrays: (N, h, w, 4) to (N, h, w, 3).
    """
    with torch.random.fork_rng(), torch.enable_grad():
        torch.manual_seed(seed)
        network = UNet(width).to(memory_format=torch.channels_last)
        optimizer = torch.optim.AdamW(network.parameters(), lr=_LR, weight_decay=1e-4)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, _LR, total_steps=max(steps, 2))
        for _ in range(steps):
            inputs, clean = (torch.from_numpy(batch).permute(0, 3, 1, 2) for batch in next(pairs))
            error = (network(inputs) - clean).abs() * inputs[:, 3:]
            loss = error.sum() / (3 * inputs[:, 3:].sum() + 1)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            nn.utils.clip_grad_norm_(network.parameters(), 1.0)
            optimizer.step()
            schedule.step()
    network.eval()

    def answer(inputs: Floats) -> Floats:
        with torch.inference_mode():
            made = network(torch.from_numpy(np.ascontiguousarray(inputs)).permute(0, 3, 1, 2))
        return np.asarray(made.permute(0, 2, 3, 1).contiguous().numpy(), dtype=np.float32)

    return answer
