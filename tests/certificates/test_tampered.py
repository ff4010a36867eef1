"""One tampered release for each way in which trust can fail."""

from __future__ import annotations

import base64
import json
import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from trust_samples import LOGO, NAMES, Sample, canonical, flip, payload_of

from medlocker.certificates import (
    Release,
    ReleaseSecret,
    load_identity,
    open_release,
    owner_access,
    verify_release,
    write_owner_grant,
)
from medlocker.errors import MalformedError, MedlockerError, RestoreError, SignatureError, WrongImageError
from medlocker.formats import LAYERED, METHODS
from medlocker.logo import Logo
from medlocker.mark import Mark
from medlocker.restore import RestoreReport, restore_release

Tamper = Callable[[Sample, Sample], object]
"""Changes the first; the second is a release of somebody else."""


def _open(sample: Sample) -> Release:
    return open_release(sample.path, sample.pinned)


def _restore(sample: Sample, out: Path) -> RestoreReport:
    identity = load_identity(sample.keys / "owner.age.key")
    return restore_release(owner_access(_open(sample), identity), out)


def _statement(edit: Callable[[dict[str, Any]], None]) -> Tamper:
    return lambda sample, _: sample.sign(edit)


def _predicate(name: str, value: object) -> Tamper:
    return _statement(lambda statement: statement["predicate"].update({name: value}))


def _envelope(edit: Callable[[dict[str, Any]], None]) -> Tamper:
    def tamper(sample: Sample, _: Sample) -> None:
        path = sample.certificate("statement.dsse.json")
        envelope = json.loads(path.read_bytes())
        edit(envelope)
        path.write_bytes(canonical(envelope))

    return tamper


def _payload(edit: Callable[[bytes], bytes]) -> Tamper:
    def change(envelope: dict[str, Any]) -> None:
        payload = base64.b64decode(envelope["payload"])
        assert edit(payload) != payload
        envelope["payload"] = base64.b64encode(edit(payload)).decode("ascii")

    return _envelope(change)


def _write(name: str, data: bytes) -> Tamper:
    return lambda sample, _: (sample.path / name).write_bytes(data)


def _copy(name: str) -> Tamper:
    return lambda sample, foreign: shutil.copy(foreign.path / name, sample.path / name)


def _other_secret(sample: Sample, _: Sample) -> None:
    owner = sample.owner
    secret = ReleaseSecret.new()
    write_owner_grant(sample.path, secret, recipient=owner.recipient, signing=owner.signing, overwrite=True)
    sample.sign()


