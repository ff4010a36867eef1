"""The report's section on attacks, as a custodian reads it."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest
from markupsafe import escape

from medlocker.evaluate import Case, CaseAnswer, Removal
from medlocker.evaluate.removal import Agreement, BatteryResult, Best, Gap, Level, Row, make_battery
from medlocker.evaluate.removal._gaps import find_gaps
from medlocker.evaluate.removal._levels import NEED_THE_LOGO
from medlocker.evaluate.removal.prepared import RandomMarkTraining
from medlocker.evaluate.report._attackers import ATTACKERS
from medlocker.evaluate.report._page import removal_section
from medlocker.information import Information, InformationGain


def row(attack: str, number: int, *, combined: bool = True) -> Row:
    return Row(attack, number, "nothing", "model", 8, 2, 0.75, 20.0, 22.0, 0.8, 0.5, combined)


def section(*rows: Row, images: int = 9) -> str:
    best = Best("model", 8, 3, 0.125, "blur 1", 2)
    return removal_section(Removal(BatteryResult(images, rows, (best,), (), 0.0), "The verdict.", (), ()))


def test_every_attack_of_the_battery_says_what_it_does() -> None:
    kinds = make_battery("full").kinds
    assert {kind.number for kind in kinds} == set(ATTACKERS)
    page = section(*(row(kind.name, kind.number) for kind in kinds))
    for kind in kinds:
        brief = escape(ATTACKERS[kind.number].brief)
        link = f'<a href="#attacker-{kind.number}">{brief}</a>'
        assert f'<td>{escape(kind.name)}<br><span class="note">{link}</span></td>' in page


def test_every_column_is_explained() -> None:
    page = section(row("none", 1), row("blur 1", 3)).partition("Attacks by cost")[0]
    table = page.partition('data-list="attacks"')[2]
    heads = [name for name in re.findall(r"<th[^>]*>([^<]*)</th>", table) if name]
    assert heads[0] == "attack"
    explained = " ".join(re.findall(r"<i>([^<]*)</i>", page)).casefold()
    for head in heads[1:]:
        assert head.partition(",")[0].removesuffix(" an image").casefold() in explained
    for words in (
        "<i>PSNR</i> and <i>SSIM</i>",
        "<i>Control</i>: the same count without a mark",
        "9 images were",
    ):
        assert words in page
    assert "One image was attacked." in section(row("none", 1), images=1)


def test_the_best_attacker_is_called_an_upper_bound() -> None:
    page = section(row("blur 1", 3))
    assert "is told whenever an answer is right, gets at most <b>3 of 8 (38 %, 14 to 69 %)</b>" in page
    assert "so this is an upper bound" in page
    assert "by luck on 12% of the images" in page
    assert "The best attack by itself, by what its answers tell, is <i>blur 1</i>: 2 of 8" in page


def told(left: float) -> Information:
    gain = InformationGain(0.5, 0.5 + left, 0.5, (left - 0.1, left + 0.1))
    return Information(40, gain, gain)


def folded(page: str, number: int) -> str:
    found = re.search(rf'<details id="attacker-{number}">.*?</details>', page, re.DOTALL)
    assert found is not None
    return " ".join(found.group().split())


def test_an_attacker_is_told_with_what_he_needs_and_what_he_got() -> None:
    got = replace(
        row("logo inverted", 6),
        knows="the logo and this program",
        information=told(0.12),
        agreement=Agreement(40, 28, 0.4, (0.1, 0.7)),
        control_agreement=Agreement(40, 36, 0.8, (0.6, 0.95)),
    )
    text = folded(section(got), 6)
    assert "<summary><b>Undoes a known logo</b>: information left +12 (+2 to +22) points</summary>" in text
    assert escape(ATTACKERS[6].does) in text
    assert "<dt>He must know</dt><dd>the logo and this program</dd>" in text
    assert f"<dt>Skill</dt><dd>{ATTACKERS[6].skill}</dd>" in text
    assert f"<dt>Data</dt><dd>{escape(ATTACKERS[6].data)}</dd>" in text
    assert "<dt>Time</dt><dd>0.5 seconds an image</dd>" in text
    cells = re.findall(r"<td[^>]*>([^<]*)</td>", text)
    assert cells == [
        *("model", "logo inverted"),
        *("70 % (55 to 82 %)", "90 % (77 to 96 %)", "50%"),
        "2 of 8 (25 %, 7 to 59 %)",
        *("0.40 (0.10 to 0.70)", "0.80 (0.60 to 0.95)"),
        *("+12 (+2 to +22)", "+12 (+2 to +22)"),
    ]


def by_cost(page: str) -> str:
    table = page.partition("Attacks by cost")[2].partition('data-list="attackers"')[2]
    return table.partition("</table>")[0]


def test_who_was_not_tried_and_who_failed_are_told_apart() -> None:
    gaps = (
        Gap("lattice inverted", 16, "it works on a veil, and this release carries separate marks"),
        Gap("classifier retrained", 13, "it gave no answer", is_failure=True),
        Gap("matting", 9, "it broke down on 2 of 9 images, which its row lacks", is_failure=True),
    )
    best = Best("model", 8, 3, 0.125, "blur 1", 2)
    battery = BatteryResult(9, (row("matting", 9),), (best,), (), 0.0, gaps)
    page = removal_section(Removal(battery, "The verdict.", (), ()))
    left_out, failed = folded(page, 16), folded(page, 9)
    assert "</b>: not tried</summary>" in left_out
    assert (
        '<p class="note">lattice inverted: not tried on this release, because it works on a veil, and'
        in left_out
    )
    assert '<p class="bad">matting: failed, because it broke down on 2 of 9 images' in failed
    assert "not tried" not in failed
    assert "</b>: failed</summary>" in folded(page, 13)
    # the table by cost holds who was tried, no one else
    costs = by_cost(page)
    assert "#attacker-9" in costs
    assert "#attacker-16" not in costs


def test_attacks_by_cost_begin_with_the_cheapest() -> None:
    slow = replace(row("blur 1", 3), seconds=9.0)
    rows = (
        row("retrained", 13, combined=False),
        row("logo inverted", 6),
        slow,
        row("jpeg 90", 2),
        row("none", 1),
    )
    costs = by_cost(section(*rows))
    assert re.findall(r"#attacker-(\d+)", costs) == ["1", "2", "3", "6", "13"]


def test_pictures_of_an_attacker_stand_with_him() -> None:
    picture = np.zeros((4, 6, 3), np.uint8)
    answers = (CaseAnswer("model", "0", "1", "0"),)
    cases = (
        Case("a&b.png", "blur 1", 31.5, True, answers, (picture,) * 3, 3),
        Case("b.png", "blur 1", None, False, answers, (picture,) * 3, 3),
    )
    battery = BatteryResult(9, (row("blur 1", 3), row("vote over crops", 12)), (), (), 0.0)
    page = removal_section(Removal(battery, "The verdict.", cases))
    text = folded(page, 3)
    assert text.index("Where it got most</b>: a&amp;b.png after <i>blur 1</i>, 31.5 dB") < text.index(
        "Where it got least</b>: b.png after <i>blur 1</i>.<br>"
    )
    for name in ("original: a&amp;b.png", "marked: a&amp;b.png", "after blur 1: b.png"):
        assert f'alt="{name}"' in text
    assert page.count("data:image/jpeg;base64,") == 6
    assert "There are no pictures: this attacker leaves the pixels as they are." in folded(page, 12)


@pytest.mark.parametrize("level", ["standard", "full"])
@pytest.mark.parametrize("veils", [0, 4])
@pytest.mark.parametrize("knows_logo", [True, False])
def test_every_attack_without_a_row_has_a_reason(level: Level, veils: int, knows_logo: bool) -> None:
    battery = make_battery(level)
    on = {name: facts.on for facts in battery.facts for name in facts.variants}
    tried = {
        kind.name
        for kind in battery.kinds
        if (knows_logo or kind.number not in NEED_THE_LOGO)
        and on.get(kind.name, "all") in ("all", "veils" if veils else "marks")
    }
    gaps = find_gaps(battery, tried=tried, broken={}, images=4, veils=veils, knows_logo=knows_logo)
    every = {kind.name for kind in make_battery("full").kinds}
    assert {gap.attack for gap in gaps} == every - tried
    reasons = {gap.attack: gap.reason for gap in gaps}
    assert not any(gap.is_failure for gap in gaps)
    if veils:
        assert reasons["filled, mean"] == "it looks for separate marks, and this release carries a veil"
    else:
        assert reasons["notched"] == "it works on a veil, and this release carries separate marks"
    assert ("logo inverted" in reasons) == (bool(veils) or not knows_logo)
    assert (RandomMarkTraining.name in reasons) == (level == "standard" or not knows_logo)


def test_attacks_that_broke_down_are_gaps() -> None:
    names = ["filled, mean", "matting"]
    gaps = find_gaps(
        make_battery(names=names),
        tried={"none", "filled, mean"},
        broken={"filled, mean": 2},
        images=4,
        veils=0,
        knows_logo=True,
    )
    failed = {gap.attack: gap.reason for gap in gaps if gap.is_failure}
    assert failed["filled, mean"] == "it broke down on 2 of 4 images, which its row lacks"
    assert failed["matting"].startswith("it gave no answer: it broke down")
    assert {gap.reason for gap in gaps if gap.attack == "blur 1"} == {"nobody asked for it"}
