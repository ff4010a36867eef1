"""The parameters of one mark: all integers, so that they mean the same on every machine."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from medlocker.errors import InputError
from medlocker.logo import Hardening, unpack_overlay

OPACITY_ONE = 65535
"""Opacity is a 16-bit weight: 65535 is fully opaque."""
ONE_TURN = 65536
"""Rotations are in 1/65536 of a full turn."""

_RANGES: Mapping[str, tuple[int, int]] = {
    "x": (0, 65534),
    "y": (0, 65534),
    "size_px": (1, 65535),
    "opacity": (0, OPACITY_ONE),
    "rotation": (0, 65535),
    "warp_256": (0, 65535),
    "texture": (0, 127),
    "opaque_permille": (0, 1000),
}


@dataclass(frozen=True)
class Mark:
    """One logo on one image: an entry of the paper's parameter list.

    Args:
        x: Column of the rendered logo's left edge, pixels.
        y: Row of its top edge, pixels.
        size_px: Longer side of the logo before rotation, pixels, at least 1.
        opacity: 0 to 65535.
        rotation: Counter-clockwise, in 1/65536 of a full turn.
        key: Hexadecimal key of the hardening below, empty for a plain mark.
        warp_256: Largest keyed shift of a logo pixel, 1/256 px.
        texture: Deviation of the keyed texture, grey levels of 255.
        opaque_permille: Share of fully opaque strokes, 1/1000.
        overlay: A texture found by the search, packed as text; see :mod:`medlocker.logo`.

    Raises:
        InputError: If a value is out of range.
    """

    x: int
    y: int
    size_px: int
    opacity: int
    rotation: int = 0
    key: str = ""
    warp_256: int = 0
    texture: int = 0
    opaque_permille: int = 0
    overlay: str = field(default="", repr=False)

    def __post_init__(self) -> None:
        for name, (low, high) in _RANGES.items():
            value = getattr(self, name)
            if type(value) is not int or not low <= value <= high:
                raise InputError(f"mark: expected {name} of {low} to {high}, got {value!r:.40}")
        try:
            key = bytes.fromhex(self.key)
        except (TypeError, ValueError):
            raise InputError("mark: expected a hexadecimal key") from None
        if len(key) > 64 or (not key and (self.warp_256 or self.texture or self.opaque_permille)):
            raise InputError("mark: expected a key of 1 to 64 bytes for a hardened mark")
        if not isinstance(self.overlay, str):
            raise InputError("mark: expected an overlay as text")
        if self.overlay:
            unpack_overlay(self.overlay)

    @property
    def hardening(self) -> Hardening | None:
        """The keyed changes of this mark, None for a plain one."""
        if not (self.warp_256 or self.texture or self.opaque_permille):
            return None
        return Hardening(bytes.fromhex(self.key), self.warp_256, self.texture, self.opaque_permille)

    def to_json(self) -> dict[str, Any]:
        """Return the parameters as a JSON-ready object; a mark without overlay has no such field."""
        value = asdict(self)
        if not self.overlay:
            del value["overlay"]
        return value

    @classmethod
    def from_json(cls, value: object) -> Mark:
        """Read what :meth:`to_json` wrote.

        Raises:
            InputError: If a field is missing, unknown, or out of range.
        """
        names = set(cls.__dataclass_fields__)
        if not isinstance(value, dict) or set(value) | {"overlay"} != names or value.get("overlay") == "":
            raise InputError(f"mark: expected the fields {', '.join(cls.__dataclass_fields__)}")
        return cls(**value)
