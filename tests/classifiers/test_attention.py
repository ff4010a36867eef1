"""Grad-CAM: boxes around what the answered class depends on, mapped back to the image."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import nn

from medlocker.classifiers import Card, InputSpec
from medlocker.classifiers.attention import Attention, attention_of
from medlocker.classifiers.pytorch import TorchClassifier
from medlocker.errors import ModelError
from medlocker.geometry import Box
from medlocker.testing import LinearClassifier


class RedOrBlue(nn.Module):
    """Class 0 likes red, class 1 blue, pooled over a feature map of an eighth of the side."""

    def __init__(self, *, flat: bool = False) -> None:
        super().__init__()
        self.pool = nn.AvgPool2d(8)
        self.colors = nn.Conv2d(3, 2, 1, bias=False)
        self.drop = nn.Dropout(0.5)
        self.flat = flat
        with torch.no_grad():
            self.colors.weight.copy_(torch.tensor([[1.0, -1, 0], [0, -1, 1]])[:, :, None, None])

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.flat:
            return x.mean(dim=(2, 3))[:, :2]
        maps: torch.Tensor = self.drop(self.colors(self.pool(x)))
        return maps.relu().mean(dim=(2, 3))


def classifier(network: nn.Module, *, resize: Any = "stretch") -> TorchClassifier:
    return TorchClassifier(
        network,
        card=Card(InputSpec(height=64, width=64, resize=resize), classes=("red", "blue")),
        name="colors",
        fingerprint="f" * 64,
        classes=("red", "blue"),
        device="cpu",
    )


def scene(height: int, width: int) -> NDArray[np.uint8]:
    """A large red spot and a small blue one on black."""
    pixels = np.zeros((height, width, 3), np.uint8)
    pixels[height // 4 : height // 2, width // 4 : width // 2, 0] = 255
    pixels[-height // 8 :, -width // 8 :, 2] = 255
    return pixels


@pytest.mark.parametrize(("height", "width"), [(64, 64), (256, 256), (100, 300)])
def test_looks_where_the_answered_class_is(height: int, width: int) -> None:
    (box,) = Attention(classifier(RedOrBlue())).boxes(scene(height, width))
    spot = Box(width // 4, height // 4, width // 4, height // 4)
    assert box.overlaps(spot)
    assert abs(box.x - spot.x) <= width / 16 + 1
    assert abs(box.y - spot.y) <= height / 16 + 1
    assert not box.overlaps(Box(width - width // 8, height - height // 8, width // 8, height // 8))


@pytest.mark.parametrize("resize", ["pad", "crop"])
def test_boxes_come_back_through_padding_and_cropping(resize: str) -> None:
    pixels = np.zeros((128, 256, 3), np.uint8)
    pixels[32:64, 128:160, 0] = 255
    (box,) = Attention(classifier(RedOrBlue(), resize=resize)).boxes(pixels)
    assert box.overlaps(Box(136, 40, 16, 16))
    assert box.width <= 96
    assert box.right <= 256
    assert box.bottom <= 128


def test_nothing_speaks_for_any_class_on_black() -> None:
    assert Attention(classifier(RedOrBlue())).boxes(np.zeros((64, 64, 3), np.uint8)) == ()


def test_a_network_without_feature_maps_is_refused() -> None:
    with pytest.raises(ModelError, match="model colors: expected feature maps to find its attention in"):
        Attention(classifier(RedOrBlue(flat=True))).boxes(scene(64, 64))


def test_the_model_itself_is_left_alone() -> None:
    model = classifier(RedOrBlue())
    attention = Attention(model)
    attention.boxes(scene(64, 64))
    hooks = [hook for module in model._network.modules() for hook in module._forward_hooks]
    assert hooks == []


def test_threads_do_not_mix_their_pictures() -> None:
    attention = Attention(classifier(RedOrBlue()))
    scenes = [np.roll(scene(64, 64), 8 * k, axis=1) for k in range(6)]
    alone = [attention.boxes(one) for one in scenes]
    together: list[Any] = [None] * len(scenes)

    def ask(k: int) -> None:
        together[k] = attention.boxes(scenes[k])

    threads = [threading.Thread(target=ask, args=(k,)) for k in range(len(scenes))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert together == alone


def test_the_first_model_that_torch_runs_is_asked(tmp_path: Path) -> None:
    model = classifier(RedOrBlue())
    found = attention_of([LinearClassifier(size=8), model])
    assert found is not None
    assert found.fingerprint == f"attention:{'f' * 64}:150"
    assert attention_of([LinearClassifier(size=8)]) is None
