"""Key files given by name, given in each other's place, and halves that do not belong together."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from medlocker.certificates import load_identity, load_owner, load_recipient, load_verify_key, new_owner
from medlocker.certificates._age import AGE_MAGIC, seal, unseal
from medlocker.errors import InputError

ENDINGS = ("sign.key", "sign.pub", "age.key", "age.pub")


@pytest.fixture
def keys(tmp_path: Path) -> Path:
    """The four files of ``h`` and of ``other``."""
    for name in ("h", "other"):
        new_owner(tmp_path / name)
    return tmp_path


def test_a_name_stands_for_the_file_that_is_wanted(keys: Path) -> None:
    owner = load_owner(keys / "h")
    assert load_verify_key(keys / "h") == owner.signing.public
    assert load_recipient(keys / "h") == owner.recipient
    sealed = seal(b"secret", [owner.recipient], what="x")
    assert unseal(sealed, [load_identity(keys / "h")], what="x") == b"secret"
    (keys / "h").mkdir()  # a folder of that name is no key
    assert load_verify_key(keys / "h") == owner.signing.public


def test_a_file_of_that_very_name_comes_first(keys: Path) -> None:
    shutil.copy(keys / "other.sign.pub", keys / "h")
    assert load_verify_key(keys / "h") == load_owner(keys / "other").signing.public


@pytest.mark.parametrize("ending", [one for one in ENDINGS if one != "sign.pub"])
def test_the_owners_key_is_named_where_another_is_given(keys: Path, ending: str) -> None:
    """Never the public age key, and never new keys: a signature is of the keys that there are."""
    with pytest.raises(InputError, match=rf"^owner's key h\.{ending}: expected") as caught:
        load_verify_key(keys / f"h.{ending}")
    assert caught.value.hint == "give h.sign.pub"
    (keys / "h.sign.pub").unlink()
    with pytest.raises(InputError) as caught:
        load_verify_key(keys / f"h.{ending}")
    assert caught.value.hint == "get h.sign.pub from the owner"


@pytest.mark.parametrize("ending", [one for one in ENDINGS if one != "age.pub"])
def test_the_recipients_key_is_named_where_another_is_given(keys: Path, ending: str) -> None:
    with pytest.raises(InputError, match=rf"^recipient h\.{ending}: expected") as caught:
        load_recipient(keys / f"h.{ending}")
    assert caught.value.hint == "give h.age.pub"


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("none", "get NAME.sign.pub from the owner"),
        ("none.sign.pub", "get none.sign.pub from the owner"),
        (".", "get NAME.sign.pub from the owner"),
        (".sign.pub", "get NAME.sign.pub from the owner"),
    ],
)
def test_a_key_that_is_not_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, hint: str
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError) as caught:
        load_verify_key(Path(name))
    assert caught.value.hint == hint


@pytest.mark.parametrize("ending", ENDINGS)
def test_an_owner_is_a_name_without_ending(keys: Path, ending: str) -> None:
    with pytest.raises(
        InputError, match=rf"^owner h\.{ending}: expected the file h\.{ending}\.sign\.key$"
    ) as caught:
        load_owner(keys / f"h.{ending}")
    assert caught.value.hint == f"give the name without its ending: {keys / 'h'}"


@pytest.mark.parametrize(
    ("ending", "message"),
    [
        ("sign.pub", r"^owner h: h\.sign\.pub does not belong to h\.sign\.key$"),
        ("sign.key", r"^owner h: h\.sign\.pub does not belong to h\.sign\.key$"),
        ("age.pub", r"^owner h: h\.age\.pub does not belong to h\.age\.key$"),
        ("age.key", r"^owner h: h\.age\.pub does not belong to h\.age\.key$"),
    ],
)
def test_halves_of_two_owners_are_refused(keys: Path, ending: str, message: str) -> None:
    shutil.copy(keys / f"other.{ending}", keys / f"h.{ending}")
    with pytest.raises(InputError, match=message) as caught:
        load_owner(keys / "h")
    assert "use the two files that `medlocker key new` made at the same time" in caught.value.hint


def test_a_half_that_is_kept_elsewhere_or_locked_is_not_asked_for(keys: Path) -> None:
    (keys / "h.age.key").write_bytes(AGE_MAGIC + b"sealed with a passphrase")
    load_owner(keys / "h")
    (keys / "h.age.key").unlink()
    (keys / "h.sign.pub").unlink()
    load_owner(keys / "h")


def test_a_damaged_half_is_refused(keys: Path) -> None:
    (keys / "h.age.key").write_text("AGE-SECRET-KEY-1VERYSECRET\n")
    with pytest.raises(InputError, match=r"^identity h\.age\.key: expected an age or OpenSSH private key$"):
        load_owner(keys / "h")
