from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest
from trust_samples import LOGO, Sample, entry_of, payload_of, sha256

from medlocker.certificates import (
    PROMISE,
    IndexEntry,
    ModelFact,
    PublicFacts,
    ReleaseSecret,
    Statement,
    assemble,
    load_identity,
    open_owner_grant,
    open_release,
    seal_record,
    verify_release,
    write_owner_grant,
)
from medlocker.certificates._dsse import pae, sign_statement
from medlocker.certificates._ownergrant import owner_grant_text, parse_owner_grant
from medlocker.certificates._statement import read_statement
from medlocker.errors import MalformedError, NoMatchingKeyError, OutputExistsError, SignatureError, WriteError

Sealed = Iterator[tuple[IndexEntry, bytes]]
HEX = "0" * 64


def _assemble(sample: Sample, sealed: Sealed, facts: PublicFacts = PublicFacts("paper")) -> Statement:  # noqa: B008
    return assemble(
        sample.path,
        sealed,
        secret=sample.secret,
        signing=sample.owner.signing,
        recipient=sample.owner.recipient,
        logo=LOGO,
        facts=facts,
    )


def _sealed(sample: Sample, indices: tuple[int, ...] = (0, 1, 2)) -> Sealed:
    for place, index in enumerate(indices):
        record = replace(sample.records[place % 3], index=index, name=f"{place}.png")
        yield entry_of(record), seal_record(record, sample.secret)


def test_images_go_to_the_shard_of_their_number(sample: Sample) -> None:
    statement = _assemble(sample, _sealed(sample, (0, 4095, 4096, 20000)))
    assert statement.shards == (0, 1, 4)
    assert statement.images == 4
    release = open_release(sample.path, sample.pinned)
    assert [line.entry.index for line in release.lines()] == [0, 4095, 4096, 20000]
    for index in (0, 4095, 4096, 20000):
        assert release.line(index).entry.index == index
        assert release.read_seal(release.line(index)).startswith(b"age-encryption.org/v1\n")
    assert not list(sample.path.rglob(".medlocker-tmp-*"))


def test_assembling_again_overwrites_what_was_there(sample: Sample) -> None:
    _assemble(sample, _sealed(sample, (0, 5000)))
    (sample.certificate("sealed") / ".medlocker-tmp-left").write_bytes(b"x")
    sample.assemble(sample.records)
    assert verify_release(open_release(sample.path, sample.pinned)).valid


def test_a_kill_leaves_no_statement(sample: Sample) -> None:
    def dying() -> Sealed:
        yield next(_sealed(sample))
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        _assemble(sample, dying())
    assert not sample.certificate("statement.dsse.json").exists()
    assert not list(sample.path.rglob(".medlocker-tmp-*"))
    sample.assemble(sample.records)
    assert verify_release(open_release(sample.path, sample.pinned)).valid


def test_the_record_is_not_in_memory_longer_than_needed(sample: Sample) -> None:
    """Each image is written before the next one is asked for."""
    seen = 0

    def watching() -> Sealed:
        nonlocal seen
        for pair in _sealed(sample, tuple(range(4090, 4100))):
            seen += 1
            if pair[0].index > 4096:
                assert sample.certificate("sealed/00000.seal").stat().st_size > 0
            yield pair

    _assemble(sample, watching())
    assert seen == 10


@pytest.mark.parametrize(
    ("sealed", "message"),
    [
        (
            [(IndexEntry(1, "a", HEX, HEX), b"age-encryption.org/v1\n")] * 2,
            "image 1: expected ascending numbers, got it after 1",
        ),
        ([(IndexEntry(1, "a", HEX, HEX), b"junk")], "image 1: expected an age file of at most"),
        (
            [(IndexEntry(n, "a", HEX, HEX), b"age-encryption.org/v1\n") for n in (1, 9999)],
            "release: expected every file name once",
        ),
    ],
)
def test_what_could_not_be_verified_is_not_signed(
    sample: Sample, sealed: list[tuple[IndexEntry, bytes]], message: str
) -> None:
    with pytest.raises(MalformedError, match=message):
        _assemble(sample, iter(sealed))
    assert not sample.certificate("statement.dsse.json").exists()


def test_a_folder_that_cannot_be_written_is_reported(sample: Sample) -> None:
    path = sample.certificate("sealed/00000.seal")
    path.unlink()
    path.mkdir()
    (path / "x").touch()
    with pytest.raises(WriteError, match=r"cannot write 00000.seal"):
        sample.assemble(sample.records)
    assert not list(sample.path.rglob(".medlocker-tmp-*"))


def test_an_empty_release_can_be_signed(sample: Sample) -> None:
    statement = _assemble(sample, iter(()))
    assert (statement.images, statement.shards) == (0, ())


def test_the_statement_is_an_in_toto_statement_and_small(sample: Sample) -> None:
    facts = PublicFacts("strong", models=(ModelFact("dr", HEX),), counts={"inputs": 5, "skipped": 2})
    statement = _assemble(sample, _sealed(sample), facts)
    path = sample.certificate("statement.dsse.json")
    payload = payload_of(path)
    assert payload["_type"] == "https://in-toto.io/Statement/v1"
    assert payload["predicateType"] == "urn:medlocker:release:v1"
    assert payload["predicate"]["promise"] == PROMISE
    assert {subject["name"] for subject in payload["subject"]} == {
        "grants/owner.age",
        "index/00000.jsonl",
        "logo.png",
        "policy.json",
        "sealed/00000.seal",
    }
    for subject in payload["subject"]:
        assert subject["digest"]["sha256"] == sha256(sample.certificate(subject["name"]).read_bytes())
    assert path.stat().st_size < 3000
    assert statement.counts == {"inputs": 5, "skipped": 2}
    assert statement.models == (ModelFact("dr", HEX),)
    assert statement.owner_keys == {"sign": sample.pinned.key_id, "age": sample.owner.recipient.key_id}
    policy = json.loads(sample.certificate("policy.json").read_bytes())
    assert policy["terms"] == ""
    assert "lawful" in policy["lawful_use"]


