"""Hardened marks withstand those who know the logo and this program; plain ones do not."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from medlocker.certificates import Owner
from medlocker.demo import GRADES, synthesise
from medlocker.evaluate.removal import blind, candidates, psnr
from medlocker.formats import read_image
from medlocker.images import Image, Kind
from medlocker.logo import Hardening, Logo, builtin_logo, render
from medlocker.logo._hardening import texture
from medlocker.mark import Mark
from medlocker.marking import mark_pixels, unmark_pixels
from medlocker.protect import STANDARD_HARDENING, Harden, Settings
from pictures import KINDS, make_image
from runs import check_release, fill, protect
from test_logo import arrow

LOGO = builtin_logo()
RESTORED_DB = 35.0


@dataclass(frozen=True, eq=False)
class Target:
    """A marked picture and what its attackers do not have."""

    marked: NDArray[np.uint8]
    original: NDArray[np.uint8]
    support: NDArray[np.bool_]
    mark: Mark

    def psnr(self, picture: NDArray[np.uint8]) -> float:
        return psnr(picture, self.original, self.support)

    def restored(self, picture: NDArray[np.uint8]) -> bool:
        return self.psnr(picture) > RESTORED_DB


def make_target(pixels: NDArray[np.uint8], harden: Harden, *, size_px: int, seed: int) -> Target:
    """Mark a picture at a random place and opacity, the same for every hardening."""
    rng = np.random.default_rng([35, seed])
    hardening = harden.for_size(size_px, rng.bytes(32))
    height, width = pixels.shape[:2]
    mark = Mark(
        x=int(rng.integers(0, width - size_px + 1)),
        y=int(rng.integers(0, height - size_px + 1)),
        size_px=size_px,
        opacity=round(float(rng.uniform(0.4, 0.92)) * 65535),
    )
    if hardening is not None:
        mark = replace(
            mark,
            key=hardening.key.hex(),
            warp_256=hardening.warp_256,
            texture=hardening.texture,
            opaque_permille=hardening.opaque_permille,
        )
    support = np.zeros((height, width), np.bool_)
    raster = render(LOGO, size_px, hardening=mark.hardening)
    support[mark.y : mark.y + size_px, mark.x : mark.x + size_px] = raster.support
    marked = mark_pixels(Image(pixels, "rgb", "png", b""), [mark], logo=LOGO).pixels
    return Target(marked.astype(np.uint8), pixels, support, mark)


def synthetic(harden: Harden, *, count: int = 6) -> Iterator[Target]:
    for seed in range(count):
        pixels = synthesise(seed, grade=GRADES[seed % len(GRADES)], width=320, height=320).image
        yield make_target(pixels, harden, size_px=(56, 80)[seed % 2], seed=seed)


def test_plain_marks_are_undone_without_a_key() -> None:
    restored = 0
    for target in synthetic(Harden()):
        found = blind(target.marked, LOGO, sizes_px=(40, 110))
        restored += target.restored(found.restored)
    assert restored >= 5


def test_standard_hardening_withstands_the_same_and_those_who_know_it() -> None:
    for target in synthetic(STANDARD_HARDENING):
        found = blind(target.marked, LOGO, sizes_px=(40, 110))
        assert not target.restored(found.restored)
        known = candidates(
            target.marked, LOGO, found, warp=STANDARD_HARDENING.warp, texture=STANDARD_HARDENING.texture
        )
        for how, picture in known.items():
            # weighing looks at the surroundings too, and smooth ones need no mark to tell what is under it
            if "weighed" not in how:
                assert target.psnr(picture) < 30, how


def test_warp_alone_yields_to_who_knows_it() -> None:
    # why the standard has a texture too
    harden = Harden(warp=STANDARD_HARDENING.warp)
    for target in synthetic(harden, count=4):
        found = blind(target.marked, LOGO, sizes_px=(40, 110))
        known = candidates(target.marked, LOGO, found, warp=harden.warp, texture=0)
        best = max(target.psnr(picture) for how, picture in known.items() if "weighed" not in how)
        assert not target.restored(found.restored)
        assert best > target.psnr(found.restored) + 7
        assert best > 32


@pytest.mark.slow
@pytest.mark.parametrize(("harden", "least", "most"), [(Harden(), 18, 20), (STANDARD_HARDENING, 0, 0)])
def test_the_blind_attacker_on_photographs(harden: Harden, least: int, most: int) -> None:
    folder = os.environ.get("MEDLOCKER_DATA")
    if not folder:
        pytest.skip("MEDLOCKER_DATA names no folder of real images")
    files = sorted((Path(folder) / "idrid" / "images").iterdir())[::20][:20]
    assert len(files) == 20
    restored = 0
    for seed, file in enumerate(files):
        pixels = read_image(file.read_bytes(), name=file.name).pixels.astype(np.uint8)
        target = make_target(pixels, harden, size_px=(178, 56)[seed % 2], seed=seed)
        restored += target.restored(blind(target.marked, LOGO).restored)
    assert least <= restored <= most


# ------------------------------------------------------------------------------- what hardening must keep


@st.composite
def hardenings(draw: st.DrawFn) -> Hardening:
    return Hardening(
        draw(st.binary(min_size=1, max_size=64)),
        warp_256=draw(st.one_of(st.just(0), st.integers(1, 2000), st.just(65535))),
        texture=draw(st.one_of(st.just(0), st.integers(1, 127))),
        opaque_permille=draw(st.one_of(st.just(0), st.integers(1, 1000))),
    )


@settings(max_examples=60)
@given(
    hardening=hardenings(),
    kind=st.sampled_from(KINDS),
    bits=st.sampled_from([8, 16]),
    size_px=st.integers(1, 44),
    rotation=st.one_of(st.just(0), st.integers(0, 65535)),
    opacity=st.one_of(st.integers(0, 65535), st.sampled_from([0, 65535])),
)
def test_unmarking_is_exact_under_every_hardening(
    hardening: Hardening, kind: Kind, bits: int, size_px: int, rotation: int, opacity: int
) -> None:
    image = make_image(kind, bits=8 if kind == "palette" else bits, height=70, width=72, noise=True)
    mark = Mark(
        x=3,
        y=2,
        size_px=size_px,
        opacity=opacity,
        rotation=rotation,
        key=hardening.key.hex(),
        warp_256=hardening.warp_256,
        texture=hardening.texture,
        opaque_permille=hardening.opaque_permille,
    )
    marked = mark_pixels(image, [mark], logo=arrow())
    raster = render(arrow(), size_px, rotation=rotation, hardening=mark.hardening)
    inside = np.zeros(image.pixels.shape[:2], np.bool_)
    inside[2 : 2 + raster.support.shape[0], 3 : 3 + raster.support.shape[1]] = raster.support
    np.testing.assert_array_equal(marked.pixels[~inside], image.pixels[~inside])
    stored = replace(image, pixels=marked.pixels)
    again = unmark_pixels(stored, [mark], logo=arrow(), residual=marked.residual)
    np.testing.assert_array_equal(again, image.pixels)


@settings(max_examples=40)
@given(hardening=hardenings(), size_px=st.integers(1, 90), rotation=st.integers(0, 65535))
def test_hardening_repeats_itself_and_stays_in_the_plain_raster(
    hardening: Hardening, size_px: int, rotation: int
) -> None:
    first = render(arrow(), size_px, rotation=rotation, hardening=hardening)
    render.cache_clear()
    second = render(arrow(), size_px, rotation=rotation, hardening=replace(hardening))
    plain = render(arrow(), size_px, rotation=rotation)
    np.testing.assert_array_equal(first.color, second.color)
    np.testing.assert_array_equal(first.coverage, second.coverage)
    assert first.coverage.shape == plain.coverage.shape
    assert not first.color[~first.support].any()


@settings(max_examples=30)
@given(key=st.binary(min_size=1, max_size=64), warp_256=st.integers(0, 1500), size_px=st.integers(16, 64))
def test_no_pixel_moves_further_than_the_warp_says(key: bytes, warp_256: int, size_px: int) -> None:
    rgba = np.zeros((64, 64, 4), np.uint8)
    rgba[26:38, 26:38] = 255
    logo = Logo(rgba)
    bent = render(logo, size_px, hardening=Hardening(key, warp_256=warp_256)).support
    # each way, and a pixel for the bilinear kernel
    side = 2 * (-(-warp_256 // 256) + 1) + 1
    plain = render(logo, size_px).support.astype(np.uint8)
    assert cv2.dilate(plain, np.ones((side, side), np.uint8))[bent].all()


@pytest.mark.parametrize("part", ["warp_256", "texture", "opaque_permille"])
def test_another_key_gives_another_raster(part: str) -> None:
    amounts = {"warp_256": 0, "texture": 0, "opaque_permille": 0} | {part: 100}
    first, second = (
        render(LOGO, 56, hardening=Hardening(key, **amounts))
        for key in (b"0123456789abcdef", b"0123456789abcdeg")
    )
    if part == "opaque_permille":
        assert first.solid is not None
        assert second.solid is not None
        assert (first.solid != second.solid).mean() > 0.05
    else:
        assert (first.color != second.color).mean() > 0.05


@pytest.mark.parametrize("size_px", [24, 56, 178])
def test_texture_deviates_as_told_in_each_channel_and_after_smoothing(size_px: int) -> None:
    many = [texture(size_px, size_px, Hardening(bytes([k]), texture=24)) for k in range(30)]
    channels = np.concatenate([one.reshape(-1, 3) for one in many])
    np.testing.assert_allclose(channels.std(axis=0), 24, rtol=0.08)
    together = np.corrcoef(channels.T)[np.triu_indices(3, 1)]
    assert np.abs(together).max() < 0.15
    smooth = [cv2.GaussianBlur(one.astype(np.float32), (0, 0), size_px / 28) for one in many]
    assert np.std(smooth) > 24 / 2


def test_a_hardened_release_is_restored_exactly(tmp_path: Path, owner: Owner) -> None:
    source = fill(tmp_path / "in", 3, size=72)
    harden = replace(STANDARD_HARDENING, opaque=0.1)
    options = Settings(preset="strong", budget=6, seed=1, harden=harden, keep_original=False)
    assert protect(source, tmp_path / "out", owner, settings=options).json["marked"] == 3
    first = check_release(source, tmp_path / "out", owner, tmp_path / "restored")
    # the seed repeats the search, but the keys of hardening are each release's own
    protect(source, tmp_path / "again", owner, settings=options)
    second = check_release(source, tmp_path / "again", owner, tmp_path / "restored again")
    assert all(first[name] != second[name] for name in first)
