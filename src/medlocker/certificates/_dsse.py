"""Signed JSON: an in-toto Statement v1 in a DSSE v1 envelope (https://github.com/secure-systems-lab/dsse)."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from typing import Any

from medlocker.certificates._canonical import Fields, parse_json, to_canonical
from medlocker.certificates._signing import SigningKey, VerifyKey
from medlocker.errors import MalformedError, SignatureError

PAYLOAD_TYPE = "application/vnd.in-toto+json"
STATEMENT_TYPE = "https://in-toto.io/Statement/v1"
MAX_STATEMENT_BYTES = 8 * 1024 * 1024
_MAX_SIGNATURES = 16
_MAX_SUBJECTS = 65536


def pae(payload_type: str, payload: bytes) -> bytes:
    """Return the bytes that are signed: DSSE's pre-authentication encoding.

    >>> pae("http://example.com/HelloWorld", b"hello world")
    b'DSSEv1 29 http://example.com/HelloWorld 11 hello world'
    """
    kind = payload_type.encode("utf-8")
    return b"DSSEv1 %d %b %d %b" % (len(kind), kind, len(payload), payload)


def sign_statement(
    predicate_type: str, predicate: Mapping[str, Any], *, subjects: Mapping[str, str], key: SigningKey
) -> bytes:
    """Return a signed statement as the bytes of a ``.dsse.json`` file.

    Args:
        predicate_type: URI of the predicate's kind and version.
        subjects: Name and SHA-256 of each file it is stated of.
    """
    statement = {
        "_type": STATEMENT_TYPE,
        "subject": [{"name": name, "digest": {"sha256": subjects[name]}} for name in sorted(subjects)],
        "predicateType": predicate_type,
        "predicate": predicate,
    }
    payload = to_canonical(statement)
    envelope = {
        "payloadType": PAYLOAD_TYPE,
        "payload": base64.b64encode(payload).decode("ascii"),
        "signatures": [
            {
                "keyid": key.public.key_id,
                "sig": base64.b64encode(key.sign(pae(PAYLOAD_TYPE, payload))).decode("ascii"),
            }
        ],
    }
    return to_canonical(envelope) + b"\n"


def check_statement(
    data: bytes, predicate_type: str, *, owner: VerifyKey, what: str
) -> tuple[Any, dict[str, str]]:
    """Check the signature of the pinned owner, then read the statement.

    Args:
        data: The file's bytes.
        predicate_type: The only kind that is accepted.
        owner: The pinned key; key ids in the file are hints and not trusted.

    Returns:
        The predicate, unchecked, and the subjects: name to SHA-256.

    Raises:
        SignatureError: If no signature is of the owner's key.
        MalformedError: If the file is no such statement.
    """
    envelope = Fields(parse_json(data, what=what), ("payloadType", "payload", "signatures"), what=what)
    if envelope.raw("payloadType") != PAYLOAD_TYPE:
        raise envelope.refuse("payloadType", PAYLOAD_TYPE)
    payload = from_base64(envelope.raw("payload"), what=f"{what}: payload")
    _check_signatures(envelope, pae(PAYLOAD_TYPE, payload), owner=owner)
    # from here on every byte is the owner's
    fields = ("_type", "subject", "predicateType", "predicate")
    statement = Fields(parse_json(payload, what=what), fields, what=what)
    for name, known in (("_type", STATEMENT_TYPE), ("predicateType", predicate_type)):
        if statement.raw(name) != known:
            raise MalformedError(
                f"{what}: expected {name} {known}, got {statement.raw(name)!r:.80}",
                subject=what,
                hint="a newer medlocker may know it",
            )
    return statement.raw("predicate"), _read_subjects(statement)


def _check_signatures(envelope: Fields, signed: bytes, *, owner: VerifyKey) -> None:
    what = envelope.what
    signatures = envelope.items("signatures", max_items=_MAX_SIGNATURES)
    if not signatures:
        raise SignatureError(f"{what}: expected a signature, got none", subject=what)
    failure: SignatureError | None = None
    for entry in signatures:
        signature = Fields(entry, ("keyid", "sig"), what=f"{what}: signature")
        try:
            owner.check(from_base64(signature.raw("sig"), what=f"{what}: signature"), signed, what=what)
        except SignatureError as error:
            failure = error
        else:
            return
    if failure is not None:
        raise failure


def _read_subjects(statement: Fields) -> dict[str, str]:
    subjects: dict[str, str] = {}
    for entry in statement.items("subject", max_items=_MAX_SUBJECTS):
        subject = Fields(entry, ("name", "digest"), what=f"{statement.what}: subject")
        name = subject.text("name")
        digest = Fields(subject.raw("digest"), ("sha256",), what=f"{statement.what}: subject").digest(
            "sha256"
        )
        if name in subjects:
            raise MalformedError(f"{statement.what}: subject {name!r:.80} is named twice")
        subjects[name] = digest
    return subjects


def from_base64(value: object, *, what: str) -> bytes:
    """Return bytes from their text.

    Raises:
        MalformedError: If it is no base64.
    """
    try:
        if not isinstance(value, str):
            raise ValueError
        return base64.b64decode(value.encode("ascii"), validate=True)
    except (ValueError, binascii.Error):
        raise MalformedError(f"{what}: expected base64", subject=what) from None