STATEMENT = "certificate/statement.dsse.json"
REFUSED_WHOLE: dict[str, tuple[Tamper, type[MedlockerError], str]] = {
    "statement: changed": (
        _payload(lambda payload: payload.replace(b'"images":3', b'"images":2')),
        SignatureError,
        "statement.dsse.json: the signature is not of the expected owner's key",
    ),
    "statement: signed by somebody else": (
        _copy(STATEMENT),
        SignatureError,
        "statement.dsse.json: the signature is not of the expected owner's key",
    ),
    "statement: somebody else's signature under the owner's key id": (
        _envelope(lambda envelope: envelope["signatures"][0].update(sig="A" * 86 + "==")),
        SignatureError,
        "statement.dsse.json: the signature is not of the expected owner's key",
    ),
    "statement: no signature": (
        _envelope(lambda envelope: envelope.update(signatures=[])),
        SignatureError,
        "statement.dsse.json: expected a signature, got none",
    ),
    "statement: signature that is no base64": (
        _envelope(lambda envelope: envelope["signatures"][0].update(sig="!")),
        MalformedError,
        "statement.dsse.json: signature: expected base64",
    ),
    "statement: payload of another type": (
        _envelope(lambda envelope: envelope.update(payloadType="text/plain")),
        MalformedError,
        "statement.dsse.json: expected payloadType to be application/vnd.in-toto+json",
    ),
    "statement: unknown field in the envelope": (
        _envelope(lambda envelope: envelope.update(extra=1)),
        MalformedError,
        "statement.dsse.json: unknown field 'extra'",
    ),
    "statement: no JSON": (
        _write(STATEMENT, b"{"),
        MalformedError,
        "statement.dsse.json: expected JSON without repeated keys",
    ),
    "statement: repeated key": (
        _write(STATEMENT, b'{"payload":"","payload":"","payloadType":"","signatures":[]}'),
        MalformedError,
        "statement.dsse.json: expected JSON without repeated keys",
    ),
    "statement: unknown version": (
        _statement(lambda statement: statement.update(predicateType="urn:medlocker:release:v2")),
        MalformedError,
        "statement.dsse.json: expected predicateType urn:medlocker:release:v1, "
        "got 'urn:medlocker:release:v2'",
    ),
    "statement: unknown field": (
        _predicate("extra", 1),
        MalformedError,
        "statement.dsse.json: unknown field 'extra'",
    ),
    "statement: time that is none": (
        _predicate("created", "yesterday"),
        MalformedError,
        "statement.dsse.json: expected created to be a UTC time such as 2026-01-31T12:00:00Z",
    ),
    "statement: names another owner": (
        _statement(lambda statement: statement["predicate"]["owner"].update(sign="0" * 64)),
        MalformedError,
        "statement.dsse.json: the owner that is named is not the one that signed",
    ),
    "statement: subject outside the certificate": (
        _statement(
            lambda statement: statement["subject"].append({"name": "../x", "digest": {"sha256": "0" * 64}})
        ),
        MalformedError,
        "statement.dsse.json: unknown subject '../x'",
    ),
    "statement: sealed shard not signed": (
        _statement(lambda statement: statement["subject"].pop()),
        MalformedError,
        "statement.dsse.json: missing subject 'sealed/00000.seal'",
    ),
    "logo: flipped": (
        lambda sample, _: flip(sample.certificate("logo.png")),
        WrongImageError,
        "logo.png: the file is not the signed one",
    ),
    "owner's grant: flipped": (
        lambda sample, _: flip(sample.certificate("grants/owner.age")),
        WrongImageError,
        "grants/owner.age: the file is not the signed one",
    ),
    "owner's grant: of another release of the same owner": (
        _other_secret,
        WrongImageError,
        "owner's grant: it belongs to another release",
    ),
    "owner's grant: missing": (
        lambda sample, _: sample.certificate("grants/owner.age").unlink(),
        WrongImageError,
        "certificate owner.age: no such file or directory",
    ),
}


@pytest.mark.parametrize("name", REFUSED_WHOLE)
def test_nothing_of_it_is_restored(name: str, sample: Sample, foreign: Sample, tmp_path: Path) -> None:
    tamper, kind, message = REFUSED_WHOLE[name]
    tamper(sample, foreign)
    with pytest.raises(MedlockerError) as caught:
        _restore(sample, tmp_path / "out")
    assert (type(caught.value), str(caught.value)) == (kind, message)
    assert caught.value.exit_code == 3
    assert not (tmp_path / "out").exists()


def _blob_swapped(sample: Sample, _: Sample) -> None:
    """The sealed records of two images change places, and an owner signs that."""
    shard = sample.certificate("sealed/00000.seal")
    data = shard.read_bytes()

    def edit(lines: list[dict[str, Any]]) -> None:
        first, second, third = (line["seal"] for line in lines)
        a, b = data[: first["length"]], data[second["offset"] : third["offset"]]
        shard.write_bytes(b + a + data[third["offset"] :])
        lines[0]["seal"] = {**second, "offset": 0}
        lines[1]["seal"] = {**first, "offset": len(b)}

    sample.edit_index(edit)


def _foreign_seal(sample: Sample, foreign: Sample) -> None:
    """The first sealed record is the one of another release, and an owner signs that."""
    shard, other = (each.certificate("sealed/00000.seal") for each in (sample, foreign))
    lines = foreign.certificate("index/00000.jsonl").read_bytes().splitlines()
    seal = json.loads(lines[0])["seal"]
    blob, rest = other.read_bytes()[: seal["length"]], shard.read_bytes()

    def edit(lines: list[dict[str, Any]]) -> None:
        shard.write_bytes(blob + rest[lines[1]["seal"]["offset"] :])
        shift = len(blob) - lines[0]["seal"]["length"]
        lines[0]["seal"] = seal
        for line in lines[1:]:
            line["seal"]["offset"] += shift

    sample.edit_index(edit)


