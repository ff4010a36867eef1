"""What a JPEG carries besides its picture: what is known to be harmless is passed on, the rest held back."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from medlocker.formats._exif import has_preview, known_only, without_thumbnail
from medlocker.formats._icc import is_plain_profile
from medlocker.formats._keep import MOST_BYTES, NOTHING, Keep
from medlocker.formats.jpeg._stream import APP0, APP1, APP2, APP11, APP14, COM, Segment

EXIF, XMP, ICC = b"Exif\0\0", b"http://ns.adobe.com/xap/1.0/\0", b"ICC_PROFILE\0"
_JFIF, _ADOBE = b"JFIF\0", b"Adobe"
_JFIF_SIZE, _ADOBE_SIZE = 14, 12
_INDEX = b"MPF\0"
_PICTURES = (
    (APP0, b"JFXX\0"),
    (APP1, b"http://ns.adobe.com/xmp/extension/\0"),
    (APP2, _INDEX),
    (APP2, b"FPXR\0"),
)
"""Thumbnails, parts of a long XMP packet, further pictures in the file, FlashPix views."""


@dataclass(frozen=True)
class StrippedSegment:
    """A metadata segment that a marked file does not have as the original has it.

    Args:
        index: Its number among the original's metadata segments.
        changed: Whether the marked file has a changed one at its place; else it has none.
        segment: The original one.
    """

    index: int
    changed: bool
    segment: Segment


def without_previews(
    metadata: Iterable[Segment], *, keep: Keep = NOTHING
) -> tuple[tuple[Segment, ...], tuple[StrippedSegment, ...]]:
    """Return what may be passed on of a file's metadata segments, and what is held back.

    Passed on are JFIF and EXIF without thumbnails, EXIF's known tags, a plain colour profile, Adobe's word on
    colours, and a short comment. What else is asked for passes if no picture is found in it; a segment with
    one is left out, and with it all of its kind: a long one goes on in the next segment.

    Args:
        metadata: Application segments and comments, in order.
        keep: What else may pass.
    """
    segments = tuple(metadata)
    tainted = {s.marker for s in segments if not _is_known(s) and has_preview(s.content)}
    harmless = _harmless(segments, keep)
    passed: list[Segment] = []
    withheld: list[StrippedSegment] = []
    for index, segment in enumerate(segments):
        kept = None
        if index in harmless and (segment.marker not in tainted or _is_known(segment)):
            kept = _kept(segment, keep)
        if kept is not None:
            passed.append(kept)
        if kept != segment:
            withheld.append(StrippedSegment(index, kept is not None, segment))
    return tuple(passed), tuple(withheld)


def has_more_pictures(segments: Iterable[Segment]) -> bool:
    """Tell whether an index says where further pictures lie in the file (CIPA DC-007, MPF)."""
    return any(s.marker == APP2 and s.content.startswith(_INDEX) for s in segments)


def joined_profile(segments: Iterable[Segment]) -> bytes | None:
    """Join a colour profile's pieces: each has its number and the count of all (ICC.1 annex B.4)."""
    found = (s.content for s in segments if s.marker == APP2 and s.content.startswith(ICC))
    pieces = [content[len(ICC) :] for content in found if len(content) > len(ICC) + 2]
    pieces.sort(key=lambda piece: piece[0])
    complete = [piece[0] for piece in pieces] == list(range(1, len(pieces) + 1))
    return b"".join(piece[2:] for piece in pieces) if pieces and complete else None


def _harmless(segments: Iterable[Segment], keep: Keep) -> frozenset[int]:
    """Return the numbers of the segments that are no place for a picture, or are asked for."""
    profile = joined_profile(segments)
    plain = profile is not None and is_plain_profile(profile)
    found: set[int] = set()
    seen: set[str] = set()
    for index, segment in enumerate(segments):
        kind = _kind(segment)
        first = kind not in seen
        seen.add(kind)
        harmless = {
            "jfif": True,
            "exif": first,
            "profiles": plain and len(segment.content) > len(ICC) + 2,
            "adobe": True,  # decoders believe the last one
            "text": first and len(segment.content) <= MOST_BYTES,
        }
        if harmless.get(kind, False) or {"jfif": "private", "adobe": "private"}.get(kind, kind) in keep:
            found.add(index)
    return frozenset(found)


def _kind(segment: Segment) -> str:
    """Return what a segment is, by the names of what may be kept and two more."""
    starts = {
        (APP0, _JFIF): "jfif",
        (APP1, EXIF): "exif",
        (APP1, XMP): "xmp",
        (APP2, ICC): "profiles",
        (APP14, _ADOBE): "adobe",
    }
    if segment.marker == COM:
        return "text"
    found = (
        k
        for (marker, start), k in starts.items()
        if marker == segment.marker and segment.content.startswith(start)
    )
    return next(found, "private")


def _is_known(segment: Segment) -> bool:
    """Tell whether a segment has a form of its own, and is judged alone."""
    known = {APP0: (_JFIF,), APP1: (EXIF, XMP), APP2: (ICC,), APP14: (_ADOBE,)}
    return segment.marker == COM or segment.content.startswith(known.get(segment.marker, ()))


def _kept(segment: Segment, keep: Keep) -> Segment | None:
    marker, content = segment.marker, segment.content
    if marker == APP1 and content.startswith(EXIF):
        block: bytes | None = without_thumbnail(content[len(EXIF) :])
        if block is not None and "exif" not in keep:
            block = known_only(block)
        return None if block is None else Segment(marker, EXIF + block)
    if marker == APP0 and content.startswith(_JFIF) and len(content) > _JFIF_SIZE:
        return Segment(marker, content[: _JFIF_SIZE - 2] + b"\0\0")
    if marker == APP14 and content.startswith(_ADOBE):
        return Segment(marker, content[:_ADOBE_SIZE])
    if marker == APP2 and content.startswith(ICC):
        return segment
    # content authenticity claims carry thumbnails in boxes over many segments, and no longer hold
    if marker == APP11 or any(marker == m and content.startswith(start) for m, start in _PICTURES):
        return None
    return None if has_preview(content) else segment


def restored_metadata(marked: Iterable[Segment], withheld: Iterable[StrippedSegment]) -> tuple[Segment, ...]:
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
