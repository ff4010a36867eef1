"""What an owner states about a release: its shards, who made it with what, and what a mark can do."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from medlocker.certificates._canonical import Fields, to_canonical
from medlocker.certificates._companions import COMPANION_SEALS, COMPANIONS
from medlocker.certificates._dsse import check_statement, sign_statement
from medlocker.certificates._index import index_name, sealed_name
from medlocker.certificates._record import MAX_INDEX
from medlocker.certificates._secret import RELEASE_ID_BYTES
from medlocker.certificates._signing import SigningKey, VerifyKey
from medlocker.errors import MalformedError
from medlocker.version import __version__

STATEMENT = "statement.dsse.json"
LOGO, POLICY, OWNER_AGE = "logo.png", "policy.json", "grants/owner.age"
PREDICATE_TYPE = "urn:medlocker:release:v1"
PROMISE = (
    "A mark raises the cost of unauthorised analysis and proves origin. It is not access control: it cannot "
    "stop mask-and-inpaint or retraining, nor protect images whose originals are public."
)
LAWFUL_USE = (
    "The marked images are made to mislead automatic diagnosis, lawful one too. "
    "Restore them before any diagnostic use."
)
_MAX_MODELS = 256
_FIELDS = ("tool", "created", "release", "owner", "models", "images", "counts", "preset", "promise")
_LATER_FIELDS = ("regions", "needs_review")
"""Not in every release of the first version: what older ones lack is taken as not stated."""
NOT_STATED = "not stated"
_INDEX_FORM = re.compile(r"index/([0-9]{5,6})\.jsonl")


@dataclass(frozen=True)
class ModelFact:
    """A model that a release was made with.

    Args:
        name: What the user called it.
        sha256: Of the weights, 64 hex digits.
    """

    name: str
    sha256: str


@dataclass(frozen=True)
class PublicFacts:
    """What the owner makes public about how a release was made; no parameters, boxes, or seeds.

    Args:
        preset: ``paper`` or ``strong``.
        models: Surrogates of the search.
        counts: Named numbers, for instance ``{"inputs": 12, "skipped": 1}``.
        keeps_originals: Whether sealed records hold the original files.
        regions: Where the keep-out regions come from: ``given``, ``segmenter:<sha256>``,
            ``candidates: not a clinician's``, ``none``, or several with `` + `` between; ``unlisted: ``
            before one is of the images alone that the given regions do not list.
        kept: Names of metadata that were passed on although they may hold an unmarked picture.
        needs_review: Whether only images that the owner has approved may be granted or sent on.
    """

    preset: str
    models: tuple[ModelFact, ...] = ()
    counts: Mapping[str, int] = field(default_factory=dict)
    keeps_originals: bool = False
    regions: str = "none"
    kept: tuple[str, ...] = ()
    needs_review: bool = False

    @property
    def promise(self) -> str:
        """What a mark does and does not do, and what the owner let through at his own risk."""
        if not self.kept:
            return PROMISE
        return (
            f"{PROMISE} Passed on unseen at the owner's risk, and may show images unmarked: metadata of the "
            f"kinds {', '.join(self.kept)}."
        )


@dataclass(frozen=True)
class Statement:
    """A signed statement whose signature was checked.

    Args:
        tool: Name and version of the program.
        created: UTC, ``2026-01-31T12:00:00Z``.
        release: Release id, 32 hex digits.
        owner_keys: Key ids: ``sign`` and ``age``.
        models: Surrogates of the search.
        images: How many images the index lists.
        regions: Where the keep-out regions come from; ``not stated`` in older releases.
        subjects: File name relative to ``certificate/``, SHA-256.
        promise: What a mark does and does not do, and what the owner let through.
        needs_review: Whether only images that the owner has approved may be granted or sent on.
    """

    tool: str
    created: str
    release: str
    owner_keys: Mapping[str, str]
    models: tuple[ModelFact, ...]
    images: int
    counts: Mapping[str, int]
    preset: str
    regions: str
    subjects: Mapping[str, str]
    promise: str = PROMISE
    needs_review: bool = False

    @property
    def shards(self) -> tuple[int, ...]:
        """Numbers of the shards, ascending."""
        found = (_INDEX_FORM.fullmatch(name) for name in self.subjects)
        return tuple(sorted(int(match[1]) for match in found if match))

    @property
    def has_companions(self) -> bool:
        """Whether files of the release are no marked images."""
        return COMPANIONS in self.subjects


def utc_now() -> str:
    """Return the time as written in statements."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def make_statement(
    facts: PublicFacts,
    key: SigningKey,
    *,
    release: str,
    owner_age: str,
    images: int,
    subjects: Mapping[str, str],
    created: str,
) -> bytes:
    """Return the signed statement's file.

    Args:
        facts: How the release was made.
        release: Release id.
        owner_age: Key id of the owner's age key.
        images: How many the index lists.
        subjects: See :class:`Statement`.

    Raises:
        MalformedError: If a fact breaks the format: what is written can always be read.
    """
    predicate = {
        "tool": f"medlocker {__version__}",
        "created": created,
        "release": release,
        "owner": {"sign": key.public.key_id, "age": owner_age},
        "models": [{"name": model.name, "sha256": model.sha256} for model in facts.models],
        "images": images,
        "counts": dict(facts.counts),
        "preset": facts.preset,
        "regions": facts.regions,
        "promise": facts.promise,
    }
    if facts.needs_review:
        predicate["needs_review"] = True
    data = sign_statement(PREDICATE_TYPE, predicate, subjects=subjects, key=key)
    read_statement(data, owner=key.public)
    return data


