"""A torch network that the caller has in memory, as a classifier."""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Sequence

import numpy as np
import torch
from torch import nn

from medlocker.classifiers.card import Output, parse_card
from medlocker.classifiers.pytorch import TorchClassifier
from medlocker.classifiers.resize import ResizeRule
from medlocker.errors import ModelError


class TorchModel(TorchClassifier):
    """A ``torch.nn.Module`` that classifies, with what it expects of its input.

    The network is copied and put into evaluation mode: yours stays as it is.

    Args:
        network: From (N, channels, height, width) float32 to (N, K) logits, or probabilities.
        size: Height and width of its input in pixels; one number for a square.
        mean: By channel, in units of ``range``; subtracted. Empty: nothing is subtracted.
        std: By channel, above 0; divided by. Empty: 1.
        range: What black and white are before mean and std.
        channels: 1, 3 (RGB), or 4 (RGB and an opaque alpha channel).
        classes: Names of the K classes, in their order; empty numbers them.
        output: ``logits``, or ``probabilities`` of a network that ends with softmax.
        resize: How images get to ``size``: ``stretch``, ``pad``, or ``crop`` the middle.
        name: For tables and messages.
        device: Where it runs; default a GPU if there is one.

    Raises:
        ModelError: If the numbers are out of range, or the network does not answer one number per class.

    >>> from torch import nn
    >>> tiny = nn.Sequential(nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(12, 2))
    >>> TorchModel(tiny, size=32, mean=[0.5] * 3, std=[0.2] * 3, classes=["healthy", "ill"]).classes
    ('healthy', 'ill')
    """

    def __init__(
        self,
        network: nn.Module,
        *,
        size: int | tuple[int, int],
        mean: Sequence[float] = (),
        std: Sequence[float] = (),
        range: tuple[float, float] = (0.0, 1.0),
        channels: int = 3,
        classes: Sequence[str] = (),
        output: Output = "logits",
        resize: ResizeRule = "stretch",
        name: str = "model",
        device: str | None = None,
    ) -> None:
        if not isinstance(network, nn.Module):
            raise ModelError(f"{name}: expected a torch.nn.Module, got {type(network).__name__}")
        if output not in ("logits", "probabilities"):
            raise ModelError(f"{name}: expected an output of logits or probabilities, got {output!r:.40}")
        height, width = (size, size) if isinstance(size, int) else size
        spec = {"height": height, "width": width, "channels": channels, "range": list(range)}
        spec |= {key: list(given) for key, given in (("mean", mean), ("std", std)) if len(given)}
        card = parse_card({"input": {**spec, "resize": resize}, "classes": list(classes), "output": output})
        super().__init__(
            copy.deepcopy(network),
            card=card,
            name=name,
            fingerprint=_digest(network),
            classes=card.classes,
            device=device,
        )
        plain = np.zeros((1, self.height, self.width, self.channels), np.float32)
        count = int(self._guarded(torch.from_numpy(self.normalise(plain)).to(self._device)).shape[1])
        self.classes = self.classes or tuple(map(str, np.arange(count)))
        if len(self.classes) != count or count < 2:
            expected = f"{len(self.classes)} classes" if classes else "at least two classes"
            raise ModelError(f"{name}: expected a network of {expected}, got one of {count}")


def _digest(network: nn.Module) -> str:
    """Return the SHA-256 of all weights, 64 hex digits."""
    digest = hashlib.sha256()
    for name, value in sorted(network.state_dict().items()):
        digest.update(f"{name} {tuple(value.shape)} {value.dtype}\n".encode())
        digest.update(value.detach().cpu().float().contiguous().numpy().tobytes())
    return digest.hexdigest()
