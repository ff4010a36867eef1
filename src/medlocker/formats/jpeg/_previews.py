"""Small unmarked copies of the picture that a JPEG may carry: found, and left out of marked files."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from medlocker.formats._exif import has_preview, without_thumbnail
from medlocker.formats.jpeg._stream import APP0, APP1, APP2, APP11, APP14, COM, Segment

EXIF, XMP, ICC = b"Exif\0\0", b"http://ns.adobe.com/xap/1.0/\0", b"ICC_PROFILE\0"
_JFIF, _ADOBE = b"JFIF\0", b"Adobe"
_JFIF_SIZE = 14
_PICTURES = (
    (APP0, b"JFXX\0"),
    (APP1, b"http://ns.adobe.com/xmp/extension/\0"),
    (APP2, b"MPF\0"),
    (APP2, b"FPXR\0"),
)
"""Thumbnails, parts of a long XMP packet, further pictures in the file, FlashPix views."""


@dataclass(frozen=True)
class Withheld:
    """A metadata segment that a marked file does not have as the original has it.

    Args:
        index: Its number among the original's metadata segments.
        changed: Whether the marked file has a changed one at its place; else it has none.
        segment: The original one.
    """

    index: int
    changed: bool
    segment: Segment


def without_previews(metadata: Iterable[Segment]) -> tuple[tuple[Segment, ...], tuple[Withheld, ...]]:
    """Return what may be passed on of a file's metadata segments, and what is held back.

    Thumbnails are blanked where the rest of their segment is of use (EXIF, JFIF). A segment with a picture in
    it is left out, and with it all of its kind: a long one goes on in the next segment.

    Args:
        metadata: Application segments and comments, in order.
    """
    segments = tuple(metadata)
    tainted = {s.marker for s in segments if not _is_known(s) and has_preview(s.content)}
    passed: list[Segment] = []
    withheld: list[Withheld] = []
    for index, segment in enumerate(segments):
        kept = None if segment.marker in tainted and not _is_known(segment) else _kept(segment)
        if kept is not None:
            passed.append(kept)
        if kept != segment:
            withheld.append(Withheld(index, kept is not None, segment))
    return tuple(passed), tuple(withheld)


def _is_known(segment: Segment) -> bool:
    """Tell whether a segment has a form of its own, and is judged alone."""
    known = {APP0: (_JFIF,), APP1: (EXIF, XMP), APP2: (ICC,), APP14: (_ADOBE,)}
    return segment.marker == COM or segment.content.startswith(known.get(segment.marker, ()))


def _kept(segment: Segment) -> Segment | None:
    marker, content = segment.marker, segment.content
    if marker == APP1 and content.startswith(EXIF):
        return Segment(marker, EXIF + without_thumbnail(content[len(EXIF) :]))
    if marker == APP0 and content.startswith(_JFIF) and len(content) > _JFIF_SIZE:
        return Segment(marker, content[: _JFIF_SIZE - 2] + b"\0\0")
    if marker == APP2 and content.startswith(ICC):
        return segment
    # content authenticity claims carry thumbnails in boxes over many segments, and no longer hold
    if marker == APP11 or any(marker == m and content.startswith(start) for m, start in _PICTURES):
        return None
    return None if has_preview(content) else segment


def restored_metadata(marked: Iterable[Segment], withheld: Iterable[Withheld]) -> tuple[Segment, ...]:
    """Return the original's metadata segments: the inverse of :func:`without_previews`.

    Args:
        marked: The marked file's.
        withheld: What was held back, ascending by index.

    Raises:
        ValueError: If the two do not belong together.
    """
    segments = list(marked)
    for one in withheld:
        if one.index > len(segments) - one.changed:
            raise ValueError("expected a segment where one was held back")
        segments[one.index : one.index + one.changed] = [one.segment]
    return tuple(segments)