def read_statement(data: bytes, *, owner: VerifyKey) -> Statement:
    """Check and read a statement's file.

    Raises:
        SignatureError: If it is not signed by the pinned owner.
        MalformedError: If it breaks the format or its subjects do not fit together.
    """
    what = STATEMENT
    predicate, subjects = check_statement(data, PREDICATE_TYPE, owner=owner, what=what)
    names = (*_FIELDS, *(name for name in _LATER_FIELDS if isinstance(predicate, dict) and name in predicate))
    reader = Fields(predicate, names, what=what)
    keys = Fields(reader.raw("owner"), ("sign", "age"), what=f"{what}: owner")
    if keys.digest("sign") != owner.key_id:
        raise MalformedError(f"{what}: the owner that is named is not the one that signed", subject=what)
    statement = Statement(
        tool=reader.text("tool", max_length=100),
        created=read_time(reader, "created"),
        release=reader.hexadecimal("release", RELEASE_ID_BYTES).hex(),
        owner_keys={"sign": keys.digest("sign"), "age": keys.digest("age")},
        models=tuple(_read_model(model, what) for model in reader.items("models", max_items=_MAX_MODELS)),
        images=reader.integer("images", high=MAX_INDEX),
        counts=_read_counts(reader),
        preset=reader.text("preset", max_length=64),
        regions=reader.text("regions", max_length=256) if "regions" in names else NOT_STATED,
        subjects=subjects,
        promise=reader.text("promise", max_length=4096),
        needs_review="needs_review" in names and _read_truth(reader, "needs_review"),
    )
    _check_subjects(statement)
    return statement


def _read_truth(reader: Fields, name: str) -> bool:
    if type(reader.raw(name)) is not bool:
        raise reader.refuse(name, "true or false")
    return bool(reader.raw(name))


def _read_model(value: object, what: str) -> ModelFact:
    reader = Fields(value, ("name", "sha256"), what=f"{what}: model")
    return ModelFact(reader.text("name", max_length=256), reader.digest("sha256"))


def _read_counts(reader: Fields) -> dict[str, int]:
    counts = reader.mapping("counts")
    if any(type(count) is not int or not 0 <= count <= MAX_INDEX for count in counts.values()):
        raise reader.refuse("counts", f"integers of 0 to {MAX_INDEX}")
    return counts


def read_time(reader: Fields, name: str) -> str:
    """Return a UTC time field after checking that it is one."""
    value = reader.text(name, max_length=20)
    try:
        datetime.strptime(value, "%Y-%m-%dT%H:%M:%SZ")
    except ValueError:
        raise reader.refuse(name, "a UTC time such as 2026-01-31T12:00:00Z") from None
    return value


def _check_subjects(statement: Statement) -> None:
    shards = statement.shards
    inputs, *without = (statement.counts.get(name) for name in ("inputs", "skipped", "failed"))
    if inputs is not None and None not in without:
        left = sum(count or 0 for count in without)
        if statement.images + left != inputs:
            raise MalformedError(
                f"{STATEMENT}: expected {inputs - left} images of {inputs} inputs, got {statement.images}"
            )
    expected = {LOGO, POLICY, OWNER_AGE}
    expected.update(index_name(shard) for shard in shards)
    expected.update(sealed_name(shard) for shard in shards)
    if {COMPANIONS, COMPANION_SEALS} & statement.subjects.keys():
        expected.update((COMPANIONS, COMPANION_SEALS))
    for name in sorted(expected.symmetric_difference(statement.subjects)):
        state = "unknown" if name in statement.subjects else "missing"
        raise MalformedError(f"{STATEMENT}: {state} subject {name!r:.80}", subject=STATEMENT)


def make_policy(facts: PublicFacts) -> bytes:
    """Return ``policy.json``: what people who get marked images should know."""
    policy: dict[str, Any] = {
        "version": 1,
        "promise": facts.promise,
        "lawful_use": LAWFUL_USE,
        "keeps_originals": facts.keeps_originals,
        "terms": "",
    }
    return to_canonical(policy) + b"\n"
