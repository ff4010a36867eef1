from __future__ import annotations

import base64
from pathlib import Path

import pytest

from medlocker.dicomweb import PULL_VARIABLE, read_credentials
from medlocker.errors import InputError


def write(folder: Path, text: str | bytes, *, mode: int = 0o600) -> Path:
    path = folder / "auth.txt"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    path.chmod(mode)
    return path


@pytest.mark.parametrize("text", ["alice:pass:word ä", "\ufeffalice:pass:word ä\n"])
def test_user_and_password_from_a_file(text: str, tmp_path: Path) -> None:
    found = read_credentials(write(tmp_path, text), variable=PULL_VARIABLE)
    assert found.header == "Basic " + base64.b64encode("alice:pass:word ä".encode()).decode()
    assert found.notes == ()


def test_a_token_from_a_file_wins_over_the_variable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(PULL_VARIABLE, "alice:secret")
    assert read_credentials(None, variable=PULL_VARIABLE).header.startswith("Basic ")
    found = read_credentials(write(tmp_path, "bearer abc.d:e-f\n"), variable=PULL_VARIABLE)
    assert found.header == "Bearer abc.d:e-f"


@pytest.mark.parametrize("value", [None, ""])
def test_without_either_none_are_sent(value: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(PULL_VARIABLE, raising=False)
    if value is not None:
        monkeypatch.setenv(PULL_VARIABLE, value)
    assert read_credentials(None, variable=PULL_VARIABLE).header == ""


@pytest.mark.parametrize("text", ["sesame", "", "bearer a b", "a:b\nc:d", "alice:x\0y", "Basic YTpi"])
def test_anything_else_is_refused_without_being_repeated(text: str, tmp_path: Path) -> None:
    with pytest.raises(InputError) as refused:
        read_credentials(write(tmp_path, text), variable=PULL_VARIABLE)
    expected = "credentials auth.txt: expected one line, `user:password` or `Bearer TOKEN`"
    assert str(refused.value) == expected


def test_a_file_that_others_can_read_is_told_and_a_missing_or_binary_one_refused(tmp_path: Path) -> None:
    found = read_credentials(write(tmp_path, "a:b", mode=0o640), variable=PULL_VARIABLE)
    assert found.notes == ("auth.txt can be read by other users of this machine: chmod 600 auth.txt",)
    with pytest.raises(InputError, match=r"^credentials auth\.txt: expected a text file$"):
        read_credentials(write(tmp_path, b"a:\xff"), variable=PULL_VARIABLE)
    with pytest.raises(InputError, match=r"^credentials none: no such file or directory$"):
        read_credentials(tmp_path / "none", variable=PULL_VARIABLE)


def test_secrets_are_not_shown(tmp_path: Path) -> None:
    assert "YWxp" not in repr(read_credentials(write(tmp_path, "alice:secret"), variable=PULL_VARIABLE))
