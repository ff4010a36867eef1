"""Content credentials: the library's own reader takes them, and they say no more than they should."""

from __future__ import annotations

import io
import json
from datetime import UTC, datetime
from typing import Any

import c2pa
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.x509.oid import NameOID

from every_format import every_file
from medlocker.certificates import (
    ContentCredentials,
    SigningKey,
    find_content_credentials,
    need_content_credentials,
    owner_certificate,
)
from medlocker.errors import MissingExtraError
from medlocker.provenance import Provenance

KEY = SigningKey(bytes(range(32)))
TOLD = Provenance("ab" * 16, "1.2.3")
NAMES = {"rgb.png": "png", "grey16.png": "png", "422.jpg": "jpeg", "420-progressive.jpg": "jpeg",
         "rgb.tif": "tiff", "rgba16.tif": "tiff", "big16.tif": "tiff"}  # fmt: skip


def signed(name: str, key: SigningKey = KEY) -> bytes:
    data = ContentCredentials(key, TOLD).embed(every_file()[name], kind=NAMES[name])
    assert data is not None
    return data


def reader(name: str, data: bytes, *, anchor: bytes | None = None) -> Any:
    """The library's reader, nothing fetched; an anchor is a certificate that is trusted."""
    settings: dict[str, Any] = {"verify": {"ocsp_fetch": False, "remote_manifest_fetch": False}}
    if anchor is not None:
        settings["trust"] = {"user_anchors": anchor.decode("ascii")}
    context = c2pa.Context(c2pa.Settings.from_dict(settings))
    return c2pa.Reader(f"image/{NAMES[name]}", io.BytesIO(data), context=context)


@pytest.mark.parametrize("name", NAMES)
def test_the_librarys_reader_finds_them_valid(name: str) -> None:
    found = reader(name, signed(name))
    assert found.is_embedded()
    assert found.get_validation_state() == "Valid"
    failures = json.loads(found.json())["validation_results"]["activeManifest"]["failure"]
    assert [one["code"] for one in failures] == ["signingCredential.untrusted"]


@pytest.mark.parametrize("name", ["rgb.png", "422.jpg", "rgb.tif"])
def test_whoever_trusts_the_owners_certificate_trusts_the_file(name: str) -> None:
    assert reader(name, signed(name), anchor=owner_certificate(KEY)).get_validation_state() == "Trusted"
    other = owner_certificate(SigningKey(bytes(32)))
    assert reader(name, signed(name), anchor=other).get_validation_state() == "Valid"


@pytest.mark.parametrize("name", ["rgb.png", "422.jpg", "rgb.tif"])
def test_a_changed_file_is_seen(name: str) -> None:
    data = bytearray(signed(name))
    at = data.rfind(every_file()[name][-200:-180])
    data[at + 7] ^= 1
    found = find_content_credentials(bytes(data), kind=NAMES[name])
    assert found is not None
    assert not found.valid


def test_they_say_who_signed_and_nothing_of_an_original() -> None:
    found = reader("rgb.png", signed("rgb.png"))
    told = found.get_active_manifest()
    assert told["signature_info"]["common_name"] == KEY.public.key_id
    assert told["signature_info"]["alg"] == "Ed25519"
    assert "time" not in told["signature_info"]
    assert not told.get("ingredients")
    assert "thumbnail" not in told
    (assertion,) = told["assertions"]
    created, edited = assertion["data"]["actions"]
    assert created["action"] == "c2pa.created"
    assert created["digitalSourceType"] == "http://cv.iptc.org/newscodes/digitalsourcetype/composite"
    assert edited["action"] == "c2pa.edited"
    agent = {"name": "medlocker", "version": "1.2.3"}
    assert edited == {"action": "c2pa.edited", "softwareAgent": agent, "description": TOLD.description}
    assert created.keys() == {"action", "softwareAgent", "digitalSourceType"}
    labels = set(json.loads(found.detailed_json())["manifests"][told["label"]]["assertion_store"])
    assert labels == {"c2pa.actions.v2", "c2pa.hash.data"}


def test_the_certificate_is_the_keys_alone_and_always_the_same() -> None:
    pem = owner_certificate(KEY)
    assert pem == owner_certificate(SigningKey(bytes(range(32))))
    certificate = x509.load_pem_x509_certificate(pem)
    public = certificate.public_key()
    assert isinstance(public, Ed25519PublicKey)
    assert public.public_bytes_raw() == KEY.public.raw
    public.verify(certificate.signature, certificate.tbs_certificate_bytes)
    names = {attribute.oid: attribute.value for attribute in certificate.subject}
    assert names[NameOID.COMMON_NAME] == KEY.public.key_id
    assert set(names) == {NameOID.COMMON_NAME, NameOID.ORGANIZATION_NAME}
    assert certificate.not_valid_after_utc == datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)


def test_the_private_key_is_not_in_the_file() -> None:
    data = signed("rgb.png")
    assert KEY.seed not in data
    assert KEY.seed.hex().encode() not in data


@pytest.mark.parametrize("kind", ["dicom", "bmp", "nifti"])
def test_formats_without_a_place(kind: str) -> None:
    data = every_file()[{"dicom": "ct.dcm", "bmp": "rgb.bmp", "nifti": "short.nii"}[kind]]
    signer = ContentCredentials(KEY, TOLD)
    assert signer.embed(data, kind=kind) is None
    assert find_content_credentials(data, kind=kind) is None
    beside = signer.detach(data)
    found = find_content_credentials(data, kind=kind, beside=beside)
    assert found is not None
    assert (found.valid, found.key_id, found.program) == (True, KEY.public.key_id, "medlocker 1.2.3")
    changed = find_content_credentials(data[:-1] + b"~", kind=kind, beside=beside)
    assert changed is not None
    assert not changed.valid


def test_damaged_ones_are_no_error() -> None:
    data = every_file()["ct.dcm"]
    beside = ContentCredentials(KEY, TOLD).detach(data)
    for damaged in (b"", b"x", beside[:100], beside[:-1], beside * 2):
        found = find_content_credentials(data, kind="dicom", beside=damaged)
        assert found is None or found.valid == damaged.startswith(beside)
    for broken in (b"c2pa", b"\x89PNG\r\n\x1a\nc2pa", signed("rgb.png")[:500]):
        assert find_content_credentials(broken, kind="png") is None
    assert ContentCredentials(KEY, TOLD).embed(b"\x89PNG\r\n\x1a\n", kind="png") is None


def test_signed_tells_whose_key_it_was() -> None:
    data = signed("rgb.png")
    assert ContentCredentials(KEY, TOLD).signed(data, kind="png")
    assert not ContentCredentials(SigningKey(bytes(32)), TOLD).signed(data, kind="png")
    assert not ContentCredentials(KEY, TOLD).signed(every_file()["rgb.png"], kind="png")


def test_without_the_library_it_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("medlocker.certificates._contentcredentials.find_spec", lambda name: None)
    with pytest.raises(
        MissingExtraError, match="this needs the library c2pa, which is not installed"
    ) as error:
        need_content_credentials()
    assert "[c2pa]" in error.value.hint
    with pytest.raises(MissingExtraError):
        ContentCredentials(KEY, TOLD)
