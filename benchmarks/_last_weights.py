"""Training by the program's own trainer for a fixed number of epochs: the last weights are kept."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

from medlocker.labels import load_labels
from medlocker.train import Backbone, TrainObserver, TrainOptions, train_classifier


class _KeepLast(TrainObserver):
    """Gives the network the weights of the last epoch before they are written.

    What the card says of validation is of the best epoch all the same.
    """

    def backbone(self, backbone: Backbone) -> None:
        self._network = backbone.network

    def epoch(self, row: dict[str, Any]) -> None:
        self._last = copy.deepcopy(self._network.state_dict())

    def exporting(self) -> None:
        self._network.load_state_dict(self._last)


def train_to_the_end(
    folder: Path, labels: Path, out: Path, *, backbone: str, weights: Path, options: TrainOptions
) -> None:
    """Train a classifier and write the weights of its last epoch."""
    train_classifier(
        folder,
        load_labels(labels, column="referable"),
        backbone=backbone,
        weights=weights,
        out=out,
        options=options,
        observer=_KeepLast(),
    )
