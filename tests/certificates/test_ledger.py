from __future__ import annotations

import sqlite3
import stat
import threading
from pathlib import Path

import pytest

from medlocker.certificates import Ledger, OwnerPaths, SigningKey, ledger_path
from medlocker.errors import AlreadyMarkedError, InputError, WriteError

KEY = SigningKey(bytes(32))
ORIGINAL, MARKED, OTHER = "ab" * 32, "cd" * 32, "ef" * 32
RELEASE, LATER = "11" * 16, "22" * 16


def test_the_ledger_lies_beside_the_keys() -> None:
    assert ledger_path(OwnerPaths(Path("keys/h"))) == Path("keys/h.ledger.sqlite")


def test_a_second_marking_is_refused(tmp_path: Path) -> None:
    with Ledger(tmp_path / "l", KEY) as ledger:
        ledger.check(ORIGINAL, release=RELEASE)
        ledger.record(ORIGINAL, release=RELEASE, marked=MARKED)
        message = f"an image with these pixels was marked in another way in release {RELEASE}"
        with pytest.raises(AlreadyMarkedError, match=message) as caught:
            ledger.check(ORIGINAL, release=LATER)
        assert "two marked versions give the original away" in caught.value.hint
        with pytest.raises(AlreadyMarkedError, match=message):
            ledger.record(ORIGINAL, release=LATER, marked=OTHER)
        with pytest.raises(AlreadyMarkedError, match=message):
            ledger.record(ORIGINAL, release=RELEASE, marked=OTHER)
        assert len(ledger) == 1


def test_a_resumed_run_may_repeat_itself(tmp_path: Path) -> None:
    for _ in range(2):
        with Ledger(tmp_path / "l", KEY) as ledger:
            ledger.check(ORIGINAL, release=RELEASE)
            ledger.record(ORIGINAL, release=RELEASE, marked=MARKED)
            assert len(ledger) == 1


def test_the_same_marked_image_may_be_in_two_releases(tmp_path: Path) -> None:
    with Ledger(tmp_path / "l", KEY) as ledger:
        ledger.record(ORIGINAL, release=RELEASE, marked=MARKED)
        ledger.record(ORIGINAL, release=LATER, marked=MARKED)
        ledger.check(ORIGINAL, release=RELEASE)
        assert len(ledger) == 1


def test_the_file_is_private_and_tells_no_digest(tmp_path: Path) -> None:
    with Ledger(tmp_path / "l", KEY) as ledger:
        ledger.record(ORIGINAL, release=RELEASE, marked=MARKED)
    data = (tmp_path / "l").read_bytes()
    assert stat.S_IMODE((tmp_path / "l").stat().st_mode) == 0o600
    for digest in (ORIGINAL, MARKED):
        assert bytes.fromhex(digest) not in data
        assert digest.encode() not in data
    assert sorted(path.name for path in tmp_path.iterdir()) == ["l"]


def test_two_runs_at_once_cannot_both_mark(tmp_path: Path) -> None:
    refused: list[str] = []

    def run(release: str) -> None:
        with Ledger(tmp_path / "l", KEY) as ledger:
            for number in range(50):
                try:
                    ledger.record(f"{number:064x}", release=release, marked=release * 2)
                except AlreadyMarkedError:
                    refused.append(release)

    with Ledger(tmp_path / "l", KEY):
        threads = [threading.Thread(target=run, args=(release,)) for release in (RELEASE, LATER)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    with Ledger(tmp_path / "l", KEY) as ledger:
        assert len(ledger) == 50
    assert len(refused) == 50


def test_one_ledger_serves_several_threads(tmp_path: Path) -> None:
    with Ledger(tmp_path / "l", KEY) as ledger:

        def run(start: int) -> None:
            for number in range(start, start + 50):
                ledger.record(f"{number:064x}", release=RELEASE, marked=MARKED)

        threads = [threading.Thread(target=run, args=(start,)) for start in (0, 100)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(ledger) == 100


def test_another_owner_s_ledger_is_refused(tmp_path: Path) -> None:
    Ledger(tmp_path / "l", KEY).close()
    with pytest.raises(InputError, match="ledger l: it belongs to another owner's key"):
        Ledger(tmp_path / "l", SigningKey(bytes([1] * 32)))


def test_other_files_are_refused_and_left_alone(tmp_path: Path) -> None:
    (tmp_path / "text").write_bytes(b"hello" * 1000)
    with pytest.raises(InputError, match="ledger text: expected a medlocker ledger"):
        Ledger(tmp_path / "text", KEY)
    assert (tmp_path / "text").read_bytes() == b"hello" * 1000
    base = sqlite3.connect(tmp_path / "base")
    base.execute("CREATE TABLE other (x)")
    base.commit()
    base.close()
    with pytest.raises(InputError, match="ledger base: expected a medlocker ledger"):
        Ledger(tmp_path / "base", KEY)
    with pytest.raises(WriteError, match="ledger l: no such file or directory"):
        Ledger(tmp_path / "missing" / "l", KEY)


def test_a_newer_ledger_is_refused(tmp_path: Path) -> None:
    Ledger(tmp_path / "l", KEY).close()
    base = sqlite3.connect(tmp_path / "l")
    base.execute("PRAGMA user_version=2")
    base.close()
    with pytest.raises(InputError, match="ledger l: expected version 1, got 2"):
        Ledger(tmp_path / "l", KEY)
