"""Vectors of files that are no marked images: the list of them, and the sealed originals."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

from medlocker.certificates import CompanionRecord, seal_companion
from medlocker.certificates._canonical import to_canonical
from medlocker.certificates._companionrecord import MAGIC
from vector_parts import SECRET, SIGNING, Vector, encoded, sha256


def _lines() -> list[dict[str, Any]]:
    def line(name: str, kind: str, images: list[list[int]], seal: tuple[int, int] | None) -> dict[str, Any]:
        place = seal and {"offset": seal[0], "length": seal[1], "sha256": sha256(f"{name} seal".encode())}
        return {"name": name, "file": sha256(name.encode()), "kind": kind, "images": images, "seal": place}

    return [
        line("a/mask.png", "copy", [], None),
        line("a/plan.dcm", "companion", [[0, 2], [7, 7]], (0, 300)),
        line("a.json", "sidecar", [[0, 0]], None),
        line("é.dcm", "companion", [[4, 4]], (300, 200)),
    ]


def companions_vectors() -> Iterator[tuple[str, Vector]]:
    good = sorted(_lines(), key=lambda line: str(line["name"]))
    number = {str(line["name"]): place for place, line in enumerate(good)}

    def edited(edit: Callable[[list[dict[str, Any]]], Any]) -> bytes:
        values = json.loads(json.dumps(good))
        edit(values)
        return b"".join(to_canonical(value) + b"\n" for value in values)

    plan = number["a/plan.dcm"]
    cases: dict[str, tuple[bytes, str]] = {
        "good": (edited(lambda values: None), "success"),
        "bad-no-newline": (edited(lambda values: None)[:-1], "malformed"),
        "bad-empty": (b"", "malformed"),
        "bad-order": (edited(lambda values: values.reverse()), "malformed"),
        "bad-twice": (edited(lambda values: values.insert(0, values[0])), "malformed"),
        "bad-gap": (edited(lambda values: values[-1]["seal"].update(offset=301)), "malformed"),
        "bad-name": (edited(lambda values: values[0].update(name="../a.json")), "malformed"),
        "bad-kind": (edited(lambda values: values[0].update(kind="mask")), "malformed"),
        "bad-no-seal": (edited(lambda values: values[plan].update(seal=None)), "malformed"),
        "bad-no-images": (edited(lambda values: values[plan].update(images=[])), "malformed"),
        "bad-ranges": (edited(lambda values: values[plan].update(images=[[0, 2], [3, 3]])), "malformed"),
        "bad-unknown-field": (edited(lambda values: values[0].update(of=1)), "malformed"),
    }
    for name, (data, expect) in cases.items():
        vector = {"about": "companions.jsonl", "expect": expect, "data": encoded(data)}
        yield name, vector | ({"covered_by_0_to_4": [number["é.dcm"]]} if name == "good" else {})


def companion_vectors() -> Iterator[tuple[str, Vector]]:
    original = b"the original of a companion"
    record = CompanionRecord(SECRET.release, SIGNING.public.key_id, "a/plan.dcm", sha256(b"edited"), original)
    good = record.to_bytes()
    line, tail = good[len(MAGIC) :].split(b"\n", 1)

    def edited(**changes: Any) -> bytes:
        value = {**json.loads(line), **changes}
        return MAGIC + to_canonical({k: v for k, v in value.items() if v is not ...}) + b"\n" + tail

    yield (
        "good",
        {
            "about": "an opened original",
            "expect": "success",
            "data": encoded(good),
            "original": encoded(original),
        },
    )
    bad = {
        "bad-magic": b"X" + good[1:],
        "bad-cut": good[:-1],
        "bad-padding": good[:-1] + b"\1",
        "bad-version": edited(version=2),
        "bad-missing-field": edited(name=...),
        "bad-unknown-field": edited(index=1),
        "bad-digest": edited(original_file=sha256(b"other")),
        "bad-length": edited(original={"length": len(original) + 1}),
    }
    for name, data in bad.items():
        yield name, {"about": "must be refused", "expect": "malformed", "data": encoded(data)}
    blob = seal_companion(record, SECRET, number=2)
    for name, identity, expect in (
        ("sealed-whole", SECRET.whole_identity, "success"),
        ("sealed-own", SECRET.companion_identity(2), "success"),
        ("sealed-another", SECRET.companion_identity(3), "no-match"),
        ("sealed-image", SECRET.image_identity(2), "no-match"),
    ):
        yield (
            name,
            {
                "about": "a piece of companions.seal, an age file",
                "expect": expect,
                "blob": encoded(blob),
                "identity": identity,
                "original": encoded(original),
            },
        )
