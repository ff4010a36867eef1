"""Write the test vectors of docs/FORMAT.md to tests/vectors: one JSON file each, with what a reader must do.

Keys are derived from fixed texts and protect nothing. Sealing uses fresh randomness, so sealed bytes differ
from run to run; everything else is the same.

Usage: python scripts/make_vectors.py [--missing] [FOLDER]

With --missing, vectors that are there stay as they are: what others may have must be readable for ever.
"""

from __future__ import annotations

import argparse
import base64
import json
import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from companion_vectors import companion_vectors, companions_vectors
from medlocker.certificates import (
    IndexEntry,
    IndexLine,
    PublicFacts,
    ReleaseSecret,
    SealedRecord,
    SigningKey,
    seal_record,
    sign_statement,
)
from medlocker.certificates._age import Recipient, public_text
from medlocker.certificates._canonical import to_canonical
from medlocker.certificates._grantfile import GrantedIdentities
from medlocker.certificates._ownergrant import owner_grant_text
from medlocker.certificates._record import MAGIC, padded_length
from medlocker.certificates._statement import make_statement
from medlocker.formats import encode_image, metadata_digest, read_image
from medlocker.images import pixel_digest
from medlocker.mark import Mark
from medlocker.marking import mark_pixels
from vector_parts import (
    CREATED,
    OWNER_AGE,
    SECRET,
    SIGNING,
    STRANGER,
    Vector,
    encoded,
    fixed,
    logo,
    picture,
    sha256,
)
from veil_vectors import veil_restore_vectors, veil_vectors


def key_vectors() -> Iterator[tuple[str, Vector]]:
    yield (
        "sign-key",
        {
            "about": "a key id is the SHA-256 of the 32 raw bytes of the public key",
            "seed": SIGNING.seed.hex(),
            "private_pem": SIGNING.to_pem().decode("ascii"),
            "public_pem": SIGNING.public.to_pem().decode("ascii"),
            "raw": SIGNING.public.raw.hex(),
            "key_id": SIGNING.public.key_id,
        },
    )
    recipient = Recipient.from_text(public_text(OWNER_AGE), what="x")
    yield (
        "age-key",
        {
            "about": "the same for an age key",
            "scalar": fixed("owner's age key").hex(),
            "identity": OWNER_AGE,
            "recipient": recipient.text,
            "raw": recipient.raw.hex(),
            "key_id": recipient.key_id,
        },
    )


def derive_vectors() -> Iterator[tuple[str, Vector]]:
    digest = sha256(b"an original")
    yield (
        "branches",
        {
            "about": "HKDF-SHA256: salt is the release id, info as in docs/FORMAT.md",
            "release": SECRET.release,
            "secret": SECRET.value.hex(),
            "whole": SECRET.whole_identity,
            "images": {str(index): SECRET.image_identity(index) for index in (0, 1, 4096, 2**31 - 1)},
            "original": digest,
            "marks": {
                "warp": SECRET.derive("warp", digest).hex(),
                "search": SECRET.derive("search", digest, length=64).hex(),
            },
            "owner": {"ledger": SIGNING.derive("ledger").hex(), "seed": SIGNING.seed.hex()},
        },
    )
    yield (
        "padding",
        {
            "about": "Padme lengths",
            "lengths": [[n, padded_length(n)] for n in (0, 1, 2, 9, 100, 1000, 14_400, 2**20 + 1)],
        },
    )

    yield (
        "companions",
        {
            "about": "the identities of companions",
            "release": SECRET.release,
            "secret": SECRET.value.hex(),
            "companions": {str(number): SECRET.companion_identity(number) for number in (0, 1, 4096)},
        },
    )


def pixel_vectors() -> Iterator[tuple[str, Vector]]:
    for name, shape, dtype in (("grey-8", (2, 3, 1), "u1"), ("rgb-16", (3, 2, 3), "<u2")):
        pixels = np.random.default_rng(1).integers(0, np.iinfo(dtype).max + 1, shape).astype(dtype)
        yield (
            name,
            {
                "about": "pixel digest; samples row by row, 16-bit ones little-endian",
                "shape": list(shape),
                "bits": pixels.dtype.itemsize * 8,
                "samples": pixels.tobytes().hex(),
                "digest": pixel_digest(pixels),
            },
        )


MARKS = {
    "plain": (Mark(2, 3, 14, 40000),),
    "rotated": (Mark(2, 3, 14, 52000, 9000),),
    "shrunk": (Mark(5, 5, 5, 60000, 40000),),
    "opaque": (Mark(2, 3, 12, 65535),),
    "hardened": (Mark(1, 2, 16, 45000, 3000, fixed("warp").hex(), 160, 14, 120),),
    "two": (Mark(2, 3, 14, 40000, 100), Mark(8, 9, 10, 30000, 0, "ab", 0, 20, 0)),
}


