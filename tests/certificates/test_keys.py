from __future__ import annotations

import base64
import hashlib
import os
import stat
import subprocess
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from medlocker.certificates import (
    Identity,
    Recipient,
    SigningKey,
    VerifyKey,
    load_identity,
    load_owner,
    load_recipient,
    load_signing_key,
    load_verify_key,
    new_owner,
)
from medlocker.certificates._age import public_text, seal, secret_text, unseal
from medlocker.errors import InputError, MalformedError, NoMatchingKeyError, OutputExistsError, SignatureError


def test_new_keys_can_be_used_and_are_private(tmp_path: Path) -> None:
    paths = new_owner(tmp_path / "deep" / "hospital")
    assert sorted(path.name for path in (tmp_path / "deep").iterdir()) == sorted(
        f"hospital.{ending}" for ending in ("sign.key", "sign.pub", "age.key", "age.pub")
    )
    for path in paths.all:
        assert stat.S_IMODE(path.stat().st_mode) == (0o600 if path.suffix == ".key" else 0o644)
    owner = load_owner(tmp_path / "deep" / "hospital")
    public = load_verify_key(tmp_path / "deep" / "hospital.sign.pub")
    public.check(owner.signing.sign(b"text"), b"text", what="x")
    assert unseal(seal(b"secret", [owner.recipient], what="x"), [owner.identity()], what="x") == b"secret"
    assert owner.signing.notes == owner.identity().notes == ()


def test_the_age_key_file_has_the_form_of_age_keygen(tmp_path: Path) -> None:
    new_owner(tmp_path / "k")
    lines = (tmp_path / "k.age.key").read_text().splitlines()
    assert lines[0].startswith("# created: 20")
    assert lines[1] == f"# public key: {(tmp_path / 'k.age.pub').read_text().strip()}"
    assert lines[2].startswith("AGE-SECRET-KEY-1")
    assert len(lines) == 3


@pytest.mark.parametrize("ending", ["sign.key", "sign.pub", "age.key", "age.pub"])
def test_keys_are_never_overwritten(tmp_path: Path, ending: str) -> None:
    (tmp_path / f"k.{ending}").write_text("precious")
    with pytest.raises(OutputExistsError, match=rf"k.{ending} exists already"):
        new_owner(tmp_path / "k")
    assert [path.name for path in tmp_path.iterdir()] == [f"k.{ending}"]
    assert (tmp_path / f"k.{ending}").read_text() == "precious"


def test_a_dangling_link_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "k.age.key").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OutputExistsError):
        new_owner(tmp_path / "k")


def test_a_readable_private_key_is_warned_about(tmp_path: Path) -> None:
    new_owner(tmp_path / "k")
    for name in ("k.age.key", "k.sign.key"):
        os.chmod(tmp_path / name, 0o640)
    expected = "can be read by other users of this machine: chmod 600"
    assert expected in load_signing_key(tmp_path / "k.sign.key").notes[0]
    assert expected in load_identity(tmp_path / "k.age.key").notes[0]


def test_private_keys_are_not_shown(tmp_path: Path) -> None:
    new_owner(tmp_path / "k")
    key, identity = load_signing_key(tmp_path / "k.sign.key"), load_identity(tmp_path / "k.age.key")
    assert "seed" not in repr(key)
    assert key.seed.hex() not in repr(key)
    assert "SECRET" not in repr(identity)


def test_key_ids_are_digests_of_the_raw_keys() -> None:
    key = VerifyKey(bytes(range(32)))
    assert key.key_id == hashlib.sha256(bytes(range(32))).hexdigest()
    recipient = Recipient.from_text(public_text(secret_text(bytes(range(32)))), what="x")
    assert recipient.key_id == hashlib.sha256(recipient.raw).hexdigest()


def test_an_x25519_secret_is_written_as_age_does() -> None:
    scalar = bytes(range(32))
    text = secret_text(scalar)
    assert text.startswith("AGE-SECRET-KEY-1")
    recipient = Recipient.from_text(public_text(text), what="x")
    expected = X25519PrivateKey.from_private_bytes(scalar).public_key()
    assert recipient.raw == expected.public_bytes(Encoding.Raw, PublicFormat.Raw)
    with pytest.raises(ValueError, match="expected 32 bytes"):
        secret_text(b"short")


def test_a_signature_over_other_bytes_is_refused() -> None:
    key = SigningKey.new()
    with pytest.raises(SignatureError, match="x: the signature is not of the expected owner's key"):
        key.public.check(key.sign(b"a"), b"b", what="x")
    with pytest.raises(SignatureError):
        key.public.check(b"short", b"b", what="x")


def _rsa_pem() -> bytes:
    key = generate_private_key(65537, 2048)
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


