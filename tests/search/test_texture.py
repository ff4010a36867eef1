from __future__ import annotations

from dataclasses import replace

import numpy as np
from test_searches import BOXES

from medlocker.classifiers import BaseClassifier, Card, InputSpec
from medlocker.images import viewed
from medlocker.logo import builtin_logo, pack_overlay, render, unpack_overlay
from medlocker.mark import Mark
from medlocker.marking import mark_pixels
from medlocker.placements import FreePlacements
from medlocker.search import (
    BatchScheduler,
    Found,
    Preview,
    Problem,
    ScreenedSearch,
    Search,
    SquareSearch,
    TextureSearch,
)
from medlocker.search._texture import ensemble_slopes
from medlocker.testing import LinearClassifier
from pictures import make_image


def problem_of(model: LinearClassifier, *, seed: int, levels: int, most_marks: int = 1) -> Problem:
    image = make_image(height=96, width=120, seed=seed)
    preview = Preview(image, [model], logo=builtin_logo())
    label = int(model.logits(preview.clean_canvases[0][None])[0].argmax())
    placements = FreePlacements(image=(120, 96), support=render(builtin_logo(), 24).support, boxes=BOXES)
    return Problem(preview, (label,), placements, 24, 20000, 50000, levels=levels, most_marks=most_marks)


def searched(search: Search, problem: Problem, model: LinearClassifier) -> Found:
    driver = BatchScheduler([model])
    ((_, found),) = driver.run([search.run(problem, rng=np.random.default_rng(1))])
    assert found.evaluations == driver.clock.evaluations
    return found


def test_a_texture_reaches_more_than_the_best_place() -> None:
    gains = []
    for seed in range(4):
        model = LinearClassifier(size=32, seed=seed)
        plain = searched(ScreenedSearch(budget=60, margin=99), problem_of(model, seed=seed, levels=0), model)
        found = searched(TextureSearch(budget=60, margin=99), problem_of(model, seed=seed, levels=32), model)
        gains.append(found.margin - plain.margin)
    assert min(gains) > 0


def test_the_texture_keeps_its_bound_and_the_marks_their_distance() -> None:
    model = LinearClassifier(size=32, seed=3)
    problem = problem_of(model, seed=2, levels=12, most_marks=3)
    found = searched(TextureSearch(budget=40, margin=99), problem, model)
    assert len(found.marks) >= 2
    for mark in found.marks:
        assert np.abs(unpack_overlay(mark.overlay)).max() <= 12
        assert problem.placements.contains(mark.x, mark.y)
        assert 20000 <= mark.opacity <= 50000
    corners = np.array([(mark.x, mark.y) for mark in found.marks])
    apart = np.hypot(*(corners[:, None] - corners[None]).transpose(2, 0, 1))
    assert apart[~np.eye(len(corners), dtype=bool)].min() >= 1.1 * problem.size_px


def test_the_search_stops_with_the_first_layout_that_suffices() -> None:
    model = LinearClassifier(size=32, seed=1)
    problem = problem_of(model, seed=1, levels=32)
    found = searched(TextureSearch(budget=40, margin=-99), problem, model)
    assert found.evaluations <= 2 + 4


def test_squares_reach_more_than_the_best_place_without_gradients() -> None:
    gains = []
    for seed in range(4):
        model = LinearClassifier(size=32, seed=seed)
        plain = searched(ScreenedSearch(budget=100, margin=99), problem_of(model, seed=seed, levels=0), model)
        problem = problem_of(model, seed=seed, levels=32, most_marks=2)
        found = searched(SquareSearch(budget=100, margin=99), problem, model)
        gains.append(found.margin - plain.margin)
        assert all(np.abs(unpack_overlay(mark.overlay)).max() <= 32 for mark in found.marks if mark.overlay)
    assert min(gains) > 0


def test_squares_that_help_are_kept() -> None:
    model = LinearClassifier(size=32, seed=0)
    problem = problem_of(model, seed=0, levels=32, most_marks=2)
    found = searched(SquareSearch(budget=300, margin=99), problem, model)
    assert len(found.marks) == 2
    for mark in found.marks:  # it starts with upright stripes; one square alone would leave a mark with them
        assert (np.ptp(unpack_overlay(mark.overlay).astype(int), axis=0) > 0).any()


