"""What a marked DICOM file says of where it comes from: by which program, and of which image.

Contributing Equipment Sequence (PS3.3, C.12.1) and Source Image Sequence (PS3.3, C.12.4), each one item more
than the original has.
"""

from __future__ import annotations

import hashlib
import json
import re
import struct
import uuid
from collections.abc import Sequence

from medlocker.formats.dicom._file import dicom_of
from medlocker.formats.dicom._walk import Buffer, Dialect, build_element, build_item, items, walk
from medlocker.images import Image
from medlocker.logo import Logo
from medlocker.provenance import PROGRAM, Provenance
from medlocker.veil import AnyMark

EQUIPMENT, SOURCES = 0x0018A001, 0x00082112
_CODE, _SCHEME, _MEANING, _PURPOSE = 0x00080100, 0x00080102, 0x00080104, 0x0040A170
_MAKER, _MODEL, _VERSIONS, _CONTRIBUTION = 0x00080070, 0x00081090, 0x00181020, 0x0018A003
_SOURCE_CLASS, _SOURCE_INSTANCE, _SAME_PLACES = 0x00081150, 0x00081155, 0x0028135A
_RELEASE = re.compile(rb"; release ([0-9a-f]{32}) ?")
_VERSION = re.compile(rb"[0-9A-Za-z.+!-]{1,64}")
_MOST_ITEMS = 1000


def derived_uid(
    purpose: str, image: Image, marks: Sequence[AnyMark], *, logo: Logo, release: str = ""
) -> str:
    """Return a UID, the same whenever it is made.

    It is the UUID form ``2.25.`` of 128 bits of SHA-256 over the whole original file, the marks, the logo
    and the release, if the file tells it: files of one UID have the same bytes. Whoever has not that very
    file and the marks' key cannot tell by the UID which original it belongs to, even with a list of all
    originals' UIDs.

    Args:
        purpose: ``instance`` or ``source``.
        image: The original.
        marks: What is put on.
        logo: Likewise.
        release: Id of the release, if the file tells it.
    """
    digest = hashlib.sha256(f"medlocker-dicom-{purpose}-v1\n".encode("ascii"))
    digest.update(hashlib.sha256(image.source).digest())
    digest.update(json.dumps([mark.to_json() for mark in marks], sort_keys=True).encode())
    digest.update(logo.digest.encode())
    digest.update(release.encode("ascii"))
    return f"2.25.{uuid.UUID(bytes=digest.digest()[:16], version=4).int}"


def coded_item(value: str, meaning: str, *, dialect: Dialect) -> bytes:
    """Return an item that names a concept of the standard's own code scheme."""
    content = (
        build_element(_CODE, "SH", value.encode("ascii"), dialect=dialect)
        + build_element(_SCHEME, "SH", b"DCM", dialect=dialect)
        + build_element(_MEANING, "LO", meaning.encode("ascii"), dialect=dialect)
    )
    return build_item(content, dialect=dialect)


def _with_purpose(elements: bytes, value: str, meaning: str, *, dialect: Dialect) -> bytes:
    code = coded_item(value, meaning, dialect=dialect)
    return build_item(elements + build_element(_PURPOSE, "SQ", code, dialect=dialect), dialect=dialect)


def equipment_item(provenance: Provenance, *, dialect: Dialect) -> bytes:
    """Return the item that names this program as equipment that modified the image."""
    texts = (
        (_MAKER, "LO", PROGRAM),
        (_MODEL, "LO", PROGRAM),
        (_VERSIONS, "LO", provenance.version),
        (_CONTRIBUTION, "ST", provenance.description),
    )
    elements = b"".join(build_element(t, vr, text.encode("ascii"), dialect=dialect) for t, vr, text in texts)
    return _with_purpose(elements, "109103", "Modifying Equipment", dialect=dialect)


def source_item(sop_class: bytes, pseudonym: str, *, dialect: Dialect) -> bytes:
    """Return the item that refers to the original, under a name that only its owner can follow."""
    elements = (
        build_element(_SOURCE_CLASS, "UI", sop_class, dialect=dialect)
        + build_element(_SOURCE_INSTANCE, "UI", pseudonym.encode("ascii"), dialect=dialect)
        + build_element(_SAME_PLACES, "CS", b"YES", dialect=dialect)
    )
    return _with_purpose(elements, "121322", "Source image for image processing operation", dialect=dialect)


def told_dicom(image: Image) -> Provenance | None:
    """Return what the last equipment item of this program says, None if there is none."""
    found: Provenance | None = None
    parts = dicom_of(image).dicom.parts
    value = parts.value(EQUIPMENT)
    try:
        for number, (start, end, inside) in enumerate(items(value, dialect=parts.dialect)):
            if number == _MOST_ITEMS:
                break
            found = _told(value[start:end], inside) or found
    except (ValueError, struct.error):
        return None
    return found


def _told(content: Buffer, dialect: Dialect) -> Provenance | None:
    values = {
        element.tag: bytes(content[element.value_at : element.value_end])
        for element in walk(content, 0, end=len(content), dialect=dialect)
    }
    version = _VERSION.fullmatch(values.get(_VERSIONS, b"").strip(b" \0"))
    release = _RELEASE.search(values.get(_CONTRIBUTION, b""))
    if values.get(_MAKER, b"").strip(b" \0") != PROGRAM.encode("ascii") or not version or not release:
        return None
    return Provenance(release[1].decode("ascii"), version[0].decode("ascii"))