def mark_vectors() -> Iterator[tuple[str, Vector]]:
    owner_logo = logo()
    for kind, data in (("rgb", picture((24, 28, 3), "u1")), ("deep", picture((24, 28), "u2"))):
        image = read_image(data, name="x")
        for name, marks in MARKS.items():
            result = mark_pixels(image, marks, logo=owner_logo)
            yield (
                f"{kind}-{name}",
                {
                    "about": "marking these pixels gives those; undoing it with the residual gives them back",
                    "original": encoded(data),
                    "logo": encoded(owner_logo.to_png()),
                    "logo_digest": owner_logo.digest,
                    "marks": [mark.to_json() for mark in marks],
                    "original_pixels": pixel_digest(image.pixels),
                    "marked_pixels": pixel_digest(result.pixels),
                    "residual": encoded(result.residual),
                },
            )


def a_record(*, keep: bool = False) -> tuple[bytes, SealedRecord]:
    """Return a marked file and its record."""
    data = picture((24, 28, 3), "u1")
    image = read_image(data, name="x")
    result = mark_pixels(image, MARKS["hardened"], logo=logo())
    file = encode_image(image, result.pixels)
    record = SealedRecord(
        release=SECRET.release,
        index=17,
        name="left/eye.png",
        file=sha256(file),
        pixels=pixel_digest(result.pixels),
        original_file=sha256(data),
        original_name="left/eye.png",
        original_pixels=pixel_digest(image.pixels),
        metadata=metadata_digest(image),
        owner=SIGNING.public.key_id,
        marks=MARKS["hardened"],
        logo=logo().digest,
        residual=result.residual,
        seeds={"search": 7},
        facts={"bits": 8, "kind": "rgb", "alpha": False},
        original=data if keep else None,
        salt=fixed("salt"),
    )
    return file, record


def record_vectors() -> Iterator[tuple[str, Vector]]:
    _, record = a_record()
    _, kept = a_record(keep=True)
    for name, each in (("good", record), ("good-kept", kept)):
        yield (
            name,
            {
                "about": "an opened record",
                "expect": "success",
                "data": encoded(each.to_bytes()),
                "name": each.name,
                "original_pixels": each.original_pixels,
                "residual": encoded(each.residual),
                "original": None if each.original is None else encoded(each.original),
            },
        )
    good = record.to_bytes()
    line, tail = good[len(MAGIC) :].split(b"\n", 1)

    def edited(**changes: Any) -> bytes:
        value = {**json.loads(line), **changes}
        return MAGIC + to_canonical({k: v for k, v in value.items() if v is not ...}) + b"\n" + tail

    bad = {
        "bad-magic": b"X" + good[1:],
        "bad-cut": good[:-1],
        "bad-longer": good + b"\0",
        "bad-padding": good[:-1] + b"\1",
        "bad-version": edited(version=2),
        "bad-unknown-field": edited(lens=1),
        "bad-missing-field": edited(salt=...),
        "bad-name": edited(name="../eye.png"),
        "bad-digest": edited(file="00"),
        "bad-encoding": edited(residual={"encoding": "raw", "length": len(record.residual)}),
        "bad-order": MAGIC + json.dumps(json.loads(line)).encode("ascii") + b"\n" + tail,
        "bad-repeated-key": MAGIC + line[:-1] + b',"version":1}\n' + tail,
    }
    for name, data in bad.items():
        yield name, {"about": "must be refused", "expect": "malformed", "data": encoded(data)}


def sealed_vectors() -> Iterator[tuple[str, Vector]]:
    _, record = a_record()
    blob = seal_record(record, SECRET)
    cases: dict[str, tuple[bytes, str, str]] = {
        "whole-identity": (blob, SECRET.whole_identity, "success"),
        "image-identity": (blob, SECRET.image_identity(17), "success"),
        "another-image": (blob, SECRET.image_identity(18), "no-match"),
        "flipped": (blob[:-20] + bytes([blob[-20] ^ 1]) + blob[-19:], SECRET.whole_identity, "malformed"),
        "cut": (blob[:-1], SECRET.whole_identity, "malformed"),
    }
    for name, (data, identity, expect) in cases.items():
        yield (
            name,
            {
                "about": "one record of a sealed shard, an age file",
                "expect": expect,
                "blob": encoded(data),
                "identity": identity,
                "record": encoded(record.to_bytes()),
            },
        )


