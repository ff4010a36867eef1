"""What a client takes: the header ``Accept`` of DICOMweb, PS3.18 section 8.7."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

DICOM, JSON, OCTETS, MULTIPART = (
    "application/dicom",
    "application/dicom+json",
    "application/octet-stream",
    "multipart/related",
)
ANY = "*"
_MOST = 64
_PART = re.compile(r'((?:[^,"]|"[^"]*")+)')
_PARAMETER = re.compile(r';\s*([A-Za-z-]+)\s*=\s*("[^"]*"|[^;]*)')


@dataclass(frozen=True)
class Wanted:
    """One kind of answer that a client takes.

    Args:
        media: Type of one part, ``*/*`` for any.
        is_multipart: Whether parts are wrapped, None if that is left to us.
        syntax: UID of a transfer syntax, ``*`` for any, empty if it is not told.
    """

    media: str
    is_multipart: bool | None
    syntax: str


def read_accept(texts: Iterable[str]) -> list[Wanted]:
    """Return what a client takes, the best first; nothing told means anything.

    Args:
        texts: Values of the header ``Accept``.
    """
    found: list[tuple[float, Wanted]] = []
    for part in _PART.findall(",".join(texts))[:_MOST]:
        media = part.partition(";")[0].strip().lower()
        told = {name.lower(): value.strip().strip('"') for name, value in _PARAMETER.findall(part)}
        quality = _quality(told.get("q", "1"))
        if not media or not quality:
            continue
        syntax = told.get("transfer-syntax", "")
        if media in (MULTIPART, "multipart/*"):
            wanted = Wanted(told.get("type", "*/*").lower(), True, syntax)
        else:
            wanted = Wanted(media, None if media == "*/*" else False, syntax)
        found.append((quality, wanted))
    found.sort(key=lambda one: -one[0])
    return [wanted for _, wanted in found] or [Wanted("*/*", None, "")]


def takes(wanted: Wanted, media: str) -> bool:
    """Tell whether a kind of answer may be of a media type."""
    return wanted.media in (media, "*/*", media.partition("/")[0] + "/*")


def _quality(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        return 0.0
    return value if 0 <= value <= 1 else 0.0
