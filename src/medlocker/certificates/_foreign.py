"""The one place where errors of the cryptographic libraries become medlocker's own."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pyrage
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import load_ssh_private_key

from medlocker.errors import InputError, MalformedError, NoMatchingKeyError, SignatureError

_NO_MATCH = "No matching keys"


def os_reason(error: OSError) -> str:
    """Return why the system refused, in its own words, without any path."""
    return (error.strerror or type(error).__name__).lower()


@contextmanager
def age_errors(what: str) -> Iterator[None]:
    """Map everything pyrage raises.

    Args:
        what: What is being read, for messages: ``"sealed record 17"``.

    Raises:
        NoMatchingKeyError: If none of the identities opens an age file.
        MalformedError: If an age file is damaged.
        InputError: If a key is not one.
    """
    try:
        yield
    except pyrage.DecryptError as error:
        if _NO_MATCH in str(error):  # pyrage says it in no other way
            raise NoMatchingKeyError(f"{what}: none of the given identities opens it", subject=what) from None
        raise MalformedError(f"{what}: expected a whole and unchanged age file", subject=what) from None
    except pyrage.IdentityError:
        raise InputError(f"{what}: expected an age or OpenSSH private key", subject=what) from None
    except pyrage.RecipientError:
        raise InputError(f"{what}: expected an age or ssh-ed25519 public key", subject=what) from None
    except pyrage.EncryptError:
        raise InputError(f"{what}: cannot be sealed to these recipients", subject=what) from None
    except BaseException as error:
        # a panic of the Rust library is no Exception; it means damaged input, not a reason to die
        if type(error).__name__ == "PanicException":
            raise MalformedError(f"{what}: expected a whole and unchanged age file", subject=what) from None
        raise


def refuse_passphrase(data: bytes, *, what: str) -> None:
    """Refuse an OpenSSH private key that is encrypted.

    Raises:
        InputError: If it is.
    """
    try:
        load_ssh_private_key(data, password=None)
    except TypeError:  # says: a passphrase is missing
        raise InputError(
            f"{what}: expected a private key without passphrase",
            subject=what,
            hint="copy it and remove the passphrase with: ssh-keygen -p -f COPY",
        ) from None
    except (ValueError, UnsupportedAlgorithm):
        pass  # no key at all: whoever reads it says so


@contextmanager
def key_errors(what: str) -> Iterator[None]:
    """Map what ``cryptography`` raises while a key is loaded.

    Raises:
        InputError: If the bytes are no key of the expected kind.
    """
    try:
        yield
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise InputError(
            f"{what}: expected an unencrypted Ed25519 key in PEM form",
            subject=what,
            hint="make one with: medlocker key new",
        ) from None


@contextmanager
def signature_errors(what: str) -> Iterator[None]:
    """Map what ``cryptography`` raises while a signature is checked.

    Raises:
        SignatureError: If the signature is not of this key over these bytes.
    """
    try:
        yield
    except (InvalidSignature, ValueError):
        raise SignatureError(
            f"{what}: the signature is not of the expected owner's key",
            subject=what,
            hint="either the file was changed, or the owner has another key: ask the owner for NAME.sign.pub",
        ) from None
