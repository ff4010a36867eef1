"""What a part of the user's own may get wrong: one sentence that names it, and no more lost than must be."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from medlocker.attacks import Attack, find_attack, run_attack
from medlocker.certificates import Owner
from medlocker.classifiers import (
    Canvas,
    Card,
    CheckedClassifier,
    Classifier,
    Gradients,
    InputSpec,
    LinearResize,
    features_of,
    find_classifier,
    has_gradients,
)
from medlocker.errors import InputError, ModelError
from medlocker.evaluate.removal import Item, run_battery
from medlocker.geometry import Box
from medlocker.mark import Mark
from medlocker.protect import Settings, make_finder
from medlocker.regions import Findings
from medlocker.search import Problem, Proposal, Search
from medlocker.testing import LinearClassifier
from runs import fill, protect

PICTURE = np.full((8, 9, 3), 100, np.uint8)
MASK = np.zeros((8, 9), np.bool_)


class Own:
    """An attack that does what it is told."""

    def __init__(self, change: Callable[[Any], Any], name: str = "own", knows: str = "nothing") -> None:
        self.change, self.name, self.knows = change, name, knows

    def restore(self, picture: Any, mask: Any, *, seed: int) -> Any:
        return self.change(picture)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda p: p[:-1], r"^attack own: expected a picture of uint8 \(8, 9, 3\), got uint8 \(7, 9, 3\)$"),
        (lambda p: p / 2, r"^attack own: expected a picture of uint8 \(8, 9, 3\), got float64 \(8, 9, 3\)$"),
        (lambda p: None, r"^attack own: expected a picture of uint8 \(8, 9, 3\), got NoneType$"),
        (lambda p: 1 // 0, r"^attack own: ZeroDivisionError: integer division or modulo by zero$"),
    ],
)
def test_what_an_attack_makes_is_checked(change: Callable[[Any], Any], said: str) -> None:
    with pytest.raises(InputError, match=said):
        run_attack(Own(change), PICTURE, MASK)


def test_an_attack_gets_copies() -> None:
    def scribble(picture: Any) -> Any:
        picture[...] = 0
        return picture

    assert not run_attack(Own(scribble), PICTURE, MASK).any()
    assert (PICTURE == 100).all()


@pytest.mark.parametrize("name", ["", "a,b", "line\nbreak", "x" * 61, 3, "jpeg"])
def test_an_attack_needs_a_name_of_its_own(name: Any) -> None:
    with pytest.raises(InputError, match=r"^attack .*: expected (a|another) "):
        find_attack(Own(lambda p: p, name=name))


def _item(number: int) -> Item:
    rng = np.random.default_rng(number)
    clean = rng.integers(60, 90, (48, 48, 3)).astype(np.uint8)
    marked = clean.copy()
    marked[10:30, 10:30] = 240
    return Item(f"image {number}", clean, marked, (0,))


def test_an_attack_that_raises_costs_only_its_own_row() -> None:
    def sometimes(picture: Any) -> Any:
        if (picture == 240).sum() and picture[0, 0, 0] == _item(1).clean[0, 0, 0]:
            raise KeyError("no such thing")
        return picture

    items = [_item(0), _item(1), _item(2)]
    own: list[Attack] = [Own(sometimes, "shaky"), Own(lambda p: p[::-1].copy(), "steady")]
    result = run_battery(items, [LinearClassifier(size=32)], logo=None, names=["blur 1"], own=own)
    counts = {row.attack: row.n for row in result.rows}
    assert counts["blur 1"] == counts["steady"] == counts["none"]
    told = [note for note in result.notes if "shaky" in note]
    assert told == ["attack shaky: broke down once; the first time: attack shaky: KeyError: 'no such thing'"]
    assert not [note for note in result.notes if "steady" in note]


@pytest.mark.parametrize("name", ["blur 1", "own"])
def test_rows_have_different_names(name: str) -> None:
    own: list[Attack] = [Own(lambda p: p, name), Own(lambda p: p, "own")]
    with pytest.raises(InputError, match=rf"^attack {name}: expected a name that no other attack has$"):
        run_battery([_item(0)], [LinearClassifier(size=32)], logo=None, names=["none"], own=own)


# ------------------------------------------------------------------------------------------- searches


class Told(Search):
    """Proposes what a function says."""

    name = "told"
    propose: Callable[[Problem], Any]

    def steps(self, problem: Problem, rng: np.random.Generator) -> Any:
        yield type(self).propose(problem)


def _mark(problem: Problem, **changes: Any) -> Mark:
    x, y = problem.free[0]
    values = {"x": int(x), "y": int(y), "size_px": problem.size_px, "opacity": problem.opacity_high}
    return Mark(**{**values, "rotation": problem.rotation, **changes})


@pytest.mark.parametrize(
    ("propose", "said"),
    [
        (lambda p: 1 // 0, "search told: ZeroDivisionError: integer division or modulo by zero"),
        (lambda p: [(_mark(p),)], "search told: expected a Proposal, got list"),
        (lambda p: Proposal([_mark(p)]), "search told: expected candidates that are tuples of marks"),  # type: ignore[list-item]
        (lambda p: Proposal([(_mark(p, x=47, y=47),)]), "search told: expected a free placement, got 47, 47"),
        (lambda p: Proposal([(_mark(p, size_px=11),)]), "search told: expected marks of the problem's size"),
        (
            lambda p: Proposal([(_mark(p, opacity=1),)]),
            "search told: expected opacities of 25559 to 52428, got 1",
        ),
        (lambda p: Proposal([(_mark(p), _mark(p))]), "search told: expected at most 1 marks, got 2"),
        (lambda p: Proposal([(_mark(p),)], gradients=True), "search told: expected needs_gradients = True"),
    ],
)
def test_what_a_search_proposes_is_checked(
    propose: Callable[[Problem], Any], said: str, tmp_path: Path, owner: Owner
) -> None:
    kind = type("Kind", (Told,), {"propose": staticmethod(propose)})
    settings = Settings(preset="paper", search=kind, seed=1, budget=4)
    result = protect(fill(tmp_path / "in", 2), tmp_path / "out", owner, settings=settings)
    assert result.summary.marked == 0
    assert len(result.summary.failed) == 2
    assert said in result.summary.failed[0].reason


# -------------------------------------------------------------------------------------------- finders


class Found:
    """Finds what it is told."""

    source, fingerprint, droppable = "found", "found 1", False

    def __init__(self, answer: Callable[[Any], Any]) -> None:
        self.answer = answer

    def find(self, colors: NDArray[Any]) -> Findings:
        found: Findings = self.answer(colors)
        return found


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (lambda c: 1 // 0, r"^finder found: ZeroDivisionError"),
        (lambda c: [Box(1, 1, 2, 2)], r"^finder found: expected Findings, got list$"),
        (lambda c: Findings(((1, 1, 2, 2),)), r"^finder found: expected boxes of the class Box, got tuple$"),  # type: ignore[arg-type]
        (lambda c: Findings((Box(1, 1, 9, 2),)), r"^finder found: expected boxes inside 9 x 8, got Box"),
        (lambda c: Findings((), firm=(Box(-1, 1, 2, 2),)), r"^finder found: expected boxes inside 9 x 8"),
        (
            lambda c: Findings((Box(1, 1, 2, 2),) * 4097),
            r"^finder found: expected at most 4096 boxes, got 4097",
        ),
        (lambda c: Findings((), notes=("a\x07b",)), r"^finder found: expected printable notes$"),
    ],
)
def test_what_a_finder_finds_is_checked(answer: Callable[[Any], Any], said: str) -> None:
    finder = make_finder(Found(answer), ())
    assert finder is not None
    with pytest.raises(InputError, match=said):
        finder.find(PICTURE)


@pytest.mark.parametrize("source", ["", "given + mine", "a\nb", "x" * 101, None])
def test_a_finder_has_a_name_that_a_certificate_can_bear(source: Any) -> None:
    finder = Found(lambda c: Findings(()))
    finder.source = source
    with pytest.raises(InputError, match=r"^finder .*expected a source"):
        make_finder(finder, ())


def test_a_finder_that_raises_costs_its_image(tmp_path: Path, owner: Owner) -> None:
    source = fill(tmp_path / "in", 3)
    seen: Iterator[int] = iter(range(9))
    finder = make_finder(Found(lambda c: Findings(()) if next(seen) != 1 else 1 // 0), ())
    settings = Settings(preset="paper", seed=1, budget=4)
    result = protect(source, tmp_path / "out", owner, settings=settings, finder=finder, workers=1)
    assert result.summary.marked == 2
    assert [one.reason for one in result.summary.failed] == [
        "finder found: ZeroDivisionError: integer division or modulo by zero"
    ]


# ---------------------------------------------------------------------------------------- classifiers


class Plain:
    """A classifier of somebody else's, which derives from nothing and can do no more than answer."""

    name = "plain"
    classes: tuple[str, ...] = ("a", "b")
    fingerprint, height, width, channels = "0" * 64, 16, 20, 3
    notes: tuple[str, ...] = ()

    def __init__(self) -> None:
        spec = InputSpec(height=16, width=20)
        self._resizing = LinearClassifier(size=16)
        self._resizing.card = Card(spec)
        self._resizing.height, self._resizing.width = 16, 20

    def canvas(self, viewed: NDArray[Any]) -> Canvas:
        return self._resizing.canvas(viewed)

    def resize_for(self, height: int, width: int) -> LinearResize:
        return self._resizing.resize_for(height, width)

    def logits(self, canvases: NDArray[np.float32]) -> NDArray[np.float32]:
        red = canvases[..., 0].mean(axis=(1, 2))
        return np.stack([red, 100 - red], axis=1).astype(np.float32)


