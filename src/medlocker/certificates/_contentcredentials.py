"""Content credentials (C2PA): a signed statement inside a picture, that programs of others read and check.

They are signed with the owner's key, under a certificate that the key itself signed: it has no name in it but
the key's id. They hold a digest of the marked file, the program and the release; nothing of the original.
Nothing is fetched and nothing is sent: no time stamp, no certificate status, no manifest from elsewhere.
"""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.util import find_spec
from types import MappingProxyType
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from medlocker.certificates._signing import SigningKey
from medlocker.errors import MissingExtraError
from medlocker.provenance import PROGRAM, SOURCE_TYPE, Provenance

CREDENTIALS_ENDING = ".c2pa"
"""Of a file that holds another one's credentials, behind its whole name."""
_LIBRARY = "c2pa"
_EMBEDDED: Mapping[str, str] = MappingProxyType(
    {"png": "image/png", "jpeg": "image/jpeg", "tiff": "image/tiff"}
)
"""Formats with a place for credentials, and their media types."""
_OTHER = "application/octet-stream"
"""Of files with credentials beside them: their type decides nothing."""
_ORGANIZATION = "self-signed key of a medlocker release's owner"
_FIRST, _LAST = datetime(2000, 1, 1, tzinfo=UTC), datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)
"""No time of its own (RFC 5280, 4.1.2.5): the same key always has the same certificate."""
_CLAIM_SIGNING = x509.ObjectIdentifier("1.3.6.1.4.1.62558.2.1")
"""C2PA's own purpose; readers of today want one of the older purposes beside it."""
_SETTINGS: Mapping[str, Any] = MappingProxyType(
    {
        "verify": {
            "verify_after_reading": True,
            "verify_after_sign": False,
            "ocsp_fetch": False,
            "remote_manifest_fetch": False,
        },
        "builder": {
            "thumbnail": {"enabled": False},
            "actions": {
                "auto_created_action": {"enabled": False},
                "auto_opened_action": {"enabled": False},
                "auto_placed_action": {"enabled": False},
            },
        },
    }
)


def need_content_credentials() -> None:
    """Refuse to go on without the library.

    Raises:
        MissingExtraError: If it is not installed.
    """
    if find_spec(_LIBRARY) is None:
        raise MissingExtraError(_LIBRARY, "c2pa")


def owner_certificate(signing: SigningKey) -> bytes:
    """Return the certificate of an owner's key in PEM, signed by itself; the same whenever it is made."""
    key = Ed25519PrivateKey.from_private_bytes(signing.seed)
    public, key_id = key.public_key(), signing.public.key_id
    purposes = [ExtendedKeyUsageOID.EMAIL_PROTECTION, _CLAIM_SIGNING]
    name = x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, _ORGANIZATION),
            x509.NameAttribute(NameOID.COMMON_NAME, key_id),
        ]
    )
    usage = dict.fromkeys(
        (
            "content_commitment",
            "key_encipherment",
            "data_encipherment",
            "key_agreement",
            "key_cert_sign",
            "crl_sign",
            "encipher_only",
            "decipher_only",
        ),
        False,
    )
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(public)
        .serial_number(int(key_id[:31], 16) + 1)
        .not_valid_before(_FIRST)
        .not_valid_after(_LAST)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.KeyUsage(digital_signature=True, **usage), critical=True)
        .add_extension(x509.ExtendedKeyUsage(purposes), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(public), critical=False)
    )
    return made.sign(key, None).public_bytes(serialization.Encoding.PEM)