def _replaced(sample: Sample, link: bool) -> None:
    path = sample.image(0)
    if link:
        path.rename(sample.path.parent / "moved.png")
        path.symlink_to(sample.path.parent / "moved.png")
    else:
        path.unlink()
        os.mkfifo(path)


def _folder_link(sample: Sample, _: Sample) -> None:
    folder = sample.path / "images" / "left"
    folder.rename(sample.path.parent / "left")
    folder.symlink_to(sample.path.parent / "left")


def _cut(sample: Sample, _: Sample) -> None:
    path = sample.certificate("sealed/00000.seal")
    path.write_bytes(path.read_bytes()[:-1])


def _other_logo(sample: Sample, _: Sample) -> None:
    sample.certificate("logo.png").write_bytes(Logo(LOGO.rgba[:100]).to_png())
    sample.sign()


def _line(place: int, **changes: Any) -> Tamper:
    return lambda sample, _: sample.edit_index(lambda lines: lines[place].update(changes))


INDEX = "certificate/index/00000.jsonl"
COSTS_AN_IMAGE: dict[str, tuple[Tamper, str, str]] = {
    "image: flipped": (
        lambda sample, _: flip(sample.image(0)),
        NAMES[0],
        "left/eye.png: the marked file is not the signed one",
    ),
    "image: missing": (
        lambda sample, _: sample.image(0).unlink(),
        NAMES[0],
        "left/eye.png: the marked file is missing",
    ),
    "image: two of them swapped": (
        lambda sample, _: shutil.copy(sample.image(2), sample.image(0)),
        NAMES[0],
        "left/eye.png: the marked file is not the signed one",
    ),
    "image: a symbolic link": (
        lambda sample, _: _replaced(sample, link=True),
        NAMES[0],
        "left/eye.png: expected no symbolic link",
    ),
    "image: in a linked folder": (_folder_link, NAMES[0], "left/eye.png: expected no symbolic link"),
    "image: a pipe": (
        lambda sample, _: _replaced(sample, link=False),
        NAMES[0],
        "marked file eye.png: expected a regular file",
    ),
    "sealed shard: flipped": (
        lambda sample, _: flip(sample.certificate("sealed/00000.seal"), 300),
        NAMES[0],
        "sealed/00000.seal: the record of image 0 is not the signed one",
    ),
    "sealed shard: cut": (_cut, NAMES[2], "sealed/00000.seal: the record of image 2 is not the signed one"),
    "sealed shard: missing": (
        lambda sample, _: sample.certificate("sealed/00000.seal").unlink(),
        NAMES[0],
        "sealed/00000.seal: no such file or directory",
    ),
    "sealed shard: of another release": (
        _copy("certificate/sealed/00000.seal"),
        NAMES[0],
        "sealed/00000.seal: the record of image 0 is not the signed one",
    ),
    "sealed record: swapped and signed": (
        _blob_swapped,
        NAMES[0],
        "image 0: the sealed record has another number",
    ),
    "sealed record: of another release and signed": (
        _foreign_seal,
        NAMES[0],
        "sealed record 0: none of the given identities opens it",
    ),
    "sealed record: another name": (
        _line(0, name="left/other.png"),
        "left/other.png",
        "left/other.png: the marked file is missing",
    ),
    "sealed record: another image's file": (
        lambda sample, _: sample.edit_index(
            lambda lines: lines[0].update(name=NAMES[2], file=lines[2]["file"], pixels=lines[2]["pixels"])
        ),
        NAMES[2],
        "image 0: the sealed record has another name",
    ),
    "sealed record: another file digest": (
        lambda sample, _: sample.reseal(0, file="0" * 64),
        NAMES[0],
        "left/eye.png: the marked file is not the signed one",
    ),
    "sealed record: another owner": (
        lambda sample, _: sample.reseal(0, owner="0" * 64),
        NAMES[0],
        "image 0: the sealed record has another owner",
    ),
    "sealed record: pixel digest of other pixels": (
        lambda sample, _: sample.reseal(0, pixels="0" * 64),
        NAMES[0],
        "left/eye.png: this machine reads other pixels from the file than the one that marked it",
    ),
    "sealed record: digest of another original": (
        lambda sample, _: sample.reseal(0, original_pixels="0" * 64),
        NAMES[0],
        "left/eye.png: the restored pixels are not the original",
    ),
    "sealed record: other parameters": (
        lambda sample, _: sample.reseal(
            0, marks=(replace(sample.records[0].marks[0], opacity=30000), sample.records[0].marks[1])
        ),
        NAMES[0],
        "left/eye.png: the restored pixels are not the original",
    ),
    "sealed record: mark outside the image": (
        lambda sample, _: sample.reseal(0, marks=(Mark(40, 3, 20, 40000),)),
        NAMES[0],
        "left/eye.png: the parameters do not fit this image: expected a mark inside 48 x 40 pixels",
    ),
    "sealed record: damaged residual": (
        lambda sample, _: sample.reseal(0, residual=b"\xff" + sample.records[0].residual[1:]),
        NAMES[0],
        "left/eye.png: the residual is damaged",
    ),
    "sealed record: another image's residual": (
        lambda sample, _: sample.reseal(0, residual=sample.records[1].residual),
        NAMES[0],
        "left/eye.png: expected a residual of",
    ),
    "sealed record: digest of other metadata": (
        lambda sample, _: sample.reseal(0, metadata="0" * 64),
        NAMES[0],
        "left/eye.png: the restored metadata are not the original ones",
    ),
    "sealed record: unknown method": (
        lambda sample, _: sample.reseal(0, method="lens-v9"),
        NAMES[0],
        f"left/eye.png: expected the method {' or '.join((*METHODS, LAYERED))}, got lens-v9",
    ),
    "sealed record: kept original is another file": (
        lambda sample, _: sample.reseal(2, original=b"other"),
        NAMES[2],
        "right.png: the kept original is not the file that was marked",
    ),
    "logo: another one, signed": (
        _other_logo,
        NAMES[0],
        "left/eye.png: the logo is not the one that was put on",
    ),
    "index: flipped": (
        lambda sample, _: flip(sample.certificate("index/00000.jsonl")),
        INDEX,
        "index/00000.jsonl: the file is not the signed one",
    ),
    "index: missing": (
        lambda sample, _: sample.certificate("index/00000.jsonl").unlink(),
        INDEX,
        "certificate 00000.jsonl: no such file or directory",
    ),
    "index: of another release": (_copy(INDEX), INDEX, "index/00000.jsonl: the file is not the signed one"),
    "index: number twice": (
        _line(1, index=0),
        INDEX,
        "index/00000.jsonl line 2: expected ascending numbers of this shard, got 0",
    ),
    "index: number of another shard": (
        _line(2, index=4096),
        INDEX,
        "index/00000.jsonl line 3: expected ascending numbers of this shard, got 4096",
    ),
    "index: name that leaves the folder": (
        _line(0, name="../../secret.png"),
        INDEX,
        "image 0: expected a plain relative name, got '../../secret.png'",
    ),
    "index: absolute name": (
        _line(0, name="/etc/passwd"),
        INDEX,
        "image 0: expected a plain relative name, got '/etc/passwd'",
    ),
    "index: unknown field": (_line(0, extra=1), INDEX, "index/00000.jsonl line 1: unknown field 'extra'"),
    "index: overlapping records": (
        lambda sample, _: sample.edit_index(lambda lines: lines[1]["seal"].update(offset=0)),
        INDEX,
        "index/00000.jsonl line 2: expected the record at",
    ),
    "index: absurd length": (
        lambda sample, _: sample.edit_index(lambda lines: lines[0]["seal"].update(length=2**50)),
        INDEX,
        "index/00000.jsonl line 1: seal: expected length to be an integer of 1 to",
    ),
}


