"""Which images of a data set are kept to judge on, and which to tune on: the same ones on any machine."""

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
    return _share_of_each(labels, share, "held-out")


def kept_to_tune_on(labels: Mapping[str, str], share: float = 0.2) -> set[str]:
    """Choose images that no model is trained on and no table is made of: settings are chosen on them.

    Args:
        labels: From file name to class.
        share: Of what :func:`held_out` leaves of each class.
    """
    judged = held_out(labels)
    rest = {name: label for name, label in labels.items() if name not in judged}
    return _share_of_each(rest, share, "tune-on")


def _share_of_each(labels: Mapping[str, str], share: float, purpose: str) -> set[str]:
    by_class: dict[str, list[str]] = {}
    for name, label in labels.items():
        by_class.setdefault(label, []).append(name)
    chosen: set[str] = set()
    for names in by_class.values():
        ordered = sorted(names, key=lambda name: _rank(name, purpose))
        chosen.update(ordered[: max(1, round(share * len(ordered)))])
    return chosen


def _rank(name: str, purpose: str) -> str:
    return hashlib.sha256(f"medlocker-{purpose}-v1\0{name}".encode()).hexdigest()
