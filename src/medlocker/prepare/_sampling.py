"""Which images of a data set are looked at to prepare a logo."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from medlocker.release import Input


def choose_sample(items: Sequence[Input], count: int, *, seed: int) -> list[Input]:
    """Return at most ``count`` of the images, drawn by chance, in their order."""
    if len(items) <= count:
        return list(items)
    rng = np.random.default_rng([seed, 0])
    chosen = sorted(rng.choice(len(items), size=count, replace=False))
    return [items[int(i)] for i in chosen]
