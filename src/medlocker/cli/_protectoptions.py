"""From the options of `medlocker protect` to settings."""

from __future__ import annotations

from medlocker.protect import STANDARD_HARDENING, Harden


def attack_names(text: str | None) -> tuple[str, ...]:
    """Split ``--robust-to``; whether the names exist is checked by the settings."""
    return () if text is None else tuple(name.strip() for name in text.split(","))


def harden_of(standard: bool, *, warp: float | None, texture: int | None, opaque: float | None) -> Harden:
    """Return the keyed changes that the options ask for."""
    base = STANDARD_HARDENING if standard else Harden()
    return Harden(
        warp=base.warp if warp is None else warp,
        texture=base.texture if texture is None else texture,
        opaque=base.opaque if opaque is None else opaque,
    )
