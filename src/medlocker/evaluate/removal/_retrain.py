"""Attack 13: the classifier itself, trained on from marked images with their labels.

Nothing can prevent it; the number says how much a set of labels is worth. Needs the extra ``torch``.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medlocker.classifiers import Classifier, resize_canvas

NAME = "classifier retrained"
KNOWS = "the classifier and labels of half of the marked images"
NUMBER = 13
MOST_IMAGES = 4000

_MARGIN = 1.125  # as `train` keeps its images, for the random views
_VALIDATION = 0.2
_LEAST = 8


@dataclass(frozen=True)
class RetrainOptions:
    """How to train.

    Args:
        epochs: At most.
        lr: Highest learning rate.
        batch_size: Images per step.
    """

    epochs: int = 15
    lr: float = 4e-4
    batch_size: int = 16


class Lesson:
    """What one target's retraining needs of the images; small, so that thousands fit into memory.

    Args:
        target: The classifier.
    """

    def __init__(self, target: Classifier) -> None:
        self.target = target
        self.names: list[str] = []
        self._labels: list[int] = []
        self._large: list[NDArray[np.uint8]] = []
        self._pairs: list[tuple[NDArray[np.uint8], NDArray[np.uint8]]] = []

    def add(self, name: str, clean: NDArray[Any], marked: NDArray[Any], label: int) -> None:
        """Take one image; images without label, and any beyond 4,000, are left out."""
        if label < 0 or len(self.names) >= MOST_IMAGES:
            return
        side = round(self.target.height * _MARGIN)
        self.names.append(name)
        self._labels.append(label)
        self._large.append(_bytes(resize_canvas(marked, height=side, width=side, channels=3, rule="stretch")))
        self._pairs.append((_bytes(self.target.canvas(marked)), _bytes(self.target.canvas(clean))))

    def learn(self, *, seed: int, options: RetrainOptions | None = None) -> dict[str, tuple[int, int]]:
        """Train on each half and judge the other.

        Returns:
            For each image, the retrained classifier's answers on the marked and on the clean image; empty if
            there are fewer than eight images or the network cannot be trained here.
        """
        network = network_of(self.target)
        if network is None or len(self.names) < _LEAST:
            return {}
        order = np.random.default_rng([seed, NUMBER]).permutation(len(self.names))
        halves = [np.sort(order[0::2]), np.sort(order[1::2])]
        found: dict[str, tuple[int, int]] = {}
        for mine, others in (halves, halves[::-1]):
            answers = self._half(copy.deepcopy(network), mine, others, seed, options or RetrainOptions())
            for i, (on_marked, on_clean) in zip(others, answers, strict=True):
                found[self.names[int(i)]] = (int(on_marked), int(on_clean))
        return found

    def _half(
        self,
        network: Any,
        mine: NDArray[np.int64],
        others: NDArray[np.int64],
        seed: int,
        options: RetrainOptions,
    ) -> NDArray[np.int64]:
        from medlocker.metrics import choose_criterion
        from medlocker.train._loop import LoopOptions, Split, fit, predict  # optional library

        labels = np.array(self._labels, np.int64)
        kept = max(round(_VALIDATION * len(mine)), 1)
        checked, learned = mine[:kept], mine[kept:]
        mean, std = _statistics(self.target)
        loop = LoopOptions(
            epochs=options.epochs,
            size=self.target.height,
            batch_size=options.batch_size,
            lr=options.lr,
            seed=seed,
            patience=options.epochs,
            criterion=choose_criterion(self.target.classes),
            device="cpu",
            mean=mean,
            std=std,
        )
        fit(
            network.cpu().requires_grad_(True),
            Split(np.stack([self._large[i] for i in learned]), labels[learned]),
            Split(np.stack([self._pairs[i][0] for i in checked]), labels[checked]),
            loop,
            on_images=lambda count: None,
            on_epoch=lambda row: None,
            classes=len(self.target.classes),
        )
        sides = [np.stack([self._pairs[i][side] for i in others]) for side in (0, 1)]
        return np.stack([predict(network, side, loop).argmax(axis=1) for side in sides], axis=1)


def trainable(target: Classifier) -> Any:
    """Return the torch form of a classifier that has several, else itself."""
    return getattr(target, "differentiable", target)


def network_of(target: Classifier) -> Any:
    """Return the torch network behind a classifier, None if it has none that can be trained here."""
    network = getattr(trainable(target), "network", None)
    card = getattr(target, "card", None)
    if network is None or card is None or card.output == "probabilities":
        return None
    square = target.height == target.width and target.channels == 3
    return network if square and card.input.resize == "stretch" else None


def _statistics(target: Any) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return mean and std for inputs in 0..1 from the classifier's own scale and shift."""
    ends = np.zeros((2, 1, 1, 3), np.float32)
    ends[1] = 255
    low, high = trainable(target).normalise(ends).reshape(2, 3).astype(np.float64)
    std = 1 / (high - low)
    return tuple(float(v) for v in -low * std), tuple(float(v) for v in std)


def _bytes(canvas: NDArray[np.float32]) -> NDArray[np.uint8]:
    return np.clip(np.rint(canvas), 0, 255).astype(np.uint8)
