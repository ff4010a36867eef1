"""Classifiers of the user's own: found by name, tried on plain canvases, checked with every answer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from medlocker.classifiers._base import BaseClassifier, checked_logits
from medlocker.classifiers.abilities import features_of, has_gradients
from medlocker.classifiers.protocol import Canvas, Classifier, Gradients
from medlocker.classifiers.resize import LinearResize
from medlocker.errors import MedlockerError, ModelError
from medlocker.plugins import Registry, raised

R = TypeVar("R")
CLASSIFIERS: Registry[Classifier] = Registry(
    "a classifier",
    "medlocker.classifiers",
    {},
    (
        *("name", "classes", "height", "width", "channels", "fingerprint", "notes"),
        *("canvas", "resize_for", "logits"),
    ),
    "docs/how-to/classifier.md",
)
_PLAIN_LEVELS = (0.0, 96.0, 255.0)


def find_classifier(named: str | Classifier | type[Classifier]) -> Classifier:
    """Return a classifier of the user's own, after a look at whether it answers as one.

    Args:
        named: A name, an object, or a class or function that makes one without arguments.

    Raises:
        InputError: If there is none of this name.
        ModelError: If it does not answer as the protocol says.
    """
    model = CLASSIFIERS.find(named)
    if not isinstance(model, BaseClassifier | CheckedClassifier):
        model = CheckedClassifier(model)
    what = f"classifier {model.name!s:.80}"
    if not model.name or len(model.classes) < 2 or len(set(model.classes)) < len(model.classes):
        raise ModelError(f"{what}: expected a name and at least two different classes")
    if not _is_digest(model.fingerprint):
        raise ModelError(
            f"{what}: expected a fingerprint of 64 hexadecimal digits, got {model.fingerprint!r:.80}"
        )
    if model.channels not in (1, 3) or min(model.height, model.width) < 1:
        raise ModelError(f"{what}: expected canvases of 1 or 3 channels and at least a pixel")
    levels = np.array(_PLAIN_LEVELS, np.float32)[:, None, None, None]
    shape = len(_PLAIN_LEVELS), model.height, model.width, model.channels
    model.logits(np.ascontiguousarray(np.broadcast_to(levels, shape)))
    model.canvas(np.zeros((2 * model.height, 3 * model.width, 3), np.uint8))
    return model


def checked_classifier(model: Classifier) -> Classifier:
    """Return a classifier whose answers are checked: ours as it is, else as :func:`find_classifier` does.

    Raises:
        ModelError: If it does not answer as the protocol says.
    """
    return model if isinstance(model, BaseClassifier | CheckedClassifier) else find_classifier(model)


class CheckedClassifier:
    """A classifier whose answers are checked; see :class:`~medlocker.classifiers.Classifier`.

    Args:
        model: Of the user's own.
    """

    def __init__(self, model: Classifier) -> None:
        self.name = str(model.name)
        self.classes = tuple(str(name) for name in model.classes)
        self.height, self.width, self.channels = model.height, model.width, model.channels
        self.fingerprint = model.fingerprint
        self.notes = tuple(model.notes)
        self.has_gradients = has_gradients(model)
        self.has_features = features_of(model) is not None
        self._model = model

    def canvas(self, viewed: NDArray[Any]) -> Canvas:
        """See the protocol."""
        made = self._asked(lambda: self._model.canvas(viewed))
        return self._numbers(made, (self.height, self.width, self.channels), "a canvas")

    def resize_for(self, height: int, width: int) -> LinearResize:
        """See the protocol."""
        made = self._asked(lambda: self._model.resize_for(height, width))
        if not isinstance(made, LinearResize):
            raise ModelError(
                f"{self.name}: expected a LinearResize from resize_for, got {type(made).__name__}"
            )
        self._numbers(made.rows, (self.height, height), "rows of a resize")
        self._numbers(made.cols, (self.width, width), "columns of a resize")
        return made

    def logits(self, canvases: NDArray[np.float32]) -> NDArray[np.float32]:
        """See the protocol."""
        return checked_logits(self, self._asked(lambda: self._model.logits(canvases)), len(canvases))

    def gradients(self, canvases: NDArray[np.float32], labels: Sequence[int]) -> Gradients:
        """See :class:`~medlocker.classifiers.WithGradients`."""
        model = self._model
        if not has_gradients(model):
            raise ModelError(f"{self.name}: this model gives no gradients")
        made = self._asked(lambda: model.gradients(canvases, labels))
        if not isinstance(made, Gradients):
            raise ModelError(f"{self.name}: expected Gradients, got {type(made).__name__}")
        logits = checked_logits(self, made.logits, len(canvases))
        return Gradients(logits, self._numbers(made.canvas, canvases.shape, "gradients"))

    def features(self, canvases: NDArray[np.float32]) -> NDArray[np.float32]:
        """See :class:`~medlocker.classifiers.WithFeatures`."""
        features = features_of(self._model)
        if features is None:
            raise ModelError(f"{self.name}: this model gives no features")
        made = self._asked(lambda: features(canvases))
        width = made.shape[1] if isinstance(made, np.ndarray) and made.ndim == 2 else 1
        return self._numbers(made, (len(canvases), width), "features")

    def _asked(self, call: Callable[[], R]) -> R:
        try:
            return call()
        except (MedlockerError, MemoryError):
            raise
        except Exception as error:  # it may be anybody's code
            raise ModelError(f"{self.name}: {raised(error)}") from error

    def _numbers(self, made: object, shape: tuple[int, ...], what: str) -> NDArray[np.float32]:
        if not isinstance(made, np.ndarray) or made.dtype.kind != "f" or made.shape != shape:
            got = f"{made.dtype} {made.shape}" if isinstance(made, np.ndarray) else type(made).__name__
            raise ModelError(f"{self.name}: expected {what} of floats {shape}, got {got}")
        if not np.isfinite(made).all():
            raise ModelError(f"{self.name}: expected {what} without NaN or infinity")
        return made.astype(np.float32, copy=False)


def _is_digest(text: object) -> bool:
    return isinstance(text, str) and len(text) == 64 and set(text) <= set("0123456789abcdef")
