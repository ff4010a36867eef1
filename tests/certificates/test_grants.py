from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from trust_samples import NAMES, Sample, flip, payload_of

from medlocker.certificates import (
    NOTICE,
    Access,
    Grant,
    Identity,
    Recipient,
    Release,
    load_identity,
    load_recipient,
    open_grant,
    open_record,
    open_release,
    owner_access,
    read_grant,
    write_grant,
)
from medlocker.certificates._dsse import sign_statement
from medlocker.certificates._grantfile import GrantedIdentities
from medlocker.certificates._ranges import to_ranges
from medlocker.errors import (
    CertificateError,
    InputError,
    MalformedError,
    MedlockerError,
    NoMatchingKeyError,
    OutputExistsError,
    SignatureError,
    WrongImageError,
)
from medlocker.restore import restore_release

NOW = datetime(2026, 6, 1, tzinfo=UTC)


def _release(sample: Sample) -> Release:
    return open_release(sample.path, sample.pinned)


def _write(sample: Sample, out: Path, to: Sequence[Recipient], **options: Any) -> Grant:
    return write_grant(
        _release(sample), out, secret=sample.secret, signing=sample.owner.signing, recipients=to, **options
    )


def _open(sample: Sample, grant: Path, key: str = "reader.age.key") -> Access:
    return open_grant(_release(sample), grant, identity=load_identity(sample.keys / key), now=NOW)


def test_a_whole_grant_restores_everything(pristine: Sample, reader: Recipient, tmp_path: Path) -> None:
    grant = _write(pristine, tmp_path / "g", [reader], purpose="trial 7", until=NOW + timedelta(days=1))
    assert (grant.scope, grant.images, grant.recipients) == ("whole", (), (reader.key_id,))
    assert (grant.until, grant.purpose) == ("2026-06-02T00:00:00Z", "trial 7")
    assert read_grant(tmp_path / "g", owner=pristine.pinned) == grant
    report = restore_release(_open(pristine, tmp_path / "g"), tmp_path / "out")
    assert (report.restored, report.not_granted, report.exit_code) == (3, 0, 0)


def test_a_grant_of_some_images_opens_these_and_no_others(
    pristine: Sample, reader: Recipient, tmp_path: Path
) -> None:
    grant = _write(pristine, tmp_path / "g", [reader], images=[0, 2])
    assert (grant.images, grant.image_count) == (((0, 0), (2, 2)), 2)
    access = _open(pristine, tmp_path / "g")
    report = restore_release(access, tmp_path / "out")
    assert (report.restored, report.not_granted, report.exit_code) == (2, 1, 0)
    assert not (tmp_path / "out" / NAMES[1]).exists()
    release = _release(pristine)
    line = release.line(1)
    with pytest.raises(NoMatchingKeyError, match="sealed record 1: none of the given identities opens it"):
        access.open(line)
    # not even with all that the grant holds
    keys = Identity.from_secrets(list(access.images.values()), what="x")
    with pytest.raises(NoMatchingKeyError):
        open_record(release.read_seal(line), [keys], what="r")


def test_a_grant_gives_no_secret_of_the_release_away(
    pristine: Sample, reader: Recipient, tmp_path: Path
) -> None:
    _write(pristine, tmp_path / "g", [reader])
    access = _open(pristine, tmp_path / "g")
    assert "SECRET" not in repr(access)
    with pytest.raises(
        NoMatchingKeyError, match="owner's grant: none of the given identities opens it"
    ) as caught:
        owner_access(_release(pristine), load_identity(pristine.keys / "reader.age.key"))
    assert caught.value.hint == "only the owner can open a release without a grant: use --grant GRANT_DIR"


def test_the_data_are_not_touched(sample: Sample, reader: Recipient, tmp_path: Path) -> None:
    before = {path: path.read_bytes() for path in sample.path.rglob("*") if path.is_file()}
    _write(sample, tmp_path / "g", [reader])
    assert before == {path: path.read_bytes() for path in sample.path.rglob("*") if path.is_file()}


def test_several_recipients_of_both_kinds(pristine: Sample, reader: Recipient, tmp_path: Path) -> None:
    key = tmp_path / "id"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key], check=True)
    ssh = load_recipient(tmp_path / "id.pub")
    grant = _write(pristine, tmp_path / "g", [reader, ssh, reader])
    assert grant.recipients == tuple(sorted((reader.key_id, ssh.key_id)))
    for path in (key, pristine.keys / "reader.age.key"):
        access = open_grant(_release(pristine), tmp_path / "g", identity=load_identity(path), now=NOW)
        assert access.covers(2)


