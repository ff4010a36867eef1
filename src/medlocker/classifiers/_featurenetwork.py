"""Feature extractors in torch: a network without its head, and clusters of its features as a head."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import nn

from medlocker.classifiers._pooling import pooled
from medlocker.classifiers._prototypes import SCALE, Prototypes
from medlocker.classifiers.architectures import build, head_names, load_state
from medlocker.classifiers.card import InputSpec
from medlocker.errors import ModelError


class FeatureNetwork(nn.Module):
    """Answers one vector for an image, whatever the network inside answers."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """From (N, c, h, w) to (N, D)."""
        features: torch.Tensor = pooled(self.network(images))
        return features


class PrototypeHead(nn.Module):
    """The same as :meth:`medlocker.classifiers._prototypes.Prototypes.logits`, differentiable."""

    def __init__(self, prototypes: Prototypes) -> None:
        super().__init__()
        self.mean: torch.Tensor
        self.directions: torch.Tensor
        self.register_buffer("mean", torch.from_numpy(prototypes.mean).float())
        self.register_buffer("directions", torch.from_numpy(prototypes.directions).float())
        self._softening = prototypes.softening

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """From (N, D) to (N, K) logits."""
        apart = features - self.mean
        length = (apart.square().sum(dim=1, keepdim=True) + self._softening**2).sqrt()
        return SCALE * (apart / length) @ self.directions.T


def backbone(
    architecture: str, state: Mapping[str, torch.Tensor], spec: InputSpec, *, what: str
) -> nn.Module:
    """Make a feature network with given weights; a head among them is left out.

    Args:
        architecture: See :func:`medlocker.classifiers.architectures.canonical_architecture`.
        state: Weights of the network, with or without its head.
        what: Names the weights in messages.

    Raises:
        ModelError: If the weights do not fit.
    """

    def made(outputs: int) -> nn.Module:
        return build(
            architecture, outputs=outputs, channels=spec.channels, height=spec.height, width=spec.width
        )

    network = made(0)
    wanted = network.state_dict().keys()
    if not state.keys() <= wanted:
        heads = head_names(made(2)) - wanted
        state = {name: tensor for name, tensor in state.items() if name not in heads}
    load_state(network, state, what=what)
    return FeatureNetwork(network)


def feature_count(network: nn.Module, spec: InputSpec, *, what: str) -> int:
    """Return how many numbers a feature network answers for an image.

    Raises:
        ModelError: If it fails, or answers no vector of at least two.
    """
    plain = torch.zeros(1, spec.channels, spec.height, spec.width)
    try:
        with torch.inference_mode():
            features = network.eval()(plain)
    except RuntimeError as error:
        raise ModelError(
            f"{what}: the network fails on an image of {spec.width} x {spec.height}", subject=what
        ) from error
    if not isinstance(features, torch.Tensor) or features.ndim != 2 or features.shape[1] < 2:
        shape = tuple(features.shape[1:]) if isinstance(features, torch.Tensor) else "none"
        raise ModelError(f"{what}: expected an embedding of at least two numbers, got {shape}", subject=what)
    return int(features.shape[1])
