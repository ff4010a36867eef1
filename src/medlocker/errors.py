"""Every error medlocker raises on purpose, as one tree.

An error is data: its ``code`` says what happened in one stable word, its ``subject`` which file it is about.
Two texts are for people: the short fact (its message), and what to do next (its ``hint``).
**Decide by class and code, never by the message**: messages change with any release. The command line catches
:class:`MedlockerError` in one place and exits with the error's ``exit_code``: 1 some image failed, 2 wrong
usage, 3 trust or integrity failed.

Messages are lower case, without a full stop, and name the file: ``expected <rule>, got <value>``.
They never contain patient data: no DICOM values, no EXIF.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import ClassVar


class Code(StrEnum):
    """What happened, in one word that stays the same whatever the message says.

    ``docs/reference/errors.md`` lists them all.
    """

    INPUT = "input"
    UNSUPPORTED_IMAGE = "unsupported-image"
    NO_ROOM = "no-room"
    NO_PIXELS = "no-pixels"
    ALREADY_MARKED = "already-marked"
    ALREADY_MARKED_UNFINISHED = "already-marked-unfinished"
    ALREADY_MARKED_HERE = "already-marked-here"
    NOT_APPROVED = "not-approved"
    OUTPUT_EXISTS = "output-exists"
    WRITE = "write"
    TRANSFER = "transfer"
    MODEL = "model"
    MISSING_EXTRA = "missing-extra"
    CERTIFICATE = "certificate"
    MALFORMED = "malformed"
    SIGNATURE = "signature"
    NO_MATCHING_KEY = "no-matching-key"
    WRONG_IMAGE = "wrong-image"
    RESTORE = "restore"
    # no error is raised for these: only lists of skipped and failed images have them
    MEMORY = "memory"
    WORKER_LOST = "worker-lost"
    SAME_INSTANCE = "same-instance"
    REFERENCE_LOST = "reference-lost"
    UNMARKED_ORIGINAL = "unmarked-original"
    NO_LABEL = "no-label"
    NO_MARKED_VERSION = "no-marked-version"
    NO_ORIGINAL = "no-original"
    REMOVAL = "removal"
    INTERRUPTED = "interrupted"
    USAGE = "usage"
    SYSTEM = "system"


class MedlockerError(Exception):
    """Base of all errors raised by medlocker.

    Args:
        message: The fact, lower case, no full stop.
        hint: What the user can do next, or empty.
        code: What happened, where it is more than the class says.
        subject: Name of the file, model or key that the message is about and names, or empty.
    """

    exit_code: ClassVar[int] = 2
    code: Code = Code.INPUT

    def __init__(self, message: str, *, hint: str = "", code: Code | None = None, subject: str = "") -> None:
        super().__init__(message)
        self.hint = hint
        self.subject = subject
        if code is not None:
            self.code = code


@dataclass(frozen=True, order=True)
class Failure:
    """Why one image, model or file was left out, as messages and JSON outputs say it.

    Args:
        name: Of the image, model or file.
        reason: One sentence for people.
        subject: The name that the reason itself begins with, or empty.
    """

    name: str
    reason: str
    code: str
    subject: str = field(default="", compare=False)

    @classmethod
    def of(cls, error: MedlockerError | MemoryError, name: str) -> Failure:
        """Keep of an error what is told later."""
        if isinstance(error, MemoryError):
            return cls(name, "not enough memory", Code.MEMORY)
        return cls(name, str(error), error.code, error.subject)

    def __str__(self) -> str:
        """Return the reason, with the name in front unless it names it itself."""
        return self.reason if self.subject == self.name else f"{self.name}: {self.reason}"

    def to_json(self, kind: str = "image") -> dict[str, str]:
        """Return an entry of a list of failures; ``kind`` is the key of the name."""
        return {kind: self.name, "reason": self.reason, "code": self.code}


class InputError(MedlockerError):
    """An input (image, label file, regions, logo, option) cannot be used."""


class UnsupportedImageError(InputError):
    """The image is damaged, of an unknown kind, or beyond the limits."""

    code = Code.UNSUPPORTED_IMAGE


class NoRoomError(InputError):
    """No placement of the logo stays clear of all keep-out boxes."""

    code = Code.NO_ROOM


class NoPixelsError(UnsupportedImageError):
    """The file is sound, but it holds no picture: a report, a document, a directory."""

    code = Code.NO_PIXELS


class AlreadyMarkedError(InputError):
    """The owner has marked these pixels before, in another way.

    The subject is the id of the release that did, the code tells whether its run has finished.
    """

    code = Code.ALREADY_MARKED


class NotApprovedError(InputError):
    """Images may not be given away before the owner's review has approved them."""

    code = Code.NOT_APPROVED


class OutputExistsError(MedlockerError):
    """The output exists already, or would fall onto an input."""

    code = Code.OUTPUT_EXISTS


class WriteError(MedlockerError):
    """An output could not be written (full disk, read-only target)."""

    code = Code.WRITE
    exit_code = 1


class TransferError(MedlockerError):
    """A server could not be reached, refused, or did not keep to the protocol; trying again may help."""

    code = Code.TRANSFER
    exit_code = 1


class ModelError(MedlockerError):
    """A model or its card cannot be used."""

    code = Code.MODEL


def install_hint(extra: str) -> str:
    """Return how an extra is installed: from a copy of the source, for no index has this program yet."""
    return f"in the folder of medlocker's source: pip install '.[{extra}]'"


class MissingExtraError(ModelError):
    """An optional library is needed that is not installed.

    Args:
        library: The import name that is missing.
        extra: The extra of medlocker that brings it.
    """

    code = Code.MISSING_EXTRA

    def __init__(self, library: str, extra: str) -> None:
        super().__init__(
            f"this needs the library {library}, which is not installed",
            hint=install_hint(extra),
        )


class CertificateError(MedlockerError):
    """Trust in a release, key, grant or record failed."""

    code = Code.CERTIFICATE
    exit_code = 3


class MalformedError(CertificateError):
    """A certificate file does not follow the format."""

    code = Code.MALFORMED


class SignatureError(CertificateError):
    """A signature is missing, wrong, or of another key than the pinned one."""

    code = Code.SIGNATURE


class NoMatchingKeyError(CertificateError):
    """None of the given identities opens the record."""

    code = Code.NO_MATCHING_KEY


class WrongImageError(CertificateError):
    """A record or digest belongs to another image."""

    code = Code.WRONG_IMAGE


class RestoreError(MedlockerError):
    """The restored pixels are not the original; nothing was written."""

    code = Code.RESTORE
    exit_code = 3