class ContentCredentials:
    """Signs marked files; may be used by several threads.

    Args:
        signing: The owner's key; it stays here, the library gets signatures alone.
        provenance: What is signed besides the file.

    Raises:
        MissingExtraError: If the library is not installed.
    """

    def __init__(self, signing: SigningKey, provenance: Provenance) -> None:
        need_content_credentials()
        import c2pa

        self._c2pa: Any = c2pa
        self._key_id = signing.public.key_id
        self._sign: Callable[[bytes], bytes] = signing.sign
        self._chain = owner_certificate(signing).decode("ascii")
        self._manifest = json.dumps(_manifest(provenance))
        self._context = c2pa.Context(c2pa.Settings.from_dict(dict(_SETTINGS)))

    def embed(self, data: bytes, *, kind: str) -> bytes | None:
        """Return a file with credentials in it, None if it has no place for them.

        Args:
            data: The file.
            kind: Name of its format.
        """
        media_type = _EMBEDDED.get(kind)
        if media_type is None:
            return None
        signed = io.BytesIO()
        try:
            self._write(data, media_type, signed, inside=True)
        except self._c2pa.C2paError:
            return None
        return signed.getvalue()

    def detach(self, data: bytes) -> bytes:
        """Return credentials for a file that stays as it is, to be kept beside it."""
        return self._write(data, _OTHER, io.BytesIO(), inside=False)

    def signed(self, data: bytes, *, kind: str) -> bool:
        """Tell whether a file has valid credentials of this key inside.

        Args:
            data: The file.
            kind: Name of its format.
        """
        found = find_content_credentials(data, kind=kind)
        return found is not None and found.valid and found.key_id == self._key_id

    def _write(self, data: bytes, media_type: str, signed: io.BytesIO, *, inside: bool) -> bytes:
        c2pa = self._c2pa
        with (
            c2pa.Builder(self._manifest, self._context) as builder,
            c2pa.Signer.from_callback(self._sign, c2pa.C2paSigningAlg.ED25519, self._chain) as signer,
        ):
            if not inside:
                builder.set_no_embed()
            return bytes(builder.sign(signer, media_type, io.BytesIO(data), signed))


def _manifest(provenance: Provenance) -> dict[str, Any]:
    agent = {"name": PROGRAM, "version": provenance.version}
    actions = [
        {"action": "c2pa.created", "softwareAgent": agent, "digitalSourceType": SOURCE_TYPE},
        # not c2pa.watermarked: that is for marks that a program finds again by a soft binding
        {"action": "c2pa.edited", "softwareAgent": agent, "description": provenance.description},
    ]
    return {
        "claim_generator_info": [agent],
        "assertions": [{"label": "c2pa.actions.v2", "created": True, "data": {"actions": actions}}],
    }


@dataclass(frozen=True)
class FoundCredentials:
    """Content credentials of a file, as the library checked them.

    Args:
        valid: Whether file and credentials are as they were signed.
        program: What made them, in its own words.
        key_id: Of the key that signed, as the certificate names it; nothing that is no key id.
    """

    valid: bool
    program: str
    key_id: str


def find_content_credentials(
    data: bytes, *, kind: str, beside: bytes | None = None
) -> FoundCredentials | None:
    """Check the credentials of a file; **that they are valid does not say whose key signed**.

    Args:
        data: The file.
        kind: Name of its format.
        beside: Credentials that are not inside it, if there are any.

    Returns:
        None if there are none.

    Raises:
        MissingExtraError: If the library is not installed.
    """
    if beside is None and (kind not in _EMBEDDED or b"c2pa" not in data):
        return None
    media_type = _EMBEDDED.get(kind, _OTHER)
    need_content_credentials()
    import c2pa

    try:
        with (
            c2pa.Context(c2pa.Settings.from_dict(dict(_SETTINGS))) as context,
            c2pa.Reader(media_type, io.BytesIO(data), beside, context=context) as reader,
        ):
            told = reader.get_active_manifest() or {}
            state = reader.get_validation_state()
    except c2pa.C2paError:
        return None
    makers = told.get("claim_generator_info") or [{}]
    program = f"{makers[0].get('name', '')} {makers[0].get('version', '')}".strip()
    signer = str((told.get("signature_info") or {}).get("common_name", ""))
    is_id = len(signer) == 64 and not set(signer) - set("0123456789abcdef")
    return FoundCredentials(state in ("Valid", "Trusted"), program[:80], signer if is_id else "")
