"""What the header of a marked DICOM file says: that it is derived, and bears a mark in its pixels."""

from __future__ import annotations

import hashlib
import json
import uuid
from collections.abc import Sequence

from medlocker.formats._keep import NOTHING, Keep
from medlocker.formats.dicom._codecs import CODECS
from medlocker.formats.dicom._edit import Edit, apply_edits, changed
from medlocker.formats.dicom._file import DicomImage
from medlocker.formats.dicom._frames import DicomFrames
from medlocker.formats.dicom._layout import PHOTOMETRIC, Layout
from medlocker.formats.dicom._parts import Parts, with_head
from medlocker.formats.dicom._unmarked import known_head, known_items, known_tail
from medlocker.formats.dicom._walk import Dialect, build_element, build_item
from medlocker.images import Image
from medlocker.logo import Logo
from medlocker.veil import AnyMark

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


def instance_uid(image: Image, marks: Sequence[AnyMark], *, logo: Logo) -> str:
    """Return the SOP Instance UID of a marked file, the same whenever it is made.

    It is the UUID form ``2.25.`` of 128 bits of SHA-256 over the whole original file, the marks and the
    logo. Whoever has not that very file cannot tell by the UID which original it belongs to, even with a
    list of all originals' UIDs.
    """
    digest = hashlib.sha256(b"medlocker-dicom-instance-v1\n")
    digest.update(hashlib.sha256(image.source).digest())
    digest.update(json.dumps([mark.to_json() for mark in marks], sort_keys=True).encode())
    digest.update(logo.digest.encode())
    return f"2.25.{uuid.UUID(bytes=digest.digest()[:16], version=4).int}"


def marked_header(
    base: Parts, layout: Layout, image: DicomImage, *, uid: str, keep: Keep = NOTHING
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
    """
    dialect, plain = base.dialect, uid.encode("ascii")
    told = base.value(_IMAGE_TYPE)
    kinds = told.strip(b" \0").split(b"\\") if len(told) <= _MOST_TEXT else []
    sources = known_items(base.value(_DERIVATION_CODE), dialect, keep=keep, frames=layout.frames)
    derived = b"\\".join((b"DERIVED", *(kinds[1:] or (b"SECONDARY",))))
    changes: dict[int, tuple[str, bytes] | None] = {
        _MEDIA_INSTANCE: ("UI", plain),
        _INSTANCE: ("UI", plain),
        _IMAGE_TYPE: ("CS", derived),
        _BURNED_IN: ("CS", b"YES"),
        _DERIVATION: ("ST", _described(base.value(_DERIVATION))),
        _DERIVATION_CODE: ("SQ", sources + _code(dialect)),
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


def _code(dialect: Dialect) -> bytes:
    """Return the item that says how pixels were derived, of the standard's context group 7203."""
    content = (
        build_element(0x00080100, "SH", b"113042", dialect=dialect)
        + build_element(0x00080102, "SH", b"DCM", dialect=dialect)
        + build_element(0x00080104, "LO", b"Pixel by pixel addition", dialect=dialect)
    )
    return build_item(content, dialect=dialect)
