"""Which images of a data set are kept to judge on: the same ones in any order, on any machine."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping


def held_out(labels: Mapping[str, str], share: float = 0.25) -> set[str]:
    """Choose a share of every class by a hash of the file name.

    Args:
        labels: From file name to class.
        share: Of each class, rounded, at least one image.

    Returns:
        Names to judge on; never used for training.
    """
    by_class: dict[str, list[str]] = {}
    for name, label in labels.items():
        by_class.setdefault(label, []).append(name)
    chosen: set[str] = set()
    for names in by_class.values():
        ordered = sorted(names, key=_rank)
        chosen.update(ordered[: max(1, round(share * len(ordered)))])
    return chosen


def _rank(name: str) -> str:
    return hashlib.sha256(b"medlocker-held-out-v1\0" + name.encode("utf-8")).hexdigest()
