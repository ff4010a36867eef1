"""What a viewer shows of a volume, and that the logo is drawn in it."""

from __future__ import annotations

import math
import struct
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from image_samples import Array, loop_png
from nifti_samples import nifti

from medlocker.errors import InputError, RestoreError
from medlocker.formats import mark_file, read_image, unmark_file
from medlocker.formats._shownrange import ShownRange
from medlocker.formats._windowed import Windowed
from medlocker.images import Image, content_digest, viewed
from medlocker.logo import builtin_logo
from medlocker.mark import OPACITY_ONE, Mark

MARK = Mark(x=2, y=3, size_px=20, opacity=OPACITY_ONE)


@given(data=st.data(), bits=st.sampled_from([8, 16]))
def test_levels_lie_evenly_and_inks_are_their_inverse(data: st.DataObject, bits: int) -> None:
    top = (1 << bits) - 1
    black, white = data.draw(st.lists(st.integers(0, top), min_size=2, max_size=2, unique=True))
    window = ShownRange(black, white, bits)
    shown, inks = window.shown(), window.inks()
    assert (shown.shape, shown.dtype, inks.shape, inks.dtype) == (
        (top + 1,),
        np.dtype(f"u{bits // 8}"),
        (256,),
        np.dtype(f"u{bits // 8}"),
    )
    assert (inks[0], inks[255], shown[black], shown[white]) == (black, white, 0, top)
    low, high = min(black, white), max(black, white)
    for sample in data.draw(st.lists(st.integers(0, top), max_size=20)):
        inside = min(max(sample, low), high)
        level = math.floor((inside - low) * top / (high - low) + 0.5)
        assert shown[sample] == (top - level if black > white else level)
    levels = shown[inks].astype(np.int64) / (1 if bits == 8 else 257)
    steps = top / (high - low) / (1 if bits == 8 else 257)
    assert np.abs(levels - np.arange(256)).max() <= 0.51 + steps / 2


def volume(seed: int = 0) -> Array:
    """Head-like: much dark background, a few voxels far brighter than the rest."""
    rng = np.random.default_rng(seed)
    stored = np.zeros((40, 36, 4), "i2")
    stored[5:35, 5:30] = rng.integers(200, 900, (30, 25, 4))
    stored[6, 6, 0] = 30000
    return stored


def test_a_few_bright_voxels_do_not_darken_the_others() -> None:
    image = read_image(nifti(volume()), name="a")
    assert image.inks is not None
    black, white = int(image.inks[0]) - 32768, int(image.inks[255]) - 32768
    assert black == 0
    assert 850 < white < 900
    ranked = np.sort(volume(), axis=None)
    assert white == ranked[math.ceil(len(ranked) * 0.995) - 1]


@pytest.mark.parametrize(
    ("scaling", "told", "black", "white"),
    [
        ((1.0, 0.0), (100.0, 500.0), 100, 500),
        ((0.5, -1024.0), (-160.0, 240.0), 1728, 2528),  # a window of a CT, in Hounsfield units
        ((-1.0, 0.0), (100.0, 500.0), -100, -500),
        ((0.0, 7.0), (100.0, 500.0), 100, 500),  # slope 0: not scaled
        ((1.0, 0.0), (-1e30, 1e30), -32768, 32767),
    ],
)
def test_the_header_tells(
    scaling: tuple[float, float], told: tuple[float, float], black: int, white: int
) -> None:
    for version in (1, 2):
        data = nifti(volume(), slope=scaling[0], inter=scaling[1], calibration=told, version=version)
        image = read_image(data, name="a")
        assert image.inks is not None
        assert (int(image.inks[0]) - 32768, int(image.inks[255]) - 32768) == (black, white)


@pytest.mark.parametrize(
    "told", [(5.0, 5.0), (9.0, 5.0), (math.nan, 5.0), (0.0, math.inf), (1e6, 2e6), (0.1, 0.2)]
)
def test_what_the_header_cannot_mean_is_not_believed(told: tuple[float, float]) -> None:
    plain, odd = (read_image(nifti(volume(), calibration=c), name="a") for c in ((0.0, 0.0), told))
    assert plain.inks is not None
    assert odd.inks is not None
    assert np.array_equal(plain.inks, odd.inks)