@pytest.mark.parametrize(
    "data", [b"", b"text", b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"]
)
def test_a_file_that_is_no_signing_key_is_refused(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "k.sign.key"
    path.write_bytes(data)
    os.chmod(path, 0o600)
    with pytest.raises(
        InputError, match=r"signing key k.sign.key: expected an unencrypted Ed25519 key in PEM form"
    ):
        load_signing_key(path)
    with pytest.raises(InputError, match=r"owner's key k.sign.key: expected an unencrypted Ed25519 key"):
        load_verify_key(path)


def test_another_kind_of_key_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "k"
    path.write_bytes(_rsa_pem())
    with pytest.raises(InputError, match="expected an unencrypted Ed25519 key"):
        load_signing_key(path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "expected one public key, got 0"),
        ("age1xyz\nage1xyz\n", "expected one public key, got 2"),
        ("AGE-SECRET-KEY-1ABC\n", "expected a public key, got a private one"),
        ("age1qqqq\n", "expected an age key whose checksum is right"),
        ("ssh-rsa AAAAB3NzaC1yc2E= x\n", "expected an age or ssh-ed25519 public key"),
        ("ssh-ed25519 AAAA\n", "expected an age or ssh-ed25519 public key"),
        ("hello\n", "expected an age or ssh-ed25519 public key"),
    ],
)
def test_a_file_that_is_no_recipient_is_refused(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "r.pub").write_text(text)
    with pytest.raises(InputError, match=f"recipient r.pub: {message}"):
        load_recipient(tmp_path / "r.pub")


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "expected an age or OpenSSH private key"),
        (b"\xff\xfe", "expected a text file with a key"),
        (b"age1abc\n", "expected an age or OpenSSH private key"),
        (b"AGE-SECRET-KEY-1ABC\n", "expected an age or OpenSSH private key"),
        (b"age-encryption.org/v1\n", "expected a private key without passphrase"),
        (b"-----BEGIN PRIVATE KEY-----\n", "expected an age or OpenSSH private key, got a PEM file"),
        (b"-----BEGIN OPENSSH PRIVATE KEY-----\nAA\n", "expected an age or OpenSSH private key"),
    ],
)
def test_a_file_that_is_no_identity_is_refused(tmp_path: Path, data: bytes, message: str) -> None:
    (tmp_path / "k").write_bytes(data)
    with pytest.raises(InputError, match=f"identity k: {message}"):
        load_identity(tmp_path / "k")


def test_a_secret_in_a_bad_key_file_is_not_repeated(tmp_path: Path) -> None:
    (tmp_path / "k").write_text("AGE-SECRET-KEY-1VERYSECRET\n")
    with pytest.raises(InputError) as caught:
        load_identity(tmp_path / "k")
    assert "VERYSECRET" not in str(caught.value) + caught.value.hint
    assert caught.value.__cause__ is None


def test_missing_owner_keys_say_how_to_make_them(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"owner h: expected the file h.sign.key") as caught:
        load_owner(tmp_path / "h")
    assert "medlocker key new" in caught.value.hint


def test_openssh_keys_open_what_is_sealed_to_them(tmp_path: Path) -> None:
    path = tmp_path / "id"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "a b", "-f", path], check=True)
    recipient = load_recipient(tmp_path / "id.pub")
    assert recipient.raw == base64.b64decode((tmp_path / "id.pub").read_text().split()[1])[-32:]
    assert unseal(seal(b"x", [recipient], what="x"), [load_identity(path)], what="x") == b"x"


def test_an_openssh_key_with_passphrase_is_refused_with_a_way_out(tmp_path: Path) -> None:
    path = tmp_path / "id"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "secret", "-f", path], check=True)
    with pytest.raises(InputError, match="identity id: expected a private key without passphrase") as caught:
        load_identity(path)
    assert "ssh-keygen -p" in caught.value.hint


def test_foreign_errors_become_our_own() -> None:
    identity = Identity.from_secrets([secret_text(bytes(32))], what="x")
    other = Recipient.from_text(public_text(secret_text(bytes([1] * 32))), what="x")
    blob = seal(b"data", [other], what="x")
    with pytest.raises(NoMatchingKeyError, match="x: none of the given identities opens it"):
        unseal(blob, [identity], what="x")
    with pytest.raises(NoMatchingKeyError, match="x: none of the given identities opens it"):
        unseal(blob, [], what="x")
    with pytest.raises(MalformedError, match="x: expected an age file"):
        unseal(b"nothing", [identity], what="x")
    mine = Identity.from_secrets([secret_text(bytes([1] * 32))], what="x")
    with pytest.raises(MalformedError, match="x: expected a whole and unchanged age file"):
        unseal(blob[:-1], [mine], what="x")
    with pytest.raises(InputError, match="x: expected at least one recipient"):
        seal(b"data", [], what="x")
