"""Attacks that a run searches against: which ones for an image, and what models see after them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medlocker.attacks import Attack, as_bytes, attack_capped, attack_name, changed, widened
from medlocker.classifiers import Classifier
from medlocker.images import Image, viewed
from medlocker.protect._settings import Settings
from medlocker.search import is_coarse

_SEEN_PX = 2


def attacks_for(
    settings: Settings, image: Image, classifiers: Sequence[Classifier]
) -> tuple[str | Attack, ...]:
    """Return the attacks after which the models shall be misled on one image too."""
    found = settings.against
    coarse = settings.bear_shrinking and is_coarse(image.height, image.width, classifiers)
    return (*found, "resize") if coarse and "resize" not in settings.against_names else found


def attacked_views(original: Image, marked: Image, attacks: Sequence[str | Attack]) -> Iterator[NDArray[Any]]:
    """Yield the colours of a marked file, then those after each attack on it."""
    after = viewed(marked)
    yield after
    if not attacks:
        return
    clean, picture = as_bytes(viewed(original)), as_bytes(after)
    mask = widened(changed(clean, picture), _SEEN_PX)
    for attack in attacks:
        yield attack_capped(attack, picture, mask)


def attacks_survived(
    attacks: Sequence[str | Attack], answers: NDArray[np.int64], labels: Sequence[int]
) -> tuple[str, ...]:
    """Return the names of the attacks after which every model is misled.

    Args:
        attacks: All that were tried.
        answers: (1 + attacks, models), the first of them before any attack.
        labels: By model, what must not be answered.
    """
    misled = (answers[1:] != np.array(labels)).all(axis=1)
    return tuple(attack_name(attack) for attack, every in zip(attacks, misled, strict=True) if every)
