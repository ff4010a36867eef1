"""One vector for an image from whatever a feature extractor answers; for numpy and torch alike."""

from __future__ import annotations

from typing import Any


def pooled(answers: Any, *, channels_last: bool = False) -> Any:
    """Average feature maps over the image and tokens over their sequence; vectors stay as they are.

    Args:
        answers: Array or tensor: (N, D); maps (N, D, h, w), or (N, h, w, D) if ``channels_last``;
            tokens (N, T, D).
        channels_last: Whether the features are the last axis of maps.

    Returns:
        (N, D); an array of other axes as it is.
    """
    if len(answers.shape) == 4:
        return answers.mean((1, 2) if channels_last else (2, 3))
    return answers.mean(1) if len(answers.shape) == 3 else answers
