"""The images that tell most about a battery: where attackers got most, and where least, with pictures."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from medlocker.classifiers import Classifier
from medlocker.errors import MedlockerError
from medlocker.evaluate.removal import (
    BREAKDOWNS,
    MOST_STUDIED,
    Attack,
    Battery,
    Evidence,
    Item,
    NetworkLearner,
    ScaledImage,
    VariantResult,
)
from medlocker.logo import Logo

_SIDE_PX, _SMALL_PX = 420, 240
_NONE = "none"
_NO_ANSWER = "no answer"
Bytes = NDArray[np.uint8]


@dataclass(frozen=True)
class CaseAnswer:
    """What one target says.

    Args:
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
        attack: Row of the battery.
        psnr: Of the marked pixels after the attack, dB; None if they cannot be compared.
        is_worst: Whether no other image is worse for the owner; else none is better.
        answers: Of every target.
        pictures: Original, marked, and after the attack, of one size; empty if they could not be made again.
        number: Of the attack, where the images are compared after this attack alone; None if after all.
    """

    image: str
    attack: str
    psnr: float | None
    is_worst: bool
    answers: tuple[CaseAnswer, ...]
    pictures: tuple[Bytes, ...] = ()
    number: int | None = None


@dataclass(frozen=True)
class _Wanted:
    """A picture to make: of all attacks if ``number`` is None, else of that one."""

    key: str
    attack: str
    is_worst: bool
    number: int | None = None


def find_cases(
    cells: Mapping[str, Mapping[str, VariantResult]],
    images: Iterable[Item],
    *,
    battery: Battery,
    logo: Logo | None,
    models: Sequence[Classifier],
    seed: int,
    labels: Mapping[str, Sequence[int]] | None = None,
    rows: Collection[str] = (),
) -> tuple[Case, ...]:
    """Return the worst case of the owner, then the best one, each attacked once more for its picture.

    Only attacks count that need no more than a release gives and that leave a picture: neither retraining,
    nor votes, nor the removal network, which would have to learn again.

    Args:
        cells: Finished, by image (name, NUL, digest) and row; of these images only.
        images: Gone through up to three times.
        battery: That made the cells.
        logo: As the battery was given.
        models: In the order of the cells' answers.
        seed: Of the battery.
        labels: By an image's name the right class for each model.
        rows: Also of each of these attacks the image on which it got most, and the one on which it got least.

    Returns:
        First those of all attacks together, compared by how the pixels are restored: two cases; one if the
        same image is both, none if no attack could be compared. Then those of ``rows``, in the order of their
        numbers.
    """
    quick = [one for one in battery.learners if not isinstance(one, NetworkLearner)]
    facts = (*(one.facts for one in battery.attacks), *(one.facts for one in quick))
    numbers = {name: one.number for one in facts if one.combined for name in one.variants if name != _NONE}
    wanted = _extremes(cells, numbers.keys())
    for name in sorted(numbers.keys() & set(rows), key=lambda name: (numbers[name], name)):
        wanted += _extremes_of(cells, name, numbers[name], labels or {})
    if not wanted:
        return ()
    again = _RepeatedAttacks(battery, images, logo, seed)
    made: dict[_Wanted, Case] = {}
    for item in images:
        mine = [one for one in wanted if one.key.startswith(f"{item.name}\0")]
        exhibit = ScaledImage(item, logo)
        for one in mine:
            made[one] = Case(
                image=item.name,
                attack=one.attack,
                psnr=cells[one.key][one.attack].psnr,
                is_worst=one.is_worst,
                answers=_answers(cells[one.key], one.attack, models),
                pictures=_pictures(exhibit, one, again),
                number=one.number,
            )
        if len(made) == len(wanted):
            break
    return tuple(made[one] for one in wanted if one in made)


def _extremes(cells: Mapping[str, Mapping[str, VariantResult]], allowed: Collection[str]) -> list[_Wanted]:
    """Return the image that any attack restores best, and the one that all restore least."""
    best = []
    for key, one in cells.items():
        rated = [(cell.psnr, name) for name, cell in one.items() if name in allowed and cell.psnr is not None]
        if rated:
            psnr, name = max(rated, key=lambda pair: pair[0])
            best.append((-psnr, key, name))
    ranked = sorted(best)
    return [
        _Wanted(key, name, place == 0) for place, (_, key, name) in enumerate(ranked[:1] + ranked[1:][-1:])
    ]


def _extremes_of(
    cells: Mapping[str, Mapping[str, VariantResult]],
    attack: str,
    number: int,
    labels: Mapping[str, Sequence[int]],
) -> list[_Wanted]:
    """Return the image on which one attack got most, and the one on which it got least."""

    def got(key: str) -> tuple[int, int, float]:
        """Count right answers that the mark had taken, then all right ones, then decibels."""
        truth = labels.get(key.partition("\0")[0], ())
        none, after = cells[key][_NONE], cells[key][attack]
        right = [k for k, one in zip(after.answers, truth, strict=False) if k == one]
        back = [
            k
            for k, was, one in zip(after.answers, none.answers, truth, strict=False)
            if was != one and k == one
        ]
        return len(back), len(right), after.psnr or 0.0

    tried = sorted(key for key, one in cells.items() if attack in one)
    if not tried:
        return []
    most, least = max(tried, key=got), min(tried, key=lambda key: got(key)[1:])
    chosen = [_Wanted(most, attack, True, number)]
    return chosen if least == most else [*chosen, _Wanted(least, attack, False, number)]


def _answers(
    cells: Mapping[str, VariantResult], attack: str, models: Sequence[Classifier]
) -> tuple[CaseAnswer, ...]:
    untouched, after = cells[_NONE], cells[attack]
    return tuple(
        CaseAnswer(
            model.name,
            *(
                model.classes[k] if k >= 0 else _NO_ANSWER
                for k in (untouched.control[t], untouched.answers[t], after.answers[t])
            ),
        )
        for t, model in enumerate(models)
    )


class _RepeatedAttacks:
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
            exhibit = ScaledImage(item, self._logo)
            crowd += [] if exhibit.is_veil else exhibit.surroundings()
            if len(crowd) >= MOST_STUDIED:
                break
        return crowd[:MOST_STUDIED]


def _pictures(exhibit: ScaledImage, wanted: _Wanted, again: _RepeatedAttacks) -> tuple[Bytes, ...]:
    """Return small pictures of one size; none if that fails, for all numbers are there already."""
    try:
        attack = again(wanted.attack)
        after = attack.restore(exhibit.evidence(attack.facts.longest_px))[wanted.attack]
    except (*BREAKDOWNS, MedlockerError):
        return ()
    height, width = exhibit.clean.shape[:2]
    scale = min((_SIDE_PX if wanted.number is None else _SMALL_PX) / max(height, width), 1.0)
    size = (max(round(width * scale), 1), max(round(height * scale), 1))
    pictures = (exhibit.clean, exhibit.marked, after)
    return tuple(
        np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), dtype=np.uint8)
        for picture in pictures
    )
