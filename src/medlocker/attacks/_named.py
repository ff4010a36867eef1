"""Attacks by name: ours that a search can have in its loop, and the user's own."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Protocol, runtime_checkable

import numpy as np

from medlocker.attacks._denoise import non_local_means
from medlocker.attacks._fill import fill_harmonic
from medlocker.attacks._pictures import CAPPED_PX, Bytes, Mask, shrink, shrink_mask
from medlocker.attacks._transforms import crop_middle, downscale_and_upscale, gaussian, jpeg, mirror
from medlocker.errors import InputError, MedlockerError
from medlocker.plugins import Registry, raised

BLUR_SIGMA_PX = 2.0
RESIZE_SCALE = 0.5
CROP_SHARE = 0.9
_JPEG_QUALITY = 75
_MOST_NAME = 60


@runtime_checkable
class Attack(Protocol):
    """Somebody who tries to be rid of a mark: from one picture to another one.

    May be called from several threads at once, and in other processes if a run has several.
    """

    @property
    def name(self) -> str:
        """Of its row in a report; at most 60 printable characters, no comma."""
        ...

    @property
    def knows(self) -> str:
        """What the attacker needs to know, in plain words: ``nothing``, ``where the marks lie``."""
        ...

    def restore(self, picture: Bytes, mask: Mask, *, seed: int) -> Bytes:
        """Return the picture without the mark, as well as it can be done.

        Args:
            picture: (H, W, 3) uint8 RGB, a marked picture; a copy, which may be changed.
            mask: (H, W) bool, where the marks lie, a few pixels too wide: anybody can see that.
            seed: Of all randomness: the same picture and seed give the same result.

        Returns:
            (H, W, 3) uint8 RGB.
        """
        ...


@dataclass(frozen=True)
class _Own:
    name: str
    knows: str
    change: Callable[[Bytes, Mask], Bytes]

    def restore(self, picture: Bytes, mask: Mask, *, seed: int) -> Bytes:
        """See :class:`Attack`."""
        return self.change(picture, mask)


def _blind(name: str, change: Callable[[Bytes], Bytes]) -> _Own:
    return _Own(name, "nothing", lambda picture, mask: change(picture))


_OWN = (
    _blind("jpeg", partial(jpeg, quality=_JPEG_QUALITY)),
    _blind("blur", partial(gaussian, sigma=BLUR_SIGMA_PX)),
    _blind("resize", partial(downscale_and_upscale, scale=RESIZE_SCALE)),
    _blind("crop", partial(crop_middle, share=CROP_SHARE)),
    _blind("flip", mirror),
    _blind("denoise", non_local_means),
    _Own("inpaint", "where the marks lie", fill_harmonic),
)
ATTACK_NAMES: tuple[str, ...] = tuple(one.name for one in _OWN)
_ATTACKS: Registry[Attack] = Registry(
    "an attack",
    "medlocker.attacks",
    {one.name: one for one in _OWN},
    ("name", "knows", "restore"),
    "docs/how-to/attack.md",
)


def find_attack(named: str | Attack | type[Attack]) -> Attack:
    """Return an attack: one of ours by its name, or the user's own.

    Args:
        named: A name, an object, or a class or function that makes one without arguments.

    Raises:
        InputError: If there is no such attack, or its own name cannot be that of a row.
    """
    attack = _ATTACKS.find(named)
    name, knows = attack.name, attack.knows
    if not (isinstance(name, str) and isinstance(knows, str) and name.isprintable() and "," not in name):
        raise InputError(f"attack {named!s:.80}: expected a printable name without comma, got {name!r:.80}")
    if not 1 <= len(name) <= _MOST_NAME:
        raise InputError(f"attack {name:.80}: expected a name of 1 to {_MOST_NAME} characters")
    if name in _ATTACKS.own and attack is not _ATTACKS.own[name]:
        raise InputError(f"attack {name}: expected another name, this one is medlocker's own")
    return attack


def attack_name(attack: str | Attack) -> str:
    """Return the name of an attack that is known already."""
    return attack if isinstance(attack, str) else attack.name


def run_attack(attack: Attack, picture: Bytes, mask: Mask, *, seed: int = 0) -> Bytes:
    """Let an attack work on one picture, and check what it made.

    Raises:
        InputError: If it raises an error, or makes no picture of the same size.
    """
    try:
        made = attack.restore(picture.copy(), mask.copy(), seed=seed)
    except (MedlockerError, MemoryError):
        raise
    except Exception as error:  # it may be anybody's code
        raise InputError(f"attack {attack.name}: {raised(error)}") from error
    if not isinstance(made, np.ndarray) or made.dtype != np.uint8 or made.shape != picture.shape:
        got = f"{made.dtype} {made.shape}" if isinstance(made, np.ndarray) else type(made).__name__
        raise InputError(f"attack {attack.name}: expected a picture of uint8 {picture.shape}, got {got}")
    return made


def attack_uncapped(attack: str | Attack, picture: Bytes, mask: Mask) -> Bytes:
    """Attack a picture that is at most ``CAPPED_PX`` wide and high."""
    return run_attack(find_attack(attack), picture, mask)


def attack_capped(attack: str | Attack, picture: Bytes, mask: Mask) -> Bytes:
    """Attack a picture of any size as the battery does: shrunk to ``CAPPED_PX`` first.

    Args:
        attack: One of ours by its name, or the user's own.
        picture: (H, W, 3) uint8.
        mask: (H, W) bool, where the marks are.

    Raises:
        InputError: See :func:`run_attack`.
    """
    return attack_uncapped(attack, shrink(picture, CAPPED_PX), shrink_mask(mask, CAPPED_PX))
