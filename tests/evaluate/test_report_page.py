"""The report's first screen, its charts, and that nobody is shut out of it."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from test_attackers_page import row, told
from test_evaluation import Told, job, plain

from medlocker.evaluate import Removal, ReportNotes, evaluate, summarise, summarise_quality
from medlocker.evaluate.removal import Agreement, BatteryResult, Best
from medlocker.evaluate.report._attackers import view_attackers
from medlocker.evaluate.report._charts import attackers_chart, kappa_chart, left_chart, time_chart
from medlocker.evaluate.report._page import condition_name, report_page
from medlocker.evaluate.report._summary import NOT_ASKED, summarise_page
from readable import barriers

LABELS = {f"{k}.png": str(k % 2) for k in range(8)}


@pytest.fixture(scope="module")
def numbers(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """One model is right on all originals and on six of eight marked images; one says always the same."""
    folder = tmp_path_factory.mktemp("report")
    clean = plain(folder / "clean", {name: 50 + 150 * int(label) for name, label in LABELS.items()})
    levels = {name: 60 if name < "4" or label == "0" else 190 for name, label in LABELS.items()}
    marked = plain(folder / "marked", levels)
    models = [Told([100.0], name="good"), Told([250.0], name="blind")]
    return summarise(evaluate(job(clean, [marked], models, LABELS)))


def removal() -> Removal:
    rows = (
        replace(row("none", 1), information=told(0.0), agreement=Agreement(8, 4, 0.0, (-0.3, 0.3))),
        replace(row("blur 1", 3), information=told(0.3), seconds=5.0),
        replace(row("merged", 14, combined=False), information=told(0.4), seconds=0.002),
    )
    best = Best("model", 8, 3, 0.125, "blur 1", 2)
    return Removal(BatteryResult(9, rows, (best,), (), 0.0), "The verdict.", (), ())


@pytest.mark.parametrize("attacks", [None, removal()])
def test_nobody_is_shut_out(numbers: Any, attacks: Removal | None) -> None:
    page = report_page(numbers, summarise_quality(numbers.result), extra=ReportNotes(), removal=attacks)
    assert barriers(page.decode("utf-8")) == []


def test_what_keeps_somebody_out_is_seen() -> None:
    page = '<html><h1>a</h1><h3>b</h3><img src="x"><input><a href="#no">c</a><th>d</th><i id="e"><b id="e">'
    assert set(barriers(page)) == {
        *(
            "no language",
            "not one main part",
            "heading 1 is followed by 3",
            "picture without alt",
            "field without a label",
        ),
        *("link to nothing: #no", "head of a table without scope", "id twice: e"),
    }


def test_the_first_screen_says_three_things(numbers: Any) -> None:
    page = report_page(numbers, summarise_quality(numbers.result), extra=ReportNotes()).decode("utf-8")
    first = page.partition("<details")[0]
    assert "Is it safe to publish? Not known yet" in first
    assert NOT_ASKED.reason in first
    good = numbers.targets[0].numbers(numbers.keys[0])
    assert f"good, the model of 2 that reads marked images best, is right on {good.accuracy:.0%}" in first
    assert "and on 100% of originals" in first
    assert first.count('class="chart"') == 1
    # all else is folded, but for what did not work and what it does not show
    heads = re.findall(r"(<summary>)?<h2[^>]*>([^<]*)", page.partition("<details")[2])
    assert [head for folded, head in heads if not folded] == ["What this does not show"]


def test_pixels_of_regions_are_told_on_the_first_screen(numbers: Any) -> None:
    spread = SimpleNamespace(median=0.9, worst=0.7)
    qualities: Any = [SimpleNamespace(measures={"contrast": spread}, touched=n) for n in (None, 0, 3)]
    said = [summarise_page(numbers, [one], None, failed=0).people for one in qualities]
    assert all(one.startswith("People still see 90% of the local contrast") for one in said)
    for one, words in zip(said, ("was not checked", "no pixel of", "3 pixels of"), strict=True):
        assert words in one


def test_charts_hold_what_was_measured(numbers: Any) -> None:
    def name(key: str) -> str:
        return condition_name(numbers, key)

    kappas, lefts = kappa_chart(numbers, name), left_chart(numbers, name)
    assert kappas is not None
    assert lefts is not None
    groups = {heading: {point.label: point for point in points} for heading, points in kappas.groups}
    assert groups["good"]["original"].value == 1
    assert groups["good"]["original"].mark == "ring"
    marked = numbers.targets[0].numbers(numbers.keys[0])
    assert groups["good"]["protected"].interval == marked.kappa_interval
    good, blind = ({point.label: point for point in points} for _, points in lefts.groups)
    assert "original" not in good
    assert (good["protected"].value, good["protected"].interval) == (marked.left.share, marked.left.interval)
    assert blind["random logo (control)"].mark == "square"


def test_attackers_are_drawn_the_most_first_and_by_time() -> None:
    attackers = view_attackers(removal())
    shown, times = attackers_chart(attackers), time_chart(attackers)
    assert shown is not None
    assert times is not None
    ((_, points),) = shown.groups
    assert [point.value for point in points] == pytest.approx([0.4, 0.3, 0.0])
    assert [point.mark for point in points] == ["diamond", "disc", "disc"]
    assert shown.axis.low <= -0.1
    assert shown.axis.high >= 0.5
    assert [point.value for point in times.groups[0][1]] == [0.002, 0.5, 5.0]
    assert attackers_chart(()) is None
    assert time_chart(()) is None


def test_images_are_listed_those_still_read_first(numbers: Any, tmp_path: Path) -> None:
    page = report_page(numbers, summarise_quality(numbers.result), extra=ReportNotes()).decode("utf-8")
    table = page.partition('data-list="images"')[2].partition("</table>")[0]
    names = re.findall(r'<th scope="row">([^<]*)</th>', table)
    count = numbers.still_right
    order = [numbers.result.images[k].pair.name for k in sorted(count, key=lambda k: (-count[k], k))]
    assert names == order
    assert table.count("(right)") == sum(
        target.is_right(key, image)
        for target in numbers.targets
        for key in ("clean", numbers.keys[0])
        for image in count
    )
