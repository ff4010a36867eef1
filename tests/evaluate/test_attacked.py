"""From an evaluation to its battery: which images, read how, by which models; and the page's section."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image as Pillow

from medlocker.classifiers import load_classifier
from medlocker.errors import InputError
from medlocker.evaluate import MarkedImages, Pair, Removal, Target, gather_attackers
from medlocker.evaluate._attacked import attack_names
from medlocker.evaluate._cases import Case, CaseAnswer
from medlocker.evaluate._run import EvaluatedImage
from medlocker.evaluate.removal import BatteryResult, Best, Row, make_battery
from medlocker.evaluate.removal._item import ScaledImage
from medlocker.evaluate.report._csv import removal_csv
from medlocker.evaluate.report._page import removal_section
from medlocker.logo import builtin_logo
from medlocker.testing import LinearClassifier
from runs import tiny_model

LOGO = builtin_logo()


def save(path: Path, pixels: NDArray[np.uint8]) -> Path:
    Pillow.fromarray(pixels).save(path)
    return path


def judged(name: str, clean: Path, marked: Path, *, area: float = 0.1) -> EvaluatedImage:
    quality: Any = SimpleNamespace(area=area, is_covering=False)
    return EvaluatedImage(Pair(name, clean, (marked,)), "one", {"protected": quality})


def target_of(model: Any, *, name: str = "t", path: Path | None = None) -> Target:
    return Target(model, name, {"one": 1}, frozenset(), path=path)


@pytest.fixture
def pair(tmp_path: Path) -> tuple[Path, Path, NDArray[np.bool_]]:
    """A picture and its marked version, which is noisy everywhere as if it had been a JPEG."""
    rng = np.random.default_rng(3)
    clean = rng.integers(60, 180, (40, 60, 3), dtype=np.uint8)
    marked = (clean.astype(np.int16) + rng.choice([-3, 2], clean.shape)).astype(np.uint8)
    where = np.zeros((40, 60), np.bool_)
    where[10:25, 20:35] = True
    marked[where] = 255
    return save(tmp_path / "clean.png", clean), save(tmp_path / "marked.png", marked), where


def test_images_are_read_as_often_as_asked_with_a_label_for_each_target(
    pair: tuple[Path, Path, NDArray[np.bool_]],
) -> None:
    targets = [target_of(LinearClassifier()), Target(LinearClassifier(), "u", {"one": 0}, frozenset())]
    images = MarkedImages([judged("a.png", *pair[:2])], targets)
    for _ in range(2):
        (item,) = images
        assert (item.name, item.labels, item.clean.shape) == ("a.png", (1, 0), (40, 60, 3))
    pair[1].unlink()
    with pytest.raises(InputError, match=r"^image marked\.png: no such file or directory$"):
        next(iter(images))


def test_a_marked_file_that_was_stored_with_loss_is_masked_where_it_differs_clearly(
    pair: tuple[Path, Path, NDArray[np.bool_]],
) -> None:
    (item,) = MarkedImages([judged("a.png", *pair[:2])], [target_of(LinearClassifier())])
    assert np.array_equal(ScaledImage(item, None).mask, pair[2])


@pytest.mark.parametrize(("limit", "chosen"), [(1, "a"), (2, "ac"), (3, "abd"), (4, "abcd"), (9, "abcde")])
def test_few_images_are_spread_evenly(tmp_path: Path, limit: int, chosen: str) -> None:
    attackers = gather_attackers(
        [target_of(LinearClassifier())], level="standard", logo=LOGO, state_dir=tmp_path / "s", limit=limit
    )
    images = [judged(f"{letter}.png", tmp_path, tmp_path) for letter in "abcde"]
    images.insert(2, judged("unmarked.png", tmp_path, tmp_path, area=0.0))
    images.insert(4, judged("broken.png", tmp_path, tmp_path))
    result: Any = SimpleNamespace(
        evaluation=SimpleNamespace(
            releases=[SimpleNamespace(folder="first"), SimpleNamespace(folder="second")], keys=["protected"]
        ),
        images=dict(enumerate(images)),
        answers=[SimpleNamespace(failed={4: "it fails"})],
    )
    found, notes = attackers.choose(result)
    assert "".join(name[0] for name in found.names) == chosen
    assert notes[-2:] == (
        "removal attacks: only on release first, the first",
        "removal attacks: 1 images left out, on which a model failed",
    )
    spread = f"removal attacks: {limit} of 5 marked images, evenly spread; see --removal-limit"
    assert (spread in notes) == (limit < 5)


def test_names_of_targets_are_the_evaluation_s_and_folders_open_with_torch_to_be_retrained(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "trained"
    folder.mkdir()
    tiny_model(folder).rename(folder / "model.onnx")
    model = load_classifier(folder / "model.onnx")
    torch_form = LinearClassifier()
    opened = []

    def opens(path: Path) -> LinearClassifier:
        opened.append(path)
        return torch_form

    monkeypatch.setattr(sys.modules["medlocker.evaluate._attacked"], "load_classifier", opens)
    targets = [
        target_of(model, name="a", path=folder),
        target_of(model, name="b", path=folder / "model.onnx"),
    ]
    plan: dict[str, Any] = {"logo": LOGO, "state_dir": tmp_path / "s"}
    quick = gather_attackers(targets, level="standard", **plan)
    assert [one.name for one in quick.models] == ["a", "b"]
    assert opened == []
    thorough = gather_attackers(targets, level="full", **plan)
    assert [one.name for one in thorough.models] == ["a", "b"]
    assert opened == [folder]
    assert model.name == "trained"
    assert torch_form.name != "a"


def test_attacks_that_need_the_logo() -> None:
    for level in ("standard", "full"):
        every = {kind.name: kind for kind in make_battery(level).kinds}
        assert set(attack_names(level, knows_logo=True)) == set(every)
        without = set(every) - set(attack_names(level, knows_logo=False))
        assert all("logo" in every[name].knows or every[name].number == 14 for name in without)
        assert not any("the logo" in every[name].knows for name in set(every) - without)


def hostile() -> Removal:
    row = Row("<u>a", 6, "<u>k", "<b>model", 3, 1, 1.0, 20.0, 30.0, 0.5, 0.1, True)
    plain = Row("=cmd()", 8, "nothing", "<b>model", 3, 2, None, None, None, None, 0.1, False)
    best = Best("<b>model", 3, 1, 0.1, "<u>a", 1)
    picture = np.zeros((4, 6, 3), np.uint8)
    answers = (CaseAnswer("<b>model", "<i class>", "<i m>", "<i x>"),)
    cases = (
        Case("<img src=x onerror=alert(1)>.png", "<u>a", 20.0, True, answers, (picture,) * 3),
        Case("line\nbreak.png", "<u>a", 10.0, False, answers),
    )
    return Removal(BatteryResult(3, (plain, row), (best,), (), 1.0), "<s>verdict", cases)


def test_the_section_runs_no_name_and_shows_the_worst_attack_first() -> None:
    page = removal_section(hostile())
    for raw in ("<u>", "<b>model", "<i class", "<i m", "<i x", "<img src=x", "<s>", "line\nbreak"):
        assert raw not in page
    for escaped in ("&lt;u&gt;a", "&lt;b&gt;model", "&lt;i x&gt;", "&lt;s&gt;verdict", "line\\nbreak.png"):
        assert escaped in page
    assert page.count("data:image/jpeg;base64,") == 3
    assert "The attack could not be repeated for a picture." in page
    # what needs more than a release gives stands last, and grey
    table = page[page.index('<table data-list="attacks">') :]
    assert table.index("&lt;u&gt;a") < table.index("=cmd()")
    assert table.index('class="bar"') < table.index('class="beyond"')
    assert "20.0 (30.0)" in table


def test_without_attacks_there_is_no_section() -> None:
    assert removal_section(None) == ""


def test_cells_are_no_formulas() -> None:
    lines = removal_csv(hostile()).decode().splitlines()
    assert lines[1].startswith("'=cmd(),8,nothing,<b>model,3,2,0.666667,")
    assert lines[2].endswith(",1,20,30,0.5,0.1,,,")
