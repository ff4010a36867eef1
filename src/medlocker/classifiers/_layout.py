"""Networks that take or give their numbers in another arrangement."""

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


class OneRow(nn.Module):
    """A network that answers its numbers with axes of one among them, or without that of a single picture.

    Args:
        network: From (N, c, h, w) to (N, K, 1, 1), or of one picture (K,), or the like.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        """Answer (N, K)."""
        answers: torch.Tensor = self.network(inputs)
        return answers.reshape(len(inputs), -1)


class TwoColumns(nn.Module):
    """A network that answers one number for each picture, that of the second of two classes.

    Args:
        network: From (N, c, h, w) to (N, 1) or (N,), a probability or a logit.
        is_probability: Which of these.
    """

    def __init__(self, network: nn.Module, *, is_probability: bool) -> None:
        super().__init__()
        self.network = network
        self.is_probability = is_probability

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        """Answer (N, 2)."""
        answers: torch.Tensor = self.network(inputs).reshape(len(inputs), 1)
        other = 1 - answers if self.is_probability else torch.zeros_like(answers)
        return torch.cat([other, answers], dim=1)
