"""One image of a battery, and what its attackers get to see of it."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from numpy.typing import NDArray

from medlocker.attacks import Bytes, Mask, around, as_bytes, changed, shrink, shrink_mask, widened
from medlocker.errors import InputError
from medlocker.evaluate._covering import is_covering
from medlocker.evaluate.removal._evidence import LARGEST_PX, Evidence
from medlocker.legibility import differences
from medlocker.logo import Logo

_SEEN_PX = 2


@dataclass(frozen=True, eq=False)
class Item:
    """One image to attack.

    Args:
        name: Unique in the battery.
        clean: (H, W, 3) uint8 or uint16 colours, see :func:`medlocker.images.viewed`.
        marked: The same after marking, read again from the file.
        labels: For each target the index of the right class, -1 where there is none.
        mask: (H, W) bool, where the marks are; None: every pixel that differs.
        is_veil: Whether the mark is a lattice over the whole image; None: told from the pixels, where the
            battery knows the logo.

    Raises:
        InputError: If the two pictures have different shapes.
    """

    name: str
    clean: NDArray[Any]
    marked: NDArray[Any]
    labels: tuple[int, ...]
    mask: Mask | None = None
    is_veil: bool | None = None

    def __post_init__(self) -> None:
        if self.clean.shape != self.marked.shape:
            raise InputError(
                f"image {self.name}: expected a marked image of {_size(self.clean)}, "
                f"got {_size(self.marked)}",
                subject=self.name,
            )


class ScaledImage:
    """An image at the sizes that attacks ask for, each made once.

    Args:
        logo: The owner's logo, where attackers know it.
    """

    def __init__(self, item: Item, logo: Logo | None) -> None:
        self.name = item.name
        self.clean, self.marked = as_bytes(item.clean), as_bytes(item.marked)
        self.mask = changed(self.clean, self.marked) if item.mask is None else item.mask
        self._logo = logo
        self._is_veil = item.is_veil
        self._marked: dict[int, Evidence] = {}
        self._clean: dict[int, Evidence] = {}

    @cached_property
    def key(self) -> str:
        """Name and digest: what is finished counts only for the same pixels."""
        digest = hashlib.sha256(self.clean.tobytes())
        digest.update(self.marked.tobytes())
        return f"{self.name}\0{digest.hexdigest()[:32]}"

    @cached_property
    def is_veil(self) -> bool:
        """Whether the mark is a lattice over the whole image."""
        if self._is_veil is not None:
            return self._is_veil
        if self._logo is None:
            return False
        return is_covering(self.clean, self.marked, differences(self.clean, self.marked), logo=self._logo)

    def evidence(self, longest_px: int) -> Evidence:
        """Return what attackers have, its longer side at most this."""
        size = min(longest_px, max(self.mask.shape))
        if size not in self._marked:
            whole = Evidence(self.marked, widened(self.mask, _SEEN_PX), self._logo)
            self._marked[size] = whole.shrunk(size)
        return self._marked[size]

    def control(self, longest_px: int) -> Evidence:
        """Return the same of the clean image."""
        size = min(longest_px, max(self.mask.shape))
        if size not in self._clean:
            whole = Evidence(self.clean, widened(self.mask, _SEEN_PX), self._logo)
            self._clean[size] = whole.shrunk(size)
        return self._clean[size]

    def truth(self, longest_px: int) -> tuple[Bytes, Mask]:
        """Return the clean image and exactly the marked pixels."""
        return shrink(self.clean, longest_px), shrink_mask(self.mask, longest_px)

    def surroundings(self) -> list[Evidence]:
        """Return the parts around the marks, for those who study many images: small, so that many fit."""
        whole = self.evidence(LARGEST_PX)
        parts = []
        for window in whole.windows():
            side = max(window[0].stop - window[0].start, window[1].stop - window[1].start)
            part = around(window, max(side // 2, 32))
            parts.append(Evidence(whole.marked[part].copy(), whole.mask[part].copy(), self._logo))
        return parts


def _size(pixels: NDArray[Any]) -> str:
    return " x ".join(str(length) for length in pixels.shape[1::-1])
