"""Which file of a release a caller is shown: a marked image, or a companion that travels with the images."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Member:
    """One file of a release whose original is sealed.

    Args:
        release: Id of the release.
        number: Of the image in the index, or of the companion in its list.
        is_companion: Whether it is a companion; else it is a marked image.
    """

    release: str
    number: int
    is_companion: bool = False

    @property
    def word(self) -> str:
        """What it is called in messages and in the log: ``image`` or ``companion``."""
        return "companion" if self.is_companion else "image"
