"""What the search and the judge need of a diagnostic model, whichever library runs it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from medlocker.classifiers.resize import LinearResize

Canvas = NDArray[np.float32]
"""(h, w, c) float32 in 0..255: an image after resizing to the model's input, before range, mean and std."""


@dataclass(frozen=True)
class Gradients:
    """Logits and the gradient of a scalar per image with respect to its canvas.

    Args:
        logits: (N, K) float32.
        canvas: (N, h, w, c) float32, d(margin)/d(canvas), per grey level.
    """

    logits: NDArray[np.float32]
    canvas: NDArray[np.float32]


@runtime_checkable
class Classifier(Protocol):
    """From raw pixels to logits.

    A canvas is the image resized to the model's input in 0..255; everything after it (range, mean, std,
    layout, softmax or not) belongs to the classifier. ``logits`` of probabilities are their logarithms.
    This is all that every model must have. What it may have besides are :class:`WithGradients`,
    :class:`WithFeatures` and :class:`WithDevice`; ``abilities.py`` is where they are asked for.
    It is asked by one thread at a time.
    """

    name: str
    """Short name for tables; a file stem, never a path."""
    classes: tuple[str, ...]
    """Class names in the order of the logits; ``("0", "1", ...)`` where the card has none."""
    height: int
    width: int
    channels: int
    """Of a canvas; 1 or 3."""
    fingerprint: str
    """64 hexadecimal digits that change with the model: the SHA-256 of its weights' file where it has one."""
    notes: tuple[str, ...]
    """What was assumed about the model, one sentence each."""

    def canvas(self, viewed: NDArray[Any]) -> Canvas:
        """Resize (H, W, 3) uint8/uint16 colours exactly as judged: the pipeline of a user of the model."""
        ...

    def resize_for(self, height: int, width: int) -> LinearResize:
        """Return the same resizing as a linear operator for images of (height, width)."""
        ...

    def logits(self, canvases: NDArray[np.float32]) -> NDArray[np.float32]:
        """Classify (N, h, w, c) float32 canvases; returns (N, K) float32, finite.

        Raises:
            ModelError: If the model fails or answers NaN.
        """
        ...


@runtime_checkable
class WithGradients(Classifier, Protocol):
    """A classifier that can also say which pixels matter: searches need fewer looks with it."""

    has_gradients: bool
    """Whether it really can; the same class may be opened without."""

    def gradients(self, canvases: NDArray[np.float32], labels: Sequence[int]) -> Gradients:
        """Differentiate the margin ``max(z[k != label]) - z[label]``.

        Args:
            canvases: (N, h, w, c) float32.
            labels: (N,) class that must not be answered.
        """
        ...


@runtime_checkable
class WithFeatures(Classifier, Protocol):
    """A classifier that can also say what it knows of an image before its last layer."""

    has_features: bool
    """Whether it really can."""

    def features(self, canvases: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return (N, D) float32 numbers that the answers to (N, h, w, c) canvases are made of, finite."""
        ...


@runtime_checkable
class WithDevice(Classifier, Protocol):
    """A classifier that says where it runs."""

    on_gpu: bool
    """Whether it runs on something faster than the CPU, which wants larger batches."""