def lines() -> list[IndexLine]:
    """Return three index lines."""
    found, offset = [], 0
    for index, name in ((0, "a.png"), (7, "é/b.png"), (4095, "z.png")):
        digests = (sha256(f"{name} {what}".encode()) for what in ("file", "pixels", "seal"))
        file, pixels, seal = digests
        found.append(IndexLine(IndexEntry(index, name, file, pixels), offset, 100 + index, seal))
        offset += 100 + index
    return found


def index_vectors() -> Iterator[tuple[str, Vector]]:
    good = [json.loads(line.to_json()) for line in lines()]

    def edited(edit: Callable[[list[dict[str, Any]]], Any]) -> bytes:
        values = json.loads(json.dumps(good))
        edit(values)
        return b"".join(to_canonical(value) + b"\n" for value in values)

    cases: dict[str, tuple[bytes, str]] = {
        "good": (edited(lambda values: None), "success"),
        "bad-no-newline": (edited(lambda values: None)[:-1], "malformed"),
        "bad-empty": (b"", "malformed"),
        "bad-number-twice": (edited(lambda values: values[1].update(index=0)), "malformed"),
        "bad-order": (edited(lambda values: values.reverse()), "malformed"),
        "bad-other-shard": (edited(lambda values: values[2].update(index=4096)), "malformed"),
        "bad-gap": (edited(lambda values: values[1]["seal"].update(offset=101)), "malformed"),
        "bad-name": (edited(lambda values: values[0].update(name="/a.png")), "malformed"),
        "bad-unknown-field": (edited(lambda values: values[0].update(mark=1)), "malformed"),
        "bad-space": (edited(lambda values: None).replace(b":0,", b": 0,", 1), "malformed"),
    }
    for name, (data, expect) in cases.items():
        yield name, {"about": "index/00000.jsonl", "expect": expect, "shard": 0, "data": encoded(data)}


def statement_vectors() -> Iterator[tuple[str, Vector]]:
    subjects = {
        name: sha256(name.encode("ascii"))
        for name in ("grants/owner.age", "index/00000.jsonl", "sealed/00000.seal", "logo.png", "policy.json")
    }

    pair = {name: sha256(name.encode("ascii")) for name in ("companions.jsonl", "companions.seal")}

    def made(key: SigningKey, names: dict[str, str] = subjects) -> bytes:
        return make_statement(
            PublicFacts("paper", counts={"inputs": 3}),
            key,
            release=SECRET.release,
            owner_age=sha256(b"age"),
            images=3,
            subjects=names,
            created=CREATED,
        )

    good = made(SIGNING)
    envelope = json.loads(good)
    payload = json.loads(base64.b64decode(envelope["payload"]))

    def resigned(kind: str = payload["predicateType"], **changes: Any) -> bytes:
        predicate = {**payload["predicate"], **changes}
        return sign_statement(kind, predicate, subjects=subjects, key=SIGNING)

    other = json.loads(base64.b64decode(envelope["payload"]))
    other["predicate"]["images"] = 4
    cases: dict[str, tuple[bytes, str]] = {
        "good": (good, "success"),
        "good-indented": (json.dumps(envelope, indent=2).encode("ascii"), "success"),
        "bad-stranger": (made(STRANGER), "signature"),
        "bad-payload": (to_canonical({**envelope, "payload": encoded(to_canonical(other))}), "signature"),
        "bad-unsigned": (to_canonical({**envelope, "signatures": []}), "signature"),
        "bad-version": (resigned("urn:medlocker:release:v2"), "malformed"),
        "bad-unknown-field": (resigned(lens=1), "malformed"),
        "bad-time": (resigned(created="2026-01-31"), "malformed"),
        "bad-subjects": (
            sign_statement(payload["predicateType"], payload["predicate"], subjects={}, key=SIGNING),
            "malformed",
        ),
        "good-companions": (made(SIGNING, subjects | pair), "success"),
        "bad-companions": (
            sign_statement(
                payload["predicateType"],
                payload["predicate"],
                subjects={**subjects, "companions.jsonl": sha256(b"x")},
                key=SIGNING,
            ),
            "malformed",
        ),
        "bad-payload-type": (to_canonical({**envelope, "payloadType": "text/plain"}), "malformed"),
    }
    for name, (data, expect) in cases.items():
        yield (
            name,
            {
                "about": "statement.dsse.json, checked against a pinned key",
                "expect": expect,
                "owner": SIGNING.public.raw.hex(),
                "data": encoded(data),
            },
        )


