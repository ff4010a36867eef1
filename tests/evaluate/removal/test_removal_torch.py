"""The two attacks that train a network."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from removal_samples import LOGO, QuadrantClassifier, gentle, marked_photograph, photograph, put

from medlocker.attacks import changed, widened
from medlocker.classifiers import Card, InputSpec
from medlocker.evaluate.removal._difference import DifferenceAttack, another_version
from medlocker.evaluate.removal._evidence import Evidence
from medlocker.evaluate.removal._item import Exhibit, Item
from medlocker.evaluate.removal._network import NetworkAttack, NetworkLearner
from medlocker.evaluate.removal._retrain import Lesson, RetrainOptions, network_of
from medlocker.mark import Mark
from medlocker.testing import LinearClassifier

torch = pytest.importorskip("torch")


def test_the_network_learns_to_remove_marks_and_is_small() -> None:
    from medlocker.evaluate.removal._unet import UNet

    assert sum(p.numel() for p in UNet(NetworkLearner().width).parameters()) < 1_000_000
    public = [gentle(seed, 96) for seed in range(6)]
    one = put(gentle(50, 96), (Mark(30, 24, 32, 40000),))
    learner = NetworkLearner(steps=60, side_px=48, width=8, batch=6)
    attack = learner.learn([one.evidence], public=public, seed=1)
    assert one.psnr(attack.restore(one.evidence)["removal network"]) > one.psnr(one.pixels) + 5


def test_the_same_seed_trains_the_same_network() -> None:
    one = put(gentle(50, 96), (Mark(30, 24, 32, 40000),))
    learner = NetworkLearner(steps=3, side_px=32, width=8, batch=2)
    made = [
        learner.learn([one.evidence], public=[gentle(1, 96)], seed=1).restore(one.evidence)["removal network"]
        for _ in range(2)
    ]
    np.testing.assert_array_equal(made[0], made[1])


def test_without_public_images_or_a_logo_nothing_is_learned() -> None:
    one = marked_photograph(0)
    attack = NetworkLearner().learn([one.evidence], public=(), seed=0)
    assert isinstance(attack, NetworkAttack)
    np.testing.assert_array_equal(attack.restore(one.evidence)["removal network"], one.pixels)


def tiny_network() -> Any:
    torch.manual_seed(0)
    layers = torch.nn.Conv2d(3, 8, 3, stride=2), torch.nn.ReLU(), torch.nn.AdaptiveAvgPool2d(2)
    return torch.nn.Sequential(*layers, torch.nn.Flatten(), torch.nn.Linear(32, 2))


def test_retraining_learns_labels_that_the_marked_images_still_show() -> None:
    from medlocker.classifiers._torch import TorchClassifier

    card = Card(InputSpec(height=32, width=32, mean=(0.4, 0.4, 0.4), std=(0.2, 0.2, 0.2)))
    target = TorchClassifier(
        tiny_network(), card=card, name="tiny", fingerprint="0" * 64, classes=("a", "b"), device="cpu"
    )
    before = [p.clone() for p in target.network.parameters()]
    lesson = Lesson(target)
    for seed in range(24):
        clean = gentle(seed, 64) // 3 + np.uint8(90 * (seed % 2))
        marked = put(clean, (Mark(5, 5, 20, 50000),))
        lesson.add(str(seed), marked.clean, marked.pixels, seed % 2)
    lesson.add("unlabelled", marked.clean, marked.pixels, -1)
    found = lesson.learn(seed=0, options=RetrainOptions(epochs=12, lr=3e-2, batch_size=6))
    assert found.keys() == {str(seed) for seed in range(24)}
    assert np.mean([answer == int(seed) % 2 for seed, (answer, _) in found.items()]) > 0.85
    after = list(target.network.parameters())
    assert all(torch.equal(one, other) for one, other in zip(before, after, strict=True))


def test_retraining_bears_a_class_that_no_image_has() -> None:
    from medlocker.classifiers._torch import TorchClassifier

    card = Card(InputSpec(height=32, width=32, mean=(0.4, 0.4, 0.4), std=(0.2, 0.2, 0.2)))
    target = TorchClassifier(
        tiny_network(), card=card, name="tiny", fingerprint="0" * 64, classes=("a", "b"), device="cpu"
    )
    lesson = Lesson(target)
    for seed in range(10):
        lesson.add(str(seed), gentle(seed, 32), gentle(seed, 32), 0)
    found = lesson.learn(seed=0, options=RetrainOptions(epochs=1, lr=1e-3, batch_size=6))
    assert len(found) == 10


@pytest.mark.parametrize("target", [LinearClassifier(), QuadrantClassifier()])
def test_classifiers_without_a_network_are_not_retrained(target: LinearClassifier) -> None:
    assert network_of(target) is None
    assert Lesson(target).learn(seed=0) == {}


# --------------------------------------------------------------------------------- two versions of one image


def test_two_versions_give_the_original_exactly() -> None:
    one = marked_photograph(3)
    second = another_version(one.clean, one.mask, LOGO, np.random.default_rng(0))
    assert second is not None
    elsewhere = changed(one.clean, second)
    assert elsewhere.any()
    evidence = Evidence(one.pixels, widened(one.mask, 2), LOGO, second)
    merged = DifferenceAttack().restore(evidence)["two versions merged"]
    assert not (elsewhere & one.mask).any()
    np.testing.assert_array_equal(merged[one.mask], one.clean[one.mask])


def test_no_second_version_where_there_is_no_room() -> None:
    one = put(gentle(0, 64), (Mark(4, 4, 56, 40000),))
    assert another_version(one.clean, one.mask, LOGO, np.random.default_rng(0)) is None
    assert another_version(one.clean, np.zeros_like(one.mask), LOGO, np.random.default_rng(0)) is None
    alone = DifferenceAttack().restore(one.evidence)["two versions merged"]
    np.testing.assert_array_equal(alone, one.pixels)


def test_an_exhibit_shows_sixteen_bits_as_eight_and_shrinks_once() -> None:
    clean = photograph(0).astype(np.uint16) * 257
    marked = clean.copy()
    marked[20:40, 30:60] = 65535
    exhibit = Exhibit(Item("a", clean, marked, (0,)), LOGO)
    np.testing.assert_array_equal(exhibit.clean, photograph(0))
    assert exhibit.evidence(96).marked.shape == (96, 96, 3)
    assert exhibit.evidence(96) is exhibit.evidence(96)
    assert exhibit.mask[20:40, 30:60].all()
    assert exhibit.mask.sum() < 1.2 * 20 * 30
