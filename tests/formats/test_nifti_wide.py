"""NIfTI voxels of 32 bits, as many programs write them although the values need fewer."""

from __future__ import annotations

import numpy as np
import pytest
from image_samples import Array
from nifti_samples import nifti

from medlocker.errors import InputError
from medlocker.formats import mark_file, read_image, unmark_file
from medlocker.images import content_digest, viewed
from medlocker.logo import Logo, builtin_logo
from medlocker.mark import OPACITY_ONE, Mark
from medlocker.veil import AnyMark
from veils import make_veil

MARK = Mark(x=2, y=3, size_px=30, opacity=OPACITY_ONE)


def voxels(low: int, high: int, dtype: str, slices: int = 3) -> Array:
    """Values from ``low`` to ``high``, both present."""
    rng = np.random.default_rng(0)
    stored = rng.integers(low, high + 1, (40, 36, slices)).astype(dtype)
    stored[0, :2, 0] = low, high
    return stored


RANGES = {
    "as int16": ("i4", -1024, 3071, "i2"),
    "the whole of int16": ("i4", -32768, 32767, "i2"),
    "unsigned, small": ("u4", 0, 4095, "u2"),
    "as uint16": ("u4", 0, 60000, "u2"),
    "int32 as uint16": ("i4", 5, 65535, "u2"),
}


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("marks", [[MARK], [make_veil()]], ids=["mark", "veil"])
@pytest.mark.parametrize("case", RANGES)
def test_marked_like_the_same_volume_of_16_bits_and_restored(
    case: str, marks: list[AnyMark], order: str
) -> None:
    dtype, low, high, narrow = RANGES[case]
    stored = voxels(low, high, dtype)
    data = nifti(stored, order=order)
    image = read_image(data, name="a")
    alike = read_image(nifti(stored.astype(narrow)), name="b")
    assert content_digest(image) == content_digest(alike)
    assert np.array_equal(viewed(image), viewed(alike))
    assert image.facts["bit depth"] == 32
    marked = mark_file(image, marks, logo=builtin_logo())
    assert len(marked.data) == len(data)
    again = read_image(marked.data, name="c")
    assert again.facts["bit depth"] == 32
    assert content_digest(again) == marked.pixels == mark_file(alike, marks, logo=builtin_logo()).pixels
    assert (
        unmark_file(again, marks, logo=builtin_logo(), residual=marked.residual, method=marked.method) == data
    )


@pytest.mark.parametrize(
    ("low", "high"), [(100_000, 160_000), (-70_000, -40_000), (2**31 - 65_536, 2**31 - 1)]
)
@pytest.mark.parametrize("slices", [1, 3])
def test_values_are_shifted_into_16_bits(low: int, high: int, slices: int) -> None:
    data = nifti(voxels(low, high, "i4", slices))
    image = read_image(data, name="a")
    assert image.pixels.max() - image.pixels.min() > 0.9 * (high - low)
    marked = mark_file(image, [MARK], logo=builtin_logo())
    again = read_image(marked.data, name="b")
    restored = unmark_file(again, [MARK], logo=builtin_logo(), residual=marked.residual, method=marked.method)
    assert restored == data


def test_a_logo_that_would_shift_the_values_otherwise_is_refused() -> None:
    stored = voxels(30_000, 32_000, "i4")
    stored[10:20, 10:20] = 33_000
    image = read_image(nifti(stored), name="a")
    dark = Logo(np.concatenate((np.zeros((8, 8, 3), np.uint8), np.full((8, 8, 1), 255, np.uint8)), axis=2))
    with pytest.raises(InputError, match=r"^expected marked voxels that fit into the same 16 bits"):
        mark_file(image, [Mark(x=0, y=0, size_px=36, opacity=OPACITY_ONE)], logo=dark)
