"""Single lines that an owner signs, each by itself: what is added over time, in a file beside a release."""

from __future__ import annotations

import base64
from typing import Any

from medlocker.certificates._canonical import Fields, parse_canonical, to_canonical
from medlocker.certificates._dsse import from_base64, pae
from medlocker.certificates._signing import SigningKey, VerifyKey


def sign_line(value: Any, payload_type: str, *, key: SigningKey) -> bytes:
    """Return one line: a value and the owner's signature over DSSE's encoding of it.

    Args:
        value: What JSON can hold, without floats.
        payload_type: Media type of the value, part of what is signed.
    """
    signature = key.sign(pae(payload_type, to_canonical(value)))
    return to_canonical({"value": value, "sig": base64.b64encode(signature).decode("ascii")}) + b"\n"


def check_line(line: bytes, payload_type: str, *, owner: VerifyKey, what: str) -> Any:
    """Return the value of one line after checking that the owner signed it.

    Raises:
        SignatureError: If the signature is not of this owner over this value.
        MalformedError: If it is no such line.
    """
    fields = Fields(parse_canonical(line.rstrip(b"\n"), what=what), ("value", "sig"), what=what)
    value = fields.raw("value")
    owner.check(from_base64(fields.raw("sig"), what=what), pae(payload_type, to_canonical(value)), what=what)
    return value
