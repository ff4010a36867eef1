"""Attacks that train the targets on: every image is judged by a network that did not learn from it."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence

from medlocker.classifiers import Classifier
from medlocker.evaluate.removal._breakdowns import UNTRAINED
from medlocker.evaluate.removal._item import Item, ScaledImage
from medlocker.evaluate.removal._observer import BatteryObserver
from medlocker.evaluate.removal._painter import MOST_LOOKED_AT, MarkPainter, kinds_of
from medlocker.evaluate.removal._state import State, VariantResult
from medlocker.evaluate.removal._trainingattack import TrainingAttack, network_of
from medlocker.evaluate.removal.prepared import PrepareOptions, RandomMarkTraining
from medlocker.logo import Logo


def train_targets(
    kind: type[TrainingAttack],
    labels: Mapping[str, tuple[int, ...]],
    items: Iterable[Item],
    targets: Sequence[Classifier],
    *,
    logo: Logo | None,
    state: State,
    watch: BatteryObserver,
    seed: int,
    minutes: float,
) -> tuple[str, ...]:
    """Train each target on and keep what it answers; what is finished is not done again.

    Args:
        labels: By the images' keys.
        items: The images, gone through once.
        logo: The owner's, where attackers know it.
        seed: Of everything random.
        minutes: Of the preparation of one target at most.

    Returns:
        Notes on targets that cannot be trained, and on how it went.

    Raises:
        WriteError: If the system refuses to keep the answers.
    """
    if all(state.has(key, (kind.name,)) for key in labels):
        return ()
    lessons = [_lesson(kind, target, minutes) for target in targets]
    able = [network_of(target) is not None for target in targets]
    veils: list[bool] = []
    for item in items if any(able) else ():
        exhibit = ScaledImage(item, logo)
        if len(veils) < MOST_LOOKED_AT:
            veils.append(exhibit.is_veil)
        for lesson, fits, label in zip(lessons, able, item.labels, strict=True):
            if fits:
                lesson.add(exhibit.key, exhibit.clean, exhibit.marked, label)
    began = time.perf_counter()
    found: list[dict[str, tuple[int, int]]] = []
    notes: list[str] = []
    for lesson, target, fits in zip(lessons, targets, able, strict=True):
        if fits:
            watch.retraining(target.name)
        if isinstance(lesson, RandomMarkTraining) and logo is not None:
            lesson.painter = MarkPainter(logo, kinds=kinds_of(veils))
        try:
            found.append(lesson.learn(seed=seed) if fits else {})
        except UNTRAINED as error:
            found.append({})
            notes.append(f"model {target.name}: not {kind.done}: {error}")
            continue
        if not found[-1]:
            notes.append(f"model {target.name}: not {kind.done}: that needs {kind.needs}")
        notes += lesson.notes
    seconds = (time.perf_counter() - began) / len(labels)
    for key in labels:
        pairs = [one.get(key, (-1, -1)) for one in found]
        cell = VariantResult(tuple(p[0] for p in pairs), tuple(p[1] for p in pairs), None, None, seconds)
        state.add(key, {kind.name: cell})
    return tuple(notes)


def _lesson(kind: type[TrainingAttack], target: Classifier, minutes: float) -> TrainingAttack:
    if issubclass(kind, RandomMarkTraining):
        return kind(target, PrepareOptions(minutes=minutes / 2))
    return kind(target)
