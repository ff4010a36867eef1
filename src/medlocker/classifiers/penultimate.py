"""What a torch network knows of an image before its last layer: more than its few answers say."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from medlocker.classifiers._paired import PairedClassifier
from medlocker.classifiers.protocol import Classifier

if TYPE_CHECKING:
    import torch

Features = Callable[[NDArray[np.float32]], NDArray[np.float32]]
"""From (N, h, w, c) canvases to (N, D) features."""


def penultimate_features(model: Classifier) -> Features | None:
    """Return what gives the inputs of a network's last layer.

    Args:
        model: Any classifier; of an ONNX model only the outputs are known.

    Returns:
        None where there is no torch network, or it has no last layer of one vector an image.
    """
    inner: Any = model.differentiable if isinstance(model, PairedClassifier) else model
    network, normalise = getattr(inner, "network", None), getattr(inner, "normalise", None)
    if network is None or normalise is None or getattr(inner, "prototypes", None) is not None:
        return None
    import torch  # the model is of torch, so it is there

    from medlocker.classifiers.architectures import head_names

    heads = sorted({name.rpartition(".")[0] for name in head_names(network)} - {""})
    if len(heads) != 1:
        return None
    head, device = network.get_submodule(heads[0]), next(network.parameters()).device

    def features(canvases: NDArray[np.float32]) -> NDArray[np.float32]:
        seen: list[torch.Tensor] = []
        hook = head.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0].detach()))
        try:
            with torch.inference_mode():
                network(torch.from_numpy(normalise(canvases)).to(device).permute(0, 3, 1, 2))
        finally:
            hook.remove()
        return np.asarray(seen[0].flatten(1).cpu().numpy(), dtype=np.float32)

    return features
