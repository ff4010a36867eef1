"""Folding batch norms: the same answers and gradients, and nothing is folded where it would be wrong."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import nn

from medlocker.classifiers._folded import folded
from medlocker.classifiers.architectures import build

EXAMPLE = torch.linspace(-3, 3, 2 * 3 * 16 * 16).sin().reshape(2, 3, 16, 16)


def _norm(channels: int) -> nn.BatchNorm2d:
    norm = nn.BatchNorm2d(channels)
    assert norm.running_mean is not None
    assert norm.running_var is not None
    for numbers, low, high in (
        (norm.running_mean, -1, 1),
        (norm.running_var, 0.2, 3),
        (norm.weight, -2, 2),
        (norm.bias, -1, 1),
    ):
        numbers.detach().uniform_(low, high)
    return norm


def _tail() -> list[nn.Module]:
    return [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 3)]


class _Used(nn.Module):
    """A convolution whose answer goes to a norm and somewhere else too."""

    def __init__(self) -> None:
        super().__init__()
        self.convolution, self.norm, self.tail = nn.Conv2d(3, 4, 3), _norm(4), nn.Sequential(*_tail())

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        made = self.convolution(images)
        answer: torch.Tensor = self.tail(self.norm(made) + 3 * made)
        return answer


class _Twice(nn.Module):
    """One convolution before two norms."""

    def __init__(self) -> None:
        super().__init__()
        self.convolution, self.first, self.second = nn.Conv2d(3, 4, 3), _norm(4), _norm(4)
        self.tail = nn.Sequential(*_tail())

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        one, two = self.first(self.convolution(images)), self.second(self.convolution(-images))
        answer: torch.Tensor = self.tail(one + two)
        return answer


class _Raising(nn.Module):
    def forward(self, images: torch.Tensor) -> torch.Tensor:
        raise RuntimeError("shapes")


def _norms(network: nn.Module) -> int:
    return sum(isinstance(module, nn.BatchNorm2d) for module in network.modules())


def _slopes(network: nn.Module) -> torch.Tensor:
    leaf = EXAMPLE.clone().requires_grad_(True)
    (slopes,) = torch.autograd.grad(network(leaf)[:, 0].sum(), leaf)
    return slopes


def test_answers_and_gradients_stay_and_the_norms_go() -> None:
    torch.manual_seed(1)
    network = nn.Sequential(
        nn.Conv2d(3, 6, 3, bias=False), _norm(6), nn.ReLU(), nn.Conv2d(6, 4, 3, groups=2), _norm(4), *_tail()
    ).eval()
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    made = folded(network, EXAMPLE)
    assert (_norms(network), _norms(made)) == (2, 0)
    other = torch.linspace(0, 40, EXAMPLE.numel()).cos().reshape(EXAMPLE.shape)
    torch.testing.assert_close(made(other), network(other), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(_slopes(made), _slopes(network), rtol=1e-3, atol=1e-6)
    for name, tensor in network.state_dict().items():
        assert torch.equal(tensor, before[name])
    assert not any(parameter.requires_grad for parameter in made.parameters())


@pytest.mark.parametrize("name", ["mobilenetv3_small_050", "resnet18"])
def test_real_networks_lose_all_norms(name: str) -> None:
    """The first one's carry their activation with them."""
    torch.manual_seed(1)
    network = build(name, outputs=3, channels=3, height=32, width=32).eval()
    example = torch.linspace(-9, 9, 3 * 32 * 32).sin().reshape(1, 3, 32, 32)
    made = folded(network, example)
    assert _norms(network) > 10
    assert _norms(made) == 0
    torch.testing.assert_close(made(-example), network(-example), rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize(
    "make",
    [
        _Used,
        _Twice,
        _Raising,
        lambda: nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4, track_running_stats=False), *_tail()),
        lambda: nn.Sequential(_norm(3), nn.Conv2d(3, 4, 3), *_tail()),
    ],
    ids=["used elsewhere", "used twice", "raises", "no statistics", "norm first"],
)
def test_what_cannot_be_folded_stays(make: Callable[[], nn.Module]) -> None:
    torch.manual_seed(1)
    network = make().eval()
    assert folded(network, EXAMPLE) is network
