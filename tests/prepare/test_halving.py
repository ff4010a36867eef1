from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from numpy.typing import NDArray

from medlocker.classifiers import Classifier
from medlocker.errors import InputError
from medlocker.logo import builtin_logo
from medlocker.prepare import _halving
from medlocker.prepare._halving import Subset, choose, make_plan, plan_for
from medlocker.prepare._reduced import ReducedImage
from medlocker.prepare._trials import StyleTrials, VeilRenderer, make_trial_views
from medlocker.prepare._variants import variants
from medlocker.protect import Settings
from medlocker.testing import LinearClassifier
from medlocker.veilstyle import DEFAULT_STYLE, VeilStyle
from pictures import make_image

STYLES = variants(DEFAULT_STYLE, count=8, opacities=(0.06, 0.15), size=None, rng=np.random.default_rng(0))
IMAGES = [ReducedImage(f"{k}.png", make_image(seed=k, height=64, width=64), ()) for k in range(10)]
VEILER = VeilRenderer(builtin_logo(), Settings(preset="veil"), with_decoys=False)
CHOOSERS = [Subset((0, 1)), Subset((1,), 0), Subset((1,), 1), Subset((0,), 0), Subset((0,), 1)]


class Counting(LinearClassifier):
    """Counts the pictures that it is asked about."""

    asked = 0

    def answer(self, batch: NDArray[np.float32]) -> NDArray[np.float32]:
        self.asked += len(batch)
        return super().answer(batch)


def chosen_by(models: Sequence[Classifier]) -> tuple[list[VeilStyle], int]:
    counted: list[int] = []
    plan = plan_for(len(STYLES), images=len(IMAGES), choosers=len(CHOOSERS), repeats=1)
    with StyleTrials(VEILER, IMAGES, models, advance=counted.append) as trials:
        answers = [logits.argmax(axis=1) for logits in trials.originals()]
        trials.shots = make_trial_views(IMAGES, np.arange(10) % 3, repeats=1, seed=0)
        found = choose(trials, STYLES, plan, answers=answers, choosers=CHOOSERS, aim="same")
        assert trials.evaluations == sum(counted)
        return found, trials.evaluations


def test_a_plan_takes_no_more_than_its_budget_and_uses_it() -> None:
    for budget, images, models in ((4000, 96, 2), (2000, 48, 1), (400, 24, 1), (60, 8, 1), (9000, 96, 3)):
        choosers = 1 + 2 * models
        plan = make_plan(budget, images=images, models=models, choosers=choosers, repeats=3)
        taken = (plan.pictures + images) * models
        assert taken <= budget
        more = plan_for(plan.styles + 1, images=images, choosers=choosers, repeats=plan.repeats)
        assert plan.styles == 96 or (more.pictures + images) * models > budget
        assert [shots for shots, _ in plan.steps] == sorted({shots for shots, _ in plan.steps})
        assert plan.steps[-1][0] == images * plan.repeats
        assert all(count > choosers or count == plan.styles for _, count in plan.steps)


def test_too_small_a_budget_says_what_is_needed() -> None:
    with pytest.raises(InputError, match="expected a budget of at least 480 evaluations for 96 images and 1"):
        make_plan(100, images=96, models=1, choosers=3, repeats=2)
    assert make_plan(480, images=96, models=1, choosers=3, repeats=2).repeats == 1


def test_every_answer_is_asked_for_once() -> None:
    models = [Counting(size=32, seed=1), Counting(size=24, seed=2)]
    _, evaluations = chosen_by(models)
    plan = plan_for(len(STYLES), images=len(IMAGES), choosers=len(CHOOSERS), repeats=1)
    assert evaluations == 2 * (plan.pictures + len(IMAGES))
    assert [model.asked for model in models] == [evaluations // 2] * 2


def test_who_has_not_seen_a_model_chooses_whatever_it_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_halving, "_WORTH", -10.0)  # the best is chosen, better or not
    first = [
        chosen_by([LinearClassifier(size=32, seed=1), LinearClassifier(size=32, seed=k)])[0]
        for k in (2, 3, 4)
    ]
    for others in first[1:]:
        assert others[3:] == first[0][3:]  # these see the first model alone
    assert len({tuple(found[1:3]) for found in first}) > 1


def test_both_halves_and_the_beginning_hold_all_classes() -> None:
    answers = np.array([0] * 20 + [1] * 8 + [2] * 4)
    images = [ReducedImage(str(k), IMAGES[0].image, ()) for k in range(32)]
    shots = make_trial_views(images, answers, repeats=2, seed=0)
    assert [shot.image for shot in shots[:32]] == [shot.image for shot in shots[32:]]
    assert len({shot.key for shot in shots}) == 64
    for k in range(3):
        halves = [shot.half for shot in shots[:32] if answers[shot.image] == k]
        assert halves.count(0) == halves.count(1)
    beginning = {(shot.half, int(answers[shot.image])) for shot in shots[:6]}
    assert len(beginning) == 6


class Known:
    """Trials of which the answers are known beforehand.

    Args:
        changed: For each style, on how many of the images the answer is not that on the original.
    """

    def __init__(self, changed: dict[VeilStyle, int]) -> None:
        self.shots = make_trial_views(IMAGES, ANSWERS, repeats=1, seed=0)
        self.classifiers = [LinearClassifier(size=8)]
        self._changed = changed

    def ask(self, styles: object, *, shots: int) -> None:
        """Know all of them already."""

    def logits(self, style: VeilStyle, model: int, chosen: Sequence[int]) -> NDArray[np.float32]:
        """Return sure answers."""
        images = [self.shots[k].image for k in chosen]
        answers = [0 if image < self._changed.get(style, 0) else ANSWERS[image] for image in images]
        return np.asarray(np.eye(3)[answers] * 20, np.float32)


ANSWERS = np.array([1, 2] * 5)


@pytest.mark.parametrize(("changed", "chosen"), [(0, 0), (1, 0), (8, 5)])
def test_the_first_style_is_chosen_unless_another_is_surely_better(changed: int, chosen: int) -> None:
    trials = Known({STYLES[5]: changed})
    plan = plan_for(len(STYLES), images=len(IMAGES), choosers=1, repeats=1)
    found = choose(trials, STYLES, plan, answers=[ANSWERS], choosers=[Subset((0,))], aim="same")  # type: ignore[arg-type]
    assert found == [STYLES[chosen]]
