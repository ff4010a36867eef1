"""Every error medlocker raises on purpose, as one tree.

An error carries two texts: the short fact (its message) and, where there is one, what to do next
(its ``hint``). The command line catches :class:`MedlockerError` in one place and exits with the
error's ``exit_code``: 1 some image failed, 2 wrong usage, 3 trust or integrity failed.

Messages are lower case, without a full stop, and name the file: ``expected <rule>, got <value>``.
They never contain patient data: no DICOM values, no EXIF.
"""

from __future__ import annotations

from typing import ClassVar


class MedlockerError(Exception):
    """Base of all errors raised by medlocker.

    Args:
        message: The fact, lower case, no full stop.
        hint: What the user can do next, or empty.
    """

    exit_code: ClassVar[int] = 2

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


class InputError(MedlockerError):
    """An input (image, label file, regions, logo, option) cannot be used."""


class UnsupportedImageError(InputError):
    """The image is damaged, of an unknown kind, or beyond the limits."""


class NoRoomError(InputError):
    """No placement of the logo stays clear of all keep-out boxes."""


class NoPixelsError(UnsupportedImageError):
    """The file is sound, but it holds no picture: a report, a document, a directory."""


class AlreadyMarkedError(InputError):
    """The owner has marked these pixels before, in another way."""


class OutputExistsError(MedlockerError):
    """The output exists already, or would fall onto an input."""


class WriteError(MedlockerError):
    """An output could not be written (full disk, read-only target)."""

    exit_code = 1


class TransferError(MedlockerError):
    """A server could not be reached, refused, or did not keep to the protocol; trying again may help."""

    exit_code = 1


class ModelError(MedlockerError):
    """A model or its card cannot be used."""


def install_hint(extra: str) -> str:
    """Return how an extra is installed: from a copy of the source, for no index has this program yet."""
    return f"in the folder of medlocker's source: pip install '.[{extra}]'"


class MissingExtraError(ModelError):
    """An optional library is needed that is not installed.

    Args:
        library: The import name that is missing.
        extra: The extra of medlocker that brings it.
    """

    def __init__(self, library: str, extra: str) -> None:
        super().__init__(
            f"this needs the library {library}, which is not installed",
            hint=install_hint(extra),
        )


class CertificateError(MedlockerError):
    """Trust in a release, key, grant or record failed."""

    exit_code = 3


class MalformedError(CertificateError):
    """A certificate file does not follow the format."""


class SignatureError(CertificateError):
    """A signature is missing, wrong, or of another key than the pinned one."""


class NoMatchingKeyError(CertificateError):
    """None of the given identities opens the record."""


class WrongImageError(CertificateError):
    """A record or digest belongs to another image."""


class RestoreError(MedlockerError):
    """The restored pixels are not the original; nothing was written."""

    exit_code = 3
