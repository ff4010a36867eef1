"""Attacks on veils work where they should, are run on veils only, and break on nothing small."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from removal_samples import LOGO, QuadrantClassifier, items, photograph

from medlocker.attacks import changed, notch, widened
from medlocker.errors import ModelError
from medlocker.evaluate.removal import Evidence, Item, psnr, run_battery
from medlocker.evaluate.removal._grid import find_grids
from medlocker.evaluate.removal._paintover import VeilPaintedOver, kept_out
from medlocker.evaluate.removal.unveil import AlikeAttack, GridFinder, LatticeAttack, NotchAttack
from medlocker.images import Image
from medlocker.marking import mark_pixels
from medlocker.veilstyle import DEFAULT_STYLE, VeilStyle

Bytes = NDArray[np.uint8]
KEY = b"0123456789abcdef"
UNHARDENED = VeilStyle(
    period=0.07,
    spread=0.0,
    fill=1.2,
    opacity=0.125,
    turn=0.0,
    scale=0.0,
    warp=0.0,
    texture=0,
    negatives=False,
    stamps=1,
)


def veiled(clean: Bytes, style: VeilStyle) -> tuple[Bytes, Evidence]:
    height, width = clean.shape[:2]
    veil = style.draw(LOGO, width=width, height=height, key=KEY)
    marked = mark_pixels(Image(clean, "rgb", "png", b""), [veil], logo=LOGO).pixels
    return marked, Evidence(marked, widened(changed(clean, marked), 2), LOGO)


def test_a_lattice_that_is_not_hardened_is_found_and_undone() -> None:
    clean = photograph(3, 256)
    marked, evidence = veiled(clean, UNHARDENED)
    everywhere = np.ones(clean.shape[:2], np.bool_)
    grid = find_grids(marked, evidence.mask)[0]
    assert grid.period == pytest.approx(18, rel=0.02)
    restored = LatticeAttack(GridFinder()).restore(evidence)["lattice inverted"]
    assert psnr(restored, clean, everywhere) > 35 > psnr(marked, clean, everywhere) + 8


def test_a_notch_takes_a_wave_out_and_leaves_the_rest() -> None:
    clean = photograph(4, 128)
    wave = 20 * np.sin(2 * np.pi * 0.2 * np.arange(128))[None, :, None]
    striped = (clean * 0.6 + 60 + wave).clip(0, 255).astype(np.uint8)
    plain = (clean * 0.6 + 60).astype(np.uint8)
    everywhere = np.ones(clean.shape[:2], np.bool_)
    filtered = notch(striped, np.array([[0.2, 0.0]]))
    assert psnr(filtered, plain, everywhere) > psnr(striped, plain, everywhere) + 6


def test_ink_is_filled_from_between_the_copies() -> None:
    clean = np.full((160, 160, 3), 120, np.uint8)
    _, evidence = veiled(clean, VeilStyle(period=0.2, fill=0.5))
    made = VeilPaintedOver().restore(evidence)
    for name in ("ink filled, harmonic", "ink filled, Telea"):
        assert psnr(made[name], clean, evidence.mask) > 45
    kept = kept_out(evidence.mask)
    assert (made["only keep-outs kept"][~kept] == 128).all()
    assert not (kept & evidence.mask).any()


@pytest.mark.parametrize("side", [32, 40, 64])
def test_small_images_break_nothing(side: int) -> None:
    clean = np.ascontiguousarray(photograph(5, 96)[:side, :side])
    _, evidence = veiled(clean, DEFAULT_STYLE)
    finder = GridFinder()
    for attack in (LatticeAttack(finder), AlikeAttack(finder), NotchAttack(finder), VeilPaintedOver()):
        for picture in attack.restore(evidence).values():
            assert (picture.shape, picture.dtype) == (clean.shape, clean.dtype)


def test_each_image_of_a_mixed_release_meets_the_attacks_that_mean_something_on_it() -> None:
    clean = photograph(6, 96)
    marked, _ = veiled(clean, DEFAULT_STYLE)
    one = next(iter(items(1)))
    veil = Item("veil.png", clean, marked, one.labels, is_veil=True)
    names = ["logo inverted", "double masking", "ink filled, Telea", "notched"]
    result = run_battery([one, veil], [QuadrantClassifier()], logo=LOGO, names=names)
    assert any("one image with a veil" in note and "double masking" in note for note in result.notes)
    alone = run_battery([veil], [QuadrantClassifier()], logo=LOGO, names=names)
    assert not {"logo inverted", "double masking"} & {row.attack for row in alone.rows}


class Unsure(QuadrantClassifier):
    """Fails on all pictures but the first few: on what votes ask it."""

    def __init__(self) -> None:
        super().__init__()
        self.name, self.asked = "unsure", 0

    def logits(self, canvases: NDArray[np.float32]) -> NDArray[np.float32]:
        self.asked += 1
        if self.asked > 1:
            raise ModelError("model unsure: expected finite logits")
        return super().logits(canvases)


def test_a_target_that_fails_while_votes_are_counted_costs_no_other_target() -> None:
    result = run_battery(
        items(1, targets=2), [Unsure(), QuadrantClassifier()], logo=LOGO, names=["vote over crops"]
    )
    assert result.row("vote over crops", QuadrantClassifier().name).attack == "vote over crops"
    assert any("vote over crops" in note for note in result.notes)
