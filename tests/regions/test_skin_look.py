"""What is coloured like skin and is none: ultrasound, screenshots and drawings have no lesion to keep out."""

from __future__ import annotations

import os
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from numpy.typing import NDArray
from test_candidates import skin

from dicom_samples import FOLDER
from medlocker.formats import read_image
from medlocker.images import viewed
from medlocker.regions import CandidateFinder, Findings
from medlocker.regions._candidates import look

Picture = NDArray[np.uint8]
NONE = Findings((), ("regions: none, neither a fundus photograph nor dermoscopy",))
SEPIA = (1.0, 0.9, 0.75)


def ultrasound(*, tint: tuple[float, float, float] = (1.0, 1.0, 1.0), seed: int = 0) -> Picture:
    """Speckle in a sector on black, flow in red, a colour bar and white words."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:480, :640].astype(np.float64)
    reach = np.hypot(x - 320, y + 40)
    sector = (np.abs(np.arctan2(x - 320, y + 40)) < 0.65) & (reach > 80) & (reach < 480)
    speckle = cv2.GaussianBlur(rng.rayleigh(1, (480, 640)), (0, 0), 1.2)
    grey = np.clip((60 + 50 * np.sin(reach / 40 + seed)) * speckle * 0.7, 0, 255) * sector
    picture = grey[..., None] * np.array(tint)
    flow = ((x - 320) / 60) ** 2 + ((y - 264) / 40) ** 2 < 1
    picture[flow] = picture[flow] * 0.3 + np.array([200, 60, 10]) * rng.random((int(flow.sum()), 1))
    picture[40:200, 610:625] = np.linspace(255, 0, 160)[:, None, None] * np.array([1, 0.5, 0.1])
    shown: Picture = np.clip(picture, 0, 255).astype(np.uint8)
    cv2.putText(shown, "Adult Echo 12:04", (10, 20), cv2.FONT_HERSHEY_SIMPLEX, 0.5, (255, 255, 255), 1)
    return shown


def screenshot(background: tuple[int, int, int] = (255, 252, 246)) -> Picture:
    """Words on warm white, a menu, and a small photograph of skin."""
    shown = np.full((600, 800, 3), background, np.uint8)
    shown[:40] = (230, 200, 180)
    for line in range(8):
        place = (20, 90 + 50 * line)
        cv2.putText(shown, "Findings: none of note", place, cv2.FONT_HERSHEY_SIMPLEX, 0.7, (60, 40, 30), 1)
    shown[380:560, 580:760] = skin(side=180)
    return shown


def drawing() -> Picture:
    """A brown disc on the colour of skin."""
    shown = np.full((300, 300, 3), (224, 180, 160), np.uint8)
    cv2.circle(shown, (150, 150), 60, (120, 80, 60), -1)
    return shown


def is_coloured_like_skin(picture: Picture) -> bool:
    """Whether the mean colour alone says skin; else these pictures would show nothing."""
    lit = picture.max(axis=2) > 0.15 * np.percentile(picture.max(axis=2), 95)
    red, green, blue = picture[lit].mean(axis=0)
    return bool(red > green > 0.9 * blue and red > blue + 4)


ODD = {
    **{f"ultrasound {seed}": ultrasound(seed=seed) for seed in (0, 3)},
    **{f"ultrasound, sepia {seed}": ultrasound(tint=SEPIA, seed=seed) for seed in (0, 3)},
    "screenshot": screenshot(),
    "drawing": drawing(),
}


@pytest.mark.parametrize("name", ODD)
def test_pictures_that_only_have_the_colour_of_skin_are_left_alone(name: str) -> None:
    picture = ODD[name]
    assert is_coloured_like_skin(picture)
    assert CandidateFinder("auto").find(picture) == NONE
    assert CandidateFinder("auto").find(picture.astype(np.uint16) * 257) == NONE


@pytest.mark.parametrize("name", ["examples_rgb_color.dcm", "examples_jpeg2k.dcm", "ExplVR_BigEnd.dcm"])
def test_coloured_ultrasound_of_makers_is_no_skin(name: str) -> None:
    colors = viewed(read_image((FOLDER / name).read_bytes(), name=name))
    assert CandidateFinder("auto").find(colors) == NONE


def test_who_says_that_it_is_skin_is_believed_and_told() -> None:
    found = CandidateFinder("skin").find(drawing())
    assert found.notes == ("regions: candidate of a picture that does not look like dermoscopy",)
    assert len(found.boxes) == 1
    assert CandidateFinder("skin").find(skin()).notes == ("regions: candidate of a dermoscopy image",)


@example(0.34375, False, 700)  # so dim that many neighbours are equal
@given(st.floats(0.35, 1.15), st.booleans(), st.sampled_from([200, 256, 700]))
def test_dermoscopy_of_any_brightness_stays_dermoscopy(light: float, hair: bool, side: int) -> None:
    picture = np.clip(skin(hair=hair, side=side) * light, 0, 255).astype(np.uint8)
    assert look(picture) == "skin"


@pytest.mark.parametrize("radius", [0.35, 0.45])
def test_a_round_rim_and_a_dim_edge_are_no_matter(radius: float) -> None:
    picture = skin()
    y, x = np.mgrid[:256, :256] / 256 - 0.5
    away = np.hypot(x, y)
    dim = np.clip(1.2 - 1.1 * away, 0, 1)
    picture = (picture * dim[..., None] * (away < radius)[..., None]).astype(np.uint8)
    assert look(picture) != "other"
    found = CandidateFinder("skin").find(picture)
    assert len(found.boxes) == 1


@pytest.mark.slow
@pytest.mark.skipif("MEDLOCKER_DATA" not in os.environ, reason="no folder of real images is named")
def test_real_dermoscopy_images_are_still_taken_for_what_they_are() -> None:
    files = sorted((Path(os.environ["MEDLOCKER_DATA"]) / "isic2017" / "images").glob("*.jpg"))[3::8]
    assert files, "expected dermoscopy images in the folder"
    kinds = [look(viewed(read_image(path.read_bytes(), name=path.name))) for path in files]
    assert kinds.count("skin") / len(kinds) > 0.96
