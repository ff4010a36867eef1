"""Clusters of embeddings as classes: a feature extractor answers which images of a data set one resembles.

An embedding has no classes, so there is nothing to be wrong about. The images themselves give them: their
embeddings are clustered (spherical k-means, Dhillon & Modha 2001), and the logit of a cluster is the cosine
between an embedding and the cluster's prototype, both seen from the mean of all.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medlocker.errors import ModelError

F64 = NDArray[np.float64]

SCALE = 10.0
"""Logits per unit of cosine: a margin of 3, which `protect` searches for, is 0.3 of a cosine."""
MOST_CLUSTERS = 8
IMAGES_PER_CLUSTER = 4
"""On the average; with fewer than twice as many images each one is a cluster of its own."""

_SOFTENING = 1e-3
"""Share of the usual distance from the mean, below which the direction of an embedding fades to nothing."""
_NO_SPREAD = 1e-4
"""Distance from the mean / length of the mean, below which float32 noise would decide."""
_SAME = 1 - 1e-6
"""Cosine above which two prototypes are one."""
_RESTARTS, _ROUNDS = 8, 50


@dataclass(frozen=True, eq=False)
class Prototypes:
    """What turns embeddings into logits.

    Args:
        mean: (D,) float64, of the sample's embeddings.
        directions: (K, D) float64 of length 1, from the mean to each cluster.
        softening: Distance from the mean below which directions fade, above 0.
        sample: How many images they were made of.
        digest: SHA-256 of all that decided them, set by whoever knows the images.
    """

    mean: F64
    directions: F64
    softening: float
    sample: int
    digest: str = ""

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the clusters, as classes."""
        return tuple(f"cluster {k}" for k in range(len(self.directions)))

    def logits(self, embeddings: NDArray[Any]) -> NDArray[np.float32]:
        """Return (N, K) float32 logits of (N, D) embeddings."""
        apart = embeddings.astype(np.float64) - self.mean
        length = np.sqrt((apart**2).sum(axis=1, keepdims=True) + self.softening**2)
        return np.asarray(SCALE * (apart / length) @ self.directions.T, dtype=np.float32)


def find_prototypes(embeddings: NDArray[Any], *, name: str) -> Prototypes:
    """Cluster embeddings; the same embeddings give the same prototypes.

    With n images there are ``min(8, n // 4)`` clusters; with fewer than 8 images each is one of its own.

    Args:
        embeddings: (n, D), finite; n and D at least 2.
        name: Of the model, for messages.

    Raises:
        ModelError: If the embeddings are all alike.
    """
    values = embeddings.astype(np.float64)
    mean = values.mean(axis=0)
    apart = values - mean
    lengths = np.sqrt((apart**2).sum(axis=1))
    usual = float(np.sqrt((lengths**2).mean()))
    if not usual > _NO_SPREAD * max(float(np.sqrt((mean**2).sum())), 1e-12):
        raise ModelError(
            f"model {name}: its embeddings of {len(values)} images are all alike",
            subject=name,
            hint="the images are copies of one another, or this model does not see their differences",
        )
    units = apart / np.maximum(lengths, usual * _SOFTENING)[:, None]
    clusters = min(MOST_CLUSTERS, len(units) // IMAGES_PER_CLUSTER)
    own = np.arange(len(units)) if clusters < 2 else spherical_kmeans(units, clusters)
    centres = _unit(np.stack([units[own == k].mean(axis=0) for k in dict.fromkeys(own.tolist())]))
    return Prototypes(mean, _different(centres), usual * _SOFTENING, len(units))


def spherical_kmeans(units: F64, clusters: int) -> NDArray[np.int64]:
    """Return (n,) the cluster of each direction; the best of some starts with a fixed seed.

    Args:
        units: (n, D) of length 1.
        clusters: At most so many, 2 to n; fewer if fewer directions differ.
    """
    rng = np.random.default_rng(0)
    best, best_score = np.zeros(len(units), np.int64), -np.inf
    for _ in range(_RESTARTS):
        centres = _spread_start(units, clusters, rng)
        own = (units @ centres.T).argmax(axis=1)
        for _ in range(_ROUNDS):
            # a cluster that lost all its members stays empty
            centres = _unit(np.stack([units[own == k].sum(axis=0) for k in np.unique(own)]))
            closeness = units @ centres.T
            before, own = own, closeness.argmax(axis=1)
            if np.array_equal(before, own):
                break
        score = float((units * centres[own]).sum())
        if score > best_score + 1e-9:
            best, best_score = own, score
    return best


def _spread_start(units: F64, clusters: int, rng: np.random.Generator) -> F64:
    """Choose directions far from one another by chance (k-means++, Arthur & Vassilvitskii 2007)."""
    chosen = [int(rng.integers(len(units)))]
    while len(chosen) < clusters:
        far = np.maximum(1 - (units @ units[chosen].T).max(axis=1), 0)
        far[far < 1 - _SAME] = 0
        if not far.any():
            break
        chosen.append(int(rng.choice(len(units), p=far / far.sum())))
    return units[chosen]


def _different(centres: F64) -> F64:
    """Drop directions that repeat an earlier one: copies of an image are no choice."""
    kept: list[int] = []
    for k in range(len(centres)):
        if not kept or float((centres[kept] @ centres[k]).max()) < _SAME:
            kept.append(k)
    return centres[kept]


def _unit(values: F64) -> F64:
    return np.asarray(values / np.maximum(np.sqrt((values**2).sum(axis=1, keepdims=True)), 1e-12))
