"""Resizing to a model's input, as pixels (exact, judged) and as a linear operator (fast, searched).

A resize is separable and linear: ``canvas = rows @ image @ cols.T`` (plus constant padding). Knowing the
two matrices, the effect of a mark on the canvas costs only the mark's own pixels, however large the image.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class LinearResize:
    """The resize of one image size to one canvas size.

    Args:
        rows: (h, H) float32, weights of image rows in canvas rows.
        cols: (w, W) float32, the same for columns.
    """

    rows: NDArray[np.float32]
    cols: NDArray[np.float32]