class Able(Plain):
    """The same with everything that a classifier may have."""

    name = "able"
    has_gradients = has_features = on_gpu = True

    def gradients(self, canvases: NDArray[np.float32], labels: Any) -> Gradients:
        slopes = np.zeros_like(canvases)
        slopes[..., 0] = np.where(np.array(labels) == 0, -2, 2)[:, None, None] / (16 * 20)
        return Gradients(self.logits(canvases), slopes)

    def features(self, canvases: NDArray[np.float32]) -> NDArray[np.float32]:
        return np.asarray(canvases.mean(axis=(1, 2)), np.float32)


def test_a_classifier_needs_no_more_than_the_protocol(tmp_path: Path, owner: Owner) -> None:
    plain: Classifier = Plain()
    model = find_classifier(plain)
    assert isinstance(model, CheckedClassifier)
    assert (has_gradients(model), features_of(model)) == (False, None)
    for number, preset in enumerate(("veil", "paper", "strong")):
        settings = Settings(preset=preset, seed=1, budget=8)  # type: ignore[arg-type]
        out = tmp_path / f"out{number}"
        result = protect(fill(tmp_path / "in", 2), out, owner, settings=settings, classifiers=[plain])
        assert result.summary.marked == 2


def test_what_a_classifier_can_do_besides_is_found_and_used(tmp_path: Path, owner: Owner) -> None:
    model = find_classifier(Able())
    assert has_gradients(model)
    features = features_of(model)
    assert features is not None
    assert features(np.zeros((2, 16, 20, 3), np.float32)).shape == (2, 3)
    settings = Settings(preset="paper", search="gradient", seed=1, budget=8)
    source = fill(tmp_path / "in", 2)
    assert protect(source, tmp_path / "o", owner, settings=settings, classifiers=[model]).summary.marked == 2


