"""Answers made up so that what they tell is known: the sentences, the numbers, and where they are shown."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from test_evaluation import Told, job, plain
from veil_samples import LOGO, veiled

from medlocker.cli._evaluated import print_evaluation
from medlocker.evaluate import (
    CLEAN,
    PANEL,
    PROTECTED,
    RANDOM,
    Condition,
    Control,
    Numbers,
    RemainingAccuracy,
    ReportNotes,
    Scene,
    evaluate,
    findings,
    gain_text,
    summarise,
    summarise_quality,
    write_report,
)
from medlocker.evaluate.report._headline import _judge
from medlocker.formats import encode_image, read_image
from medlocker.information import Information, InformationGain
from runs import fill

LEVELS = [25, 75, 125, 175, 225]
"""Grey levels of which the model below says 0 to 4."""
BOUNDS = [50.0, 100.0, 150.0, 200.0]


def asked(folder: Path, labels: list[int], before: list[int], after: list[int], *, classes: int) -> Numbers:
    """A model of so many classes that answers so before and after marking."""
    levels = LEVELS[:classes]
    names = [f"{k:03d}.png" for k in range(len(labels))]
    clean = plain(folder / "clean", {n: levels[a] for n, a in zip(names, before, strict=True)}, size=8)
    marked = plain(folder / "marked", {n: levels[a] for n, a in zip(names, after, strict=True)}, size=8)
    truth = {name: str(label) for name, label in zip(names, labels, strict=True)}
    return summarise(evaluate(job(clean, [marked], [Told(BOUNDS[: classes - 1])], truth)))


def finding(numbers: Numbers) -> tuple[str, str]:
    (found,) = findings(numbers, numbers.targets[0])
    assert found.condition == PROTECTED
    return found.kind, found.text


PAIRS = [k % 2 for k in range(60)]


def test_two_classes_always_right(tmp_path: Path) -> None:
    numbers = asked(tmp_path, PAIRS, PAIRS, PAIRS, classes=2)
    one = numbers.targets[0].numbers(PROTECTED)
    assert (one.kappa, one.auc, one.left.share) == (1, 1, 1)
    assert one.information is not None
    assert one.information.plain.left == 0.5
    kind, text = finding(numbers)
    assert kind == "something"
    assert text.startswith("its answers still tell something: kappa 1.00 (1.00 to 1.00), AUC 1.00 (")
    assert (
        "is right on 100% of the other half, where the most frequent class is 50%; of the originals" in text
    )


def test_two_classes_always_wrong_tell_as_much(tmp_path: Path) -> None:
    numbers = asked(tmp_path, PAIRS, PAIRS, [1 - k for k in PAIRS], classes=2)
    one = numbers.targets[0].numbers(PROTECTED)
    assert (one.accuracy, one.kappa, one.auc, one.left.share) == (0, -1, 0, 0)
    assert one.information is not None
    assert (one.information.plain.left, one.information.plain.accuracy) == (0.5, 1)
    kind, text = finding(numbers)
    assert kind == "turned"
    assert text.startswith("of two classes it names the wrong one: kappa -1.00 (-1.00 to ")
    assert (
        "right on 0%. Whoever turns its answers round is right on 100%: a model that is always wrong" in text
    )
    assert text.endswith("tells as much as one that is always right, so this is no protection")


def test_a_constant_answer_tells_nothing(tmp_path: Path) -> None:
    numbers = asked(tmp_path, PAIRS, PAIRS, [1] * 60, classes=2)
    one = numbers.targets[0].numbers(PROTECTED)
    # half of the answers are right, and half are left: by chance
    assert (one.accuracy, one.kappa, one.auc, one.left.share) == (0.5, 0, 0.5, 1 / 2)
    assert one.information is not None
    assert one.information.plain.left == 0
    kind, text = finding(numbers)
    assert kind == "nothing"
    assert text.startswith("its answers tell nothing that can be shown: kappa 0.00 (0.00 to 0.00), AUC 0.50")
    assert "information left 0 (-4 to +4) points; of the originals: kappa 1.00" in text


def test_random_answers_tell_nothing(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    labels = [k % 5 for k in range(100)]
    numbers = asked(tmp_path, labels, labels, rng.integers(0, 5, 100).tolist(), classes=5)
    one = numbers.targets[0].numbers(PROTECTED)
    assert one.kappa is not None
    assert one.kappa_interval is not None
    assert one.kappa_interval[0] < 0 < one.kappa_interval[1]
    assert finding(numbers)[0] == "nothing"
    assert numbers.targets[0].weighting == "quadratic"


def test_five_classes_moved_round_tell_all_though_none_is_right(tmp_path: Path) -> None:
    labels = [k % 5 for k in range(100)]
    numbers = asked(tmp_path, labels, labels, [(k + 2) % 5 for k in labels], classes=5)
    one = numbers.targets[0].numbers(PROTECTED)
    assert (one.accuracy, one.left.share) == (0, 0)
    kind, text = finding(numbers)
    assert kind == "something"
    assert "a table of what each answer means, learned on half of the images, is right on 100%" in text


def test_a_model_that_knows_nothing_can_show_nothing(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    numbers = asked(tmp_path, PAIRS, rng.permutation(PAIRS).tolist(), [0] * 60, classes=2)
    assert finding(numbers)[0] == "useless"


def test_few_images_are_told_to_be_few(tmp_path: Path) -> None:
    labels = PAIRS[:12]
    numbers = asked(tmp_path / "a", labels, labels, [0] * 12, classes=2)
    assert "12 images are few: up to +" in finding(numbers)[1]
    numbers = asked(tmp_path / "b", labels[:4], labels[:4], [0] * 4, classes=2)
    assert finding(numbers) == ("unknown", "4 images are too few to measure what its answers still tell")
    numbers = asked(tmp_path / "c", [1] * 12, labels, labels, classes=2)
    assert finding(numbers)[0] == "unknown"


def test_little_is_not_nothing() -> None:
    target: Any = SimpleNamespace(is_one_class=False, target=SimpleNamespace(model=Told([50])))

    def judged(kappa: float, left: float, auc: float = 0.5) -> tuple[str, str]:
        gain = InformationGain(0.5, 0.5 + left, 0.5, (left - 0.01, left + 0.01))
        interval = kappa - 0.04, kappa + 0.04
        told = Information(2000, gain, gain)
        one = Condition(
            2000, 0.5, 0.5, None, auc, RemainingAccuracy(0, 0), kappa, interval, (0.48, 0.52), told
        )
        return _judge(one, one, target)

    kinds = {
        (0.05, 0.03): "little",
        (0.05, 0.06): "something",
        (0.11, 0.03): "something",
        (0.03, 0.005): "useless",
        (0.03, 0.005, 0.53): "little",
        (0.03, 0.005, 0.35): "something",
    }
    assert {case: judged(*case)[0] for case in kinds} == kinds
    assert judged(0.05, 0.03)[1].startswith("its answers still tell little: kappa 0.05 (0.01 to 0.09)")


def test_where_one_class_is_frequent_the_balanced_count_is_told() -> None:
    target: Any = SimpleNamespace(is_one_class=False, target=SimpleNamespace(model=Told([50])))
    plain, balanced = (
        InformationGain(0.8, 0.8, 0.8, (-0.02, 0.02)),
        InformationGain(0.5, 0.6, 0.7, (0.11, 0.29)),
    )
    one = Condition(
        200,
        0.8,
        0.5,
        None,
        0.5,
        RemainingAccuracy(0, 0),
        0.0,
        (0.0, 0.0),
        (0.4, 0.6),
        Information(200, plain, balanced),
    )
    kind, text = _judge(one, one, target)
    assert kind == "something"
    assert "information left 0 (-2 to +2) points (+20 (+11 to +29) balanced); a regression" in text
    assert "is right on 70% of the other half, where chance gets 50%, every class counted as heavy" in text


def test_points_have_signs() -> None:
    assert gain_text(InformationGain(0.5, 0.5, 0.4, (-0.051, 0.0049))) == "0 (-5 to 0)"
    assert gain_text(InformationGain(0.5, 0.4, 0.554, (-0.0, 0.12))) == "+5 (0 to +12)"


def test_every_output_says_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    numbers = asked(tmp_path, PAIRS, PAIRS, [1 - k for k in PAIRS], classes=2)
    value = write_report(numbers.result, tmp_path / "report", extra=ReportNotes())
    (target,) = value["targets"]
    assert (target["kappa_weights"], target["auc_of"]) == ("plain", "two classes")
    assert [one["finding"] for one in target["findings"]] == ["turned"]
    protected = target["protected"]
    assert (protected["kappa"], protected["information_left"]) == (-1, 0.5)
    assert protected["information"]["learner"] == "table"
    assert protected["information"]["control"] == 0.5
    assert protected["information_balanced"]["left"] == 0.5
    page = (tmp_path / "report" / "report.html").read_text("utf-8")
    assert page.index("kappa near 0 and information") < page.index("of two classes it names the wrong one")
    assert page.index("of two classes it names the wrong one") < page.index("<h2>Every model</h2>")
    with (tmp_path / "report" / "summary.csv").open(newline="") as stream:
        rows = {row["condition"]: row for row in csv.DictReader(stream)}
    assert list(rows) == [CLEAN, RANDOM, PANEL, PROTECTED]
    assert (rows[PROTECTED]["kappa"], rows[PROTECTED]["information_left"]) == ("-1", "0.5")
    assert rows[PROTECTED]["learned_by"] == "table"
    print_evaluation(value, numbers, None, tmp_path)
    out = capsys.readouterr().out
    assert "a model that is always wrong tells as much as one that is always right" in " ".join(out.split())


def test_a_veil_stands_against_three_logos_and_a_panel(tmp_path: Path) -> None:
    clean, marked = fill(tmp_path / "clean", 8, size=120), tmp_path / "marked"
    marked.mkdir()
    for path in clean.iterdir():
        image = read_image(path.read_bytes(), name=path.name)
        (marked / path.name).write_bytes(encode_image(image, veiled(image)))
    seen: list[tuple[int, ...]] = []

    def spy(scene: Scene) -> Iterator[tuple[str, NDArray[Any]]]:
        assert scene.covered == {PROTECTED}
        sizes = Control(LOGO).sizes_px(scene.clean, scene.windows[PROTECTED], is_covering=True)
        seen.append(sizes)
        yield from ()

    labels = {path.name: str(k % 2) for k, path in enumerate(sorted(clean.iterdir()))}
    result = evaluate(job(clean, [marked], [Told([100.0])], labels, views=[spy]))
    assert seen == [(30, 30, 30)] * 8
    assert result.without_room == 0
    assert [len(result.answers[0].logits[key]) for key in (CLEAN, RANDOM, PANEL, PROTECTED)] == [8] * 4
    (quality,) = summarise_quality(result)
    assert (quality.covered, quality.n) == (8, 8)
    kept = [judged.qualities[PROTECTED].legibility.contrast for _, judged in result.images.items()]
    order = [image for image, _ in quality.worst]
    assert order == sorted(range(8), key=lambda image: kept[image] or 0.0)
    median = quality.measures["psnr"].median
    assert median is not None
    assert 22 < median < 35
    write_report(result, tmp_path / "report", extra=ReportNotes())
    page = (tmp_path / "report" / "report.html").read_text("utf-8")
    assert "marked: the marks lie over nearly all of each image." in page
    assert "local contrast kept" in page
    assert "outside the marks" not in page