def test_where_regions_come_from_is_signed(sample: Sample) -> None:
    facts = PublicFacts("paper", regions="candidates: not a clinician's")
    assert _assemble(sample, _sealed(sample), facts).regions == "candidates: not a clinician's"
    payload = payload_of(sample.certificate("statement.dsse.json"))
    assert payload["predicate"]["regions"] == "candidates: not a clinician's"


def test_a_statement_from_before_regions_were_stated_is_still_read(sample: Sample) -> None:
    _assemble(sample, _sealed(sample))
    payload = payload_of(sample.certificate("statement.dsse.json"))
    del payload["predicate"]["regions"]
    subjects = {entry["name"]: entry["digest"]["sha256"] for entry in payload["subject"]}
    old = sign_statement(
        payload["predicateType"], payload["predicate"], subjects=subjects, key=sample.owner.signing
    )
    assert read_statement(old, owner=sample.pinned).regions == "not stated"


@pytest.mark.parametrize(
    ("facts", "message"),
    [
        (PublicFacts("x" * 65), "expected preset to be plain text of at most 64 characters"),
        (PublicFacts("x", models=(ModelFact("a\n", HEX),)), "model: expected name to be plain text"),
        (
            PublicFacts("x", models=(ModelFact("a", "1"),)),
            "model: expected sha256 to be 64 lower-case hex digits",
        ),
        (PublicFacts("x", regions="y" * 257), "expected regions to be plain text of at most 256 characters"),
        (PublicFacts("x", counts={"a": -1}), "expected counts to be integers of 0 to"),
    ],
)
def test_facts_that_could_not_be_read_are_not_signed(
    sample: Sample, facts: PublicFacts, message: str
) -> None:
    with pytest.raises(MalformedError, match=message):
        _assemble(sample, _sealed(sample), facts)
    assert not sample.certificate("statement.dsse.json").exists()


def test_the_pre_authentication_encoding_is_the_one_of_dsse() -> None:
    # the example of the DSSE protocol
    assert pae("http://example.com/HelloWorld", b"hello world") == (
        b"DSSEv1 29 http://example.com/HelloWorld 11 hello world"
    )
    assert pae("é", b"") == b"DSSEv1 2 \xc3\xa9 0 "


def test_a_release_keeps_its_secret(sample: Sample) -> None:
    assert open_owner_grant(sample.path, sample.owner.identity(), owner=sample.pinned) == sample.secret
    reader = load_identity(sample.keys / "reader.age.key")
    with pytest.raises(NoMatchingKeyError, match="owner's grant: none of the given identities opens it"):
        open_owner_grant(sample.path, reader, owner=sample.pinned)
    with pytest.raises(OutputExistsError, match=r"owner.age exists already"):
        write_owner_grant(
            sample.path, sample.secret, recipient=sample.owner.recipient, signing=sample.owner.signing
        )


def test_a_secret_that_somebody_else_slipped_in_is_refused(sample: Sample, foreign: Sample) -> None:
    """Anybody can seal to the owner; going on with a foreign secret would give every record away."""
    write_owner_grant(
        sample.path,
        ReleaseSecret.new(),
        recipient=sample.owner.recipient,
        signing=foreign.owner.signing,
        overwrite=True,
    )
    with pytest.raises(
        SignatureError, match="owner's grant: the signature is not of the expected owner's key"
    ):
        open_owner_grant(sample.path, sample.owner.identity(), owner=sample.pinned)
    # a run that holds the right secret already puts it back
    sample.assemble(sample.records)
    assert open_owner_grant(sample.path, sample.owner.identity(), owner=sample.pinned) == sample.secret


@pytest.mark.parametrize(
    "edit",
    [
        lambda text: text.replace(b"version 1", b"version 2"),
        lambda text: text + b"\n",
        lambda text: text.lower(),
        lambda text: b"",
    ],
)
def test_other_owner_grants_are_refused(pristine: Sample, edit: Callable[[bytes], bytes]) -> None:
    text = owner_grant_text(pristine.secret, pristine.owner.signing)
    assert parse_owner_grant(text, owner=pristine.pinned) == pristine.secret
    with pytest.raises(MalformedError, match="owner's grant: expected a release secret, version 1"):
        parse_owner_grant(edit(text), owner=pristine.pinned)


def test_an_owner_grant_that_does_not_fit_together_is_refused(pristine: Sample) -> None:
    text = owner_grant_text(pristine.secret, pristine.owner.signing)
    other = ReleaseSecret(pristine.secret.release, bytes(32))
    with pytest.raises(MalformedError, match="owner's grant: the identity is not the one of this secret"):
        parse_owner_grant(
            text.replace(pristine.secret.whole_identity.encode(), other.whole_identity.encode()),
            owner=pristine.pinned,
        )
    with pytest.raises(
        SignatureError, match="owner's grant: the signature is not of the expected owner's key"
    ):
        parse_owner_grant(
            text.replace(pristine.secret.value.hex().encode(), bytes(32).hex().encode()),
            owner=pristine.pinned,
        )
