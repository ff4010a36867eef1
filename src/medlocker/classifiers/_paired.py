"""Two copies of one network: ONNX Runtime answers, torch differentiates."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Self

import numpy as np
from numpy.typing import NDArray

from medlocker.classifiers._base import BaseClassifier
from medlocker.classifiers._onnx import OnnxClassifier
from medlocker.classifiers._prototypes import Prototypes
from medlocker.classifiers.protocol import Gradients
from medlocker.errors import ModelError

if TYPE_CHECKING:
    from medlocker.classifiers.pytorch import TorchClassifier


class PairedClassifier(BaseClassifier):
    """A network made by ``train``: on a CPU, ONNX Runtime takes about a third of torch's time for an answer.

    Args:
        fast: Gives logits and pre-processing.
        differentiable: The same network with gradients.

    Raises:
        ModelError: If the two are not the same network.
    """

    has_gradients = True

    def __init__(self, fast: OnnxClassifier, differentiable: BaseClassifier, *, name: str) -> None:
        super().__init__(
            fast.card,
            name=name,
            fingerprint=differentiable.fingerprint,
            classes=fast.classes,
            notes=(*fast.notes, *differentiable.notes),
        )
        self._fast = fast
        self._differentiable = differentiable
        # a picture with structure: a plain one could hide a difference
        ramp = np.linspace(0, 255, self.height * self.width, dtype=np.float32)
        picture = np.repeat(ramp.reshape(1, self.height, self.width, 1), self.channels, axis=3)
        quick, slow = fast.logits(picture), differentiable.logits(picture)
        if quick.shape != slow.shape or not np.allclose(quick, slow, atol=0.05, rtol=0.01):
            raise ModelError(
                f"model {name}: its ONNX and its torch form answer differently",
                subject=name,
                hint="train it again, or name one of the two files",
            )

    @property
    def torch_form(self) -> TorchClassifier | None:
        """Of the form with gradients."""
        return self._differentiable.torch_form

    @property
    def has_features(self) -> bool:  # type: ignore[override]
        """Whether the form with gradients gives features."""
        return self._differentiable.has_features

    def features(self, canvases: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return what torch gives."""
        return self._differentiable.features(canvases)

    @property
    def differentiable(self) -> BaseClassifier:
        """The form with gradients."""
        return self._differentiable

    def clustered(self, prototypes: Prototypes, *, note: str) -> Self:
        """Return both forms as classifiers of the same clusters."""
        made = super().clustered(prototypes, note=note)
        made._fast = self._fast.clustered(prototypes, note=note)
        made._differentiable = self._differentiable.clustered(prototypes, note=note)
        return made

    def logits(self, canvases: NDArray[np.float32]) -> NDArray[np.float32]:
        """Classify (N, h, w, c) float32 canvases with ONNX Runtime; returns (N, K) float32, finite."""
        return self._fast.logits(canvases)

    def gradients(self, canvases: NDArray[np.float32], labels: Sequence[int]) -> Gradients:
        """Differentiate the margin with torch."""
        return self._differentiable.gradients(canvases, labels)
