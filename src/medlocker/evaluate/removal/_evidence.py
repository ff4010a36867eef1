"""What an attacker has of one image, and the small protocols that attacks follow."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from medlocker.attacks import Bytes, Floats, Mask, Window, shrink, shrink_mask, windows_of
from medlocker.evaluate._marks import find_marks
from medlocker.logo import Logo

Bearer = Literal["marks", "veils", "all"]
"""What an attack means something on: a few separate marks, a lattice over the whole image, or either."""

Control = Literal["transform", "same", "clean"]
"""What an attack is compared with: the same ``transform`` of the clean image; the ``same`` picture, because
the attack looks at no marked pixel; or the ``clean`` image, which a perfect removal would give."""

LARGEST_PX = 1536
"""Longer side at which inversions work: they need the logo's own pixels."""

WHOLE_PX = 1 << 30
"""No limit: the image as it is."""


@dataclass(frozen=True, eq=False)
class Evidence:
    """One marked image as an attacker has it.

    Args:
        marked: (H, W, 3) uint8 RGB.
        mask: (H, W) bool, where the marks are, a few pixels too wide: anybody can see and paint over them.
        logo: The owner's logo, where the attacker knows it.
        second: The same image, marked differently; None if there is none.
    """

    marked: Bytes
    mask: Mask
    logo: Logo | None = None
    second: Bytes | None = None

    def windows(self, margin_px: int = 0) -> list[Window]:
        """Return the windows around the separate marks, the largest first, specks left out."""
        if self.logo is None:
            return windows_of(self.mask, margin_px)
        boxes = find_marks(self.mask, logo=self.logo)  # joins the parts of a logo of several
        if not boxes:
            return windows_of(self.mask, margin_px)
        height, width = self.mask.shape
        grown = [box.grown(margin_px, within=(width, height)) for box in boxes]
        return [(slice(box.y, box.bottom), slice(box.x, box.right)) for box in grown]

    def shrunk(self, longest_px: int) -> Evidence:
        """Return the same at a smaller size, or itself if it is small enough."""
        if max(self.mask.shape) <= longest_px:
            return self
        return replace(
            self,
            marked=shrink(self.marked, longest_px),
            mask=shrink_mask(self.mask, longest_px),
            second=None if self.second is None else shrink(self.second, longest_px),
        )


@dataclass(frozen=True)
class AttackInfo:
    """What is told of an attack.

    Args:
        number: In the list of attacks of docs/THREAT_MODEL.md.
        knows: What it needs to know, in plain words.
        variants: Names of its rows, the same whatever the image.
        control: What it is compared with.
        longest_px: The image's longer side is shrunk to this before the attack.
        combined: Whether it counts for the best attacker: False if it needs what a release never gives.
        comparable: Whether its pictures can be compared with the clean one pixel by pixel.
        on: What it is tried on.
    """

    number: int
    knows: str
    variants: tuple[str, ...]
    control: Control = "clean"
    longest_px: int = LARGEST_PX
    combined: bool = True
    comparable: bool = True
    on: Bearer = "all"

    def applies_to(self, *, is_veil: bool) -> bool:
        """Tell whether an image with a veil, or with separate marks, is attacked."""
        return self.on in ("all", "veils" if is_veil else "marks")


class Attack(Protocol):
    """Somebody who tries to get the classifier's answer back from one marked image.

    One attack may try several variants that share work; each is a row of the result.
    """

    @property
    def facts(self) -> AttackInfo:
        """What is told of it."""
        ...

    def restore(self, evidence: Evidence) -> Mapping[str, Bytes]:
        """Return a picture for each variant, the size of ``evidence.marked`` where comparable."""
        ...


@dataclass(frozen=True, eq=False)
class ClassifierView:
    """One image as one classifier gets it, for attacks that ask the classifier many times.

    Args:
        canvas: (h, w, c) float32 in 0..255.
        mask: (h, w) bool, where the marks are on the canvas.
        classify: From (N, h, w, c) canvases to (N, K) logits.
    """

    canvas: Floats
    mask: Mask
    classify: Callable[[Floats], NDArray[np.float32]]


class VotingAttack(Protocol):
    """Somebody who asks the classifier about many versions of one image and counts the answers."""

    @property
    def facts(self) -> AttackInfo:
        """What is told of it."""
        ...

    def vote(self, view: ClassifierView) -> Mapping[str, int]:
        """Return a class for each variant."""
        ...


class Learner(Protocol):
    """Somebody who studies several marked images before attacking one."""

    @property
    def facts(self) -> AttackInfo:
        """What is told of the attack that comes of it."""
        ...

    def learn(self, crowd: Sequence[Evidence], *, public: Sequence[Bytes], seed: int) -> Attack:
        """Return the attack that was learned.

        Args:
            crowd: Parts of marked images, each around one mark.
            public: Clean images of the same kind, shrunk; only the removal network needs them.
        """
        ...
