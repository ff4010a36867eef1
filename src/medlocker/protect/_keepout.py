"""What a mark keeps out of: given regions, and what a finder finds by itself."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, Protocol, TypeAlias, TypeGuard, TypeVar

from numpy.typing import NDArray

from medlocker.classifiers import Classifier, has_gradients
from medlocker.errors import InputError, NoRoomError
from medlocker.geometry import Box
from medlocker.plugins import Registry
from medlocker.regions import (
    CANDIDATES,
    CandidateFinder,
    Finder,
    Findings,
    checked_finder,
    lesion_finder,
    strongest,
)
from medlocker.regions.scale import covered

Lesions: TypeAlias = str | Finder
"""``auto``, ``none``, ``fundus``, ``skin``, ``attention``; or the user's own, a name or an object."""
FINDER_NAMES = ("auto", "none", "fundus", "skin", "attention")
_FINDERS: Registry[Finder] = Registry(
    "a finder of regions",
    "medlocker.finders",
    dict.fromkeys(FINDER_NAMES),  # made from the models, see make_finder
    ("source", "fingerprint", "droppable", "find"),
    "docs/how-to/finder.md",
)
MAX_CANDIDATES = 0.5
"""Share of an image that candidates may cover; the weakest beyond are given up."""
UNLISTED = "unlisted: "
"""Before what was done, as a certificate says it, with images of which the given regions say nothing."""
GIVEN_UP = "regions: only the strongest candidates are kept out, so that the logo has room"

R = TypeVar("R")
R_co = TypeVar("R_co", covariant=True)


class _PlacementFinder(Protocol[R_co]):
    def __call__(self, *, boxes: Sequence[Box]) -> R_co: ...


class AttentionFinder:
    """What a surrogate looks at, as candidates.

    Args:
        attention: Of :func:`medlocker.classifiers.attention.attention_of`.
    """

    source = CANDIDATES
    droppable = True

    def __init__(self, attention: Any) -> None:
        self._attention = attention

    @property
    def fingerprint(self) -> str:
        """The model and the level."""
        return str(self._attention.fingerprint)

    def find(self, colors: NDArray[Any]) -> Findings:
        """Return boxes around what the model looks at, the largest first."""
        return Findings(self._attention.boxes(colors), ("regions: what the model looks at",))


def finder_called(finder: Finder | None) -> str:
    """Return how messages call what finds lesions."""
    found = lesion_finder(finder)
    if found is None or found.source.startswith("segmenter:"):
        return "the segmenter"
    return f"the finder {found.source}"


def is_own_finder(lesions: Lesions) -> TypeGuard[str]:
    """Tell whether candidates are looked for by medlocker's own means; loads nothing."""
    return isinstance(lesions, str) and lesions in FINDER_NAMES


def make_finder(lesions: Lesions, classifiers: Sequence[Classifier]) -> Finder | None:
    """Return what finds candidates, None for ``none``.

    Args:
        lesions: ``fundus``, ``skin``, ``attention``; ``auto`` looks at each image; or the user's own, a name
            (an entry point or ``package.module:name``) or an object.
        classifiers: The surrogates.

    Raises:
        InputError: If attention is asked for and no model offers gradients, or there is no such finder.
    """
    if not is_own_finder(lesions):
        return checked_finder(_FINDERS.find(lesions))
    if lesions == "none":
        return None
    attention = _attention(classifiers) if lesions in ("auto", "attention") else None
    if lesions != "attention":
        return CandidateFinder(lesions, fallback=attention)
    if attention is None:
        raise InputError(
            "lesions attention: expected a model with gradients and feature maps, got none",
            hint="use a model made by `medlocker train classifier` with the torch extra, or --lesions auto",
        )
    return attention


def _attention(classifiers: Sequence[Classifier]) -> AttentionFinder | None:
    if not any(map(has_gradients, classifiers)) or importlib.util.find_spec("torch") is None:
        return None
    from medlocker.classifiers.attention import attention_of  # optional library

    attention = attention_of(classifiers)
    return None if attention is None else AttentionFinder(attention)


def source_of(*, given: bool, finder: Finder | None, stands_in: bool = False) -> str:
    """Return how a certificate names the regions of a run.

    Args:
        given: Whether regions of some images are.
        finder: What finds more, or None.
        stands_in: Whether lesions of the images that are not listed alone are looked for, or nothing is.
    """
    parts = ["given"] if given else []
    if given and stands_in and lesion_finder(finder) is None:
        parts.append(f"{UNLISTED}none")
        stands_in = False
    if finder is not None:
        parts.append(f"{UNLISTED if given and stands_in else ''}{finder.source}")
    return " + ".join(parts) or "none"


def find_placement_avoiding(
    given: Sequence[Box],
    findings: Findings,
    *,
    size: tuple[int, int],
    finder: Finder | None,
    room: _PlacementFinder[R],
) -> tuple[R, tuple[Box, ...], tuple[str, ...]]:
    """Find room beside all boxes, giving up weak candidates where there is none otherwise.

    Args:
        findings: What the finder found; its firm boxes are not given up either.
        size: (width, height) of the image.
        finder: Tells whether findings may be given up.
        room: Called with ``boxes=``; raises NoRoomError.

    Returns:
        What ``room`` returned, the boxes that are kept out, and notes.

    Raises:
        NoRoomError: If there is none, with the finder named if it is to blame.
    """
    if findings.firm:
        bare, firm = replace(findings, firm=()), (*given, *findings.firm)
        try:
            return find_placement_avoiding(firm, bare, size=size, finder=finder, room=room)
        except NoRoomError as error:
            raise NoRoomError(f"{error}; optic disc and macula are kept clear") from error
    given, found = tuple(given), findings.boxes
    if finder is None or not finder.droppable:
        try:
            return room(boxes=(*given, *found)), (*given, *found), findings.notes
        except NoRoomError as error:
            if not found:
                raise
            share = float(covered(found, width=size[0], height=size[1]).mean())
            raise NoRoomError(
                f"{error}; {finder_called(finder)} keeps out {share:.0%} of the image"
            ) from error
    kept = strongest(found, width=size[0], height=size[1], share=MAX_CANDIDATES)
    most = _most(len(kept), lambda count: room(boxes=(*given, *kept[:count])))
    notes = findings.notes if kept[: most[0]] == found else (*findings.notes, GIVEN_UP)
    return most[1], (*given, *kept[: most[0]]), notes


def _most(count: int, room: Callable[[int], R]) -> tuple[int, R]:
    """Return the largest number of boxes beside which there is room; fewer boxes never leave less."""
    try:
        return count, room(count)
    except NoRoomError:
        if count == 0:
            raise
    low, best, high = 0, room(0), count
    while high - low > 1:
        middle = (low + high) // 2
        try:
            best = room(middle)
            low = middle
        except NoRoomError:
            high = middle
    return low, best
