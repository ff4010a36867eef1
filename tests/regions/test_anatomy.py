"""Optic disc and macula: found on synthetic photographs, whose anatomy is known, and nowhere else."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from medlocker.demo.anatomy import plan_eye
from medlocker.demo.paint import _draw_frame, synthesise
from medlocker.geometry import Box
from medlocker.regions import ANATOMY, CandidateFinder, Finder, Findings, WithAnatomy, lesion_finder
from medlocker.regions._anatomy import DISC_ALONE, KEPT_CLEAR, NEITHER, NO_FUNDUS, find_anatomy

Point = tuple[float, float]


def truth(seed: int, *, width: int, height: int) -> tuple[Point, Point, float]:
    """Return a synthetic photograph's middle of the disc, fovea, and diameter of the field, in pixels."""
    eye = plan_eye(np.random.default_rng([seed, 0]))
    frame = _draw_frame(np.random.default_rng([seed, 2]), width, height)
    disc, fovea = (
        (frame.centre[0] + at[0] * frame.radius, frame.centre[1] + at[1] * frame.radius)
        for at in (eye.disc, eye.fovea)
    )
    return disc, fovea, 2 * frame.radius


def off(box: Box, point: Point) -> float:
    """How far the middle of a box is from a point."""
    return float(np.hypot(box.x + box.width / 2 - point[0], box.y + box.height / 2 - point[1]))


@pytest.mark.parametrize(("width", "height"), [(512, 512), (700, 500), (224, 224)])
@pytest.mark.parametrize("grade", ["none", "severe"])
def test_disc_and_fovea_of_synthetic_photographs_are_found(width: int, height: int, grade: str) -> None:
    discs = foveas = 0
    for seed in range(20, 26):
        disc, fovea, diameter = truth(seed, width=width, height=height)
        boxes, note = find_anatomy(synthesise(seed, grade=grade, width=width, height=height).image)
        assert note == (NEITHER, DISC_ALONE, KEPT_CLEAR)[len(boxes)]
        if boxes and off(boxes[0], disc) < 0.03 * diameter:
            discs += 1
            assert 0.11 * diameter < boxes[0].width < 0.2 * diameter
            assert boxes[0].height > boxes[0].width
        if len(boxes) > 1 and off(boxes[1], fovea) < 0.08 * diameter:
            foveas += 1
            assert 1 < boxes[1].width / boxes[0].width < 1.6
    # exudates may look like a disc, and haemorrhages hide a fovea
    assert min(discs, foveas) >= (6 if grade == "none" else 5)


def test_a_photograph_stretched_to_a_square_has_them_at_the_same_places() -> None:
    wide = synthesise(3, grade="mild", width=900, height=600).image
    boxes, _ = find_anatomy(wide)
    pressed, _ = find_anatomy(cv2.resize(wide, (600, 600), interpolation=cv2.INTER_AREA).astype(np.uint8))
    for one, other in zip(boxes, pressed, strict=True):
        assert off(one, ((other.x + other.width / 2) * 1.5, other.y + other.height / 2)) < 15
        assert one.width / (other.width * 1.5) == pytest.approx(1, abs=0.15)


def test_a_mirrored_eye_is_an_eye() -> None:
    image = synthesise(5, grade="mild").image
    mirrored = np.ascontiguousarray(image[:, ::-1])
    for one, other in zip(find_anatomy(image)[0], find_anatomy(mirrored)[0], strict=True):
        assert off(one, (image.shape[1] - other.x - other.width / 2, other.y + other.height / 2)) < 15


def test_depth_of_the_samples_does_not_matter_and_answers_repeat() -> None:
    image = synthesise(2, grade="mild").image
    assert find_anatomy(image) == find_anatomy(image.copy())
    assert find_anatomy(image.astype(np.uint16) * 257) == find_anatomy(image)


def test_a_field_without_anything_has_neither() -> None:
    y, x = np.mgrid[:400, :400]
    lit = (np.hypot(x - 200, y - 200) < 190)[..., None]
    assert find_anatomy(np.where(lit, np.array([180, 90, 40]), 0).astype(np.uint8)) == ((), NEITHER)


def test_a_fovea_under_exudates_is_said_not_to_be_found() -> None:
    disc, fovea, diameter = truth(4, width=512, height=512)
    image = synthesise(4, grade="none").image.copy()
    cv2.circle(image, (round(fovea[0]), round(fovea[1])), round(0.2 * diameter), (235, 215, 110), -1)
    boxes, note = find_anatomy(image)
    assert note == DISC_ALONE
    assert len(boxes) == 1
    assert off(boxes[0], disc) < 0.03 * diameter


def skin() -> NDArray[np.uint8]:
    rng = np.random.default_rng(0)
    pixels = np.clip(rng.normal((214, 170, 150), 4, (256, 256, 3)), 0, 255).astype(np.uint8)
    cv2.circle(pixels, (140, 120), 40, (110, 70, 50), -1)
    return pixels


@pytest.mark.parametrize(
    "pixels",
    [
        skin(),
        np.repeat(skin()[..., :1], 3, axis=2),
        *(np.full(s, 90, np.uint8) for s in ((1, 1, 3), (2, 900, 3))),
    ],
)
def test_nothing_is_found_in_other_pictures_and_one_sentence_says_so(pixels: NDArray[np.uint8]) -> None:
    assert find_anatomy(pixels) == ((), NO_FUNDUS)
    assert WithAnatomy().find(pixels) == Findings((), (NO_FUNDUS,))


class Lesions:
    """Finds one lesion."""

    def __init__(self, *, droppable: bool) -> None:
        self.droppable = droppable
        self.source = self.fingerprint = "lesions"

    def find(self, colors: NDArray[np.uint8]) -> Findings:
        return Findings((Box(1, 2, 3, 4),), ("regions: a lesion",), (Box(0, 0, 1, 1),))


@pytest.mark.parametrize("droppable", [False, True])
def test_lesions_of_another_finder_stay_what_they_are(droppable: bool) -> None:
    image = synthesise(2, grade="mild").image
    lesions: Finder = Lesions(droppable=droppable)
    both = WithAnatomy(lesions)
    boxes, note = find_anatomy(image)
    assert both.find(image) == Findings(
        (Box(1, 2, 3, 4),), ("regions: a lesion", note), (Box(0, 0, 1, 1), *boxes)
    )
    assert both.droppable is droppable
    assert both.source == f"lesions + {ANATOMY}"
    assert lesion_finder(both) is lesions


def test_how_it_is_named() -> None:
    alone = WithAnatomy()
    assert alone.source == ANATOMY == "anatomy (found by classical means, not a clinician's)"
    assert not alone.droppable
    assert lesion_finder(alone) is None
    assert lesion_finder(None) is None
    names = [alone, WithAnatomy(CandidateFinder("fundus")), WithAnatomy(CandidateFinder("auto"))]
    assert len({one.fingerprint for one in names}) == 3