@pytest.mark.parametrize("name", COSTS_AN_IMAGE)
def test_a_bad_image_costs_only_itself(name: str, sample: Sample, foreign: Sample, tmp_path: Path) -> None:
    tamper, failed, message = COSTS_AN_IMAGE[name]
    tamper(sample, foreign)
    report = _restore(sample, tmp_path / "out")
    assert report.exit_code == 3
    assert report.trust
    assert report.failures[0].name == failed
    failure = report.failures[0].failure
    assert failure is not None
    assert failure.reason.startswith(message)
    assert not (tmp_path / "out" / failed).exists()
    written = [path for path in (tmp_path / "out").rglob("*") if path.is_file()]
    assert len(written) == report.restored
    for path in written:
        index = [*NAMES[:2], f"in/{NAMES[2]}"].index(path.relative_to(tmp_path / "out").as_posix())
        _assert_original(sample, index, path)


def _assert_original(sample: Sample, index: int, path: Path) -> None:
    from medlocker.formats import read_image
    from medlocker.images import pixel_digest

    pixels = read_image(path.read_bytes(), name="x").pixels
    assert pixel_digest(pixels) == sample.records[index].original_pixels


def test_a_later_version_of_a_record_is_refused(
    sample: Sample, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("medlocker.certificates._record.VERSION", 2)
    sample.assemble(sample.records)
    monkeypatch.undo()
    report = _restore(sample, tmp_path / "out")
    assert {one.failure.reason for one in report.failures if one.failure} == {
        f"sealed record {index}: expected version 1, got 2" for index in range(3)
    }


def test_the_pristine_release_passes_everything(pristine: Sample, tmp_path: Path) -> None:
    report = _restore(pristine, tmp_path / "out")
    assert (report.restored, report.failed, report.not_granted, report.exit_code) == (3, 0, 0, 0)
    assert verify_release(_open(pristine)).valid


FILES = (
    "images/left/eye.png",
    "images/left/grey.png",
    "images/right.png",
    "certificate/index/00000.jsonl",
    "certificate/sealed/00000.seal",
    "certificate/grants/owner.age",
    "certificate/logo.png",
    "certificate/policy.json",
)


def test_the_list_of_files_is_complete(pristine: Sample) -> None:
    found = {
        path.relative_to(pristine.path).as_posix() for path in pristine.path.rglob("*") if path.is_file()
    }
    assert found == {*FILES, STATEMENT}


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("how", ["flipped", "emptied", "missing", "linked"])
def test_verify_names_the_bad_file(name: str, how: str, sample: Sample) -> None:
    path = sample.path / name
    match how:
        case "flipped":
            flip(path)
        case "emptied":
            path.write_bytes(b"")
        case "missing":
            path.unlink()
        case _:
            path.rename(sample.path.parent / "moved")
            path.symlink_to(sample.path.parent / "moved")
    report = verify_release(_open(sample))
    assert not report.valid
    faulty = report.missing if how == "missing" else report.changed
    assert faulty.names == [name]
    assert report.missing.count + report.changed.count + report.added.count == 1
    lost = 3 if "index" in name else int(name.startswith("images"))
    assert report.intact == 3 - lost


@pytest.mark.parametrize(
    "name", ["images/new.png", "images/left/deep/new", "certificate/sealed/00001.seal", "note.txt"]
)
def test_verify_names_what_was_added(name: str, sample: Sample) -> None:
    path = sample.path / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"x")
    report = verify_release(_open(sample))
    assert report.added.names == [name]
    assert not report.valid
    assert report.intact == 3


