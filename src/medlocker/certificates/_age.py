"""Sealing with age (https://age-encryption.org/v1): recipients, identities, and the two verbs."""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import bech32
import pyrage

from medlocker.certificates._foreign import age_errors, refuse_passphrase
from medlocker.errors import InputError, MalformedError, NoMatchingKeyError

AGE_MAGIC = b"age-encryption.org/v1\n"
_PUBLIC_PREFIX = "age"
_SECRET_PREFIX = "age-secret-key-"
_SSH_HEAD = b"\x00\x00\x00\x0bssh-ed25519\x00\x00\x00\x20"


@dataclass(frozen=True)
class Recipient:
    """A public key that things are sealed to.

    Args:
        text: ``age1...`` or ``ssh-ed25519 AAAA...``, without comment.
        raw: The 32 bytes of the public key.
    """

    text: str
    raw: bytes

    @property
    def key_id(self) -> str:
        """SHA-256 of the 32 raw bytes, 64 hex digits."""
        return hashlib.sha256(self.raw).hexdigest()

    @classmethod
    def from_text(cls, text: str, *, what: str) -> Recipient:
        """Read one recipient in the form the age tool takes.

        Raises:
            InputError: If it is neither an age X25519 nor an ssh-ed25519 public key.
        """
        words = text.split()
        if len(words) >= 2 and words[0] == "ssh-ed25519":
            return cls(f"{words[0]} {words[1]}", _ssh_raw(words[1], what))
        if len(words) == 1 and words[0].startswith("age1"):
            return cls(words[0], _bech32_raw(words[0], _PUBLIC_PREFIX, what))
        raise InputError(f"{what}: expected an age or ssh-ed25519 public key", subject=what)

    def to_pyrage(self) -> Any:
        """Return the library's object."""
        kind = pyrage.ssh if self.text.startswith("ssh-") else pyrage.x25519
        with age_errors("recipient"):
            return kind.Recipient.from_str(self.text)


def _ssh_raw(text: str, what: str) -> bytes:
    try:
        blob = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        blob = b""
    if len(blob) != len(_SSH_HEAD) + 32 or not blob.startswith(_SSH_HEAD):
        raise InputError(f"{what}: expected an age or ssh-ed25519 public key", subject=what)
    return blob[len(_SSH_HEAD) :]


def _bech32_raw(text: str, prefix: str, what: str) -> bytes:
    found, data = bech32.bech32_decode(text)
    raw = bech32.convertbits(data, 5, 8, False) if data is not None else None
    if found != prefix or raw is None or len(raw) != 32:
        raise InputError(f"{what}: expected an age key whose checksum is right", subject=what)
    return bytes(raw)


@dataclass(frozen=True, eq=False)
class Identity:
    """One or several private keys that open what was sealed to them; never shown by ``repr``.

    Args:
        notes: Warnings for the user, for instance about the file's permissions.
    """

    opaque: tuple[Any, ...] = field(repr=False)
    notes: tuple[str, ...] = ()

    @classmethod
    def from_secrets(cls, secrets: Sequence[str], *, what: str, notes: tuple[str, ...] = ()) -> Identity:
        """Read ``AGE-SECRET-KEY-1...`` lines.

        Raises:
            InputError: If one is no age X25519 private key.
        """
        with age_errors(what):
            return cls(tuple(pyrage.x25519.Identity.from_str(secret) for secret in secrets), notes)

    @classmethod
    def from_openssh(cls, data: bytes, *, what: str, notes: tuple[str, ...] = ()) -> Identity:
        """Read an unencrypted OpenSSH private key file.

        Raises:
            InputError: If it is no such file or has a passphrase.
        """
        refuse_passphrase(data, what=what)
        with age_errors(what):
            return cls((pyrage.ssh.Identity.from_buffer(data),), notes)


def secret_text(scalar: bytes) -> str:
    """Write 32 bytes as the age tool writes a private key: ``AGE-SECRET-KEY-1...``."""
    words = bech32.convertbits(scalar, 8, 5)
    if words is None or len(scalar) != 32:
        raise ValueError("expected 32 bytes")
    return str(bech32.bech32_encode(_SECRET_PREFIX, words)).upper()


def public_text(secret: str) -> str:
    """Return the ``age1...`` recipient of an ``AGE-SECRET-KEY-1...`` line."""
    with age_errors("identity"):
        return str(pyrage.x25519.Identity.from_str(secret).to_public())


def new_secret() -> str:
    """Make a new ``AGE-SECRET-KEY-1...`` from the system's randomness."""
    return str(pyrage.x25519.Identity.generate())


def seal(data: bytes, recipients: Sequence[Recipient], *, what: str) -> bytes:
    """Encrypt bytes to recipients as one binary age file.

    Args:
        recipients: At least one; each of them can open it alone.

    Raises:
        InputError: If there is no recipient, or one cannot be used.
    """
    if not recipients:
        raise InputError(f"{what}: expected at least one recipient", subject=what)
    with age_errors(what):
        return bytes(pyrage.encrypt(data, [recipient.to_pyrage() for recipient in recipients]))


def unseal(blob: bytes, identities: Sequence[Identity], *, what: str) -> bytes:
    """Decrypt one binary age file.

    Raises:
        NoMatchingKeyError: If none of the identities opens it.
        MalformedError: If it is damaged.
    """
    if not blob.startswith(AGE_MAGIC):
        raise MalformedError(f"{what}: expected an age file", subject=what)
    keys = [key for identity in identities for key in identity.opaque]
    if not keys:
        raise NoMatchingKeyError(f"{what}: none of the given identities opens it", subject=what)
    with age_errors(what):
        return bytes(pyrage.decrypt(blob, keys))
