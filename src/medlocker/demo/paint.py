"""Synthetic fundus photographs with and without diabetic retinopathy, and masks of their lesions.

They are made for demonstrations and tests: no patient, no camera, no licence. They look like photographs of
eyes but are no model of disease; nothing learnt from them may be used on people.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from medlocker.demo.anatomy import plan_eye
from medlocker.demo.frame import Frame, Plane, blurred, mix
from medlocker.demo.ground import Picture, draw_look, paint_eye
from medlocker.demo.lesions import GRADES, Kind, Lesion, plan_lesions
from medlocker.errors import InputError
from medlocker.geometry import Box

_BLOOD = np.array([0.42, 0.95, 0.55], np.float32)
_EXUDATE = np.array([0.97, 0.86, 0.42], np.float32)
_COTTON = np.array([0.93, 0.85, 0.66], np.float32)
_MASK_FROM = 0.055
_SMALLEST_SIDE_PX = 64


@dataclass(frozen=True, eq=False)
class Synthetic:
    """One synthetic photograph.

    Args:
        image: (H, W, 3) uint8 RGB.
        mask: (H, W) uint8, 255 where a lesion was painted, else 0.
        grade: ``none``, ``mild`` or ``severe``.
        quiet: Two windows without lesions, clipped to the image.
    """

    image: NDArray[np.uint8]
    mask: NDArray[np.uint8]
    grade: str
    quiet: tuple[Box, ...]


def synthesise(seed: int, *, grade: str, width: int = 512, height: int = 512) -> Synthetic:
    """Paint one photograph; the same arguments give the same pixels on one machine.

    The same seed with another grade gives the same eye in the same light with other lesions, so the grade
    shows in nothing but the lesions.

    Args:
        seed: At least 0.
        grade: ``none``, ``mild`` or ``severe``.
        width: Pixels, at least 64.
        height: Pixels, at least 64.

    Raises:
        InputError: If an argument is out of range.
    """
    if grade not in GRADES:
        raise InputError(f"expected a grade of {', '.join(GRADES)}, got {grade!r:.40}")
    if seed < 0:
        raise InputError(f"expected a seed of at least 0, got {seed}")
    if min(width, height) < _SMALLEST_SIDE_PX:
        raise InputError(f"expected at least {_SMALLEST_SIDE_PX} pixels a side, got {width} x {height}")
    for_eye, for_lesions, for_camera = (np.random.default_rng([seed, part]) for part in range(3))
    frame = _draw_frame(for_camera, width, height)
    eye = plan_eye(for_eye)
    findings = plan_lesions(for_lesions, eye, grade=grade)
    picture = paint_eye(frame, eye, draw_look(for_eye), for_eye)
    touched = _paint_lesions(picture, frame, findings.lesions)
    _light(picture, frame, for_camera)
    field = _field(frame, for_camera)
    image = _photograph(picture, field, for_camera)
    mask = np.where((touched > _MASK_FROM) & (field > 0.5), np.uint8(255), np.uint8(0))
    quiet = tuple(_window(frame, centre, findings.quiet_half_side) for centre in findings.quiet_centres)
    return Synthetic(image, mask, grade, quiet)


def _draw_frame(rng: np.random.Generator, width: int, height: int) -> Frame:
    radius = min(width * 0.5, height * 0.62) * float(rng.uniform(0.93, 0.995))
    shift = rng.normal(0.0, 0.006, 2) * width
    return Frame(width, height, (width / 2 + float(shift[0]), height / 2 + float(shift[1])), radius)


def _window(frame: Frame, centre: tuple[float, float], half_side: float) -> Box:
    left, top = (frame.centre[i] + (centre[i] - half_side) * frame.radius for i in (0, 1))
    side = int(2 * half_side * frame.radius)
    return Box(int(left) + 1, int(top) + 1, side - 1, side - 1).grown(0, within=(frame.width, frame.height))


def _paint_lesions(picture: Picture, frame: Frame, lesions: tuple[Lesion, ...]) -> Plane:
    """Paint lesions in place; return how much each pixel was changed, 0 to 1."""
    touched = np.zeros(picture.shape[:2], np.float32)
    pixel = frame.radius / 250  # blurs grow with the picture

    def coverage(kind: Kind, blur_px: float) -> Plane | None:
        outlines = [(lesion.outline, lesion.strength) for lesion in lesions if lesion.kind == kind]
        if not outlines:
            return None
        plane = frame.fill(outlines, blur_px=blur_px * pixel)
        np.maximum(touched, blurred(plane, pixel), out=touched)  # the camera's focus spreads it further
        return plane

    if (cotton := coverage("cotton_wool_spot", 4.5)) is not None:
        mix(picture, _COTTON, cotton * np.float32(0.72))
    blood_kinds: tuple[tuple[Kind, float], ...] = (("haemorrhage", 1.5), ("microaneurysm", 0.6))
    for kind, blur_px in blood_kinds:
        if (blood := coverage(kind, blur_px)) is not None:
            for c in range(3):
                picture[..., c] *= cv2.exp(-_BLOOD[c] * blood)
    if (exudate := coverage("hard_exudate", 0.5)) is not None:
        mix(picture, _EXUDATE, exudate * np.float32(0.9))
    return touched


def _light(picture: Picture, frame: Frame, rng: np.random.Generator) -> None:
    """Light the eye unevenly, as a flash through a pupil does, in place."""
    x, y = frame.grid()
    at = rng.normal(0.0, 0.22, 2)
    away = (x - at[0]) ** 2 + (y - at[1]) ** 2
    light = (
        1
        - rng.uniform(0.14, 0.38) * np.clip(away, 0, 2.2)
        + rng.normal(0, 0.05) * x
        + rng.normal(0, 0.05) * y
    )
    picture *= np.clip(light * rng.uniform(0.86, 1.25), 0.05, None).astype(np.float32)[..., None]
    if rng.random() < 0.4:  # haze or a leaking flash along a part of the edge
        turn, rim = rng.uniform(0, 2 * np.pi), np.hypot(x, y)
        side = (x * np.cos(turn) + y * np.sin(turn)) / np.maximum(rim, 1e-3)
        leak = np.exp((rim - 1.0) * rng.uniform(5, 11)) * np.clip(side * 1.5 - 0.3, 0, 1)
        haze = np.array([[0.9, 0.75, 0.5], [0.55, 0.6, 0.75]][int(rng.random() < 0.3)], np.float32)
        mix(picture, haze, (np.clip(leak, 0, 1) * rng.uniform(0.15, 0.5)).astype(np.float32))


def _field(frame: Frame, rng: np.random.Generator) -> Plane:
    """Return the camera's field of view, 0 outside, 1 inside: round, perhaps cut or notched."""
    x, y = frame.grid()
    edge = 1.0 - np.hypot(x, y)
    if rng.random() < 0.45:
        edge = np.minimum(edge, float(rng.uniform(0.86, 0.95)) - np.abs(y))
    soft = np.clip(edge * frame.radius / 2.0 + 0.5, 0, 1).astype(np.float32)
    if rng.random() < 0.4:  # the mark of a film camera's mask at the upper right
        turn = -float(rng.uniform(0.45, 0.65))
        corner = np.array([[0.985, -0.03], [1.04, 0.0], [0.985, 0.03]])
        spin = np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]])
        soft = np.maximum(soft, frame.fill([(corner @ spin, 1.0)]))
    return soft


def _photograph(picture: Picture, field: Plane, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Add focus, exposure, sensor noise and the dark surround; return (H, W, 3) uint8."""
    scale = max(picture.shape[1] / 512, 0.5)
    shot = blurred(picture, float(rng.uniform(0.35, 1.0)) * scale)
    warmth = rng.normal(1.0, 0.04, 3)
    shot *= (warmth * rng.uniform(0.92, 1.08)).astype(np.float32)
    shot = np.clip(shot, 0, 1.6)
    shot = shot / (1 + np.clip(shot - 0.72, 0, None) * 0.55)  # a shoulder instead of clipped whites
    shot *= field[..., None]
    shot += (rng.uniform(0.0, 0.014, 3)).astype(np.float32)
    height, width = field.shape
    grain = float(rng.uniform(0.004, 0.012))
    shot += grain * rng.standard_normal((height, width, 1), dtype=np.float32)
    half = rng.standard_normal((height // 2 + 1, width // 2 + 1, 3), dtype=np.float32)
    shot += np.float32(grain * 0.8) * cv2.resize(half, (width, height), interpolation=cv2.INTER_LINEAR)
    return np.asarray(np.clip(np.rint(shot * 255), 0, 255).astype(np.uint8))
