"""The owner's own grant: the release's secret, signed by the owner and sealed to the owner.

Sealing says nothing about who sealed: anybody can, with the owner's public key. Without the signature inside,
somebody could put a secret of his own into an unfinished release, and the run that goes on with it would seal
every record so that he can open it.
"""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

from medlocker.certificates._age import Identity, Recipient, seal, unseal
from medlocker.certificates._secret import ReleaseSecret
from medlocker.certificates._signing import SigningKey, VerifyKey
from medlocker.errors import MalformedError
from medlocker.files import make_folder, read_limited, write_atomic

OWNER_GRANT = "certificate/grants/owner.age"
MAX_OWNER_GRANT_BYTES = 64 * 1024
_WHAT = "owner's grant"
_FORM = re.compile(
    rb"# medlocker release secret, version 1\n"
    rb"# release: ([0-9a-f]{32})\n"
    rb"# secret: ([0-9a-f]{64})\n"
    rb"# signature: ([0-9a-f]{128})\n"
    rb"(AGE-SECRET-KEY-1[0-9A-Z]+)\n"
)


def write_owner_grant(
    release: Path,
    secret: ReleaseSecret,
    *,
    recipient: Recipient,
    signing: SigningKey,
    overwrite: bool = False,
) -> str:
    """Write ``certificate/grants/owner.age``.

    The content is an identity file too: who opens it with the age tool can open every record with it.

    Args:
        recipient: The owner's public age key.
        signing: The owner's signing key.
        overwrite: Only for the same secret again: a release has one for ever.

    Returns:
        SHA-256 of the file.

    Raises:
        OutputExistsError: If it exists already and ``overwrite`` is false.
        WriteError: If the system refuses.
    """
    path = release / OWNER_GRANT
    make_folder(path.parent)
    data = seal(owner_grant_text(secret, signing), [recipient], what=_WHAT)
    write_atomic(path, data, overwrite=overwrite)
    return hashlib.sha256(data).hexdigest()


def owner_grant_text(secret: ReleaseSecret, signing: SigningKey) -> bytes:
    """Return the content of ``owner.age`` before sealing."""
    lines = (
        "# medlocker release secret, version 1",
        f"# release: {secret.release}",
        f"# secret: {secret.value.hex()}",
        f"# signature: {signing.sign(_signed(secret)).hex()}",
        secret.whole_identity,
    )
    return "".join(f"{line}\n" for line in lines).encode("ascii")


def open_owner_grant(release: Path, identity: Identity, *, owner: VerifyKey) -> ReleaseSecret:
    """Read the secret of an unfinished release back, to go on with it.

    Of a finished release the file's digest is signed too: there use :func:`open_secret`, which checks it.

    Raises:
        InputError: If the file is missing.
        NoMatchingKeyError: If the identity is not the owner's.
        SignatureError: If somebody else made it.
        MalformedError: If the content is damaged.
    """
    blob = read_limited(release / OWNER_GRANT, max_bytes=MAX_OWNER_GRANT_BYTES, what=_WHAT)
    return parse_owner_grant(unseal(blob, [identity], what=_WHAT), owner=owner)


def parse_owner_grant(text: bytes, *, owner: VerifyKey) -> ReleaseSecret:
    """Read the opened content of ``owner.age``.

    Raises:
        SignatureError: If the owner did not sign it.
        MalformedError: If it does not follow the form.
    """
    found = _FORM.fullmatch(text)
    if not found:
        raise MalformedError(f"{_WHAT}: expected a release secret, version 1", subject=_WHAT)
    release, value, signature, identity = (part.decode("ascii") for part in found.groups())
    secret = ReleaseSecret(release, bytes.fromhex(value))
    owner.check(bytes.fromhex(signature), _signed(secret), what=_WHAT)
    if secret.whole_identity != identity:
        raise MalformedError(f"{_WHAT}: the identity is not the one of this secret", subject=_WHAT)
    return secret


def _signed(secret: ReleaseSecret) -> bytes:
    return f"medlocker/v1/owner-grant {secret.release} {secret.value.hex()}".encode("ascii")
