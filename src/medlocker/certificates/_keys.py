"""Key files of an owner: made once, private ones readable by the owner alone, never overwritten.

``NAME.sign.key`` and ``NAME.sign.pub`` are Ed25519 in PEM (PKCS8, SubjectPublicKeyInfo) and sign.
``NAME.age.key`` and ``NAME.age.pub`` are age X25519 in the text form of age-keygen and open.
A key id is the SHA-256 of the 32 raw bytes of a public key, in hex.
"""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from medlocker._files import make_folder, read_limited, write_atomic
from medlocker.certificates._age import Identity, Recipient, new_secret, public_text
from medlocker.certificates._signing import SigningKey, VerifyKey
from medlocker.errors import InputError, OutputExistsError

SIGN_KEY, SIGN_PUB, AGE_KEY, AGE_PUB = ".sign.key", ".sign.pub", ".age.key", ".age.pub"
_MAX_KEY_BYTES = 64 * 1024
_PRIVATE_MODE = 0o600


@dataclass(frozen=True)
class OwnerPaths:
    """The four files of one owner.

    Args:
        prefix: ``keys/hospital`` for ``keys/hospital.sign.key`` and its fellows.
    """

    prefix: Path

    def path(self, ending: str) -> Path:
        """Return one of the four paths.

        Raises:
            InputError: If the prefix has no name.
        """
        if not self.prefix.name:
            raise InputError("expected a name for the owner's keys, got an empty one")
        return self.prefix.with_name(self.prefix.name + ending)

    @property
    def all(self) -> tuple[Path, ...]:
        """All four, private ones first."""
        return tuple(self.path(ending) for ending in (SIGN_KEY, AGE_KEY, SIGN_PUB, AGE_PUB))


def new_owner(prefix: Path) -> OwnerPaths:
    """Make and write the four key files.

    Args:
        prefix: Path without endings; its folder is made if missing.

    Raises:
        OutputExistsError: If any of the four exists; none is written then.
        WriteError: If the system refuses.
    """
    paths = OwnerPaths(prefix)
    for path in paths.all:
        if os.path.lexists(path):
            raise OutputExistsError(
                f"{path.name} exists already", hint="keys are never overwritten: choose another name"
            )
    make_folder(prefix.parent)
    signing = SigningKey.new()
    secret = new_secret()
    recipient = public_text(secret)
    created = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    age_file = f"# created: {created}\n# public key: {recipient}\n{secret}\n"
    write_atomic(paths.path(SIGN_KEY), signing.to_pem(), mode=_PRIVATE_MODE)
    write_atomic(paths.path(AGE_KEY), age_file.encode("ascii"), mode=_PRIVATE_MODE)
    write_atomic(paths.path(SIGN_PUB), signing.public.to_pem())
    write_atomic(paths.path(AGE_PUB), f"{recipient}\n".encode("ascii"))
    return paths


def load_signing_key(path: Path) -> SigningKey:
    """Read ``NAME.sign.key``; its ``notes`` warn if others can read the file.

    Raises:
        InputError: If it is missing or no unencrypted Ed25519 private key in PEM.
    """
    data = read_limited(path, max_bytes=_MAX_KEY_BYTES, what="signing key")
    return SigningKey.from_pem(data, what=f"signing key {path.name}", notes=_permission_notes(path))


def load_verify_key(path: Path) -> VerifyKey:
    """Read ``NAME.sign.pub``.

    Raises:
        InputError: If it is missing or no Ed25519 public key in PEM.
    """
    data = read_limited(path, max_bytes=_MAX_KEY_BYTES, what="owner's key")
    return VerifyKey.from_pem(data, what=f"owner's key {path.name}")


def load_recipient(path: Path) -> Recipient:
    """Read a public key file: one ``age1...`` or ``ssh-ed25519 AAAA...`` line, comments allowed.

    Raises:
        InputError: If it is missing or holds not exactly one such key.
    """
    what = f"recipient {path.name}"
    lines = _key_lines(read_limited(path, max_bytes=_MAX_KEY_BYTES, what="recipient"), what)
    if len(lines) != 1:
        raise InputError(f"{what}: expected one public key, got {len(lines)}")
    if lines[0].upper().startswith("AGE-SECRET-KEY-"):
        raise InputError(f"{what}: expected a public key, got a private one", hint="give the .pub file")
    return Recipient.from_text(lines[0], what=what)


def load_identity(path: Path) -> Identity:
    """Read a private key file of age-keygen, or an OpenSSH ed25519 one; ``notes`` warn if others can read it.

    Raises:
        InputError: If it is missing, encrypted, or no such key.
    """
    what = f"identity {path.name}"
    data = read_limited(path, max_bytes=_MAX_KEY_BYTES, what="identity")
    notes = _permission_notes(path)
    if b"-----BEGIN OPENSSH PRIVATE KEY-----" in data:
        return Identity.from_openssh(data, what=what, notes=notes)
    if data.startswith((b"age-encryption.org/", b"-----BEGIN AGE ENCRYPTED FILE-----")):
        raise InputError(
            f"{what}: expected a private key without passphrase",
            hint="decrypt it first with: age -d -o KEY FILE",
        )
    if data.startswith(b"-----BEGIN "):
        raise InputError(
            f"{what}: expected an age or OpenSSH private key, got a PEM file",
            hint="opening needs NAME.age.key, signing NAME.sign.key",
        )
    lines = _key_lines(data, what)
    if not lines or any(not line.startswith("AGE-SECRET-KEY-1") for line in lines):
        hint = "give the private key NAME.age.key" if any(line.startswith("age1") for line in lines) else ""
        raise InputError(f"{what}: expected an age or OpenSSH private key", hint=hint)
    return Identity.from_secrets(lines, what=what, notes=notes)


@dataclass(frozen=True, eq=False)
class Owner:
    """An owner's keys as needed to make a release; the private age key stays on disk until asked for.

    Args:
        paths: Where the files are.
        signing: The private signing key.
        recipient: The public age key.
    """

    paths: OwnerPaths
    signing: SigningKey
    recipient: Recipient

    def identity(self) -> Identity:
        """Read the private age key.

        Raises:
            InputError: If it is missing or unreadable.
        """
        return load_identity(self.paths.path(AGE_KEY))


def load_owner(prefix: Path) -> Owner:
    """Read ``NAME.sign.key`` and ``NAME.age.pub``.

    Args:
        prefix: ``--owner NAME``: the path without endings.

    Raises:
        InputError: If a file is missing or unusable.
    """
    paths = OwnerPaths(prefix)
    if not os.path.lexists(paths.path(SIGN_KEY)):
        raise InputError(
            f"owner {prefix.name}: expected the file {paths.path(SIGN_KEY).name}",
            hint=f"make keys with: medlocker key new --out {prefix}",
        )
    return Owner(paths, load_signing_key(paths.path(SIGN_KEY)), load_recipient(paths.path(AGE_PUB)))


def _key_lines(data: bytes, what: str) -> list[str]:
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise InputError(f"{what}: expected a text file with a key") from None
    lines = (line.strip() for line in text.splitlines())
    return [line for line in lines if line and not line.startswith("#")]


def _permission_notes(path: Path) -> tuple[str, ...]:
    mode = stat.S_IMODE(os.stat(path).st_mode)
    if os.name == "posix" and mode & 0o077:
        return (f"{path.name} can be read by other users of this machine: chmod 600 {path.name}",)
    return ()
