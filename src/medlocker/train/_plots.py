"""Pictures of a training run: learning curve and confusion matrix."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medlocker.errors import MissingExtraError

_DPI = 110


def figure_of(width: float, height: float) -> Any:
    """Return an empty matplotlib figure of so many inches.

    Raises:
        MissingExtraError: If matplotlib is not installed.
    """
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg  # optional library
        from matplotlib.figure import Figure
    except ImportError:
        raise MissingExtraError("matplotlib", "torch") from None
    figure = Figure(figsize=(width, height), dpi=_DPI, layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def png_of(figure: Any) -> bytes:
    """Return a figure as a PNG file."""
    stream = io.BytesIO()
    figure.savefig(stream, format="png")
    return stream.getvalue()


def learning_curve(history: Sequence[dict[str, Any]], *, criterion: str, best_epoch: int) -> bytes:
    """Draw losses and the criterion against epochs; returns a PNG file."""
    figure = figure_of(8.5, 3.4)
    left, right = figure.subplots(1, 2)
    epochs = [row["epoch"] for row in history]
    for key, text in (("train_loss", "training"), ("validation_loss", "validation")):
        left.plot(epochs, [row[key] for row in history], marker="o", markersize=3, label=text)
    left.set(xlabel="epoch", ylabel="loss")
    names = dict.fromkeys((criterion, "accuracy", "balanced_accuracy"))
    for name in names:
        values = [row[f"validation_{name}"] for row in history]
        right.plot(epochs, values, marker="o", markersize=3, label=name.replace("_", " "))
    right.set(xlabel="epoch", ylabel="validation")
    for axes in (left, right):
        axes.axvline(best_epoch, color="0.6", linestyle=":", label="kept")
        axes.grid(alpha=0.3)
        axes.legend(fontsize=8)
    return png_of(figure)


def confusion_matrix(confusion: NDArray[np.int64], classes: tuple[str, ...]) -> bytes:
    """Draw label (rows) against answer (columns), images in each cell; returns a PNG file."""
    count = len(classes)
    side = min(2.2 + 0.55 * count, 12.0)
    figure = figure_of(side + 0.6, side)
    axes = figure.subplots()
    shares = confusion / np.maximum(confusion.sum(axis=1, keepdims=True), 1)
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    if count <= 20:
        for (row, column), images in np.ndenumerate(confusion):
            color = "white" if shares[row, column] > 0.5 else "black"
            axes.text(column, row, str(images), ha="center", va="center", fontsize=8, color=color)
        names = [name if len(name) <= 14 else name[:13] + "." for name in classes]
        axes.set_xticks(range(count), names, rotation=45 if max(map(len, names)) > 3 else 0)
        axes.set_yticks(range(count), names)
    axes.set(xlabel="answer", ylabel="label", title=f"validation, n = {int(confusion.sum())}")
    return png_of(figure)
