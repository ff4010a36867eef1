"""Batches that suit the device and the input, and the way out where a device's memory does not suffice."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from medlocker.classifiers import BaseClassifier, Card, InputSpec, batch_for
from medlocker.classifiers.pytorch import TorchClassifier
from medlocker.errors import ModelError


def model(side: int, *, on_gpu: bool = False) -> BaseClassifier:
    made = BaseClassifier(Card(InputSpec(side, side)), name="m", fingerprint="", classes=("0", "1"))
    made.on_gpu = on_gpu
    return made


@pytest.mark.parametrize(
    ("models", "expected"),
    [
        ([model(224)], 16),
        ([model(512)], 16),
        ([model(1024), model(224)], 4),
        ([model(4000)], 1),
        ([model(224, on_gpu=True)], 64),
        ([model(224), model(1024, on_gpu=True)], 16),
    ],
)
def test_batches(models: list[BaseClassifier], expected: int) -> None:
    assert batch_for(models) == expected


class _Small(nn.Module):
    """A network on a device that bears so many pictures at once."""

    def __init__(self, most: int) -> None:
        super().__init__()
        self.most = most
        self.calls: list[int] = []
        self.head = nn.Linear(3 * 8 * 8, 2)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        self.calls.append(len(images))
        if len(images) > self.most:
            raise torch.OutOfMemoryError("so many bytes at such an address")
        answer: torch.Tensor = self.head(images.flatten(1))
        return answer


def _loaded(network: Any) -> TorchClassifier:
    card = Card(InputSpec(8, 8), output="logits")
    return TorchClassifier(network, card=card, name="m", fingerprint="", classes=("0", "1"), device="cpu")


def test_too_many_pictures_for_the_device_are_asked_about_in_smaller_calls() -> None:
    torch.manual_seed(0)
    network = _Small(most=1000)
    pictures = np.random.default_rng(0).uniform(0, 255, (40, 8, 8, 3)).astype(np.float32)
    expected = _loaded(network).logits(pictures)
    network.most, network.calls = 10, []
    small = _loaded(network)
    np.testing.assert_allclose(small.logits(pictures), expected, rtol=1e-5)
    assert network.calls == [32, 16, 8, 8, 8, 8, 8]
    assert small.chunk == 8


def test_no_memory_for_one_picture_is_an_error_of_the_model() -> None:
    with pytest.raises(ModelError, match=r"^m: the device lacks the memory for one picture of 8 x 8$"):
        _loaded(_Small(most=0)).logits(np.zeros((4, 8, 8, 3), np.float32))
