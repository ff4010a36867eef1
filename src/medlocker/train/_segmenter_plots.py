"""The picture of a trained segmenter: boxes over a photograph, and recall against covered area."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medlocker.geometry import Box
from medlocker.train._plots import figure_of, png_of
from medlocker.train.segmenter_choice import Choice


def findings_picture(
    pixels: NDArray[np.uint8],
    mask: NDArray[np.bool_],
    boxes: Sequence[Box],
    *,
    choice: Choice,
    wanted: float,
    history: Sequence[dict[str, Any]],
) -> bytes:
    """Draw one validation photograph with lesions and boxes, and all settings that were tried.

    Args:
        pixels: (h, w, 3) uint8.
        mask: (h, w) bool, its lesions.
        boxes: What the segmenter keeps out.
        choice: What was chosen, and the front.

    Returns:
        A PNG file.
    """
    from matplotlib.patches import Rectangle  # optional library; figure_of words its absence

    figure = figure_of(15, 4.4)
    left, right, losses = figure.subplots(1, 3, width_ratios=(1.6, 1, 0.8))
    left.imshow(pixels)
    if mask.any() and not mask.all():
        left.contour(mask, levels=[0.5], colors="cyan", linewidths=0.6)
    for box in boxes:
        left.add_patch(
            Rectangle((box.x, box.y), box.width, box.height, fill=False, edgecolor="yellow", linewidth=0.7)
        )
    left.set(title="lesions (blue) and kept-out boxes (yellow)", xticks=[], yticks=[])
    left.set(xlim=(0, pixels.shape[1]), ylim=(pixels.shape[0], 0))
    chosen = choice.setting
    right.plot(
        [100 * one.covered for one in choice.front], [100 * one.recall for one in choice.front], marker="."
    )
    right.plot(100 * chosen.covered, 100 * chosen.recall, "o", color="tab:red", label="chosen")
    right.axhline(100 * wanted, color="0.6", linestyle=":", label="wanted")
    right.set(xlabel="share of the photographs inside of boxes, %", ylabel="lesions kept out, %")
    right.set(title=f"{choice.score.images} validation photographs", ylim=(0, 102))
    right.grid(alpha=0.3)
    right.legend(fontsize=8, loc="lower right")
    for key, text in (("train_loss", "training"), ("validation_loss", "validation")):
        losses.plot([row["epoch"] for row in history], [row[key] for row in history], label=text)
    losses.set(xlabel="epoch", ylabel="loss")
    losses.grid(alpha=0.3)
    losses.legend(fontsize=8)
    return png_of(figure)
