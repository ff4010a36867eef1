"""Addresses of DICOM servers: ``dicomweb:https://host/dicom-web/studies/1.2.3/series/1.2.3.4``."""

from __future__ import annotations

import re
from dataclasses import dataclass
from ipaddress import ip_address
from urllib.parse import SplitResult, urlsplit

from medlocker.errors import InputError

PREFIX = "dicomweb:"
_EXAMPLE = "for instance dicomweb:https://host/dicom-web/studies/UID, or .../studies/UID/series/UID"
_UID = re.compile(r"[0-9]+(\.[0-9]+)*")
_MAX_UID = 64
_PLAIN = re.compile(r"[!-~]+")
_PART = re.compile(r"[A-Za-z0-9._~%@:+,=-]+")


@dataclass(frozen=True)
class Address:
    """Where a DICOMweb server answers, and what on it is meant.

    Args:
        base: URL that ``/studies`` is appended to; without credentials, query and trailing slash.
        study: Study Instance UID, or empty for the whole store.
        series: Series Instance UID, or empty for the whole study.
    """

    base: str
    study: str = ""
    series: str = ""

    @property
    def text(self) -> str:
        """The address as the user would write it."""
        study = f"/studies/{self.study}" if self.study else ""
        return PREFIX + self.base + study + (f"/series/{self.series}" if self.series else "")

    @property
    def host(self) -> str:
        """Name or number of the server, without brackets."""
        return urlsplit(self.base).hostname or ""

    @property
    def is_local(self) -> bool:
        """Whether the server is this machine."""
        try:
            return ip_address(self.host).is_loopback
        except ValueError:
            return self.host == "localhost"

    @property
    def is_encrypted(self) -> bool:
        """Whether what is sent is encrypted on its way."""
        return self.base.startswith("https:")


def is_address(text: str) -> bool:
    """Tell whether an input names a DICOM server, not a file."""
    return text.lower().startswith(PREFIX)


def is_uid(text: object) -> bool:
    """Tell whether a value, perhaps from a server, is a UID that may stand in a URL."""
    return isinstance(text, str) and len(text) <= _MAX_UID and _UID.fullmatch(text) is not None


def parse_source(text: str) -> Address:
    """Return the study or series that an address names.

    Raises:
        InputError: If it is no such address; the message repeats nothing of it.
    """
    address = _parse(text)
    if not address.study:
        raise InputError(
            "expected the address of one study or series, got that of a whole server", hint=_EXAMPLE
        )
    return address


def parse_store(text: str) -> Address:
    """Return the server that an address names, to send instances to.

    Raises:
        InputError: If it is no such address, or names a study; the message repeats nothing of it.
    """
    address = _parse(text)
    if address.study:
        raise InputError(
            "expected the address of a server to push to, got that of a study",
            hint="the instances say themselves which study they belong to: leave out /studies/...",
        )
    return address


def _parse(text: str) -> Address:
    if not is_address(text):
        raise InputError("expected the address of a DICOM server", hint=_EXAMPLE)
    url = _split(text[len(PREFIX) :])
    parts = [part for part in url.path.split("/") if part]
    if any(_PART.fullmatch(part) is None or part in (".", "..") for part in parts):
        raise InputError("expected an address with a plain path")
    before, names = parts, []
    if "studies" in parts:
        # the last one: the path before may have a folder of this name
        at = len(parts) - 1 - parts[::-1].index("studies")
        before, names = parts[:at], parts[at + 1 :]
        _check_names(names)
    base = f"{url.scheme}://{url.netloc.lower()}" + "".join(f"/{part}" for part in before)
    study, _, series = (*names, "", "", "")[:3]
    return Address(base, study, series)


def _split(text: str) -> SplitResult:
    """Take a URL apart and refuse what has no place in one."""
    try:
        url = urlsplit(text) if _PLAIN.fullmatch(text) else None
        port = url.port if url is not None else None  # reading it checks it
    except ValueError:
        url, port = None, None
    if url is None or url.scheme not in ("http", "https") or not url.hostname or port == 0:
        raise InputError("expected http:// or https://, a host and a path after dicomweb:", hint=_EXAMPLE)
    if "@" in url.netloc:
        raise InputError(
            "expected an address without user and password",
            hint="addresses are seen by everyone on this machine: put credentials into a file, see --auth",
        )
    if "?" in text or "#" in text:
        raise InputError("expected an address without ? and #")
    return url


def _check_names(names: list[str]) -> None:
    """Refuse anything behind ``/studies/`` but a study or a series."""
    if len(names) not in (1, 3) or (len(names) == 3 and names[1] != "series"):
        raise InputError("expected the address of one study or series", hint=_EXAMPLE)
    if not all(is_uid(name) for name in names[::2]):
        raise InputError(
            "expected a UID after studies/ and series/: digits and dots, at most 64 characters", hint=_EXAMPLE
        )