@pytest.mark.parametrize(
    ("attribute", "value", "said"),
    [
        (
            "logits",
            lambda c: np.zeros((len(c), 3), np.float32),
            "plain: expected an output of 3 x 2 floats, got float32",
        ),
        (
            "logits",
            lambda c: np.full((len(c), 2), np.nan, np.float32),
            "plain: the model answers NaN or infinity",
        ),
        ("logits", lambda c: [[0.0, 1.0]] * len(c), "plain: expected an output of 3 x 2 floats, got list"),
        ("logits", lambda c: 1 // 0, "plain: ZeroDivisionError: integer division or modulo by zero"),
        ("canvas", lambda v: v, r"plain: expected a canvas of floats \(16, 20, 3\), got uint8 \(32, 60, 3\)"),
        ("classes", ("a", "a"), "classifier plain: expected a name and at least two different classes"),
        (
            "fingerprint",
            "abc",
            "classifier plain: expected a fingerprint of 64 hexadecimal digits, got 'abc'",
        ),
        ("channels", 2, "classifier plain: expected canvases of 1 or 3 channels"),
    ],
)
def test_what_a_classifier_answers_is_checked(attribute: str, value: Any, said: str) -> None:
    model = Plain()
    setattr(model, attribute, value)
    with pytest.raises(ModelError, match=said):
        find_classifier(model)


def test_gradients_and_features_are_checked_too(monkeypatch: pytest.MonkeyPatch) -> None:
    model = Able()
    found = find_classifier(model)
    assert has_gradients(found)
    canvases = np.zeros((1, 16, 20, 3), np.float32)
    short = Gradients(model.logits(canvases), canvases[:, 1:])
    monkeypatch.setattr(model, "gradients", lambda pictures, labels: short)
    with pytest.raises(
        ModelError, match=r"^able: expected gradients of floats \(1, 16, 20, 3\), got float32"
    ):
        found.gradients(canvases, [0])
    monkeypatch.setattr(model, "features", lambda pictures: np.full((len(pictures), 4), np.inf, np.float32))
    features = features_of(found)
    assert features is not None
    with pytest.raises(ModelError, match=r"^able: expected features without NaN or infinity$"):
        features(canvases)
