"""How the veils of a data set look, and how one image's veil is drawn from that and a key."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from medlocker.errors import InputError, NoRoomError
from medlocker.geometry import Box
from medlocker.logo import MAX_STAMPS, Logo, is_faint, stream
from medlocker.veil import Veil

SMALLEST_TILE_PX = 10
"""A logo of fewer pixels is not seen as one."""
SMALLEST_SIDE_PX = 32
_FINE_PX = 640
"""A shorter side of twice as many pixels is rendered in grains of two, one of four times in those of four."""
_FINE_TILE_PX = 320
"""Larger copies are rendered in coarser grains too."""
_MOST_GRAINS = 12_000_000
_MOST_COPIES, _MOST_ROWS = 50_000, 900
"""Copies on an image, and rows and columns of them together: below what rendering refuses."""
_RANGES: Mapping[str, tuple[float, float]] = {
    "period": (0.005, 1.0),
    "fill": (0.3, 1.5),
    "opacity": (0.004, 1.0),
    "ground": (0.0, 1.0),
    "stagger": (0.0, 1.0),
    "turn": (0.0, 0.5),
    "scale": (0.0, 0.5),
    "warp": (0.0, 0.3),
    "spread": (0.0, 2.0),
    "soft": (0.0, 0.1),
}


@dataclass(frozen=True)
class VeilStyle:
    """What all veils of a data set have in common.

    Args:
        period: Distance of neighbouring copies of the logo, share of the image's shorter side, 0.005 to 1.
        spread: Every image has another period by chance: up to this share longer, or as much shorter, 0 to 2.
            Models then have less to get used to, and who averages over images nothing that lies alike.
        fill: Longer side of a copy / period, 0.3 to 1.5; above about 0.8 copies overlap.
        opacity: Of the copies, 0.004 to 1.
        ground: Opacity of the ground between the copies, 0 to 1.
        tint: Colour of the ground, 0xRRGGBB.
        stagger: Shift of every second row, in periods, 0 to 1.
        turn: Every copy is turned by chance by up to this either way, in turns, 0 to 0.5 (any way).
        scale: Every copy is larger or smaller by chance by up to this share, 0 to 0.5.
        warp: Largest shift of a copy by chance, and of pixels within it, in periods, 0 to 0.3.
        texture: Deviation of a texture by chance on every copy, grey levels, 0 to 127.
        negatives: Whether every second copy has the opposite colours: seen on any ground, it darkens and
            brightens alike.
        mounted: Whether a logo that is faint by itself is put on a round badge.
        stamps: How many different copies are drawn for an image, 1 to 64.
        soft: The veil fades in over this share of the shorter side around what is kept out, 0 to 0.1.

    Raises:
        InputError: If a value is out of range.
    """

    period: float = 0.1
    spread: float = 0.6
    fill: float = 0.75
    opacity: float = 0.15
    ground: float = 0.0
    tint: int = 0xFFFFFF
    stagger: float = 0.5
    turn: float = 0.5
    scale: float = 0.4
    warp: float = 0.04
    texture: int = 64
    negatives: bool = True
    mounted: bool = True
    stamps: int = 32
    soft: float = 0.006

    def __post_init__(self) -> None:
        for name, (low, high) in _RANGES.items():
            value = getattr(self, name)
            is_number = isinstance(value, int | float) and not isinstance(value, bool)
            if not is_number or not low <= value <= high:
                raise InputError(f"veil: expected {name} of {low:g} to {high:g}, got {value!r:.40}")
        for name, most in (("tint", 0xFFFFFF), ("texture", 127), ("stamps", MAX_STAMPS)):
            value = getattr(self, name)
            if type(value) is not int or not (name == "stamps") <= value <= most:
                raise InputError(f"veil: expected {name} of at most {most}, got {value!r:.40}")
        for name in ("negatives", "mounted"):
            if type(getattr(self, name)) is not bool:
                raise InputError(f"veil: expected {name} true or false, got {getattr(self, name)!r:.40}")

    @property
    def periods(self) -> tuple[float, float]:
        """The shortest and the longest period of an image, share of its shorter side."""
        return self.period / (1 + self.spread), min(self.period * (1 + self.spread), _RANGES["period"][1])

    def with_tile(self, size: float) -> VeilStyle:
        """Return the same with copies of another size, share of the image's shorter side.

        All images then have this size. The distance of the copies grows with them, as far as a lattice
        allows; then they come closer.

        Raises:
            InputError: If no lattice can have such copies.
        """
        period = min(max(size / self.fill, _RANGES["period"][0]), _RANGES["period"][1])
        fill = size / period
        least, most = _RANGES["fill"]
        if not least <= fill <= most:
            low, high = (side * fill for side, fill in zip(_RANGES["period"], (least, most), strict=True))
            raise InputError(f"preset veil: expected a size of {low:.4f} to {min(high, 1):g}, got {size:g}")
        return replace(self, period=period, spread=0.0, fill=fill)

    def draw(self, logo: Logo, *, width: int, height: int, key: bytes, keep_out: Sequence[Box] = ()) -> Veil:
        """Draw the veil of one image.

        Args:
            width: Of the image, pixels.
            height: Of the image, pixels.
            key: 16 to 64 bytes; the same key gives the same veil.
            keep_out: What no copy may touch.

        Raises:
            NoRoomError: If the image is too small for a lattice.
        """
        shorter = min(width, height)
        if shorter < SMALLEST_SIDE_PX:
            raise NoRoomError(
                f"{width} x {height} pixels are too few for a veil, "
                f"expected at least {SMALLEST_SIDE_PX} x {SMALLEST_SIDE_PX}"
            )
        # no copy may be much larger than its image, however long the period that was drawn
        period = min(self.period * self._longer(key), _RANGES["period"][1])
        size = max(round(period * self.fill * shorter), SMALLEST_TILE_PX)
        period_px = max(round(size / self.fill), _least_period(width, height), 2)
        size = max(size, round(period_px * self.fill))
        angle, phase_x, phase_y = _lie(key)
        return Veil(
            period_px=min(period_px, 65535),
            size_px=min(size, 65535),
            grain_px=_grain(width, height, size),
            angle=angle,
            phase_x=phase_x,
            phase_y=phase_y,
            opacity=round(self.opacity * 65535),
            ground=round(self.ground * 65535),
            tint=self.tint,
            stagger=round(self.stagger * 65535),
            turn=round(self.turn * 65536),
            scale=round(self.scale * 1000),
            warp_256=min(round(self.warp * period_px * 256), 65535),
            texture=self.texture,
            negatives=int(self.negatives),
            mounted=int(self.mounted and is_faint(logo)),
            stamps=self.stamps,
            soft_px=min(max(math.ceil(self.soft * shorter), 1), 255),
            key=key.hex(),
            keep_out=tuple(keep_out),
        )

    def _longer(self, key: bytes) -> float:
        """Return by how much the period of an image differs from that of the style, as a factor."""
        drawn = stream(key, "period", 1).item() / 65536
        return float((1 + self.spread) ** (2 * drawn - 1))

    def to_json(self) -> dict[str, Any]:
        """Return the style as a JSON-ready object."""
        return asdict(self)

    @classmethod
    def from_json(cls, value: object) -> VeilStyle:
        """Read what :meth:`to_json` wrote.

        Raises:
            InputError: If a field is missing, unknown, or out of range.
        """
        # styles of before images had different periods lack the field
        fields = {"spread": 0.0, **value} if isinstance(value, dict) else {}
        if set(fields) != set(cls.__dataclass_fields__):
            raise InputError(f"veil: expected the fields {', '.join(cls.__dataclass_fields__)}")
        return cls(**fields)


def redraw(veil: Veil, *, key: bytes) -> Veil:
    """Return the veil that another key would have given, with the same sizes and keep-outs.

    Args:
        key: 1 to 64 bytes.
    """
    angle, phase_x, phase_y = _lie(key)
    return replace(veil, key=key.hex(), angle=angle, phase_x=phase_x, phase_y=phase_y)


def _lie(key: bytes) -> tuple[int, int, int]:
    """Return angle and phases of a veil."""
    angle, phase_x, phase_y = stream(key, "veil", 3).tolist()
    return angle, phase_x, phase_y


def _least_period(width: int, height: int) -> int:
    """Return the distance that keeps the number of copies on an image of any shape within bounds, pixels."""
    return math.ceil(max(math.sqrt(width * height / _MOST_COPIES), (width + height) / _MOST_ROWS))


def _grain(width: int, height: int, size: int) -> int:
    """Return the side of the squares that a veil is rendered in, pixels."""
    grain = 1
    while grain < 64 and (
        2 * grain * _FINE_PX <= min(width, height)
        or size > grain * _FINE_TILE_PX
        or width * height > grain * grain * _MOST_GRAINS
    ):
        grain *= 2
    return grain


DEFAULT_STYLE = VeilStyle()
"""What `protect` uses where nothing was prepared; docs/RESULTS.md tells how it was chosen."""