def _replace_identities(sample: Sample, grant: Path, other: Path) -> None:
    shutil.copy(other / "identities.age", grant / "identities.age")


def _resign(sample: Sample, grant: Path, edit: Callable[[dict[str, Any]], None]) -> None:
    path = grant / "grant.dsse.json"
    statement = payload_of(path)
    edit(statement)
    subjects = {subject["name"]: subject["digest"]["sha256"] for subject in statement["subject"]}
    path.write_bytes(
        sign_statement(
            statement["predicateType"], statement["predicate"], subjects=subjects, key=sample.owner.signing
        )
    )


def _predicate(name: str, value: object) -> Callable[[Sample, Path, Path], None]:
    return lambda sample, grant, _: _resign(sample, grant, lambda s: s["predicate"].update({name: value}))


def _subject_of(sample: Sample, grant: Path, other: Path) -> None:
    """Identities of another grant, and an owner signs that."""
    _replace_identities(sample, grant, other)
    digest = payload_of(other / "grant.dsse.json")["subject"]
    _resign(sample, grant, lambda statement: statement.update(subject=digest))


TAMPERED: dict[str, tuple[Callable[[Sample, Path, Path], object], type[MedlockerError], str]] = {
    "identities flipped": (
        lambda sample, grant, _: flip(grant / "identities.age"),
        WrongImageError,
        "grant g: identities.age is not the signed one",
    ),
    "identities missing": (
        lambda sample, grant, _: (grant / "identities.age").unlink(),
        WrongImageError,
        "grant identities.age: no such file or directory",
    ),
    "identities of another grant": (
        _replace_identities,
        WrongImageError,
        "grant g: identities.age is not the signed one",
    ),
    "identities of another grant, signed": (
        _subject_of,
        WrongImageError,
        "grant g: its identities are not those that it states",
    ),
    "statement missing": (
        lambda sample, grant, _: (grant / "grant.dsse.json").unlink(),
        InputError,
        "grant grant.dsse.json: no such file or directory",
    ),
    "a release's statement": (
        lambda sample, grant, _: shutil.copy(
            sample.certificate("statement.dsse.json"), grant / "grant.dsse.json"
        ),
        MalformedError,
        "grant.dsse.json: expected predicateType urn:medlocker:grant:v1, got 'urn:medlocker:release:v1'",
    ),
    "of another release": (
        _predicate("release", "00" * 16),
        WrongImageError,
        "grant g: it is for another release",
    ),
    "expired": (
        _predicate("until", "2026-05-31T23:59:59Z"),
        CertificateError,
        "grant g: it ended at 2026-05-31T23:59:59Z",
    ),
    "more images stated": (
        _predicate("images", [[0, 2]]),
        WrongImageError,
        "grant g: its identities are not those that it states",
    ),
    "unknown field": (_predicate("extra", 1), MalformedError, "grant.dsse.json: unknown field 'extra'"),
    "unknown scope": (
        _predicate("scope", "shard"),
        MalformedError,
        "grant.dsse.json: expected scope to be whole, or images with a list of them",
    ),
    "unordered images": (
        _predicate("images", [[2, 2], [0, 0]]),
        MalformedError,
        "grant.dsse.json: expected images to be ascending pairs with gaps between them",
    ),
    "images that are no pairs": (
        _predicate("images", [1]),
        MalformedError,
        "grant.dsse.json: expected images to be pairs of integers",
    ),
    "recipient that is none": (
        _predicate("recipients", ["me"]),
        MalformedError,
        "grant.dsse.json: recipient: expected key id to be 64 lower-case hex digits",
    ),
    "names another owner": (
        _predicate("owner", "0" * 64),
        MalformedError,
        "grant.dsse.json: the owner that is named is not the one that signed",
    ),
    "two subjects": (
        lambda sample, grant, _: _resign(
            sample, grant, lambda s: s["subject"].append({"name": "x", "digest": {"sha256": "0" * 64}})
        ),
        MalformedError,
        "grant.dsse.json: expected the subject identities.age alone",
    ),
}


