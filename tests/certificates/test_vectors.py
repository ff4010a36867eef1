"""The vectors of docs/FORMAT.md: each says what a reader must do with it."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from medlocker.certificates import (
    CompanionRecord,
    Identity,
    Recipient,
    ReleaseSecret,
    SealedRecord,
    SigningKey,
    VerifyKey,
    open_companion,
    open_record,
)
from medlocker.certificates._age import public_text, secret_text
from medlocker.certificates._companions import covered_numbers, parse_companions
from medlocker.certificates._grantfile import GrantedIdentities
from medlocker.certificates._index import parse_shard
from medlocker.certificates._ownergrant import parse_owner_grant
from medlocker.certificates._record import padded_length
from medlocker.certificates._statement import read_statement
from medlocker.errors import (
    MalformedError,
    MedlockerError,
    NoMatchingKeyError,
    RestoreError,
    SignatureError,
    WrongImageError,
)
from medlocker.formats import read_image
from medlocker.images import content_digest, pixel_digest
from medlocker.logo import load_logo
from medlocker.marking import mark_pixels, unmark_pixels
from medlocker.restore import restore_image
from medlocker.veil import read_mark

FOLDER = Path(__file__).parent.parent / "vectors"
FILES = sorted(FOLDER.glob("*/*.json"))
ERRORS: dict[str, type[MedlockerError]] = {
    "malformed": MalformedError,
    "signature": SignatureError,
    "no-match": NoMatchingKeyError,
    "wrong-image": WrongImageError,
    "restore": RestoreError,
}


def _bytes(text: str) -> bytes:
    return base64.b64decode(text, validate=True)


def _key(v: dict[str, Any]) -> None:
    if "seed" in v:
        key = SigningKey.from_pem(v["private_pem"].encode("ascii"), what="x")
        assert key.seed.hex() == v["seed"]
        assert key.to_pem().decode("ascii") == v["private_pem"]
        assert key.public == VerifyKey.from_pem(v["public_pem"].encode("ascii"), what="x")
        assert key.public.to_pem().decode("ascii") == v["public_pem"]
        assert (key.public.raw.hex(), key.public.key_id) == (v["raw"], v["key_id"])
    else:
        assert secret_text(bytes.fromhex(v["scalar"])) == v["identity"]
        assert public_text(v["identity"]) == v["recipient"]
        recipient = Recipient.from_text(v["recipient"], what="x")
        assert (recipient.raw.hex(), recipient.key_id) == (v["raw"], v["key_id"])


def _derive(v: dict[str, Any]) -> None:
    for length, padded in v.get("lengths", ()):
        assert padded_length(length) == padded
    for number, identity in v.get("companions", {}).items():
        secret = ReleaseSecret(v["release"], bytes.fromhex(v["secret"]))
        assert secret.companion_identity(int(number)) == identity
    if "whole" in v:
        secret = ReleaseSecret(v["release"], bytes.fromhex(v["secret"]))
        assert secret.whole_identity == v["whole"]
        for index, identity in v["images"].items():
            assert secret.image_identity(int(index)) == identity
        for purpose, expected in v["marks"].items():
            assert secret.derive(purpose, v["original"], length=len(expected) // 2).hex() == expected
        assert SigningKey(bytes.fromhex(v["owner"]["seed"])).derive("ledger").hex() == v["owner"]["ledger"]


def _pixels(v: dict[str, Any]) -> None:
    dtype = "u1" if v["bits"] == 8 else "<u2"
    pixels = np.frombuffer(bytes.fromhex(v["samples"]), dtype).reshape(v["shape"])
    assert pixel_digest(pixels) == v["digest"]
    assert pixel_digest(pixels.astype(pixels.dtype.newbyteorder(">"))) == v["digest"]


def _mark(v: dict[str, Any]) -> None:
    logo = load_logo(_bytes(v["logo"]), name="logo")
    assert logo.digest == v["logo_digest"]
    image = read_image(_bytes(v["original"]), name="x")
    marks = [read_mark(mark) for mark in v["marks"]]
    result = mark_pixels(image, marks, logo=logo)
    assert pixel_digest(image.pixels) == v["original_pixels"]
    assert pixel_digest(result.pixels) == v["marked_pixels"]
    marked = replace(image, pixels=result.pixels)
    # the compressed bytes may differ between versions of zlib; what they say may not
    restored = unmark_pixels(marked, marks, logo=logo, residual=_bytes(v["residual"]))
    assert pixel_digest(restored) == v["original_pixels"]


def _record(v: dict[str, Any]) -> None:
    record = SealedRecord.from_bytes(_bytes(v["data"]), what="r")
    assert (record.name, record.original_pixels) == (v["name"], v["original_pixels"])
    assert record.residual == _bytes(v["residual"])
    assert record.original == (None if v["original"] is None else _bytes(v["original"]))
    assert record.to_bytes() == _bytes(v["data"])


def _sealed(v: dict[str, Any]) -> None:
    identity = Identity.from_secrets([v["identity"]], what="x")
    assert open_record(_bytes(v["blob"]), [identity], what="r").to_bytes() == _bytes(v["record"])


def _index(v: dict[str, Any]) -> None:
    lines = parse_shard(_bytes(v["data"]), shard=v["shard"])
    assert b"".join(line.to_json() for line in lines) == _bytes(v["data"])


def _companions(v: dict[str, Any]) -> None:
    lines = parse_companions(_bytes(v["data"]))
    assert b"".join(line.to_json() for line in lines) == _bytes(v["data"])
    assert covered_numbers(lines, range(5)) == v["covered_by_0_to_4"]


def _companion(v: dict[str, Any]) -> None:
    if "blob" in v:
        identity = Identity.from_secrets([v["identity"]], what="x")
        record = open_companion(_bytes(v["blob"]), [identity], what="c")
    else:
        record = CompanionRecord.from_bytes(_bytes(v["data"]), what="c")
        assert record.to_bytes() == _bytes(v["data"])
    assert record.original == _bytes(v["original"])


def _statement(v: dict[str, Any]) -> None:
    statement = read_statement(_bytes(v["data"]), owner=VerifyKey(bytes.fromhex(v["owner"])))
    assert statement.images == 3


def _secret(v: dict[str, Any]) -> None:
    secret = parse_owner_grant(_bytes(v["data"]), owner=VerifyKey(bytes.fromhex(v["owner"])))
    assert secret.value.hex() == v["secret"]


def _grant(v: dict[str, Any]) -> None:
    assert GrantedIdentities.from_bytes(_bytes(v["data"]), what="g").to_bytes() == _bytes(v["data"])


def _restore(v: dict[str, Any]) -> None:
    record = open_record(_bytes(v["blob"]), [Identity.from_secrets([v["identity"]], what="x")], what="r")
    restored = restore_image(_bytes(v["file"]), record, logo=load_logo(_bytes(v["logo"]), name="logo"))
    assert content_digest(read_image(restored.data, name="x")) == v["original_pixels"]


READERS: dict[str, Callable[[dict[str, Any]], None]] = {
    "key": _key,
    "derive": _derive,
    "pixels": _pixels,
    "mark": _mark,
    "veil": _mark,
    "record": _record,
    "sealed": _sealed,
    "index": _index,
    "companions": _companions,
    "companion": _companion,
    "statement": _statement,
    "secret": _secret,
    "grant": _grant,
    "restore": _restore,
}


def test_there_are_vectors_of_every_kind() -> None:
    assert {path.parent.name for path in FILES} == set(READERS)
    assert len(FILES) >= 100


@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_vector(path: Path) -> None:
    vector = json.loads(path.read_bytes())
    assert vector["kind"] == path.parent.name
    read = READERS[vector["kind"]]
    if vector["expect"] == "success":
        read(vector)
    else:
        with pytest.raises(ERRORS[vector["expect"]]):
            read(vector)
