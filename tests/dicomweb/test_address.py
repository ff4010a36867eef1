from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from medlocker.dicomweb import Address, parse_source, parse_store
from medlocker.errors import InputError


@pytest.mark.parametrize(
    ("text", "base", "study", "series"),
    [
        ("dicomweb:https://h/dicom-web/studies/1.2.3", "https://h/dicom-web", "1.2.3", ""),
        ("dicomweb:https://h/dicom-web/studies/1.2/series/3.4", "https://h/dicom-web", "1.2", "3.4"),
        ("dicomweb:http://H:8042/studies/1.2/", "http://h:8042", "1.2", ""),
        ("DICOMweb:https://[::1]:8/a/studies/b/studies/1", "https://[::1]:8/a/studies/b", "1", ""),
    ],
)
def test_a_study_or_series_is_taken_apart(text: str, base: str, study: str, series: str) -> None:
    assert parse_source(text) == Address(base, study, series)


@pytest.mark.parametrize("text", ["dicomweb:https://h/dicom-web", "dicomweb:https://h/dicom-web/"])
def test_a_store_has_no_study(text: str) -> None:
    assert parse_store(text) == Address("https://h/dicom-web")
    with pytest.raises(
        InputError, match=r"^expected the address of one study or series, got that of a whole"
    ):
        parse_source(text)
    with pytest.raises(
        InputError, match=r"^expected the address of a server to push to, got that of a study$"
    ):
        parse_store(f"{text.rstrip('/')}/studies/1.2")


URL = "expected http:// or https://, a host and a path after dicomweb:"
ONE = "expected the address of one study or series"
UID = "expected a UID after studies/ and series/: digits and dots, at most 64 characters"
PLAIN = "expected an address with a plain path"
USER = "expected an address without user and password"
QUERY = "expected an address without ? and #"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("https://h/studies/1", "expected the address of a DICOM server"),
        ("dicomweb:", URL),
        ("dicomweb:ftp://h/studies/1", URL),
        ("dicomweb:https:/h/studies/1", URL),
        ("dicomweb:https:///studies/1", URL),
        ("dicomweb:https://h:0/studies/1", URL),
        ("dicomweb:https://h:99999/studies/1", URL),
        ("dicomweb:https://h:x/studies/1", URL),
        ("dicomweb:https://[h/studies/1", URL),
        ("dicomweb:https://h/studies/1 2", URL),
        ("dicomweb:https://h/studies/1\n", URL),
        ("dicomweb:https://alice:secret@h/studies/1", USER),
        ("dicomweb:https://h/studies/1?token=secret", QUERY),
        ("dicomweb:https://h/studies/1#x", QUERY),
        ("dicomweb:https://h/../studies/1", PLAIN),
        ("dicomweb:https://h/a\\b/studies/1", PLAIN),
        ("dicomweb:https://h/studies/1/series", ONE),
        ("dicomweb:https://h/studies/1/series/2/instances/3", ONE),
        ("dicomweb:https://h/studies/1/metadata", ONE),
        ("dicomweb:https://h/studies", ONE),
        ("dicomweb:https://h/studies/PAT1", UID),
        ("dicomweb:https://h/studies/1..2", UID),
        ("dicomweb:https://h/studies/1/series/" + "1" * 65, UID),
    ],
)
def test_everything_else_is_refused_without_being_repeated(text: str, message: str) -> None:
    with pytest.raises(InputError) as refused:
        parse_source(text)
    assert str(refused.value) == message
    for word in ("secret", "alice", "PAT1"):
        assert word not in f"{refused.value} {refused.value.hint}"


@given(st.text() | st.text("dicomweb:htps/.1[]@studre", max_size=60))
@example("//[::1/studies/1")
@example("https://h/studies/1/series/2")
def test_any_text_is_an_address_or_our_error(text: str) -> None:
    try:
        address = parse_source(f"dicomweb:{text}")
    except InputError:
        return
    assert parse_source(address.text) == address


@pytest.mark.parametrize(
    ("base", "local", "encrypted"),
    [
        ("http://localhost:1", True, False),
        ("http://127.3.2.1", True, False),
        ("https://[::1]:1/x", True, True),
        ("http://10.0.0.1", False, False),
        ("https://localhost.evil.org", False, True),
    ],
)
def test_loopback_and_encryption_are_told(base: str, local: bool, encrypted: bool) -> None:
    assert (Address(base).is_local, Address(base).is_encrypted) == (local, encrypted)