def secret_vectors() -> Iterator[tuple[str, Vector]]:
    good = owner_grant_text(SECRET, SIGNING)
    other = ReleaseSecret(SECRET.release, fixed("another secret"))
    cases: dict[str, tuple[bytes, str]] = {
        "good": (good, "success"),
        "bad-stranger": (owner_grant_text(SECRET, STRANGER), "signature"),
        "bad-secret": (good.replace(SECRET.value.hex().encode(), other.value.hex().encode()), "signature"),
        "bad-identity": (
            good.replace(SECRET.whole_identity.encode(), other.whole_identity.encode()),
            "malformed",
        ),
        "bad-version": (good.replace(b"version 1", b"version 2"), "malformed"),
        "bad-order": (b"".join(reversed(good.splitlines(keepends=True))), "malformed"),
    }
    for name, (data, expect) in cases.items():
        yield (
            name,
            {
                "about": "owner.age, opened",
                "expect": expect,
                "owner": SIGNING.public.raw.hex(),
                "data": encoded(data),
                "secret": SECRET.value.hex(),
            },
        )


def grant_vectors() -> Iterator[tuple[str, Vector]]:
    whole = GrantedIdentities(SECRET.release, SECRET.whole_identity).to_bytes()
    some = {index: SECRET.image_identity(index) for index in (3, 17)}
    images = GrantedIdentities(SECRET.release, None, some).to_bytes()
    own = {number: SECRET.companion_identity(number) for number in (2, 5)}
    beside = GrantedIdentities(SECRET.release, None, some, own).to_bytes()
    cases: dict[str, tuple[bytes, str]] = {
        "good-whole": (whole, "success"),
        "good-images": (images, "success"),
        "good-companions": (beside, "success"),
        "bad-companions-first": (
            beside.replace(b"# image 17", b"# companion 0", 1).replace(b"# companion 2", b"# image 17"),
            "malformed",
        ),
        "bad-companions-alone": (GrantedIdentities(SECRET.release, None, {}, own).to_bytes(), "malformed"),
        "bad-version": (whole.replace(b"version 1", b"version 2"), "malformed"),
        "bad-scope": (whole.replace(b"whole", b"shard"), "malformed"),
        "bad-order": (images.replace(b"# image 3", b"# image 18"), "malformed"),
        "bad-no-newline": (images[:-1], "malformed"),
    }
    for name, (data, expect) in cases.items():
        yield name, {"about": "identities of a grant, opened", "expect": expect, "data": encoded(data)}


def restore_vectors() -> Iterator[tuple[str, Vector]]:
    for kept in (False, True):
        file, record = a_record(keep=kept)
        base = {
            "about": "a marked file, its sealed record, and the original's pixels",
            "file": encoded(file),
            "logo": encoded(logo().to_png()),
            "identity": SECRET.image_identity(17),
            "original_pixels": record.original_pixels,
        }
        name = "kept" if kept else "good"
        yield name, {**base, "expect": "success", "blob": encoded(seal_record(record, SECRET))}
        if kept:
            continue
        wrong = {
            "bad-parameters": replace(record, marks=(replace(record.marks[0], opacity=20000),)),
            "bad-residual": replace(record, residual=b"\xff" + record.residual[1:]),
            "bad-metadata": replace(record, metadata=sha256(b"other")),
            "bad-method": replace(record, method="lens-v1"),
        }
        for label, each in wrong.items():
            yield label, {**base, "expect": "restore", "blob": encoded(seal_record(each, SECRET))}
        other = replace(record, file=sha256(b"other"))
        yield "bad-file", {**base, "expect": "wrong-image", "blob": encoded(seal_record(other, SECRET))}
    yield from veil_restore_vectors()


KINDS: dict[str, Callable[[], Iterator[tuple[str, Vector]]]] = {
    "key": key_vectors,
    "derive": derive_vectors,
    "pixels": pixel_vectors,
    "mark": mark_vectors,
    "veil": veil_vectors,
    "record": record_vectors,
    "sealed": sealed_vectors,
    "index": index_vectors,
    "companions": companions_vectors,
    "companion": companion_vectors,
    "statement": statement_vectors,
    "secret": secret_vectors,
    "grant": grant_vectors,
    "restore": restore_vectors,
}


def main(folder: Path, *, missing: bool) -> int:
    count = 0
    for kind, vectors in KINDS.items():
        target = folder / kind
        if not missing:
            shutil.rmtree(target, ignore_errors=True)
        target.mkdir(parents=True, exist_ok=True)
        for name, vector in vectors():
            path = target / f"{name}.json"
            if path.exists():
                continue
            value = {"kind": kind, "expect": "success", **vector}
            path.write_text(json.dumps(value, indent=1, sort_keys=True) + "\n", encoding="ascii")
            count += 1
    print(f"{count} vectors written to {folder}")
    return 0


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument(
        "folder", nargs="?", type=Path, default=Path(__file__).parent.parent / "tests/vectors"
    )
    parser.add_argument("--missing", action="store_true")
    options = parser.parse_args()
    sys.exit(main(options.folder, missing=options.missing))
