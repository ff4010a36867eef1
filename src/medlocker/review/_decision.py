"""What a person decided about one marked image."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

from medlocker.errors import InputError
from medlocker.geometry import Box
from medlocker.strictjson import from_json

Verdict = Literal["approved", "rejected", "another mark"]
MOST_CHARACTERS = 2000
_MOST_BOXES = 100
_PER_MILLE = 1000
_FARTHEST_PX = 1_000_000


@dataclass(frozen=True)
class NewMark:
    """How another mark of an image shall differ; it lies elsewhere in any case.

    Args:
        opacity_permille: Highest opacity, 4 to 1000 thousandths; None: as before.
        size_permille: Longer side of a logo / shorter side of the image, 5 to 1000 thousandths (of a veil: of
            one copy, which sets its period); None: as before.
        keep_out: Further regions to keep clear, pixels of the stored image.

    Raises:
        InputError: If a number is out of range.
    """

    opacity_permille: int | None = None
    size_permille: int | None = None
    keep_out: tuple[Box, ...] = ()

    def __post_init__(self) -> None:
        for name, value, low in (("opacity", self.opacity_permille, 4), ("size", self.size_permille, 5)):
            if value is not None and not low <= value <= _PER_MILLE:
                raise InputError(f"another mark: expected {name} of {low / _PER_MILLE:g} to 1")
        if len(self.keep_out) > _MOST_BOXES:
            raise InputError(f"another mark: expected at most {_MOST_BOXES} regions")
        for box in self.keep_out:
            if min(box.x, box.y) < 0 or max(box.right, box.bottom) > _FARTHEST_PX:
                raise InputError(f"another mark: expected regions of 0 to {_FARTHEST_PX} pixels")

    @classmethod
    def wanted(
        cls, *, opacity: float | None = None, size: float | None = None, keep_out: tuple[Box, ...] = ()
    ) -> NewMark:
        """Return the same from shares of 0 to 1.

        Raises:
            InputError: If a number is out of range.
        """
        return cls(_per_mille(opacity), _per_mille(size), keep_out)

    @property
    def opacity(self) -> float | None:
        """Highest opacity, 0 to 1."""
        return None if self.opacity_permille is None else self.opacity_permille / _PER_MILLE

    @property
    def size(self) -> float | None:
        """Longer side of a logo / shorter side of the image."""
        return None if self.size_permille is None else self.size_permille / _PER_MILLE


def _per_mille(share: float | None) -> int | None:
    if share is None:
        return None
    # what is no number, or far out, is refused as out of range
    return round(_PER_MILLE * share) if abs(share) <= _PER_MILLE else -1


@dataclass(frozen=True)
class Decision:
    """One line of a review.

    Args:
        release: Id of the release.
        index: Number of the image.
        name: Of the marked file.
        file: SHA-256 of the marked file that was seen.
        verdict: ``approved``; ``rejected``; or ``another mark``: it is not good, and how it shall be better.
        why: The reason for rejecting it, or a remark; may be empty.
        new_mark: What is asked for with ``another mark``, else None.
        reviewer: Who decided, in the owner's words; may be empty.
        time: UTC, ``2026-01-31T12:00:00Z``.

    Raises:
        InputError: If a rejection has no reason, or a text is too long or holds control characters.
    """

    release: str
    index: int
    name: str
    file: str
    verdict: Verdict
    why: str
    new_mark: NewMark | None
    reviewer: str
    time: str

    def __post_init__(self) -> None:
        if self.verdict == "rejected" and not self.why.strip():
            raise InputError(f"{self.name}: expected a reason for rejecting it", subject=self.name)
        if (self.verdict == "another mark") != (self.new_mark is not None):
            raise InputError(f"{self.name}: expected a new mark exactly with the verdict 'another mark'")
        for text in (self.why, self.reviewer):
            if len(text) > MOST_CHARACTERS or not (text.isprintable() or not text):
                raise InputError(f"{self.name}: expected at most {MOST_CHARACTERS} printable characters")

    def to_json(self) -> dict[str, Any]:
        """Return what :meth:`read` reads."""
        return asdict(self)

    @classmethod
    def read(cls, value: object) -> Decision:
        """Read a decision.

        Raises:
            ValueError: If it is none.
        """
        return from_json(cls, value)
