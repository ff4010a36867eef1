"""What a viewer shows of a DICOM image: the standard's formulas, as pydicom works them out."""

from __future__ import annotations

import io
import warnings
from typing import Any

import numpy as np
import pydicom
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.dataset import Dataset
from pydicom.pixels.processing import (
    apply_color_lut,
    apply_modality_lut,
    apply_windowing,
    convert_color_space,
)

from dicom_samples import FOLDER, Array, Sample, write
from medlocker.formats import read_image
from medlocker.formats.dicom import dicom_of
from medlocker.formats.dicom._shown import Window
from medlocker.images import Image, rgb_to_ybr, viewed

RAMP = np.arange(4096, dtype=np.uint16).reshape(1, 64, 64, 1)


def shown(
    words: Array = RAMP,
    stored: int = 12,
    *,
    polarity: str = "MONOCHROME2",
    signed: bool = False,
    **elements: Any,
) -> tuple[Image, Array]:
    """An image and its grey levels, 0 to 1."""
    sample = Sample(words, polarity, stored, signed=signed, elements=elements)
    image = read_image(write(sample), name="a")
    colors = viewed(image)
    assert (colors[..., 0] == colors[..., 1]).all()
    return image, colors[..., 0].astype(np.float64) / np.iinfo(colors.dtype).max


@given(
    st.sampled_from(("LINEAR", "LINEAR_EXACT", "SIGMOID")),
    st.floats(-500, 5000),
    st.floats(1.5, 5000),
    st.sampled_from((0.5, 1.0, 3.0)),
    st.sampled_from((-1024.0, 0.0)),
)
def test_windows_follow_the_standards_formulas(
    function: str, center: float, width: float, slope: float, intercept: float
) -> None:
    values = RAMP[0, ..., 0] * slope + intercept
    if values.max() < center - width / 2 or values.min() > center + width / 2:
        return  # shows nothing: another test's case
    elements: dict[str, Any] = {
        "WindowCenter": f"{center:.6g}", "WindowWidth": f"{width:.6g}", "VOILUTFunction": function,
        "RescaleSlope": str(slope), "RescaleIntercept": str(intercept),
    }  # fmt: skip
    image, levels = shown(**elements)
    ds = pydicom.dcmread(io.BytesIO(image.source))
    with np.errstate(over="ignore"):
        wanted = apply_windowing(apply_modality_lut(RAMP[0, ..., 0], ds), ds)
    low, high = intercept, 4095 * slope + intercept
    wanted = (wanted - low) / (high - low)
    if len(np.unique(np.round(wanted * 255))) < 2:
        return
    assert np.abs(levels - wanted).max() < 0.5 / 65535 + 1e-9
    assert image.facts["contrast"] == "window"


def test_without_a_window_the_images_own_range_is_shown() -> None:
    words = (RAMP % 1000 + 200).astype(np.uint16)
    image, levels = shown(words)
    assert levels.min() == 0
    assert levels.max() == 1
    assert np.abs(levels - (words[0, ..., 0] - 200) / 999).max() < 1e-4
    assert image.facts["contrast"] == "range"
    padded = words.copy()
    padded[0, 0, 0] = 4000
    _, levels = shown(padded, PixelPaddingValue=4000)
    assert np.abs(levels[1:] - (words[0, 1:, :, 0] - 200) / 999).max() < 1e-4


def test_a_range_that_fills_all_levels_is_written_down_too() -> None:
    """The mark may cover the darkest sample, and the range would be another."""
    ramp = np.arange(256, dtype=np.uint8).reshape(1, 16, 16, 1)
    image, levels = shown(ramp, 8, RescaleSlope="2.5", RescaleIntercept="-100")
    assert image.shown is None
    assert np.array_equal(np.round(levels.ravel() * 255), np.arange(256))
    assert dicom_of(image).window == Window("219.25", "638.5")


def test_white_and_black_change_places_in_monochrome1() -> None:
    _, plain = shown(WindowCenter="2000", WindowWidth="1000")
    _, turned = shown(WindowCenter="2000", WindowWidth="1000", polarity="MONOCHROME1")
    assert np.abs(plain + turned - 1).max() < 1e-4
    image, levels = shown(np.arange(256, dtype=np.uint8).reshape(1, 16, 16, 1), 8, polarity="MONOCHROME1")
    assert np.array_equal(np.round(levels.ravel() * 255), 255 - np.arange(256))
    assert image.inks is not None
    assert np.array_equal(image.inks, np.arange(255, -1, -1))


def test_eight_bits_without_a_window_are_shown_as_they_are() -> None:
    image, levels = shown(np.arange(256, dtype=np.uint8).reshape(1, 16, 16, 1), 8)
    assert image.shown is None
    assert np.array_equal(levels.ravel() * 255, np.arange(256))


def test_signed_samples_are_shown_in_their_order() -> None:
    words = ((RAMP.astype(np.int32) - 2048) & 0xFFFF).astype(np.uint16)
    _, levels = shown(words, signed=True, WindowCenter="0", WindowWidth="4096")
    assert np.abs(levels.ravel() - np.arange(4096) / 4095).max() < 1e-4


