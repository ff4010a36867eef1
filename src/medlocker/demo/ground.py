"""Painting the eye itself: retina and choroid, macula, nerve fibres, disc, vessels."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from medlocker.demo.anatomy import Eye, Vessel
from medlocker.demo.frame import Frame, Plane, Points, mix

Picture = NDArray[np.float32]
"""(H, W, 3) float32 RGB, 0 to 1."""

_TINTS = np.array(
    [
        [0.71, 0.33, 0.035],  # orange
        [0.75, 0.41, 0.07],  # yellow-orange
        [0.68, 0.27, 0.05],  # red-orange
        [0.58, 0.34, 0.22],  # brown
        [0.68, 0.43, 0.34],  # pink
        [0.80, 0.53, 0.33],  # pale
    ],
    np.float32,
)
_ARTERY = np.array([0.15, 0.52, 0.36], np.float32)
_VEIN = np.array([0.30, 0.72, 0.46], np.float32)


@dataclass(frozen=True, eq=False)
class EyeStyle:
    """How one eye looks; drawn once per picture, whatever its lesions.

    Args:
        tint: (3,) float32 colour of the retina.
        mottle: Strength of the fine texture.
        choroid: Strength of the choroid's vessels.
        sheen: Strength of the nerve fibres' reflex.
        macula: Depth of the macula's darkening.
        halo: Strength of the glow about the disc.
        vessels: Depth of the vessels' colour.
    """

    tint: NDArray[np.float32]
    mottle: float
    choroid: float
    sheen: float
    macula: float
    halo: float
    vessels: float


def draw_look(rng: np.random.Generator) -> EyeStyle:
    """Draw colours and strengths."""
    shares = rng.dirichlet(np.full(len(_TINTS), 0.35)).astype(np.float32)
    tint = shares @ _TINTS * rng.normal(1.0, 0.05, 3).astype(np.float32)
    young = rng.random() < 0.35
    return EyeStyle(
        tint=np.clip(tint, 0.02, 0.9).astype(np.float32),
        mottle=float(rng.uniform(0.02, 0.045)),
        choroid=float(rng.uniform(0.0, 0.13) if rng.random() < 0.5 else 0.0),
        sheen=float(rng.uniform(0.05, 0.13) if young else rng.uniform(0.0, 0.04)),
        macula=float(rng.uniform(0.22, 0.5)),
        halo=float(rng.uniform(0.03, 0.22)),
        vessels=float(rng.uniform(0.75, 1.1)),
    )


def paint_eye(frame: Frame, eye: Eye, look: EyeStyle, rng: np.random.Generator) -> Picture:
    """Paint a healthy eye under even light."""
    picture = np.empty((frame.height, frame.width, 3), np.float32)
    picture[...] = look.tint
    _texture(picture, frame, eye, look, rng)
    _macula(picture, frame, eye, look, rng)
    _disc(picture, frame, eye, look, rng)
    _nerve_fibres(picture, frame, eye, look, rng)
    _vessels(picture, frame, eye, look)
    return picture


def _texture(picture: Picture, frame: Frame, eye: Eye, look: EyeStyle, rng: np.random.Generator) -> None:
    """Mottle the retina at several scales and let the choroid's vessels shine through outside the macula."""
    clouds = 0.8 * frame.noise(rng, grain=0.5) + 0.5 * frame.noise(rng, grain=0.2)
    fine = frame.noise(rng, grain=0.06) + 0.8 * frame.noise(rng, grain=0.025)
    shade = 0.05 * clouds + look.mottle * 0.45 * fine
    if look.choroid > 0:
        # ridges of smooth noise look like a net of broad, pale vessels
        ridges = np.exp(-np.abs(frame.noise(rng, grain=0.09)) * 4) - 0.3
        weight = 1 - frame.spot(eye.fovea, 0.32)
        weight *= np.clip(0.55 + 0.5 * frame.noise(rng, grain=0.8), 0, 1)
        shade += look.choroid * ridges * weight
    for c, strength in enumerate((0.55, 1.0, 1.25)):
        picture[..., c] *= 1 + np.float32(strength) * shade


def _macula(picture: Picture, frame: Frame, eye: Eye, look: EyeStyle, rng: np.random.Generator) -> None:
    wide = frame.spot(eye.fovea, float(rng.uniform(0.13, 0.19)))
    narrow = frame.spot(eye.fovea, float(rng.uniform(0.045, 0.07)))
    depth = look.macula * (0.62 * wide + 0.38 * narrow)
    for c, strength in enumerate((0.55, 1.0, 1.1)):
        picture[..., c] *= 1 - np.float32(strength) * depth
    if rng.random() < 0.4:  # the light's reflex in the foveal pit
        glint = frame.spot(eye.fovea, 0.008) * np.float32(rng.uniform(0.08, 0.3))
        mix(picture, np.array([0.95, 0.8, 0.55], np.float32), glint)