@pytest.mark.parametrize("name", TAMPERED)
def test_a_tampered_grant_is_refused(name: str, pristine: Sample, reader: Recipient, tmp_path: Path) -> None:
    tamper, kind, message = TAMPERED[name]
    _write(pristine, tmp_path / "g", [reader], images=[0])
    _write(pristine, tmp_path / "other", [reader], images=[1])
    tamper(pristine, tmp_path / "g", tmp_path / "other")
    with pytest.raises(MedlockerError) as caught:
        _open(pristine, tmp_path / "g")
    assert (type(caught.value), str(caught.value)) == (kind, message)


def test_a_grant_of_another_owner_is_refused(
    pristine: Sample, foreign: Sample, reader: Recipient, tmp_path: Path
) -> None:
    _write(foreign, tmp_path / "g", [reader])
    with pytest.raises(
        SignatureError, match=r"grant.dsse.json: the signature is not of the expected owner's key"
    ):
        _open(pristine, tmp_path / "g")


def test_a_grant_for_somebody_else_is_refused(pristine: Sample, reader: Recipient, tmp_path: Path) -> None:
    _write(pristine, tmp_path / "g", [pristine.owner.recipient])
    with pytest.raises(NoMatchingKeyError, match="grant g: none of the given identities opens it"):
        _open(pristine, tmp_path / "g")


def test_nothing_and_nobody_cannot_be_granted(pristine: Sample, reader: Recipient, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="grant: expected at least one image"):
        _write(pristine, tmp_path / "g", [reader], images=[])
    with pytest.raises(InputError, match="grant: expected at least one recipient"):
        _write(pristine, tmp_path / "g", [])
    with pytest.raises(MalformedError, match=r"grant.dsse.json: expected purpose to be plain text"):
        _write(pristine, tmp_path / "g", [reader], purpose="a\x1b[2J")
    assert not (tmp_path / "g").exists()
    (tmp_path / "g").mkdir()
    (tmp_path / "g" / "x").touch()
    with pytest.raises(OutputExistsError, match="the output folder g is not empty"):
        _write(pristine, tmp_path / "g", [reader])


def test_the_statement_says_what_a_date_cannot_do(
    pristine: Sample, reader: Recipient, tmp_path: Path
) -> None:
    _write(pristine, tmp_path / "g", [reader])
    assert payload_of(tmp_path / "g" / "grant.dsse.json")["predicate"]["notice"] == NOTICE
    assert "only the scope is enforced by cryptography" in NOTICE


@given(st.sets(st.integers(0, 2**31 - 1), max_size=50))
def test_ranges_name_the_same_images(images: set[int]) -> None:
    ranges = to_ranges(sorted(images))
    assert {index for first, last in ranges for index in range(first, last + 1)} == images
    assert all(left[1] + 1 < right[0] for left, right in pairwise(ranges))


SECRET = "AGE-SECRET-KEY-1" + "Q" * 58


@given(
    st.none() | st.just(SECRET),
    st.dictionaries(st.integers(0, 2**31 - 1), st.just(SECRET), min_size=1, max_size=5),
)
def test_identities_come_back(whole: str | None, images: dict[int, str]) -> None:
    granted = GrantedIdentities("00" * 16, whole, {} if whole else images)
    assert GrantedIdentities.from_bytes(granted.to_bytes(), what="g") == granted


HEAD = b"# medlocker grant, version 1\n# release: " + b"0" * 32 + b"\n# scope: "


@pytest.mark.parametrize(
    "data",
    [
        b"",
        HEAD,
        HEAD + b"whole\n",
        HEAD.replace(b"version 1", b"version 2") + b"whole\n" + SECRET.encode() + b"\n",
        HEAD + b"whole\n" + SECRET.encode() + b"\n\n",
        HEAD + b"whole\n" + SECRET.encode(),
        HEAD + b"images\n# image 1\n",
        HEAD + b"images\n# image x\n" + SECRET.encode() + b"\n",
        HEAD + (b"images\n" + (b"# image 1\n" + SECRET.encode() + b"\n") * 2),
        HEAD + b"images\n# image 4294967296\n" + SECRET.encode() + b"\n",
    ],
)
def test_other_identity_files_are_refused(data: bytes) -> None:
    with pytest.raises(MalformedError, match="g: expected"):
        GrantedIdentities.from_bytes(data, what="g")


@given(st.binary(max_size=200))
def test_any_identities_raise_only_our_errors(data: bytes) -> None:
    for start in (b"", HEAD + b"images\n", HEAD + b"whole\n"):
        with pytest.raises(MalformedError):
            GrantedIdentities.from_bytes(start + data, what="g")
