"""A small signed release, and tools that tamper with it, also as a dishonest owner would."""

from __future__ import annotations

import base64
import hashlib
import io
import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image as Pillow

from medlocker.certificates import (
    CompanionEntry,
    IndexEntry,
    Owner,
    PublicFacts,
    ReleaseSecret,
    SealedRecord,
    VerifyKey,
    assemble,
    load_owner,
    new_owner,
    seal_record,
    write_owner_grant,
)
from medlocker.certificates._dsse import sign_statement
from medlocker.formats import encode_image, metadata_digest, read_image
from medlocker.images import pixel_digest
from medlocker.logo import builtin_logo
from medlocker.mark import Mark
from medlocker.marking import mark_pixels

LOGO = builtin_logo()
NAMES = ("left/eye.png", "left/grey.png", "right.png")
CREATED = "2026-01-31T12:00:00Z"


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def original(index: int) -> bytes:
    """A picture of noise, grey if the number is odd."""
    shape = (40, 48) if index % 2 else (40, 48, 3)
    stream = io.BytesIO()
    pixels = np.random.default_rng(index).integers(0, 256, shape).astype(np.uint8)
    Pillow.fromarray(pixels).save(stream, "PNG")
    return stream.getvalue()


def marked(
    index: int, owner: Owner, secret: ReleaseSecret, *, name: str, keep: bool
) -> tuple[bytes, SealedRecord]:
    """A marked file and its record."""
    data = original(index)
    image = read_image(data, name=name)
    digest = pixel_digest(image.pixels)
    key = secret.derive("warp", digest, length=16).hex()
    marks = (Mark(3, 4, 20, 40000, 900, key, 128, 9, 100), Mark(25, 12, 16, 30000))
    result = mark_pixels(image, marks, logo=LOGO)
    file = encode_image(image, result.pixels)
    record = SealedRecord(
        release=secret.release,
        index=index,
        name=name,
        file=sha256(file),
        pixels=pixel_digest(result.pixels),
        original_file=sha256(data),
        original_name=f"in/{name}",
        original_pixels=digest,
        metadata=metadata_digest(image),
        owner=owner.signing.public.key_id,
        marks=marks,
        logo=LOGO.digest,
        residual=result.residual,
        seeds={"search": 7},
        facts={"bits": 8},
        original=data if keep else None,
        salt=bytes(32),
    )
    return file, record


@dataclass(frozen=True)
class Sample:
    """A release on disk with everything that its owner has."""

    path: Path
    keys: Path
    owner: Owner
    secret: ReleaseSecret
    records: tuple[SealedRecord, ...]

    @property
    def pinned(self) -> VerifyKey:
        return self.owner.signing.public

    def certificate(self, name: str) -> Path:
        return self.path / "certificate" / name

    def image(self, index: int) -> Path:
        return self.path / "images" / NAMES[index]

    def assemble(
        self,
        records: tuple[SealedRecord, ...],
        *,
        companions: Iterable[tuple[CompanionEntry, bytes | None]] = (),
    ) -> None:
        """Write and sign the certificate again."""
        assemble(
            self.path,
            ((entry_of(record), seal_record(record, self.secret)) for record in records),
            secret=self.secret,
            signing=self.owner.signing,
            recipient=self.owner.recipient,
            logo=LOGO,
            facts=PublicFacts("paper"),
            created=CREATED,
            companions=companions,
        )

    def reseal(self, index: int, **changes: Any) -> None:
        """Sign another record of one image."""
        records = list(self.records)
        records[index] = replace(records[index], **changes)
        self.assemble(tuple(records))

    def edit_index(self, edit: Callable[[list[dict[str, Any]]], None]) -> None:
        """Change index lines and sign them."""
        path = self.certificate("index/00000.jsonl")
        lines = [json.loads(line) for line in path.read_bytes().splitlines()]
        edit(lines)
        path.write_bytes(b"".join(canonical(line) + b"\n" for line in lines))
        self.sign()

    def sign(self, edit: Callable[[dict[str, Any]], None] = lambda statement: None) -> None:
        """Sign whatever lies there now, after changing the statement."""
        path = self.certificate("statement.dsse.json")
        statement = payload_of(path)
        for subject in statement["subject"]:
            subject["digest"]["sha256"] = sha256(self.certificate(subject["name"]).read_bytes())
        edit(statement)
        subjects = {subject["name"]: subject["digest"]["sha256"] for subject in statement["subject"]}
        path.write_bytes(
            sign_statement(
                statement["predicateType"], statement["predicate"], subjects=subjects, key=self.owner.signing
            )
        )


def entry_of(record: SealedRecord) -> IndexEntry:
    return IndexEntry(record.index, record.name, record.file, record.pixels)


def canonical(value: object) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode("ascii")


def payload_of(path: Path) -> dict[str, Any]:
    """What a DSSE file states, unchecked."""
    payload = base64.b64decode(json.loads(path.read_bytes())["payload"])
    return dict(json.loads(payload))


def make_sample(folder: Path) -> Sample:
    """Three images: colour, grey, and colour with the original kept."""
    new_owner(folder / "keys" / "owner")
    new_owner(folder / "keys" / "reader")
    owner = load_owner(folder / "keys" / "owner")
    secret = ReleaseSecret.new()
    path = folder / "release"
    write_owner_grant(path, secret, recipient=owner.recipient, signing=owner.signing)
    records = []
    for index, name in enumerate(NAMES):
        file, record = marked(index, owner, secret, name=name, keep=index == 2)
        target = path / "images" / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(file)
        records.append(record)
    sample = Sample(path, folder / "keys", owner, secret, tuple(records))
    sample.assemble(sample.records)
    return sample


def flip(path: Path, place: int | None = None) -> None:
    """Flip one bit, by default in the middle."""
    data = bytearray(path.read_bytes())
    data[len(data) // 2 if place is None else place] ^= 1
    path.write_bytes(data)