def test_a_name_listed_twice_is_refused_by_verify(sample: Sample) -> None:
    sample.edit_index(lambda lines: lines[1].update(name=lines[0]["name"], file=lines[0]["file"]))
    with pytest.raises(MalformedError, match="index: expected every file name once"):
        verify_release(_open(sample))


def test_a_wrong_number_of_images_is_refused(sample: Sample) -> None:
    sample.sign(lambda statement: statement["predicate"].update(images=4))
    with pytest.raises(MalformedError, match="index: expected 4 images, got 3"):
        verify_release(_open(sample))
    with pytest.raises(MalformedError, match="index: expected 4 images, got 3"):
        list(_open(sample).lines())


def _without_shards(statement: dict[str, Any]) -> None:
    statement["subject"] = [
        one for one in statement["subject"] if not one["name"].startswith(("index/", "sealed/"))
    ]


@pytest.mark.parametrize(
    ("tamper", "message", "restored"),
    [
        (lambda sample: sample.sign(lambda one: one["predicate"].update(images=5)), "5 images, got 3", 3),
        (lambda sample: sample.sign(lambda one: one["predicate"].update(images=2)), "2 images, got 3", 3),
        (lambda sample: sample.edit_index(lambda lines: lines.pop()), "3 images, got 2", 2),
        (lambda sample: sample.sign(_without_shards), "3 images, got 0", 0),
    ],
)
def test_an_index_that_does_not_fit_the_statement_is_said(
    sample: Sample, tamper: Callable[[Sample], None], message: str, restored: int, tmp_path: Path
) -> None:
    """What an owner signed by mistake: some images would be missing without a word."""
    tamper(sample)
    with pytest.raises(MalformedError, match=f"^index: expected {message}$"):
        verify_release(_open(sample))
    report = _restore(sample, tmp_path / "out")
    assert (report.restored, report.failed, report.exit_code) == (restored, 1, 3)
    assert [one.failure.reason for one in report.failures if one.failure] == [f"index: expected {message}"]


