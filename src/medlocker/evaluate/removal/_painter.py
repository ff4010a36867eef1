"""What an attacker paints on clean pictures to learn from: marks of this open program under random keys."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from medlocker.attacks import Bytes
from medlocker.errors import InputError, NoRoomError
from medlocker.evaluate.removal._known import STANDARD_TEXTURE, STANDARD_WARP, as_rendered
from medlocker.geometry import Box
from medlocker.images import Image
from medlocker.logo import Logo, blend, rendered_size
from medlocker.mark import ONE_TURN, OPACITY_ONE, Mark
from medlocker.marking import render_layer
from medlocker.veil import Veil
from medlocker.veilstyle import DEFAULT_STYLE, VeilStyle

PAINTER_VERSION = 1
"""Raised whenever other pictures come out: what was learned from older ones is not used any longer."""

DENSE_STYLE = VeilStyle(period=0.045, fill=1.2, opacity=0.125, spread=0.0, warp=0.1, texture=32)
"""Small copies of the logo that overlap: what `prepare` may choose instead of the shipped style."""

Kind = Literal["plain", "hardened", "veil"]
KINDS: tuple[Kind, ...] = ("plain", "hardened", "veil")

_MOST_HOLES = 24
_HOLE = (0.015, 0.12)
"""Sides of a hole, share of the picture's shorter side."""
_AS_IT_IS = 0.5
"""How often a veil has exactly one of the styles."""
_MOST_MARKS = 3
_SIZE = (0.15, 0.3)
_OPACITY = (0.3, 0.97)
_DEGREES = 15
_TRIES = 12
MOST_LOOKED_AT = 32
"""Masks are enough to tell what kinds of marks a release has."""


@dataclass(frozen=True, eq=False)
class MarkPainter:
    """Paints random marks: call it with a picture and a generator.

    Args:
        logo: The owner's, which the attacker knows.
        kinds: Of marks, each as often as the others: single ``plain`` marks, single ``hardened`` ones (warped
            and textured, as the preset ``strong`` makes them), ``veil``.
        styles: Veils have these styles, or ones about them.

    Raises:
        InputError: If there is no kind, or no style for veils.
    """

    logo: Logo
    kinds: tuple[Kind, ...] = KINDS
    styles: tuple[VeilStyle, ...] = (DEFAULT_STYLE, DENSE_STYLE)

    def __post_init__(self) -> None:
        if not self.kinds or ("veil" in self.kinds and not self.styles):
            raise InputError("painter: expected at least one kind of marks, and a style of veils")

    def __call__(self, pixels: Bytes, rng: np.random.Generator) -> Bytes:
        """Return a marked copy of (H, W, 3) uint8 RGB; as it is where no mark has room."""
        logo = as_rendered(self.logo, pixels)
        image = Image(pixels, "rgb", "png", b"")
        kind = self.kinds[int(rng.integers(len(self.kinds)))]
        if kind == "veil":
            marks: Sequence[Mark | Veil] = self._veils(logo, image, rng)
        else:
            marks = _marks(logo, image, rng, hardened=kind == "hardened")
        painted = pixels.copy()
        for mark in marks:
            layer = render_layer(mark, logo=logo, image=image)
            painted[layer.window] = blend(painted[layer.window], layer.color, layer.weight)
        return painted

    @property
    def digest(self) -> str:
        """SHA-256 of all that decides what is painted, 64 hex digits."""
        value = {
            "version": PAINTER_VERSION,
            "logo": self.logo.digest,
            "kinds": self.kinds,
            "styles": [style.to_json() for style in self.styles],
        }
        return hashlib.sha256(json.dumps(value, sort_keys=True).encode("ascii")).hexdigest()

    def _veils(self, logo: Logo, image: Image, rng: np.random.Generator) -> list[Veil]:
        style = self.styles[int(rng.integers(len(self.styles)))]
        if rng.random() >= _AS_IT_IS:
            style = _about(style, rng)
        size = {"width": image.width, "height": image.height}
        holes = [_hole(rng, **size) for _ in range(int(rng.integers(0, _MOST_HOLES + 1)))]
        try:
            return [style.draw(logo, **size, key=rng.bytes(16), keep_out=holes)]
        except NoRoomError:
            return []


def kinds_of(veils: Sequence[bool]) -> tuple[Kind, ...]:
    """Tell which kinds of marks an attacker prepares for.

    Args:
        veils: Of some marked images, whether each carries a veil.

    Returns:
        Both kinds of single marks for a release of these, veils for one of veils, all for a mixed one.
    """
    kinds: tuple[Kind, ...] = () if veils and all(veils) else ("plain", "hardened")
    return (*kinds, "veil") if any(veils) or not veils else kinds


def _about(style: VeilStyle, rng: np.random.Generator) -> VeilStyle:
    """Return a style like another one."""
    texture = round(style.texture * float(rng.choice([0, 0.5, 1, 1.5])))
    return replace(
        style,
        period=min(style.period * float(np.exp(rng.uniform(np.log(0.78), np.log(1.78)))), 1.0),
        fill=float(np.clip(style.fill * rng.uniform(0.75, 1.08), 0.3, 1.5)),
        opacity=float(np.clip(style.opacity * rng.uniform(0.64, 1.2), 0.004, 1)),
        texture=min(texture, 127),
        scale=float(rng.uniform(0.1, 0.5)),
        warp=min(style.warp * float(rng.uniform(0.5, 1.5)), 0.3),
    )


def _hole(rng: np.random.Generator, *, width: int, height: int) -> Box:
    shorter = min(width, height)
    w, h = (max(round(float(rng.uniform(*_HOLE)) * shorter), 1) for _ in range(2))
    return Box(int(rng.integers(0, width - w + 1)), int(rng.integers(0, height - h + 1)), w, h)


def _marks(logo: Logo, image: Image, rng: np.random.Generator, *, hardened: bool) -> list[Mark]:
    """Draw one to three marks of one size and turn that do not overlap; fewer where there is no room."""
    size = max(round(float(rng.uniform(*_SIZE)) * min(image.width, image.height)), 1)
    rotation = round(int(rng.integers(-_DEGREES, _DEGREES + 1)) * ONE_TURN / 360) % ONE_TURN
    across, down = rendered_size(logo, size, rotation=rotation)
    if across > image.width or down > image.height:
        return []
    found: list[Mark] = []
    wanted = int(rng.integers(1, _MOST_MARKS + 1))
    for _ in range(_TRIES):
        x = int(rng.integers(0, image.width - across + 1))
        y = int(rng.integers(0, image.height - down + 1))
        if any(abs(x - one.x) < across and abs(y - one.y) < down for one in found):
            continue
        mark = Mark(x, y, size, round(float(rng.uniform(*_OPACITY)) * OPACITY_ONE), rotation)
        found.append(_hardened(mark, rng) if hardened else mark)
        if len(found) == wanted:
            break
    return found


def _hardened(mark: Mark, rng: np.random.Generator) -> Mark:
    warp, texture = rng.uniform(0.2, 1.5, 2)
    return replace(
        mark,
        key=rng.bytes(32).hex(),
        warp_256=round(STANDARD_WARP * mark.size_px * 256 * warp),
        texture=round(STANDARD_TEXTURE * texture),
    )
