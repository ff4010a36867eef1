"""Where a classifier looks: Grad-CAM (Selvaraju et al. 2017) on its last feature map."""

from __future__ import annotations

import copy
import threading
from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from medlocker.classifiers.abilities import torch_form
from medlocker.classifiers.protocol import Classifier
from medlocker.classifiers.pytorch import TorchClassifier
from medlocker.errors import ModelError
from medlocker.geometry import Box

ATTENTION_LEVEL = 150
"""Of 255; the paper also uses 110, 130 and 170."""

_NO_FEATURES = (nn.Dropout, nn.Identity, nn.Softmax)
"""What passes attention matrices through, which have four axes but are no maps."""


class Attention:
    """Boxes around what the class that a model answers depends on most; safe to ask from several threads.

    Args:
        model: With a network that makes feature maps.
    """

    def __init__(self, model: TorchClassifier) -> None:
        self._model = model
        # a copy: hooks on the network itself would also see what other threads ask of it
        self._network = copy.deepcopy(model._network)
        self._lock = threading.Lock()
        self._features: torch.Tensor | None = None
        for module in self._network.modules():
            if not isinstance(module, _NO_FEATURES):
                module.register_forward_hook(self._note)

    @property
    def fingerprint(self) -> str:
        """The model and the level."""
        return f"attention:{self._model.fingerprint}:{ATTENTION_LEVEL}"

    def boxes(self, colors: NDArray[Any]) -> tuple[Box, ...]:
        """Return boxes around what is above the level, in image pixels, the largest first.

        Args:
            colors: (H, W, 3) uint8 or uint16.

        Raises:
            ModelError: If the network fails or makes no feature map.
        """
        heat = self.heat(colors)
        hot = np.ascontiguousarray(heat * 255 >= ATTENTION_LEVEL).view(np.uint8)
        _, _, stats, _ = cv2.connectedComponentsWithStats(hot, connectivity=8)
        resize = self._model.resize_for(*colors.shape[:2])
        found = sorted(stats[1:].tolist(), key=lambda row: (-row[4], row))
        boxes = []
        for x, y, width, height, _ in found:
            # all image pixels that these canvas pixels are made of
            columns = np.flatnonzero(resize.cols[x : x + width].any(axis=0))
            rows = np.flatnonzero(resize.rows[y : y + height].any(axis=0))
            if len(columns) and len(rows):
                left, top = int(columns[0]), int(rows[0])
                boxes.append(Box(left, top, int(columns[-1]) + 1 - left, int(rows[-1]) + 1 - top))
        return tuple(boxes)

    def heat(self, colors: NDArray[Any]) -> NDArray[np.float32]:
        """Return (h, w) float32 in 0..1 over the canvas; all 0 where nothing speaks for the class."""
        model = self._model
        canvas = model.canvas(colors)
        with self._lock, torch.enable_grad():
            self._features = None
            batch = torch.from_numpy(model.normalise(canvas[None])).to(model._device)
            try:
                logits = self._network(batch.permute(0, 3, 1, 2).requires_grad_(True))
                features = self._noted()
                (slopes,) = torch.autograd.grad(logits.max(dim=1).values.sum(), features)
            except RuntimeError as error:
                raise ModelError(
                    f"model {model.name}: its attention cannot be computed", subject=model.name
                ) from error
            finally:
                self._features = None
        maps, weights = features.detach()[0], slopes[0]
        if maps.shape[0] == maps.shape[1] < maps.shape[2]:  # channels last, as some transformers have it
            maps, weights = maps.permute(2, 0, 1), weights.permute(2, 0, 1)
        seen = (weights.mean(dim=(1, 2))[:, None, None] * maps).sum(dim=0).relu().float().cpu().numpy()
        large = cv2.resize(
            seen.astype(np.float32), (model.width, model.height), interpolation=cv2.INTER_LINEAR
        )
        peak = float(large.max())
        return np.asarray(large / peak if peak > 0 else large, dtype=np.float32)

    def _noted(self) -> torch.Tensor:
        if self._features is None:
            raise ModelError(
                f"model {self._model.name}: expected feature maps to find its attention in",
                subject=self._model.name,
            )
        return self._features

    def _note(self, module: nn.Module, inputs: Any, output: Any) -> None:
        if (
            isinstance(output, torch.Tensor)
            and output.ndim == 4
            and output.requires_grad
            and min(output.shape[1:]) > 1
        ):
            self._features = output


def attention_of(models: Sequence[Classifier]) -> Attention | None:
    """Return the attention of the first model that torch runs and that has feature maps, None without any."""
    for model in models:
        inner = torch_form(model)
        if inner is not None:
            attention = Attention(inner)
            try:  # a network without feature maps tells only when it is asked
                attention.heat(np.full((inner.height, inner.width, 3), 128, np.uint8))
            except ModelError:
                continue
            return attention
    return None
