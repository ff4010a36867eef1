"""How far a model's answers on veiled images are from telling nothing of the images.

Measured on probabilities, not on answers alone: a few dozen answers would be mostly noise.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from medlocker.metrics import Weighting
from medlocker.protect import Aim

_LEFT, _GATHERED = 0.5, 0.2
"""What it is worth, against kappa, that the old answers are gone, and that the new ones gather on one class.

Less than kappa: where most images have one class, answers that are all that class leave much and tell
nothing; and a style that gathers the answers of one model need not do so with another's.
"""


def probabilities(logits: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return (N, K) shares that sum to 1."""
    powers = np.exp(logits.astype(np.float64) - logits.max(axis=1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True))


def remaining_probability(answers: NDArray[np.int64], veiled: NDArray[np.float64]) -> float:
    """Return the mean probability that is left for the answer on the original.

    Args:
        answers: (N,) on the originals.
        veiled: (N, K) probabilities on the veiled images.
    """
    return float(veiled[np.arange(len(answers)), answers].mean())


def soft_kappa(answers: NDArray[np.int64], veiled: NDArray[np.float64], *, weighting: Weighting) -> float:
    """Return Cohen's kappa between answers on originals and probabilities on veiled images.

    Args:
        answers: (N,).
        veiled: (N, K).
        weighting: See :func:`medlocker.metrics.cohen_kappa`.

    Returns:
        0 where chance errs never.
    """
    classes = np.arange(veiled.shape[1])
    apart = np.abs(answers[:, None] - classes[None])
    weights = apart**2 if weighting == "quadratic" else np.minimum(apart, 1)
    # by chance every image may have the answer of every other
    by_chance = float((weights @ veiled.mean(axis=0)).mean())
    observed = float((weights * veiled).sum(axis=1).mean())
    return 1 - observed / by_chance if by_chance > 0 else 0.0


def loss(answers: NDArray[np.int64], veiled: NDArray[np.float64], *, aim: Aim, weighting: Weighting) -> float:
    """Return how far one model is from the aim; the less the better.

    Args:
        answers: (N,) on the originals.
        veiled: (N, K) probabilities on the veiled images.
        aim: ``same``: answers gather on one class, best on one that is rare among the originals' answers, for
            then little of these is left; ``key``: they are spread; ``wrong``: only that they differ.
    """
    left = remaining_probability(answers, veiled)
    if aim == "wrong":
        return left
    most = float(veiled.mean(axis=0).max())
    gathered = 1 - most if aim == "same" else most
    kappa = abs(soft_kappa(answers, veiled, weighting=weighting))
    return kappa + _LEFT * left + _GATHERED * gathered


def dominant_class(veiled: list[NDArray[Any]]) -> int:
    """Return the class that the answers gather on.

    Args:
        veiled: Of each model (N, K) probabilities, with the same classes.
    """
    return int(sum(one.mean(axis=0) for one in veiled).argmax())