def _lut(entries: list[int], first: int, bits: int) -> list[Dataset]:
    item = Dataset()
    item.add_new(0x00283002, "US", [len(entries), first, bits])
    item.add_new(0x00283006, "US", entries)
    return [item]


def test_tables_are_looked_up_and_held_at_their_ends() -> None:
    entries = [10, 200, 100, 255]
    image, levels = shown(VOILUTSequence=_lut(entries, 100, 8))
    wanted = np.asarray(entries)[np.clip(np.arange(4096) - 100, 0, 3)] / 255
    assert np.abs(levels.ravel() - wanted).max() < 1e-4
    assert image.facts["contrast"] == "table"
    steps = [0] * 100 + [1000] * 100
    _, levels = shown(ModalityLUTSequence=_lut(steps, 0, 16), WindowCenter="500.5", WindowWidth="1001")
    assert np.array_equal(levels.ravel(), np.arange(4096) >= 100)


def test_frames_may_have_windows_of_their_own() -> None:
    groups = []
    for center in ("100", "2000", "3000"):
        voi, group = Dataset(), Dataset()
        voi.WindowCenter, voi.WindowWidth = center, "100"
        group.FrameVOILUTSequence = [voi]
        groups.append(group)
    _, levels = shown(np.repeat(RAMP, 3, axis=0), PerFrameFunctionalGroupsSequence=groups)
    assert levels.ravel()[1900] == 0
    assert levels.ravel()[2100] == 1


@pytest.mark.parametrize(
    "elements",
    [
        {"WindowCenter": "90000", "WindowWidth": "10"},
        {"WindowCenter": "100", "WindowWidth": "0"},
        {"WindowCenter": "100", "WindowWidth": "-5"},
        {"WindowCenter": "", "WindowWidth": ""},
        {"RescaleSlope": "0", "RescaleIntercept": "5"},
    ],
)
def test_windows_that_show_nothing_are_passed_over(elements: dict[str, Any]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        image, levels = shown(**elements)
    assert np.abs(levels.ravel() - np.arange(4096) / 4095).max() < 1e-4
    assert image.facts["contrast"] == "range"


def test_an_even_image_is_shown_too() -> None:
    image, levels = shown(np.full((1, 8, 8, 1), 3000, np.uint16))
    assert np.abs(levels - 3000 / 4095).max() < 1e-4
    assert image.inks is not None
    assert image.inks[0] == 0
    assert image.inks[255] == 4095


@given(st.integers(0, 4000), st.integers(2, 4000), st.booleans())
def test_inks_are_the_samples_that_are_shown_as_the_logo(center: int, width: int, turned: bool) -> None:
    polarity = "MONOCHROME1" if turned else "MONOCHROME2"
    image, _ = shown(WindowCenter=str(center), WindowWidth=str(width), polarity=polarity)
    assert image.shown is not None
    assert image.inks is not None
    assert image.inks.max() < 4096
    wanted = np.arange(256) * 257
    best = np.abs(image.shown.astype(np.int64)[None, :] - wanted[:, None]).min(axis=1)
    assert np.array_equal(np.abs(image.shown[image.inks].astype(np.int64) - wanted), best)


def test_colours_in_twelve_bits_reach_white() -> None:
    words = np.zeros((1, 8, 8, 3), np.uint16)
    words[0, 0, 0] = (4095, 0, 2048)
    image = read_image(write(Sample(words, "RGB", 12)), name="a")
    assert viewed(image)[0, 0].tolist() == [65535, 0, 32776]


def test_palettes_and_ybr_are_shown_in_their_colours() -> None:
    image = read_image((FOLDER / "examples_palette.dcm").read_bytes(), name="a")
    ds = pydicom.dcmread(FOLDER / "examples_palette.dcm")
    assert np.array_equal(viewed(image), apply_color_lut(ds.pixel_array, ds) >> 8)
    words = np.random.default_rng(0).integers(0, 256, (1, 30, 30, 3)).astype(np.uint8)
    image = read_image(write(Sample(words, "YBR_FULL")), name="a")
    wanted = convert_color_space(words[0], "YBR_FULL", "RGB").astype(int)
    assert np.abs(viewed(image).astype(int) - wanted).max() <= 1


@given(st.tuples(*[st.integers(0, 255)] * 3))
def test_colours_go_to_ybr_as_the_standard_says(color: tuple[int, int, int]) -> None:
    r, g, b = color
    wanted = (0.299 * r + 0.587 * g + 0.114 * b,
              128 - 0.168736 * r - 0.331264 * g + 0.5 * b,
              128 + 0.5 * r - 0.418688 * g - 0.081312 * b)  # fmt: skip
    found = rgb_to_ybr(np.array([[color]], np.uint8))[0, 0]
    assert np.abs(found - np.clip(wanted, 0, 255)).max() <= 0.51
