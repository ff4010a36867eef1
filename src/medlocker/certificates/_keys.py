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

from medlocker.certificates._age import Identity, Recipient, new_secret, public_text, seal, unseal
from medlocker.certificates._signing import SigningKey, VerifyKey
from medlocker.errors import InputError, NoMatchingKeyError, OutputExistsError
from medlocker.files import make_folder, read_limited, write_atomic

SIGN_KEY, SIGN_PUB, AGE_KEY, AGE_PUB = ".sign.key", ".sign.pub", ".age.key", ".age.pub"
_MAX_KEY_BYTES = 64 * 1024
_PRIVATE_MODE = 0o600
_AGE_FILE = (b"age-encryption.org/", b"-----BEGIN AGE ENCRYPTED FILE-----")


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

    Args:
        path: The file, or NAME if there is none of that name.

    Raises:
        InputError: If it is missing or no Ed25519 public key in PEM.
    """
    path = _key_path(path, SIGN_PUB)
    try:
        data = read_limited(path, max_bytes=_MAX_KEY_BYTES, what="owner's key")
        return VerifyKey.from_pem(data, what=f"owner's key {path.name}")
    except InputError as error:
        # no new key: whose signature is checked has one already
        raise InputError(str(error), hint=_other_key(path, SIGN_PUB, "get {} from the owner")) from error


def load_recipient(path: Path) -> Recipient:
    """Read a public key file: one ``age1...`` or ``ssh-ed25519 AAAA...`` line, comments allowed.

    Args:
        path: The file, or NAME of ``NAME.age.pub`` if there is none of that name.

    Raises:
        InputError: If it is missing or holds not exactly one such key.
    """
    path = _key_path(path, AGE_PUB)
    what = f"recipient {path.name}"
    try:
        return _recipient(read_limited(path, max_bytes=_MAX_KEY_BYTES, what="recipient"), what)
    except InputError as error:
        raise InputError(str(error), hint=_other_key(path, AGE_PUB, "get {} from the recipient")) from error


def _recipient(data: bytes, what: str) -> Recipient:
    lines = _key_lines(data, what)
    if data.startswith(b"-----BEGIN "):
        raise InputError(f"{what}: expected an age or ssh-ed25519 public key, got a PEM file", subject=what)
    if len(lines) != 1:
        raise InputError(f"{what}: expected one public key, got {len(lines)}", subject=what)
    if lines[0].upper().startswith("AGE-SECRET-KEY-"):
        raise InputError(f"{what}: expected a public key, got a private one", subject=what)
    return Recipient.from_text(lines[0], what=what)


def load_identity(path: Path) -> Identity:
    """Read a private key file of age-keygen, or an OpenSSH ed25519 one; ``notes`` warn if others can read it.

    Args:
        path: The file, or NAME of ``NAME.age.key`` if there is none of that name.

    Raises:
        InputError: If it is missing, encrypted, or no such key.
    """
    path = _key_path(path, AGE_KEY)
    what = f"identity {path.name}"
    data = read_limited(path, max_bytes=_MAX_KEY_BYTES, what="identity")
    notes = _permission_notes(path)
    if b"-----BEGIN OPENSSH PRIVATE KEY-----" in data:
        return Identity.from_openssh(data, what=what, notes=notes)
    if data.startswith(_AGE_FILE):
        raise InputError(
            f"{what}: expected a private key without passphrase",
            subject=what,
            hint="decrypt it first with: age -d -o KEY FILE",
        )
    if data.startswith(b"-----BEGIN "):
        raise InputError(
            f"{what}: expected an age or OpenSSH private key, got a PEM file",
            subject=what,
            hint="to open, use NAME.age.key; to sign, NAME.sign.key",
        )
    lines = _key_lines(data, what)
    if not lines or any(not line.startswith("AGE-SECRET-KEY-1") for line in lines):
        hint = "give the private key NAME.age.key" if any(line.startswith("age1") for line in lines) else ""
        raise InputError(f"{what}: expected an age or OpenSSH private key", subject=what, hint=hint)
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
    """Read ``NAME.sign.key`` and ``NAME.age.pub``; their other halves, where they lie beside, must fit.

    Args:
        prefix: ``--owner NAME``: the path without endings.

    Raises:
        InputError: If a file is missing or unusable, or two halves do not belong together.
    """
    paths = OwnerPaths(prefix)
    if not os.path.lexists(paths.path(SIGN_KEY)):
        base = _base(prefix)
        exists = base != prefix and os.path.lexists(OwnerPaths(base).path(SIGN_KEY))
        raise InputError(
            f"owner {prefix.name}: expected the file {paths.path(SIGN_KEY).name}",
            subject=prefix.name,
            hint=f"give the name without its ending: {base}"
            if exists
            else f"make keys with: medlocker key new --out {base}",
        )
    owner = Owner(paths, load_signing_key(paths.path(SIGN_KEY)), load_recipient(paths.path(AGE_PUB)))
    _check_halves(owner)
    return owner


def _check_halves(owner: Owner) -> None:
    """Refuse keys of which a release could not be verified or not be restored."""
    public, private = owner.paths.path(SIGN_PUB), owner.paths.path(AGE_KEY)
    if os.path.lexists(public) and load_verify_key(public) != owner.signing.public:
        raise _mismatch(owner, SIGN_PUB, SIGN_KEY, "with this key nobody could verify what you sign")
    # whoever keeps it elsewhere, or locked, answers for it
    if not os.path.lexists(private) or _is_locked(private):
        return
    try:
        unseal(seal(b"", [owner.recipient], what="probe"), [load_identity(private)], what="probe")
    except NoMatchingKeyError:
        raise _mismatch(owner, AGE_PUB, AGE_KEY, "it could not open what is sealed to the other") from None


def _mismatch(owner: Owner, one: str, other: str, reason: str) -> InputError:
    names = [owner.paths.path(ending).name for ending in (one, other)]
    return InputError(
        f"owner {owner.paths.prefix.name}: {names[0]} does not belong to {names[1]}",
        subject=owner.paths.prefix.name,
        hint=f"{reason}: use the two files that `medlocker key new` made at the same time",
    )


def _is_locked(path: Path) -> bool:
    data = read_limited(path, max_bytes=_MAX_KEY_BYTES, what="identity")
    return data.startswith(_AGE_FILE)


def _base(path: Path) -> Path:
    """Return NAME of ``NAME.sign.pub`` and its fellows."""
    for ending in (SIGN_KEY, SIGN_PUB, AGE_KEY, AGE_PUB):
        if path.name.endswith(ending) and path.name != ending:
            return path.with_name(path.name.removesuffix(ending))
    return path


def _key_path(path: Path, ending: str) -> Path:
    """Return where a key lies that was given as a file or as NAME, as `protect --owner` takes it."""
    if not path.name or path.is_file():
        return path
    named = OwnerPaths(path).path(ending)
    return named if named.is_file() else path


def _other_key(path: Path, ending: str, otherwise: str) -> str:
    """Return a hint that names the wanted file if it lies beside the given one, else how to get it."""
    base = _base(path)
    wanted = base.parent / f"{base.name}{ending}"
    if wanted != path and wanted.is_file():
        return f"give {wanted.name}"
    return otherwise.format(f"NAME{ending}" if base == path else wanted.name)


def _key_lines(data: bytes, what: str) -> list[str]:
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise InputError(f"{what}: expected a text file with a key", subject=what) from None
    lines = (line.strip() for line in text.splitlines())
    return [line for line in lines if line and not line.startswith("#")]


def _permission_notes(path: Path) -> tuple[str, ...]:
    mode = stat.S_IMODE(os.stat(path).st_mode)
    if os.name == "posix" and mode & 0o077:
        return (f"{path.name} can be read by other users of this machine: chmod 600 {path.name}",)
    return ()
