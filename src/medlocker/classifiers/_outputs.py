"""Which of a model's outputs holds its classes, and its answers as one row of logits for each picture."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
_NAMES = ("logit", "prob", "softmax", "class", "score", "pred")
"""What outputs that hold classes are called, where a model has several and no card tells."""
_NAMES_OF_FEATURES = ("feat", "embed", "hidden", "pool", "latent")
_MOST_CLASSES = 100
"""Diagnoses have fewer; vectors of features mostly have more."""


def rows(answer: NDArray[Any], count: int) -> Floats | None:
    """Return (count, K) float32 from what a model answers; None if it is no such thing.

    Args:
        answer: (count, K), with further axes of one in any place; (count,), one number for each picture; or,
            of one picture, (K,).
        count: How many pictures were asked about.
    """
    if answer.dtype.kind != "f" or answer.ndim < 1:
        return None
    if answer.shape[0] != count:
        if count != 1 or answer.ndim > 1:
            return None
        answer = answer[None]
    if sum(side != 1 for side in answer.shape[1:]) > 1:
        return None
    return np.asarray(answer.reshape(count, -1), dtype=np.float32)


def choose_output(found: Sequence[tuple[str, Floats]], classes: int) -> int:
    """Return the position of the output that holds the classes.

    Args:
        found: Names and answers of the outputs that may.
        classes: How many classes the card names; 0 if there is none.
    """
    if classes:
        fitting = [k for k, (_, answers) in enumerate(found) if answers.shape[1] == classes]
        fitting += [k for k, (_, answers) in enumerate(found) if answers.shape[1] == 1 and classes == 2]
        return fitting[0] if fitting else 0
    plain = [k for k, (name, _) in enumerate(found) if not _is_called(name, _NAMES_OF_FEATURES)]
    named = [k for k in plain if _is_called(found[k][0], _NAMES)]
    few = [k for k in plain if 2 <= found[k][1].shape[1] <= _MOST_CLASSES]
    if named or few:
        return named[0] if named else min(few, key=lambda k: found[k][1].shape[1])
    return plain[0] if plain else 0


def _is_called(name: str, words: Sequence[str]) -> bool:
    return any(word in name.lower() for word in words)


def two_columns(answers: Floats, *, is_probability: bool) -> Floats:
    """Return (N, 2) from one number for each picture: that of the second class.

    Args:
        answers: (N, 1), a probability or a logit.
        is_probability: Which of these.
    """
    return np.concatenate([1 - answers if is_probability else np.zeros_like(answers), answers], axis=1)
