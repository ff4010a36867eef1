"""The two images that tell most about a battery: which attackers restored best, and which least."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from medlocker.classifiers import Classifier
from medlocker.errors import MedlockerError
from medlocker.evaluate.removal import (
    MOST_STUDIED,
    Attack,
    Battery,
    Cell,
    Evidence,
    Exhibit,
    Item,
    NetworkLearner,
)
from medlocker.logo import Logo

_SIDE_PX = 420
_NONE = "none"
_NO_ANSWER = "no answer"
Bytes = NDArray[np.uint8]


@dataclass(frozen=True)
class Answer:
    """What one target says.

    Args:
        target: Its name.
        clean: Class of the original.
        marked: Class of the marked image.
        after: Class after the attack.
    """

    target: str
    clean: str
    marked: str
    after: str


@dataclass(frozen=True, eq=False)
class Case:
    """One image with the attack that restores it best.

    Args:
        image: Its name.
        attack: Row of the battery.
        psnr: Of the marked pixels after the attack, dB.
        is_worst: Whether no other image is restored better; else none is restored less.
        answers: Of every target.
        pictures: Original, marked, and after the attack, of one size; empty if they could not be made again.
    """

    image: str
    attack: str
    psnr: float
    is_worst: bool
    answers: tuple[Answer, ...]
    pictures: tuple[Bytes, ...] = ()


@dataclass(frozen=True)
class _Found:
    key: str
    attack: str
    psnr: float


def find_cases(
    cells: Mapping[str, Mapping[str, Cell]],
    images: Iterable[Item],
    *,
    battery: Battery,
    logo: Logo | None,
    models: Sequence[Classifier],
    seed: int,
) -> tuple[Case, ...]:
    """Return the worst case of the owner, then the best one, each attacked once more for its picture.

    Only attacks count that need no more than a release gives and whose pictures can be compared with the
    original: neither retraining, nor votes, nor the removal network, which would have to learn again.

    Args:
        cells: Finished, by image (name, NUL, digest) and row; of these images only.
        images: Gone through up to three times.
        battery: That made the cells.
        logo: As the battery was given.
        models: In the order of the cells' answers.
        seed: Of the battery.

    Returns:
        Two cases; one if the same image is both, none if no attack could be compared.
    """
    quick = [one for one in battery.learners if not isinstance(one, NetworkLearner)]
    facts = (*(one.facts for one in battery.attacks), *(one.facts for one in quick))
    allowed = {name for one in facts if one.combined for name in one.variants} - {_NONE}
    best = [found for key, one in cells.items() if (found := _restored_best(key, one, allowed))]
    if not best:
        return ()
    ranked = sorted(best, key=lambda found: (-found.psnr, found.key))
    wanted = {found.key: found for found in (ranked[-1], ranked[0])}
    again = _Again(battery, images, logo, seed)
    cases = []
    for item in images:
        found = next((one for one in wanted.values() if one.key.startswith(f"{item.name}\0")), None)
        if found is None:
            continue
        cases.append(
            Case(
                image=item.name,
                attack=found.attack,
                psnr=found.psnr,
                is_worst=found is ranked[0],
                answers=_answers(cells[found.key], found.attack, models),
                pictures=_pictures(Exhibit(item, logo), found.attack, again),
            )
        )
        if len(cases) == len(wanted):
            break
    return tuple(sorted(cases, key=lambda case: not case.is_worst))


def _restored_best(key: str, cells: Mapping[str, Cell], allowed: set[str]) -> _Found | None:
    rated = [(cell.psnr, name) for name, cell in cells.items() if name in allowed and cell.psnr is not None]
    if not rated:
        return None
    psnr, name = max(rated, key=lambda one: one[0])
    return _Found(key, name, psnr)


def _answers(cells: Mapping[str, Cell], attack: str, models: Sequence[Classifier]) -> tuple[Answer, ...]:
    untouched, after = cells[_NONE], cells[attack]
    return tuple(
        Answer(
            model.name,
            *(
                model.classes[k] if k >= 0 else _NO_ANSWER
                for k in (untouched.control[t], untouched.answers[t], after.answers[t])
            ),
        )
        for t, model in enumerate(models)
    )


class _Again:
    """Makes attacks of a finished battery once more."""

    def __init__(self, battery: Battery, images: Iterable[Item], logo: Logo | None, seed: int) -> None:
        self._battery, self._images, self._logo, self._seed = battery, images, logo, seed
        self._learned: dict[str, Attack] = {}

    def __call__(self, name: str) -> Attack:
        for attack in self._battery.attacks:
            if name in attack.facts.variants:
                return attack
        if name not in self._learned:
            learner = next(one for one in self._battery.learners if name in one.facts.variants)
            self._learned[name] = learner.learn(self._crowd(), public=(), seed=self._seed)
        return self._learned[name]

    def _crowd(self) -> list[Evidence]:
        """Return what the battery has let its attackers study."""
        crowd: list[Evidence] = []
        for item in self._images:
            exhibit = Exhibit(item, self._logo)
            crowd += [] if exhibit.is_veil else exhibit.surroundings()
            if len(crowd) >= MOST_STUDIED:
                break
        return crowd[:MOST_STUDIED]


def _pictures(exhibit: Exhibit, name: str, again: _Again) -> tuple[Bytes, ...]:
    """Return small pictures of one size; none if that fails, for all numbers are there already."""
    try:
        attack = again(name)
        after = attack.restore(exhibit.evidence(attack.facts.longest_px))[name]
    except (MedlockerError, MemoryError, cv2.error):
        return ()
    height, width = exhibit.clean.shape[:2]
    scale = min(_SIDE_PX / max(height, width), 1.0)
    size = (max(round(width * scale), 1), max(round(height * scale), 1))
    pictures = (exhibit.clean, exhibit.marked, after)
    return tuple(
        np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), dtype=np.uint8)
        for picture in pictures
    )