def test_counts_that_do_not_add_up_are_refused(sample: Sample) -> None:
    good = {"inputs": 6, "skipped": 2, "failed": 1}
    sample.sign(lambda statement: statement["predicate"].update(counts=good))
    assert verify_release(_open(sample)).valid
    sample.sign(lambda statement: statement["predicate"].update(counts={**good, "failed": 2}))
    with pytest.raises(MalformedError, match=r"expected 2 images of 6 inputs, got 3$"):
        _open(sample)


def test_a_single_file_is_found_by_its_content(pristine: Sample) -> None:
    release = _open(pristine)
    assert release.find_file(pristine.records[1].file).entry.name == NAMES[1]
    with pytest.raises(WrongImageError, match="the file is not one of this release"):
        release.find_file("0" * 64)
    with pytest.raises(WrongImageError, match="image 77: not in this release"):
        release.line(77)
    with pytest.raises(WrongImageError, match="image 4096: not in this release"):
        release.line(4096)


def test_a_name_cannot_pass_for_another_image(sample: Sample) -> None:
    disguise = '","index":2,"name":"x'
    sample.edit_index(lambda lines: lines[0].update(name=disguise))
    assert [_open(sample).line(index).entry.index for index in range(3)] == [0, 1, 2]
    assert _open(sample).line(0).entry.name == disguise


def test_a_single_line_of_another_shard_is_refused(sample: Sample) -> None:
    sample.edit_index(lambda lines: lines[2].update(index=5000))
    with pytest.raises(MalformedError, match=r"index/00000.jsonl: expected images of this shard, got 5000"):
        _open(sample).find_file(sample.records[2].file)


def test_the_key_id_in_the_envelope_is_not_trusted(sample: Sample) -> None:
    _envelope(lambda envelope: envelope["signatures"][0].update(keyid=""))(sample, sample)
    assert _open(sample).statement.images == 3


def test_the_public_files_tell_nothing_about_originals_or_marks(pristine: Sample) -> None:
    public = b"".join(
        path.read_bytes()
        for path in pristine.path.rglob("*")
        if path.suffix in (".jsonl", ".json") and path.is_file()
    )
    public += canonical(payload_of(pristine.certificate("statement.dsse.json")))
    for record in pristine.records:
        for secret in (record.original_pixels, record.original_file, record.metadata, record.salt.hex()):
            assert secret.encode() not in public
        for mark in record.marks:
            assert not mark.key or mark.key.encode() not in public
    for word in (b"opacity", b"seed", b"marks", b"residual", b"in/left"):
        assert word not in public


def test_errors_of_restoring_are_of_the_documented_kinds() -> None:
    assert RestoreError("x").exit_code == 3
