"""Other programs read what medlocker writes: the age tool, age-keygen, and securesystemslib's DSSE."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest
from securesystemslib.dsse import Envelope
from securesystemslib.exceptions import VerificationError
from securesystemslib.signer import Key  # type: ignore[attr-defined]  # exported, but not by __all__
from trust_samples import Sample

from medlocker.certificates import (
    Recipient,
    SealedRecord,
    VerifyKey,
    load_identity,
    load_recipient,
    open_grant,
    open_release,
    write_grant,
)


@pytest.fixture(scope="module")
def age() -> str:
    """The age tool; continuous integration installs it, so there its absence is a failure."""
    found = shutil.which("age")
    if found is None and os.environ.get("CI"):
        pytest.fail("expected the age tool: apt-get install age")
    if found is None:
        pytest.skip("the age tool is not installed")
    return found


def _decrypt(age: str, key: Path, data: bytes) -> bytes:
    return subprocess.run([age, "-d", "-i", key], input=data, capture_output=True, check=True).stdout


def _public_key(key: VerifyKey) -> Key:
    value = {"keytype": "ed25519", "scheme": "ed25519", "keyval": {"public": key.raw.hex()}}
    return Key.from_dict(key.key_id, value)


def test_securesystemslib_verifies_the_statement(pristine: Sample, foreign: Sample) -> None:
    data = json.loads(pristine.certificate("statement.dsse.json").read_bytes())
    envelope = Envelope.from_dict(data)
    envelope.verify([_public_key(pristine.pinned)], threshold=1)
    assert envelope.payload_type == "application/vnd.in-toto+json"
    with pytest.raises(VerificationError):
        envelope.verify([_public_key(foreign.pinned)], threshold=1)


def test_securesystemslib_verifies_a_grant(pristine: Sample, reader: Recipient, tmp_path: Path) -> None:
    _grant(pristine, reader, tmp_path / "g", None)
    envelope = Envelope.from_dict(json.loads((tmp_path / "g" / "grant.dsse.json").read_bytes()))
    envelope.verify([_public_key(pristine.pinned)], threshold=1)


def _grant(sample: Sample, recipient: Recipient, out: Path, images: list[int] | None) -> None:
    write_grant(
        open_release(sample.path, sample.pinned),
        out,
        secret=sample.secret,
        signing=sample.owner.signing,
        recipients=[recipient],
        images=images,
    )


def _blobs(sample: Sample) -> list[bytes]:
    release = open_release(sample.path, sample.pinned)
    return [release.read_seal(line) for line in release.lines()]


@pytest.mark.slow
def test_age_opens_every_record_with_what_the_owner_has(age: str, pristine: Sample, tmp_path: Path) -> None:
    secret = _decrypt(
        age, pristine.keys / "owner.age.key", pristine.certificate("grants/owner.age").read_bytes()
    )
    identities = tmp_path / "release.key"
    identities.write_bytes(secret)
    for record, blob in zip(pristine.records, _blobs(pristine), strict=True):
        assert SealedRecord.from_bytes(_decrypt(age, identities, blob), what="r") == record


@pytest.mark.slow
@pytest.mark.parametrize("images", [None, [1]])
def test_age_opens_a_grant_and_what_it_grants(
    age: str, pristine: Sample, reader: Recipient, tmp_path: Path, images: list[int] | None
) -> None:
    _grant(pristine, reader, tmp_path / "g", images)
    blob = (tmp_path / "g" / "identities.age").read_bytes()
    identities = tmp_path / "granted.key"
    identities.write_bytes(_decrypt(age, pristine.keys / "reader.age.key", blob))
    for index, sealed in enumerate(_blobs(pristine)):
        if images is None or index in images:
            opened = SealedRecord.from_bytes(_decrypt(age, identities, sealed), what="r")
            assert opened == pristine.records[index]
        else:
            with pytest.raises(subprocess.CalledProcessError):
                _decrypt(age, identities, sealed)


@pytest.mark.slow
def test_keys_of_age_keygen_and_openssh_can_be_granted(age: str, pristine: Sample, tmp_path: Path) -> None:
    key, public = tmp_path / "other.key", tmp_path / "other.pub"
    subprocess.run(["age-keygen", "-o", key], check=True, capture_output=True)
    public.write_bytes(subprocess.run(["age-keygen", "-y", key], check=True, capture_output=True).stdout)
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", tmp_path / "id"], check=True)
    release = open_release(pristine.path, pristine.pinned)
    for private, shared in ((key, public), (tmp_path / "id", tmp_path / "id.pub")):
        out = tmp_path / f"grant-{private.name}"
        _grant(pristine, load_recipient(shared), out, None)
        assert open_grant(release, out, identity=load_identity(private)).covers(0)
        assert b"AGE-SECRET-KEY-1" in _decrypt(age, private, (out / "identities.age").read_bytes())
