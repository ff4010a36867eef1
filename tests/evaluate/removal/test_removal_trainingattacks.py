"""The two attacks that train the classifier itself."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, NoReturn

import numpy as np
import pytest
from removal_samples import LOGO, QuadrantClassifier, gentle, put

from medlocker.classifiers import Card, InputSpec
from medlocker.errors import ModelError
from medlocker.evaluate.removal import Item, MarkPainter, run_battery
from medlocker.evaluate.removal._retrain import MarkedImageTraining, RetrainOptions
from medlocker.evaluate.removal._trainingattack import network_of
from medlocker.evaluate.removal.prepared import PrepareOptions, RandomMarkTraining, painted
from medlocker.mark import Mark
from medlocker.testing import LinearClassifier

torch = pytest.importorskip("torch")

OPTIONS = RetrainOptions(epochs=12, lr=3e-2, batch_size=6)
QUICK = PrepareOptions(copies=1, draws=1, most_rounds=8, patience=8, lr=2e-2, batch_size=4)


def tiny_network() -> Any:
    torch.manual_seed(0)
    layers = torch.nn.Conv2d(3, 8, 3, stride=2), torch.nn.ReLU(), torch.nn.AdaptiveAvgPool2d(2)
    return torch.nn.Sequential(*layers, torch.nn.Flatten(), torch.nn.Linear(32, 2))


def tiny_target() -> Any:
    from medlocker.classifiers.pytorch import TorchClassifier

    card = Card(InputSpec(height=32, width=32, mean=(0.4, 0.4, 0.4), std=(0.2, 0.2, 0.2)))
    return TorchClassifier(
        tiny_network(), card=card, name="tiny", fingerprint="0" * 64, classes=("a", "b"), device="cpu"
    )


def test_retraining_learns_labels_that_the_marked_images_still_show() -> None:
    target = tiny_target()
    before = [p.clone() for p in target.network.parameters()]
    lesson = MarkedImageTraining(target, OPTIONS)
    for seed in range(24):
        clean = gentle(seed, 64) // 3 + np.uint8(90 * (seed % 2))
        marked = put(clean, (Mark(5, 5, 20, 50000),))
        lesson.add(str(seed), marked.clean, marked.pixels, seed % 2)
    lesson.add("unlabelled", marked.clean, marked.pixels, -1)
    found = lesson.learn(seed=0)
    assert found.keys() == {str(seed) for seed in range(24)}
    assert np.mean([answer == int(seed) % 2 for seed, (answer, _) in found.items()]) > 0.85
    after = list(target.network.parameters())
    assert all(torch.equal(one, other) for one, other in zip(before, after, strict=True))


def test_retraining_bears_a_class_that_no_image_has() -> None:
    target = tiny_target()
    lesson = MarkedImageTraining(target, OPTIONS)
    for seed in range(10):
        lesson.add(str(seed), gentle(seed, 32), gentle(seed, 32), 0)
    found = lesson.learn(seed=0)
    assert len(found) == 10


@pytest.mark.parametrize("target", [LinearClassifier(), QuadrantClassifier()])
def test_classifiers_without_a_network_are_not_retrained(target: LinearClassifier) -> None:
    assert network_of(target) is None
    assert MarkedImageTraining(target).learn(seed=0) == {}
    assert RandomMarkTraining(target).learn(seed=0) == {}


# ------------------------------------------------------------------------------------- prepared for marks


def prepared(options: PrepareOptions, *, target: Any = None) -> RandomMarkTraining:
    """Pictures of two brightnesses, which a single mark of any opacity changes less."""
    lesson = RandomMarkTraining(target or tiny_target(), options)
    for seed in range(24):
        clean = gentle(seed, 64) // 3 + np.uint8(90 * (seed % 2))
        marked = put(clean, (Mark(5, 5, 20, 50000),))
        lesson.add(str(seed), marked.clean, marked.pixels, seed % 2)
    return lesson


def test_who_prepares_needs_no_marked_image() -> None:
    target = tiny_target()
    before = [p.clone() for p in target.network.parameters()]
    lesson = prepared(QUICK, target=target)
    lesson.painter = MarkPainter(LOGO, kinds=("plain",))
    found = lesson.learn(seed=0)
    assert found.keys() == {str(seed) for seed in range(24)}
    for side in (0, 1):
        assert np.mean([answers[side] == int(seed) % 2 for seed, answers in found.items()]) > 0.85
    assert lesson.notes == []
    assert all(map(torch.equal, before, target.network.parameters()))


def test_marked_images_teach_the_prepared_nothing() -> None:
    """What is judged on may change: the networks that are judged stay the same."""
    answers = []
    for blank in (False, True):
        lesson = prepared(PrepareOptions(copies=1, draws=1, most_rounds=1, batch_size=4))
        if blank:
            lesson.pairs = [(np.zeros_like(marked), clean) for marked, clean in lesson.pairs]
        lesson.painter = MarkPainter(LOGO, kinds=("plain",))
        answers.append({name: on_clean for name, (_, on_clean) in lesson.learn(seed=3).items()})
    assert answers[0] == answers[1]


def test_preparing_that_is_stopped_says_so() -> None:
    lesson = prepared(PrepareOptions(copies=1, draws=1, most_rounds=5, patience=5, minutes=0))
    lesson.painter = MarkPainter(LOGO, kinds=("plain",))
    assert len(lesson.learn(seed=0)) == 24
    stopped = (
        "model tiny: preparing it on one half of the images was stopped after 0 minutes and one round; "
        "longer may "
        "give more"
    )
    assert lesson.notes == [stopped] * 2  # one for each half


def test_nobody_prepares_without_knowing_the_logo() -> None:
    assert prepared(QUICK).learn(seed=0) == {}


def test_canvases_are_painted_on_anew_for_every_seed() -> None:
    pictures = [gentle(seed, 64) for seed in range(3)]
    paint = MarkPainter(LOGO, kinds=("plain",))
    first, again, other = (painted(pictures, paint, side=32, seed=(1, k)) for k in (0, 0, 1))
    np.testing.assert_array_equal(first, again)
    assert all((one != another).any() for one, another in zip(first, other, strict=True))
    assert first.shape == (3, 32, 32, 3)


def bright_and_dark(count: int) -> list[Item]:
    found = []
    for seed in range(count):
        clean = gentle(seed, 64) // 3 + np.uint8(90 * (seed % 2))
        made = put(clean, (Mark(5, 5, 20, 50000),))
        found.append(Item(f"{seed}.png", made.clean, made.pixels, (seed % 2,)))
    return found


def test_a_battery_prepares_the_targets_that_it_can_train() -> None:
    name = RandomMarkTraining.name
    targets = [tiny_target(), QuadrantClassifier()]
    given = [replace(item, labels=(*item.labels, 0)) for item in bright_and_dark(10)]
    result = run_battery(given, targets, logo=LOGO, level="full", names=[name], minutes=1e-9)
    assert [(row.attack, row.target) for row in result.rows] == [
        ("none", "tiny"),
        (name, "tiny"),
        ("none", "quadrants"),
    ]
    assert result.row(name, "tiny").n == result.row("none", "tiny").n > 0
    assert result.row(name, "tiny").control is not None
    assert result.notes[0].startswith("model tiny: preparing it on one half of the images was stopped after ")
    assert result.notes[-1] == (
        "model quadrants: not prepared: that needs the logo, a torch network and eight labelled images"
    )


def test_numbers_that_run_away_cost_only_that_target(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*arguments: Any, **options: Any) -> NoReturn:
        raise ModelError("the training loss became NaN or infinite")

    monkeypatch.setattr(RandomMarkTraining, "teach", broken)
    result = run_battery(
        bright_and_dark(8), [tiny_target()], logo=LOGO, level="full", names=[RandomMarkTraining.name]
    )
    assert [row.attack for row in result.rows] == ["none"]
    assert result.notes == ("model tiny: not prepared: the training loss became NaN or infinite",)
