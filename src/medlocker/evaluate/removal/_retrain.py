"""Attack 13: the classifier itself, trained on from marked images with their labels.

Nothing can prevent it; the number says how much a set of labels is worth.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from medlocker.attacks import Bytes
from medlocker.classifiers import Classifier, resize_canvas
from medlocker.evaluate.removal._trainingattack import TrainingAttack, to_canvas

_MARGIN = 1.125  # as `train` keeps its images, for the random views


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


class MarkedImageTraining(TrainingAttack):
    """Trains a target on marked images."""

    name: ClassVar[str] = "classifier retrained"
    knows: ClassVar[str] = "the classifier and labels of half of the marked images"
    number: ClassVar[int] = 13
    most_images: ClassVar[int] = 4000
    done: ClassVar[str] = "retrained"
    needs: ClassVar[str] = "a torch network and eight labelled images"

    def __init__(self, target: Classifier, options: RetrainOptions | None = None) -> None:
        super().__init__(target)
        self._options = options or RetrainOptions()
        self._large: list[Bytes] = []

    def keep(self, clean: NDArray[Any], marked: NDArray[Any]) -> None:
        """Keep the marked image, a little larger than the target's input."""
        side = round(self.target.height * _MARGIN)
        self._large.append(
            to_canvas(resize_canvas(marked, height=side, width=side, channels=3, rule="stretch"))
        )

    def teach(
        self, network: Any, learned: NDArray[np.int64], checked: NDArray[np.int64], *, seed: int
    ) -> None:
        """Train on the marked images."""
        from medlocker.train.loop import Split, fit  # optional library

        labels, how = np.array(self.labels, np.int64), self._options
        fit(
            network,
            Split(np.stack([self._large[i] for i in learned]), labels[learned]),
            Split(np.stack([self.pairs[i][0] for i in checked]), labels[checked]),
            self.options(epochs=how.epochs, batch_size=how.batch_size, lr=how.lr, seed=seed),
            on_images=lambda count: None,
            on_epoch=lambda row: None,
            classes=len(self.target.classes),
        )
