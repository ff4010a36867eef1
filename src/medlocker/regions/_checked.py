"""A finder of the user's own: what it finds is checked before a mark is put beside it."""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray

from medlocker.errors import InputError, MedlockerError
from medlocker.geometry import Box
from medlocker.plugins import raised
from medlocker.regions._anatomy import WithAnatomy
from medlocker.regions._candidates import CandidateFinder
from medlocker.regions._finder import MAX_BOXES, Finder, Findings
from medlocker.regions._segmenter import Segmenter

_MOST_SOURCE = 100


def checked_finder(finder: Finder) -> Finder:
    """Return a finder whose boxes are checked: ours as it is, one of the user's own inside such a one.

    Raises:
        InputError: If it cannot be named.
    """
    ours = CandidateFinder | Segmenter | WithAnatomy | CheckedFinder
    return finder if isinstance(finder, ours) else CheckedFinder(finder)


class CheckedFinder:
    """A finder whose boxes are checked; see :class:`~medlocker.regions.Finder`.

    What goes wrong with one image costs that image: a mark that covers a lesion would be worse.

    Args:
        finder: Of the user's own.

    Raises:
        InputError: If it cannot be named.
    """

    def __init__(self, finder: Finder) -> None:
        self.source, self.fingerprint = finder.source, finder.fingerprint
        self.droppable = bool(finder.droppable)
        self._finder = finder
        for name, text in (("source", self.source), ("fingerprint", self.fingerprint)):
            if not isinstance(text, str) or not text.isprintable() or not text or " + " in text:
                raise InputError(
                    f"finder {type(finder).__name__}: expected a {name} without ' + ', got {text!r:.60}"
                )
        if len(self.source) > _MOST_SOURCE:
            raise InputError(
                f"finder {self.source:.40}: expected a source of at most {_MOST_SOURCE} characters"
            )

    def find(self, colors: NDArray[Any]) -> Findings:
        """Return what it finds.

        Raises:
            InputError: If it raises an error, or finds what is no box inside the image.
        """
        try:
            found = self._finder.find(colors.copy())
        except (MedlockerError, MemoryError):
            raise
        except Exception as error:  # it may be anybody's code
            raise InputError(f"finder {self.source}: {raised(error)}") from error
        if not isinstance(found, Findings):
            raise InputError(f"finder {self.source}: expected Findings, got {type(found).__name__}")
        boxes = (*found.boxes, *found.firm)
        if len(boxes) > MAX_BOXES:
            raise InputError(f"finder {self.source}: expected at most {MAX_BOXES} boxes, got {len(boxes)}")
        height, width = colors.shape[:2]
        for box in boxes:
            if not isinstance(box, Box):
                raise InputError(
                    f"finder {self.source}: expected boxes of the class Box, got {type(box).__name__}"
                )
            if min(box.x, box.y) < 0 or box.right > width or box.bottom > height:
                raise InputError(f"finder {self.source}: expected boxes inside {width} x {height}, got {box}")
        if not all(isinstance(note, str) and note.isprintable() for note in found.notes):
            raise InputError(f"finder {self.source}: expected printable notes")
        return Findings(tuple(found.boxes), tuple(found.notes), tuple(found.firm))
