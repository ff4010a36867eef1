"""The parameters of one veil: the logo as a translucent lattice over an image, all integers."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from medlocker.errors import InputError
from medlocker.geometry import Box
from medlocker.logo import MAX_STAMPS, Lattice
from medlocker.mark import Mark

KIND = "veil"
MAX_KEEP_OUT = 16384
_KEY = re.compile(r"([0-9a-f]{2})*\Z")
_RANGES: Mapping[str, tuple[int, int]] = {
    "period_px": (2, 65535),
    "size_px": (1, 65535),
    "grain_px": (1, 64),
    "angle": (0, 65535),
    "phase_x": (0, 65535),
    "phase_y": (0, 65535),
    "opacity": (1, 65535),
    "ground": (0, 65535),
    "tint": (0, 0xFFFFFF),
    "stagger": (0, 65535),
    "turn": (0, 32768),
    "scale": (0, 500),
    "warp_256": (0, 65535),
    "texture": (0, 127),
    "negatives": (0, 1),
    "mounted": (0, 1),
    "stamps": (1, MAX_STAMPS),
    "soft_px": (1, 255),
}


@dataclass(frozen=True)
class Veil:
    """A lattice of the logo over one image: the whole of the paper's parameter list.

    Args:
        period_px: Distance of neighbouring copies of the logo, pixels.
        size_px: Longer side of a copy before it is turned, pixels.
        grain_px: Side of the squares of equal colour that it is rendered in, pixels.
        angle: Of the rows, counter-clockwise, in 1/65536 of a turn.
        phase_x: Shift along the rows, in 1/65536 of the period.
        phase_y: Shift across the rows, in 1/65536 of the period.
        opacity: Of the copies, 1 to 65535.
        ground: Opacity of the ground between the copies, 0 to 65535.
        tint: Colour of the ground, 0xRRGGBB.
        stagger: Shift of every second row, in 1/65536 of the period.
        turn: Every copy is turned by chance by up to this either way, in 1/65536 of a turn; 32768: any way.
        scale: Every copy is by chance larger or smaller by up to this, in 1/1000.
        warp_256: Largest shift of a copy by chance, and of pixels within it, 1/256 px.
        texture: Standard deviation of a texture by chance on every copy, grey levels of 255.
        negatives: 1: every second stamp has the opposite colours.
        mounted: 1: the logo is put on a round badge first.
        stamps: How many differently turned, sized and warped copies there are, 1 to 64.
        soft_px: The veil fades in over so many pixels around what is kept out.
        key: Hexadecimal, lower case, 1 to 64 bytes; what is by chance comes from it.
        keep_out: Pixels that no copy touches, lesions and decoys alike, at most 16,384 boxes.

    Raises:
        InputError: If a value is out of range.
    """

    period_px: int
    size_px: int
    grain_px: int
    angle: int
    phase_x: int
    phase_y: int
    opacity: int
    ground: int
    tint: int
    stagger: int
    turn: int
    scale: int
    warp_256: int
    texture: int
    negatives: int
    mounted: int
    stamps: int
    soft_px: int
    key: str = field(repr=False)
    keep_out: tuple[Box, ...] = field(default=(), repr=False)

    def __post_init__(self) -> None:
        for name, (low, high) in _RANGES.items():
            value = getattr(self, name)
            if type(value) is not int or not low <= value <= high:
                raise InputError(f"veil: expected {name} of {low} to {high}, got {_shown(value)}")
        if not isinstance(self.key, str) or not _KEY.fullmatch(self.key):
            raise InputError("veil: expected a hexadecimal key, lower case")
        if not 2 <= len(self.key) <= 128:
            raise InputError("veil: expected a key of 1 to 64 bytes")
        if len(self.keep_out) > MAX_KEEP_OUT:
            raise InputError(
                f"veil: expected at most {MAX_KEEP_OUT} keep-out boxes, got {len(self.keep_out)}"
            )

    def lattice(self) -> Lattice:
        """Return where the copies lie, in grains."""
        grain = self.grain_px
        return Lattice(
            period=(self.period_px << 16) // grain,
            size=max(self.size_px // grain, 1),
            angle=self.angle,
            phase_x=self.phase_x,
            phase_y=self.phase_y,
            stagger=self.stagger,
            turn=self.turn,
            scale=self.scale,
            warp_256=self.warp_256 // grain,
            texture=self.texture,
            negatives=bool(self.negatives),
            stamps=self.stamps,
            key=bytes.fromhex(self.key),
        )

    def to_json(self) -> dict[str, Any]:
        """Return the parameters as a JSON-ready object."""
        boxes = [[box.x, box.y, box.width, box.height] for box in self.keep_out]
        return {
            "kind": KIND,
            **{name: getattr(self, name) for name in _RANGES},
            "key": self.key,
            "keep_out": boxes,
        }

    @classmethod
    def from_json(cls, value: object) -> Veil:
        """Read what :meth:`to_json` wrote.

        Raises:
            InputError: If a field is missing, unknown, or out of range.
        """
        names = {"kind", *cls.__dataclass_fields__}
        if not isinstance(value, dict) or set(value) != names or value["kind"] != KIND:
            raise InputError(f"veil: expected the fields {', '.join(sorted(names))}")
        boxes = value["keep_out"]
        if not isinstance(boxes, list) or len(boxes) > MAX_KEEP_OUT:
            raise InputError(f"veil: expected a list of at most {MAX_KEEP_OUT} keep-out boxes")
        fields = {name: value[name] for name in cls.__dataclass_fields__}
        return cls(**{**fields, "keep_out": tuple(_read_box(box) for box in boxes)})


def _shown(value: object) -> str:
    # an integer of more digits than Python writes has no repr
    return "a huge integer" if isinstance(value, int) and value.bit_length() > 256 else f"{value!r:.40}"


def _read_box(value: object) -> Box:
    if (
        not isinstance(value, list)
        or len(value) != 4
        or not all(type(number) is int and 0 <= number <= 65535 for number in value)
        or 0 in value[2:]
    ):
        raise InputError("veil: expected keep-out boxes of x, y, width and height, 0 or 1 to 65535")
    return Box(*value)


AnyMark: TypeAlias = Mark | Veil
"""An entry of the parameter list."""


def read_mark(value: object) -> AnyMark:
    """Read one entry of a parameter list, a mark or a veil.

    Raises:
        InputError: If a field is missing, unknown, or out of range.
    """
    if isinstance(value, dict) and value.get("kind") == KIND:
        return Veil.from_json(value)
    return Mark.from_json(value)
