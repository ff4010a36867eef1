"""What the header of a marked DICOM file says: that it is derived, and bears a mark in its pixels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from medlocker.formats._edits import Edit, apply_edits
from medlocker.formats._keep import NOTHING, Keep
from medlocker.formats.dicom._codecs import CODECS
from medlocker.formats.dicom._edit import changed
from medlocker.formats.dicom._file import DicomImage
from medlocker.formats.dicom._frames import DicomFrames
from medlocker.formats.dicom._layout import PHOTOMETRIC, Layout
from medlocker.formats.dicom._origin import EQUIPMENT, SOURCES, coded_item, equipment_item, source_item
from medlocker.formats.dicom._parts import SOP_CLASS, Parts, with_head
from medlocker.formats.dicom._unmarked import known_head, known_items, known_tail
from medlocker.formats.dicom._walk import Dialect
from medlocker.provenance import Provenance

SMALLEST, LARGEST = 0x00280106, 0x00280107
_MEDIA_INSTANCE, _INSTANCE = 0x00020003, 0x00080018
_IMAGE_TYPE, _BURNED_IN = 0x00080008, 0x00280301
_DERIVATION, _DERIVATION_CODE = 0x00082111, 0x00089215
_CENTER, _WIDTH, _FUNCTION = 0x00281050, 0x00281051, 0x00281056
_LOSSY, _LOSSY_RATIO, _LOSSY_METHOD = 0x00282110, 0x00282112, 0x00282114
_ICON, _MAC, _SIGNATURES = 0x00880200, 0x4FFE0001, 0xFFFAFFFA
MARK_TEXT = "visible mark added by medlocker"
"""Stands in the Derivation Description of every marked file."""
_TEXT = MARK_TEXT.encode("ascii")
_MOST_TEXT = 1024


@dataclass(frozen=True)
class Origin:
    """Where a marked file comes from.

    Args:
        provenance: The program and the release.
        source: UID under which the original is referred to, none of its own.
    """

    provenance: Provenance
    source: str


def marked_header(
    base: Parts,
    layout: Layout,
    image: DicomImage,
    *,
    uid: str,
    keep: Keep = NOTHING,
    origin: Origin | None = None,
) -> tuple[Parts, Layout, tuple[Edit, ...]]:
    """Return parts and layout for a marked file, and the edits that give its header back.

    Pictures of the unmarked image (icons), all places where one may lie, and signatures, which would be
    wrong, are left out. An image
    without a window gets that of its own range, for the mark may cover its darkest or brightest pixel. An
    image whose loss only its transfer syntax told says so in its header: the marked file has another syntax.

    Args:
        base: The original as it is written without loss.
        layout: What its header says.
        image: The original.
        uid: The new SOP Instance UID.
        keep: What else than harmless elements is passed on.
        origin: What it says of where it comes from, or None.
    """
    dialect, plain = base.dialect, uid.encode("ascii")
    told = base.value(_IMAGE_TYPE)
    kinds = told.strip(b" \0").split(b"\\") if len(told) <= _MOST_TEXT else []

    def passed(tag: int) -> bytes:
        return known_items(base.value(tag), dialect, keep=keep, frames=layout.frames)

    derived = b"\\".join((b"DERIVED", *(kinds[1:] or (b"SECONDARY",))))
    changes: dict[int, tuple[str, bytes] | None] = {
        _MEDIA_INSTANCE: ("UI", plain),
        _INSTANCE: ("UI", plain),
        _IMAGE_TYPE: ("CS", derived),
        _BURNED_IN: ("CS", b"YES"),
        _DERIVATION: ("ST", _described(base.value(_DERIVATION))),
        _DERIVATION_CODE: ("SQ", passed(_DERIVATION_CODE) + _derivation(dialect)),
        _ICON: None,
        _MAC: None,
    }
    for tag in (SMALLEST, LARGEST):
        if len(base.value(tag)) == 2:  # filled in when all frames are written
            changes[tag] = ("SS" if layout.signed else "US", base.value(tag))
    if image.window is not None:
        changes[_CENTER] = ("DS", image.window.center.encode("ascii"))
        changes[_WIDTH] = ("DS", image.window.width.encode("ascii"))
        changes[_FUNCTION] = ("CS", image.window.function.encode("ascii"))
    if origin is not None:
        changes[EQUIPMENT] = ("SQ", passed(EQUIPMENT) + equipment_item(origin.provenance, dialect=dialect))
        sop_class = base.value(SOP_CLASS)
        if sop_class:
            item = source_item(sop_class, origin.source, dialect=dialect)
            changes[SOURCES] = ("SQ", passed(SOURCES) + item)
    changes |= _loss(image.dicom)
    marked_layout = layout
    if layout.shared_color and not base.encapsulated:  # each pixel needs colours of its own
        changes[PHOTOMETRIC] = ("CS", b"YBR_FULL")
        marked_layout = layout.with_photometric("YBR_FULL")
    left_out = list(known_head(base, changes, keep=keep, frames=layout.frames))
    changes |= {tag: None for tag in left_out if isinstance(tag, int)}
    parts, undo = changed(base, changes, [edit for edit in left_out if isinstance(edit, Edit)])
    signatures = parts.ends.get(_SIGNATURES)
    if signatures is not None:
        tail = parts.tail[: signatures.at] + parts.tail[signatures.end :]
        parts = with_head(parts, parts.head, tail)
    tail = known_tail(parts, keep=keep, frames=layout.frames)
    return with_head(parts, parts.head, tail), marked_layout, undo


def original_header(marked: Parts, undo: Sequence[Edit], tail: bytes) -> Parts:
    """Return the parts of the original, payload excepted: the inverse of :func:`marked_header`.

    Raises:
        ValueError: If the edits are of another file.
        struct.error: Likewise.
    """
    head, _ = apply_edits(marked.head, undo)
    return with_head(marked, head, tail)


def _loss(source: DicomFrames) -> dict[int, tuple[str, bytes] | None]:
    """Return what tells that pixels were compressed with loss, where nothing but the transfer syntax does.

    A transfer syntax that allows loss counts as one that lost something: a stream that was cut to a length
    does not tell. What the header says itself is its maker's word and stays.
    """
    codec = CODECS.get(source.parts.syntax)
    if codec is None or not codec.loss or source.parts.text(_LOSSY):
        return {}
    packed = sum(len(fragment) for frame in source.places for fragment in frame)
    layout = source.layout
    plain = layout.frames * layout.height * layout.width * layout.samples * layout.allocated // 8
    found: dict[int, tuple[str, bytes] | None] = {_LOSSY: ("CS", b"01")}
    if not source.parts.text(_LOSSY_RATIO):
        found[_LOSSY_RATIO] = ("DS", f"{plain / max(packed, 1):.4g}".encode("ascii"))
    if not source.parts.text(_LOSSY_METHOD):
        found[_LOSSY_METHOD] = ("CS", codec.loss.encode("ascii"))
    return found


def _described(text: bytes) -> bytes:
    known = text.strip(b" \0")
    if _TEXT in known:
        return known
    joined = known + b"; " + _TEXT if known else _TEXT
    return joined if len(joined) <= _MOST_TEXT else _TEXT


def _derivation(dialect: Dialect) -> bytes:
    """Return the item that says how pixels were derived, of the standard's context group 7203."""
    return coded_item("113042", "Pixel by pixel addition", dialect=dialect)