def test_a_learned_texture_is_where_both_searches_start() -> None:
    model = LinearClassifier(size=32, seed=1)
    cells = np.random.default_rng(0).integers(-12, 13, (5, 7, 3)).astype(np.int8)
    problem = replace(problem_of(model, seed=1, levels=32), learned=pack_overlay(cells))
    assert problem.mark(3, 4).overlay == pack_overlay(cells)
    layouts_only = searched(TextureSearch(budget=2 + 4, margin=99), problem, model)
    assert {mark.overlay for mark in layouts_only.marks} == {pack_overlay(cells)}
    for search in (TextureSearch(budget=40, margin=99), SquareSearch(budget=40, margin=99)):
        found = searched(search, problem, model)
        assert unpack_overlay(found.marks[0].overlay).shape == (5, 7, 3)


def test_the_preview_of_a_texture_is_the_marked_images_canvas() -> None:
    card = Card(InputSpec(height=32, width=40))
    model = BaseClassifier(card, name="m", fingerprint="", classes=("0", "1"))
    cells = np.random.default_rng(0).integers(-30, 31, (9, 9, 3)).astype(np.int8)
    mark = Mark(x=8, y=12, size_px=40, opacity=50000, overlay=pack_overlay(cells))
    for height, width in ((61, 75), (260, 330)):
        image = make_image(height=height, width=width)
        preview = Preview(image, [model], logo=builtin_logo())
        step = preview.step
        placed = replace(mark, x=8 // step * step, y=12 // step * step, size_px=height // 2)
        out = np.empty((32, 40, 3), np.float32)
        preview.compose(0, [placed], out)
        real = model.canvas(viewed(image, mark_pixels(image, [placed], logo=builtin_logo()).pixels))
        plain = np.empty_like(out)
        preview.compose(0, [replace(placed, overlay="")], plain)
        assert np.abs(out - real).mean() < 1
        assert np.abs(plain - real).mean() > 1.4 * np.abs(out - real).mean()


def test_the_gradient_is_known_where_it_is_asked_for() -> None:
    model = LinearClassifier(size=48, seed=3)
    problem = problem_of(model, seed=5, levels=32)
    gradient = np.random.default_rng(2).normal(size=(1, 48, 48, 3)).astype(np.float32)
    margins = np.zeros(1)
    whole = ensemble_slopes(problem, (gradient,), margins, wanted=1.0)
    np.testing.assert_allclose(whole, problem.preview.pull_back(0, gradient[0]), rtol=1e-6)
    part = problem.preview.part_of(Mark(x=30, y=40, size_px=24, opacity=50000))
    some = ensemble_slopes(problem, (gradient,), margins, wanted=1.0, parts=[part])
    np.testing.assert_allclose(some[part], whole[part], rtol=1e-4, atol=1e-5)
    some[part] = 0
    assert not some.any()


def test_two_looks_cost_twice_and_both_are_misled() -> None:
    model = LinearClassifier(size=48, seed=3)
    image = make_image(height=96, width=120, seed=5)
    preview = Preview(image, [model], logo=builtin_logo(), against=("resize",))
    label = int(model.logits(preview.clean_canvases[0][None])[0].argmax())
    placements = FreePlacements(image=(120, 96), support=render(builtin_logo(), 24).support, boxes=BOXES)
    problem = Problem(
        preview, (label,), placements, 24, 20000, 50000, levels=100, most_marks=3, looks=preview.looks
    )
    assert problem.looks == 2
    found = searched(TextureSearch(budget=160, margin=0.3), problem, model)
    assert found.evaluations % 2 == 0
    assert found.reached
    for look in range(2):
        out = np.empty((48, 48, 3), np.float32)
        preview.compose(0, found.marks, out, look=look)
        logits = model.logits(out[None])[0]
        assert np.delete(logits, label).max() - logits[label] >= found.margin - 1e-3
