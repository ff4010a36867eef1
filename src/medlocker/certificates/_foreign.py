"""The one place where errors of the cryptographic libraries become medlocker's own."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pyrage
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm

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
        if _NO_MATCH in str(error):
            raise NoMatchingKeyError(f"{what}: none of the given identities opens it") from None
        raise MalformedError(f"{what}: expected a whole and unchanged age file") from None
    except pyrage.IdentityError as error:
        locked = "must be decrypted first" in str(error)
        wanted = "a private key without passphrase" if locked else "an age or OpenSSH private key"
        raise InputError(
            f"{what}: expected {wanted}",
            hint="copy it and remove the passphrase with: ssh-keygen -p -f COPY" if locked else "",
        ) from None
    except pyrage.RecipientError:
        raise InputError(f"{what}: expected an age or ssh-ed25519 public key") from None
    except pyrage.EncryptError:
        raise InputError(f"{what}: cannot be sealed to these recipients") from None
    except BaseException as error:
        # a panic of the Rust library is no Exception; it means damaged input, not a reason to die
        if type(error).__name__ == "PanicException":
            raise MalformedError(f"{what}: expected a whole and unchanged age file") from None
        raise


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
            hint="either the file was changed, or the owner has another key: ask the owner for NAME.sign.pub",
        ) from None