@pytest.mark.parametrize(
    ("value", "dtype", "limits"), [(0, "u1", (0, 1)), (7, "u1", (6, 7)), (-5, "i2", (32762, 32763))]
)
def test_a_volume_of_one_sample(value: int, dtype: str, limits: tuple[int, int]) -> None:
    image = read_image(nifti(np.full((40, 36, 2), value, dtype)), name="a")
    assert image.inks is not None
    assert (image.inks[0], image.inks[255]) == limits


def test_a_nearly_empty_volume_uses_all_its_samples() -> None:
    stored = np.zeros((100, 100, 2), "u2")
    stored[3, 3, 0] = 500
    image = read_image(nifti(stored), name="a")
    assert image.inks is not None
    assert (image.inks[0], image.inks[255]) == (0, 500)


def shown_8(image: Image) -> Array:
    return viewed(image).astype(np.int64) // (1 if image.bits == 8 else 257)


@pytest.mark.parametrize("dtype", ["u1", "i2", "u2"])
@pytest.mark.parametrize("slope", [1.0, -1.0])
def test_the_logo_is_shown_as_on_any_other_image(dtype: str, slope: float) -> None:
    stored = (volume() // (5 if dtype == "u1" else 1)).clip(0, 180).astype(dtype)
    told = (0.0, 180.0) if slope > 0 else (-180.0, 0.0)
    image = read_image(nifti(stored, slope=slope, calibration=told), name="a")
    marked = read_image(mark_file(image, [MARK], logo=builtin_logo()).data, name="a")
    # the same picture in a format without a window
    grey = loop_png(viewed(image)[..., :1], depth=8)
    still = mark_file(read_image(grey, name="b"), [MARK], logo=builtin_logo())
    wanted = shown_8(read_image(still.data, name="b"))
    difference = np.abs(shown_8(marked) - wanted)
    assert difference.max() <= 3
    assert np.abs(shown_8(image) - shown_8(marked)).max() > 60


def test_marks_come_off_although_the_marked_volume_has_another_window() -> None:
    image = read_image(nifti(volume()), name="a")
    big = [replace(MARK, size_px=32), replace(MARK, x=0, y=0, size_px=34)]
    marked = mark_file(image, big, logo=builtin_logo())
    again = read_image(marked.data, name="a")
    assert image.inks is not None
    assert again.inks is not None
    assert not np.array_equal(image.inks, again.inks)
    assert marked.method == "window-v1"
    assert marked.residual[:4] == struct.pack("<HH", int(image.inks[0]), int(image.inks[255]))
    restored = unmark_file(again, big, logo=builtin_logo(), residual=marked.residual, method=marked.method)
    assert restored == image.source
    single = read_image(nifti(volume()[..., :1]), name="a")
    marked = mark_file(single, big, logo=builtin_logo())
    again = read_image(marked.data, name="a")
    restored = unmark_file(again, big, logo=builtin_logo(), residual=marked.residual, method=marked.method)
    assert content_digest(read_image(restored, name="a")) == content_digest(single)


def test_damaged_limits_are_refused() -> None:
    image = read_image(nifti(volume()), name="a")
    marked = mark_file(image, [MARK], logo=builtin_logo())
    again = read_image(marked.data, name="a")
    different = "expected two different samples of 16 bits for black and white"
    for residual, message in [
        (b"", "the residual is cut"),
        (marked.residual[:3], "the residual is cut"),
        (b"\5\0\5\0" + marked.residual[4:], different),
        (marked.residual[:4], "expected residuals of 4 frames, got another number"),
    ]:
        with pytest.raises(RestoreError, match=f"^{message}$"):
            unmark_file(again, [MARK], logo=builtin_logo(), residual=residual, method="window-v1")
    eight = read_image(nifti(np.zeros((40, 36, 2), "u1")), name="a")
    with pytest.raises(RestoreError, match=r"^expected two different samples of 8 bits for black and white$"):
        unmark_file(eight, [MARK], logo=builtin_logo(), residual=b"\0\0\0\1", method="window-v1")
    with pytest.raises(InputError, match=r"^expected a volume that states how it is displayed$"):
        Windowed().mark(replace(image, inks=None), [MARK], logo=builtin_logo())
