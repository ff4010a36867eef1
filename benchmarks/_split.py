"""Which images of a data set are kept to judge on, and which to tune on: the same ones on any machine."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping


def held_out(labels: Mapping[str, str], share: float = 0.25) -> set[str]:
    """Choose a share of every class by a hash of the file name.

    An earlier quarter was looked at several times while marks were still being changed, and styles were
    chosen on those kept to tune on: neither judges any longer. These are drawn from the rest.

    Args:
        labels: From file name to class.
        share: Of each class, rounded, at least one image.

    Returns:
        Names to judge on; never used for training.
    """
    known = _looked_at(labels) | kept_to_tune_on(labels)
    rest = {name: label for name, label in labels.items() if name not in known}
    return _share_of_each(rest, share * len(labels) / max(len(rest), 1), "held-out-2")


def kept_to_tune_on(labels: Mapping[str, str], share: float = 0.2) -> set[str]:
    """Choose images that no model is trained on and no table is made of: settings are chosen on them.

    Args:
        labels: From file name to class.
        share: Of what was not looked at yet of each class.
    """
    known = _looked_at(labels)
    rest = {name: label for name, label in labels.items() if name not in known}
    return _share_of_each(rest, share, "tune-on")


def _looked_at(labels: Mapping[str, str]) -> set[str]:
    """Return what judged the first tables: models may learn from it now."""
    return _share_of_each(labels, 0.25, "held-out")


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
