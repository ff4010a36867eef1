"""The report's section on attacks, as a custodian reads it."""

from __future__ import annotations

import re

from medlocker.evaluate import Removal
from medlocker.evaluate._removal_page import _DOES, removal_section
from medlocker.evaluate.removal import BatteryResult, Best, Row, make_battery


def row(attack: str, number: int, *, combined: bool = True) -> Row:
    return Row(attack, number, "nothing", "model", 8, 2, 0.75, 20.0, 22.0, 0.8, 0.5, combined)


def section(*rows: Row, images: int = 9) -> str:
    best = Best("model", 8, 3, 0.125, "blur 1", 2)
    return removal_section(Removal(BatteryResult(images, rows, (best,), (), 0.0), "The verdict.", (), ()))


def test_every_attack_of_the_battery_says_what_it_does() -> None:
    kinds = make_battery("full").kinds
    assert {kind.number for kind in kinds} == set(_DOES)
    page = section(*(row(kind.name, kind.number) for kind in kinds))
    for kind in kinds:
        assert f'<td>{kind.name}<br><span class="note">{_DOES[kind.number]}</span></td>' in page


def test_every_column_is_explained() -> None:
    page = section(row("none", 1), row("blur 1", 3))
    heads = [name for name in re.findall(r"<th[^>]*>([^<]*)</th>", page) if name]
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
    assert "The best attack by itself is <i>blur 1</i>: 2 of 8" in page
