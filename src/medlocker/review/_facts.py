"""What marking an image found out, sealed with its parameters: only who opens the record can read it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from medlocker.geometry import Box

_MOST_BOXES = 500
"""Whose text is shorter than a fact of a sealed record may be."""


@dataclass(frozen=True)
class MarkingFacts:
    """What is known of one marked image besides its parameters.

    Args:
        psnr_db: Of the marked image, at most 99; None if it was not measured.
        shrunk: Whether marks are smaller or fainter than asked for, for want of room or for legibility.
        asked: How many models were right about the original.
        misled: How many of them are wrong about the marked file.
        kept_out: Boxes that marks keep out of, the first 500 of them.
        regions: How many there are.
        anatomy: Those of them that were taken for optic disc and macula.
        in_series: Whether it shares its marks with the other images of a series.
        veils_tried: Among how many veils models may have chosen; 0 if that is not known.
    """

    psnr_db: float | None = None
    shrunk: bool = False
    asked: int = 0
    misled: int = 0
    kept_out: tuple[Box, ...] = ()
    regions: int = 0
    anatomy: tuple[Box, ...] = ()
    in_series: bool = False
    veils_tried: int = 0

    def to_sealed(self) -> dict[str, str | int | bool]:
        """Return what the sealed record holds: texts, integers and truth values."""
        facts: dict[str, str | int | bool] = {
            "shrunk": self.shrunk,
            "models_right": self.asked,
            "models_misled": self.misled,
            "kept_out": _text(self.kept_out),
            "anatomy": _text(self.anatomy),
            "regions": self.regions,
            "in_series": self.in_series,
            "veils_tried": self.veils_tried,
        }
        return facts if self.psnr_db is None else facts | {"psnr_mdb": round(1000 * self.psnr_db)}

    @classmethod
    def from_sealed(cls, facts: Mapping[str, Any]) -> MarkingFacts:
        """Read what :meth:`to_sealed` wrote; what is missing or of another kind is not known."""
        psnr = _whole(facts.get("psnr_mdb"))
        return cls(
            psnr_db=None if psnr is None else psnr / 1000,
            shrunk=facts.get("shrunk") is True,
            asked=_whole(facts.get("models_right")) or 0,
            misled=_whole(facts.get("models_misled")) or 0,
            kept_out=_boxes(facts.get("kept_out")),
            regions=_whole(facts.get("regions")) or 0,
            anatomy=_boxes(facts.get("anatomy")),
            in_series=facts.get("in_series") is True,
            veils_tried=_whole(facts.get("veils_tried")) or 0,
        )


def _whole(value: object) -> int | None:
    return value if type(value) is int else None


def _text(boxes: tuple[Box, ...]) -> str:
    return " ".join(f"{box.x} {box.y} {box.width} {box.height}" for box in boxes[:_MOST_BOXES])


def _boxes(text: object) -> tuple[Box, ...]:
    words = text.split() if isinstance(text, str) else []
    if len(words) % 4 or not all(word.lstrip("-").isdecimal() for word in words):
        return ()
    numbers = list(map(int, words))
    boxes = [numbers[i : i + 4] for i in range(0, len(numbers), 4)]
    return tuple(Box(*box) for box in boxes if box[2] > 0 and box[3] > 0)