def _disc(picture: Picture, frame: Frame, eye: Eye, look: EyeStyle, rng: np.random.Generator) -> None:
    x, y = frame.grid()
    across, down = x - eye.disc[0], y - eye.disc[1]
    tall = float(rng.uniform(1.04, 1.14))
    turn = np.arctan2(down, across)
    wobble = 1 + 0.02 * np.sin(2 * turn + rng.uniform(0, 6)) + 0.012 * np.sin(3 * turn + rng.uniform(0, 6))
    away = np.hypot(across, down / tall) / (eye.disc_radius * wobble)
    glow = np.exp(-np.clip(away - 0.9, 0, None) * 1.1) * look.halo
    mix(picture, np.array([0.93, 0.72, 0.5], np.float32), glow.astype(np.float32))
    if rng.random() < 0.4:  # a pigmented or atrophic crescent on the temporal side
        temporal = np.sign(eye.fovea[0] - eye.disc[0]) * across / eye.disc_radius
        crescent = np.exp(-(((away - 1.08) / 0.1) ** 2)) * np.clip(temporal, 0, 1)
        shade = np.array([0.40, 0.2, 0.08] if rng.random() < 0.5 else [0.9, 0.7, 0.45], np.float32)
        mix(picture, shade, (crescent * rng.uniform(0.2, 0.45)).astype(np.float32))
    inside = _step(1.0 - away, float(rng.uniform(0.08, 0.17)))
    rim = look.tint * np.float32(0.42) + np.array([0.56, 0.34, 0.17], np.float32) * rng.uniform(0.9, 1.08)
    mix(picture, rim.astype(np.float32), inside * np.float32(0.93))
    pale = np.clip(0.5 + 0.5 * np.sign(eye.fovea[0] - eye.disc[0]) * across / eye.disc_radius, 0, 1)
    mix(picture, np.array([0.97, 0.78, 0.5], np.float32), (inside * pale * 0.4).astype(np.float32))
    cup_away = np.hypot(x - eye.cup[0], (y - eye.cup[1]) / 1.05) / eye.cup_radius
    cup = _step(1.0 - cup_away, float(rng.uniform(0.3, 0.5))) * inside
    mix(picture, np.array([1.0, 0.91, 0.7], np.float32), cup * np.float32(rng.uniform(0.5, 0.85)))


def _nerve_fibres(picture: Picture, frame: Frame, eye: Eye, look: EyeStyle, rng: np.random.Generator) -> None:
    """Add silvery streaks that leave the disc and follow the arcades."""
    if look.sheen < 0.01:
        return
    x, y = frame.grid()
    across, down = x - eye.disc[0], y - eye.disc[1]
    reach = np.hypot(across, down)
    # bending the angle with the distance curves the streaks about the macula, as nerve fibres do
    toward = np.sign(eye.fovea[0] - eye.disc[0])
    turn = np.arctan2(down, across * toward) * (1 + 0.35 * np.clip(reach, 0, 1))
    table = cv2.GaussianBlur(rng.standard_normal((1, 360), dtype=np.float32), (0, 0), 0.9)[0]
    index = ((turn / np.pi + 1.5) * 120).astype(np.int32) % 360
    band = np.exp(-(((np.abs(turn) - 1.25) / 0.6) ** 2))
    fade = np.exp(-(reach / 0.42)) * _step(reach - eye.disc_radius * 1.1, 0.1)
    sheen = look.sheen * band * fade * (2.2 + 1.1 * table[index])
    picture += (np.clip(sheen, 0, 0.3) * 0.9).astype(np.float32)[..., None] * np.array(
        [0.9, 1.0, 0.85], np.float32
    )


def _vessels(picture: Picture, frame: Frame, eye: Eye, look: EyeStyle) -> None:
    soft = 0.0026 * frame.radius
    for kind, absorption in (("artery", _ARTERY), ("vein", _VEIN)):
        chosen = [vessel for vessel in eye.vessels if vessel.kind == kind]
        blood = frame.fill(_tubes(chosen, frame, 1.0), blur_px=soft)
        blood *= np.float32(look.vessels)
        for c in range(3):
            picture[..., c] *= cv2.exp(-absorption[c] * blood)
        wide = [vessel for vessel in chosen if vessel.widths[0] * frame.radius > 2.5]
        reflex = frame.fill(_tubes(wide, frame, 0.28), blur_px=soft)
        reflex *= np.float32(0.22 if kind == "artery" else 0.10)
        mix(picture, np.array([0.95, 0.62, 0.42], np.float32), reflex)


def _tubes(vessels: list[Vessel], frame: Frame, share: float) -> Iterator[tuple[Points, float]]:
    """Yield each vessel's outline; below one pixel it grows paler, not thinner."""
    for vessel in vessels:
        widths = np.maximum(vessel.widths * share, 1.0 / frame.radius)
        ahead = np.gradient(vessel.points, axis=0)
        ahead /= np.maximum(np.hypot(ahead[:, 0], ahead[:, 1]), 1e-9)[:, None]
        side = np.stack([-ahead[:, 1], ahead[:, 0]], axis=1) * widths[:, None] / 2
        outline = np.concatenate([vessel.points + side, (vessel.points - side)[::-1]])
        thickness = float(vessel.widths[0]) / 0.02
        yield outline, float(np.clip(0.2 + 0.7 * thickness, 0.25, 1.0))


def _step(value: NDArray[np.float32], softness: float) -> Plane:
    """Return 0 below, 1 above zero, with a smooth edge."""
    t = np.clip(value / np.float32(2 * softness) + np.float32(0.5), 0, 1)
    return np.asarray(t * t * (3 - 2 * t), dtype=np.float32)
