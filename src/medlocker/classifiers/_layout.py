"""Networks that want their channels last."""

from __future__ import annotations

import torch
from torch import nn


class ChannelsLast(nn.Module):
    """A network that takes (N, h, w, c), behind the (N, c, h, w) that torch uses.

    Args:
        network: From (N, h, w, c) to its answers.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        """Answer (N, c, h, w)."""
        answers: torch.Tensor = self.network(inputs.permute(0, 2, 3, 1))
        return answers
