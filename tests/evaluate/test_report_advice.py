"""Publish or not: one sentence, judged by what the best attacker learns."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from medlocker.evaluate import advise
from medlocker.evaluate._qualities import _spread
from medlocker.evaluate.removal import Agreement, BatteryResult, Row
from medlocker.information import Information, InformationGain

READ = Agreement(60, 54, 0.8, (0.65, 0.92))
CHANCE = Agreement(60, 30, 0.02, (-0.2, 0.25))


def gain(left: float, *, half: float = 0.1) -> InformationGain:
    return InformationGain(0.5, 0.5 + left, 0.5, (left - half, left + half))


def row(attack: str, number: int, left: float = 0.0, *, knows: str = "nothing", n: int = 60) -> Row:
    told = Information(n, gain(left), gain(left))
    shown = Agreement(60, 45, left * 2, (left * 2 - 0.2, left * 2 + 0.2))
    return Row(
        *(attack, number, knows, "eyes", 54, 20, 1.0, 20.0, 22.0, 0.5, 0.25, number not in (13, 14, 15)),
        information=told,
        agreement=shown,
        control_agreement=READ,
    )


def text(*rows: Row) -> str:
    advice = advise(BatteryResult(60, rows, (), (), 0.0))
    assert advice is not None
    return f"{advice.tone}: {advice.text}"


NONE = row("none", 1)


def test_nothing_that_can_be_shown_may_be_published() -> None:
    found = text(NONE, row("blur 1", 3, 0.02))
    assert found.startswith(
        "yes: Publish, because no attacker who has only the release gets anything that can"
    )
    assert "'blur 1' on eyes, gets information left +2 (-8 to +12) points, kappa 0.04" in found


def test_the_best_attacker_is_who_learns_most_and_not_who_is_right_most_often() -> None:
    often = replace(row("blur 1", 3), right=54, agreement=None)
    learns = replace(row("matting", 9, 0.3, knows="many marked images"), agreement=None)
    found = text(NONE, often, learns)
    assert found.startswith(
        "no: Do not publish, because an attacker who knows many marked images still learns"
    )
    assert "'matting' on eyes" in found
    assert "blur" not in found


def test_pixels_that_come_back_forbid_publishing_whatever_the_model_says() -> None:
    inverted = replace(row("logo inverted", 6, knows="the logo and this program"), psnr_region=44.0)
    found = text(NONE, inverted)
    assert found.startswith("no: Do not publish, because who knows the logo and this program gets the marked")
    assert "(44 dB by 'logo inverted', 0.25 s an image). Mark the images again with --harden." in found
    lattice = text(NONE, replace(row("lattice inverted", 16), psnr_region=40.0))
    assert "--harden" not in lattice
    assert "a stronger style" in lattice
    # a blur that comes close undoes nothing
    assert text(NONE, replace(row("blur 1", 3), psnr_region=44.0)).startswith("yes")


def test_a_training_that_reads_through_the_mark_is_a_condition() -> None:
    found = text(NONE, row("prepared", 15, 0.3))
    assert found.startswith(
        "no: Publish only if nobody who may try has labelled images of this kind, because"
    )
    assert "; but 'prepared' on eyes, gets information left +30" in found
    merged = text(NONE, row("two versions merged", 14, 0.4))
    assert merged.startswith("yes: Publish one version of each image and never a second, because")


def test_the_mark_alone_does_nothing() -> None:
    assert "because the model reads the marked images as they are: 'none'" in text(row("none", 1, 0.4))


def test_a_little_is_said_to_be_little() -> None:
    little = replace(
        row("blur 1", 3),
        information=Information(4000, gain(0.03, half=0.01), gain(0.03, half=0.01)),
        agreement=Agreement(4000, 2100, 0.05, (0.02, 0.08)),
    )
    assert text(NONE, little).startswith("yes: Publish if a little may be told, because the best attacker,")


def test_many_attempts_show_something_by_luck() -> None:
    lucky = replace(row("blur 1", 3), information=Information(60, gain(0.11), gain(0.11)), agreement=CHANCE)
    assert text(lucky).startswith("no")
    assert text(*(replace(lucky, attack=f"{k}") for k in range(40))).startswith("yes")


@pytest.mark.parametrize("n", [8, 29])
def test_few_images_decide_nothing(n: int) -> None:
    found = text(row("none", 1, n=n))
    assert found == (
        f"open: Do not decide by this report, because {n} images are too few: up to +10 points may be left."
    )


def test_a_model_that_reads_no_clean_image_decides_nothing() -> None:
    blind = replace(NONE, control_agreement=CHANCE)
    assert "no model that was asked reads these images well enough" in text(blind)


def test_attacks_that_did_not_run_decide_nothing() -> None:
    assert advise(None) is None
    advice = advise(None, failed="no memory")
    assert advice is not None
    assert advice.text == "Do not decide yet, because the attacks did not run: no memory"


@pytest.mark.parametrize(
    ("values", "middle"),
    [
        ([1.0], 1.0),
        ([1.0, 3.0], 2.0),
        ([1.0, 2.0, 9.0], 2.0),
        ([1.0, np.inf], 1.0),
        ([np.inf, np.inf], np.inf),
    ],
)
def test_the_median_of_decibels(values: list[float], middle: float) -> None:
    assert _spread(values).median == middle
