"""What attacks that train a target on have in common: halves of the images, and judging on the other half.

Needs the extra ``torch``.
"""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from medlocker.attacks import Bytes
from medlocker.classifiers import Classifier, torch_form
from medlocker.errors import ModelError

LEAST_IMAGES = 8

_VALIDATION = 0.2


class TrainingAttack(ABC):
    """What the training of one target needs of the images."""

    name: ClassVar[str]
    """Of the row."""
    knows: ClassVar[str]
    number: ClassVar[int]
    most_images: ClassVar[int]
    done: ClassVar[str]
    """In a note: what was done to a target."""
    needs: ClassVar[str]
    """In a note: without what it cannot be done."""

    def __init__(self, target: Classifier) -> None:
        self.target = target
        self.names: list[str] = []
        self.notes: list[str] = []
        self.labels: list[int] = []
        self.pairs: list[tuple[Bytes, Bytes]] = []
        """The marked and the clean image, as the target is given them."""

    def add(self, name: str, clean: NDArray[Any], marked: NDArray[Any], label: int) -> None:
        """Take one image; images without label, and any beyond ``most_images``, are left out."""
        if label < 0 or len(self.names) >= self.most_images:
            return
        self.names.append(name)
        self.labels.append(label)
        self.pairs.append((to_canvas(self.target.canvas(marked)), to_canvas(self.target.canvas(clean))))
        self.keep(clean, marked)

    def learn(self, *, seed: int) -> dict[str, tuple[int, int]]:
        """Train on each half and judge the other.

        Returns:
            For each image, the trained classifier's answers on the marked and on the clean image; empty if
            there are fewer than eight images or the network cannot be trained here.

        Raises:
            ModelError: If the training loss becomes NaN.
        """
        network = network_of(self.target)
        if network is None or len(self.names) < LEAST_IMAGES:
            return {}
        order = np.random.default_rng([seed, self.number]).permutation(len(self.names))
        halves = [np.sort(order[0::2]), np.sort(order[1::2])]
        found: dict[str, tuple[int, int]] = {}
        for mine, others in (halves, halves[::-1]):
            kept = max(round(_VALIDATION * len(mine)), 1)
            own = copy.deepcopy(network).cpu().requires_grad_(True)
            self.teach(own, mine[kept:], mine[:kept], seed=seed)
            for i, answers in zip(others, self._answers(own, others), strict=True):
                found[self.names[int(i)]] = (int(answers[0]), int(answers[1]))
        return found

    @abstractmethod
    def keep(self, clean: NDArray[Any], marked: NDArray[Any]) -> None:
        """Keep what there is to learn from in one image; small, so that thousands fit into memory."""

    @abstractmethod
    def teach(
        self, network: Any, learned: NDArray[np.int64], checked: NDArray[np.int64], *, seed: int
    ) -> None:
        """Train a network in place.

        Args:
            network: torch's.
            learned: Positions of the images to learn from.
            checked: Positions of those that choose the weights.
            seed: Of everything random.
        """

    def options(self, *, epochs: int, batch_size: int, lr: float, seed: int) -> Any:
        """Return how the program's own training loop is to run for this target."""
        from medlocker.classifiers.pytorch import has_gpu  # optional library
        from medlocker.metrics import choose_criterion
        from medlocker.train.loop import LoopOptions

        mean, std = _statistics(self.target)
        return LoopOptions(
            epochs=epochs,
            size=self.target.height,
            batch_size=batch_size,
            lr=lr,
            seed=seed,
            patience=epochs,
            criterion=choose_criterion(self.target.classes),
            device="cuda" if has_gpu() else "cpu",
            mean=mean,
            std=std,
        )

    def _answers(self, network: Any, positions: NDArray[np.int64]) -> NDArray[np.int64]:
        from medlocker.train.loop import predict  # optional library

        options = self.options(epochs=1, batch_size=16, lr=1.0, seed=0)
        sides = [np.stack([self.pairs[i][side] for i in positions]) for side in (0, 1)]
        return np.stack([predict(network, side, options).argmax(axis=1) for side in sides], axis=1)


def network_of(target: Classifier) -> Any:
    """Return the torch network behind a classifier, None if it has none that can be trained here."""
    model = torch_form(target)
    if model is None or model.card.output == "probabilities":
        return None
    square = target.height == target.width and model.card.input.channels == 3
    return model.network if square and model.card.input.resize == "stretch" else None


def to_canvas(canvas: NDArray[np.float32]) -> Bytes:
    """Round a canvas to (h, w, 3) uint8."""
    return np.clip(np.rint(canvas), 0, 255).astype(np.uint8)


def _statistics(target: Classifier) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return mean and std for inputs in 0..1 from the classifier's own scale and shift."""
    ends = np.zeros((2, 1, 1, 3), np.float32)
    ends[1] = 255
    model = torch_form(target)
    if model is None:
        raise ModelError(f"{target.name}: torch does not run this model")
    low, high = model.normalise(ends).reshape(2, 3).astype(np.float64)
    std = 1 / (high - low)
    return tuple(float(v) for v in -low * std), tuple(float(v) for v in std)
