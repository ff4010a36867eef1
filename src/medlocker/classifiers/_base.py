"""What all classifiers share: canvases, normalisation, checks of shapes and of the answers."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray

from medlocker.classifiers._prototypes import Prototypes
from medlocker.classifiers.card import Card
from medlocker.classifiers.protocol import Canvas, Classifier, Gradients
from medlocker.classifiers.resize import LinearResize, linear_resize, resize_canvas
from medlocker.errors import MedlockerError, ModelError
from medlocker.plugins import raised

if TYPE_CHECKING:
    from medlocker.classifiers.pytorch import TorchClassifier


class BaseClassifier:
    """Pre-processing by the card; adapters, and models of your own, add :meth:`answer`.

    What can be differentiated sets ``has_gradients`` and adds ``gradients``; ``has_features`` and
    ``features`` likewise: see :class:`~medlocker.classifiers.WithGradients` and ``WithFeatures``.

    Args:
        card: What the model expects.
        name: Short name for tables and messages.
        fingerprint: SHA-256 of the weights' file.
        classes: Class names in the order of the logits; of a feature extractor, the numbers of its features.
        notes: What was assumed for want of a card, one sentence each.
    """

    has_gradients = False
    has_features = False
    on_gpu = False
    """Whether it runs on something faster than the CPU, which wants larger batches."""
    prototypes: Prototypes | None = None
    """Of a feature extractor that became a classifier: the clusters that stand for classes."""

    def __init__(
        self,
        card: Card,
        *,
        name: str,
        fingerprint: str,
        classes: tuple[str, ...],
        notes: tuple[str, ...] = (),
    ) -> None:
        self.card = card
        self.name = name
        self.fingerprint = fingerprint
        self.classes = classes
        self.notes = notes
        spec = card.input
        self.height, self.width, self.channels = spec.height, spec.width, min(spec.channels, 3)
        scale, shift = _affine(card)
        self._scale, self._shift = scale[: self.channels], shift[: self.channels]
        self._opaque = float(255 * scale[3] + shift[3]) if spec.channels == 4 else None
        """What a model of four channels sees in the last: canvases have no transparency."""

    @property
    def scale(self) -> NDArray[np.float32]:
        """(channels,) float32: model units per grey level."""
        return self._scale

    def canvas(self, viewed: NDArray[Any]) -> Canvas:
        """Resize (H, W, 3) uint8 or uint16 colours as the card says; (h, w, c) float32 in 0..255."""
        return resize_canvas(
            viewed,
            height=self.height,
            width=self.width,
            channels=self.channels,
            rule=self.card.input.resize,
        )

    def resize_for(self, height: int, width: int) -> LinearResize:
        """Return the same resizing as matrices for images of (height, width)."""
        return linear_resize(
            height, width, out_height=self.height, out_width=self.width, rule=self.card.input.resize
        )

    def normalise(self, canvases: NDArray[np.float32]) -> NDArray[np.float32]:
        """Turn (N, h, w, c) canvases in 0..255 into the model's range and layout, contiguous float32."""
        if self.card.input.layout == "NHWC":
            return self._rgba(canvases * self._scale + self._shift)
        out = np.empty((len(canvases), self.card.input.channels, self.height, self.width), np.float32)
        out[:, self.channels :] = self._opaque or 0
        for c in range(self.channels):  # one pass over each plane: half the time of transposing afterwards
            np.multiply(canvases[..., c], self._scale[c], out=out[:, c])
            out[:, c] += self._shift[c]
        return out

    def _rgba(self, values: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return (N, h, w, c) values with the fourth channel where the model wants one, contiguous."""
        if self._opaque is not None:
            values = np.concatenate([values, np.full_like(values[..., :1], self._opaque)], axis=-1)
        return np.ascontiguousarray(values)

    def logits(self, canvases: NDArray[np.float32]) -> NDArray[np.float32]:
        """Classify (N, h, w, c) float32 canvases; returns (N, K) float32, finite.

        Raises:
            ModelError: If the model fails or answers NaN.
        """
        expected = (self.height, self.width, self.channels)
        if canvases.ndim != 4 or canvases.shape[1:] != expected:
            raise ModelError(
                f"{self.name}: expected canvases of {expected}, got {canvases.shape[1:]}", subject=self.name
            )
        if len(canvases) == 0:
            return np.zeros((0, len(self.classes)), np.float32)
        try:
            answers = self.answer(self.normalise(canvases))
        except (MedlockerError, MemoryError):
            raise
        except Exception as error:  # of a model of the user's own
            raise ModelError(f"{self.name}: {raised(error)}") from error
        return checked_logits(self, answers, len(canvases))

    def gradients(self, canvases: NDArray[np.float32], labels: Sequence[int]) -> Gradients:
        """Differentiate the margin with respect to the canvases; only where ``has_gradients``."""
        raise ModelError(f"{self.name}: this model gives no gradients", subject=self.name)

    def features(self, canvases: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return what the answers are made of; only where ``has_features``."""
        raise ModelError(f"{self.name}: this model gives no features")

    @property
    def torch_form(self) -> TorchClassifier | None:
        """The torch network behind it as a classifier, None if torch does not run it."""
        return None

    def clustered(self, prototypes: Prototypes, *, note: str) -> Self:
        """Return a feature extractor as a classifier of clusters; adapters apply the prototypes."""
        made = copy.copy(self)
        made.card = replace(self.card, output="logits")
        made.classes = prototypes.names
        made.prototypes = prototypes
        made.notes = (*self.notes, note)
        return made

    def answer(self, batch: NDArray[np.float32]) -> NDArray[np.float32]:
        """Answer logits (N, K) for a batch in the model's own layout."""
        raise ModelError(f"{self.name}: expected a method answer(batch)", subject=self.name)


def checked_logits(model: Classifier, answers: NDArray[Any], count: int) -> NDArray[np.float32]:
    """Return the answers of a model as float32.

    Raises:
        ModelError: If they are not one finite number for each picture and class.
    """
    expected = count, len(model.classes)
    if not isinstance(answers, np.ndarray) or answers.dtype.kind != "f" or answers.shape != expected:
        got = (
            f"{answers.dtype} {answers.shape}" if isinstance(answers, np.ndarray) else type(answers).__name__
        )
        raise ModelError(
            f"{model.name}: expected an output of {count} x {expected[1]} floats, got {got}",
            subject=model.name,
        )
    if not np.isfinite(answers).all():
        raise ModelError(f"{model.name}: the model answers NaN or infinity", subject=model.name)
    return answers.astype(np.float32, copy=False)


def _affine(card: Card) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return scale and shift per channel: model value = canvas * scale + shift."""
    spec = card.input
    mean = np.array(spec.mean or [0.0] * spec.channels, np.float64)
    std = np.array(spec.std or [1.0] * spec.channels, np.float64)
    scale = (spec.high - spec.low) / 255.0 / std
    shift = (spec.low - mean) / std
    return scale.astype(np.float32), shift.astype(np.float32)


def log_probabilities(probabilities: NDArray[Any]) -> NDArray[np.float32]:
    """Return logarithms as logits; zero becomes that of 1e-12."""
    return np.log(np.clip(probabilities.astype(np.float64), 1e-12, None)).astype(np.float32)
