"""The attacks that a search can have in its loop, by the names a user gives."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Literal, Protocol, get_args

from medlocker.attacks._denoise import non_local_means
from medlocker.attacks._fill import fill_harmonic
from medlocker.attacks._pictures import CAPPED_PX, Bytes, Mask, shrink, shrink_mask
from medlocker.attacks._transforms import crop_middle, gaussian, jpeg, mirror, there_and_back

AttackName = Literal["jpeg", "blur", "resize", "crop", "flip", "denoise", "inpaint"]
ATTACK_NAMES: tuple[AttackName, ...] = get_args(AttackName)

BLUR_SIGMA_PX = 2.0
RESIZE_SCALE = 0.5
CROP_SHARE = 0.9
_JPEG_QUALITY = 75


class NamedAttack(Protocol):
    """One attack on a small picture."""

    def __call__(self, picture: Bytes, mask: Mask, /) -> Bytes:
        """Attack a picture whose marks lie in a mask."""


def _blind(change: partial[Bytes]) -> NamedAttack:
    return lambda picture, mask: change(picture)


_ATTACKS: Mapping[AttackName, NamedAttack] = {
    "jpeg": _blind(partial(jpeg, quality=_JPEG_QUALITY)),
    "blur": _blind(partial(gaussian, sigma=BLUR_SIGMA_PX)),
    "resize": _blind(partial(there_and_back, scale=RESIZE_SCALE)),
    "crop": _blind(partial(crop_middle, share=CROP_SHARE)),
    "flip": _blind(partial(mirror)),
    "denoise": _blind(partial(non_local_means)),
    "inpaint": fill_harmonic,
}


def attack_small(name: AttackName, picture: Bytes, mask: Mask) -> Bytes:
    """Attack a picture that is at most ``CAPPED_PX`` wide and high."""
    return _ATTACKS[name](picture, mask)


def attack_as_judged(name: AttackName, picture: Bytes, mask: Mask) -> Bytes:
    """Attack a picture of any size as the battery does: shrunk to ``CAPPED_PX`` first.

    Args:
        picture: (H, W, 3) uint8.
        mask: (H, W) bool, where the marks are.
    """
    return attack_small(name, shrink(picture, CAPPED_PX), shrink_mask(mask, CAPPED_PX))
