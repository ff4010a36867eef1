from __future__ import annotations

import sqlite3
import stat
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

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
        assert "two different marks reveal the original" in caught.value.hint
        with pytest.raises(AlreadyMarkedError, match=message):
            ledger.record(ORIGINAL, release=LATER, marked=OTHER)
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


# ---------------------------------------------------------------------------- runs that finish, or never do


def test_one_picture_twice_in_a_run(tmp_path: Path) -> None:
    with Ledger(tmp_path / "l", KEY) as ledger:
        ledger.begin(RELEASE)
        ledger.record(ORIGINAL, release=RELEASE, marked=MARKED)
        ledger.check(ORIGINAL, release=RELEASE)
        with pytest.raises(AlreadyMarkedError) as caught:
            ledger.record(ORIGINAL, release=RELEASE, marked=OTHER)
        assert str(caught.value) == "an image with these pixels is in this run already, marked in another way"
        assert caught.value.hint == (
            "the same picture twice: leave one out, or give both the same label and regions"
        )


def test_claims_of_a_run_that_has_not_finished_stay_but_say_so(tmp_path: Path) -> None:
    with Ledger(tmp_path / "l", KEY) as ledger:
        ledger.begin(RELEASE)
        ledger.record(ORIGINAL, release=RELEASE, marked=MARKED)
        ledger.begin(LATER)
        attempts: list[Callable[[], None]] = [
            lambda: ledger.check(ORIGINAL, release=LATER),
            lambda: ledger.record(ORIGINAL, release=LATER, marked=OTHER),
        ]
        for refused in attempts:
            with pytest.raises(AlreadyMarkedError) as caught:
                refused()
            assert str(caught.value) == (
                "an image with these pixels was marked in another way by a run that has not finished, "
                f"release {RELEASE}"
            )
            assert caught.value.hint == (
                "finish it with the command that started it; only if none of its files was given away: "
                f"--abandon-run {RELEASE}"
            )
        ledger.begin(RELEASE)  # it goes on
        ledger.finish(RELEASE)
        with pytest.raises(AlreadyMarkedError, match=f"in another way in release {RELEASE}$"):
            ledger.check(ORIGINAL, release=LATER)


def test_a_run_that_is_given_up_claims_nothing_and_never_finishes(tmp_path: Path) -> None:
    with Ledger(tmp_path / "l", KEY) as first, Ledger(tmp_path / "l", KEY) as second:
        first.begin(RELEASE)
        first.record(ORIGINAL, release=RELEASE, marked=MARKED)
        for _ in range(2):  # the command that gives it up may be repeated
            second.give_up(RELEASE)
        second.begin(LATER)
        second.check(ORIGINAL, release=LATER)
        second.record(ORIGINAL, release=LATER, marked=OTHER)
        assert len(second) == 1
        message = f"^release {RELEASE} was given up: its images may carry other marks now$"
        attempts: list[Callable[[], None]] = [
            lambda: first.begin(RELEASE),
            lambda: first.finish(RELEASE),
            lambda: first.record("12" * 32, release=RELEASE, marked=MARKED),
        ]
        for refused in attempts:
            with pytest.raises(InputError, match=message) as caught:
                refused()
            assert caught.value.hint == "remove what this run made, and choose another --out"
        with pytest.raises(AlreadyMarkedError):
            first.record(ORIGINAL, release=RELEASE, marked=MARKED)
        second.finish(LATER)
        with pytest.raises(AlreadyMarkedError, match=f"in release {LATER}$"):
            second.check(ORIGINAL, release=RELEASE)
        second.record("12" * 32, release=LATER, marked=OTHER)  # what the first claimed in vain is void


@pytest.mark.parametrize("text", [LATER, "", "x", RELEASE.upper() + "F", "\udcff"])
def test_only_runs_that_have_not_finished_can_be_given_up(tmp_path: Path, text: str) -> None:
    with Ledger(tmp_path / "l", KEY) as ledger:
        ledger.begin(RELEASE)
        ledger.record(ORIGINAL, release=RELEASE, marked=MARKED)
        ledger.record(OTHER, release=LATER, marked=MARKED)  # of a run that never began
        with pytest.raises(InputError) as caught:
            ledger.give_up(text)
        message = f"ledger l: expected the id of a run that has not finished, got {text!r}"
        assert str(caught.value) == message
        ledger.finish(RELEASE)
        with pytest.raises(InputError, match="expected the id of a run that has not finished"):
            ledger.give_up(RELEASE)
        for original in (ORIGINAL, OTHER):
            with pytest.raises(AlreadyMarkedError):
                ledger.check(original, release="33" * 16)


def test_a_mark_that_another_release_repeats_cannot_be_given_up(tmp_path: Path) -> None:
    """That one may be published, and its claim is the first one's."""
    with Ledger(tmp_path / "l", KEY) as ledger:
        ledger.begin(RELEASE)
        ledger.record(ORIGINAL, release=RELEASE, marked=MARKED)
        ledger.begin(LATER)
        ledger.record(ORIGINAL, release=LATER, marked=MARKED)
        with pytest.raises(InputError, match="expected the id of a run that has not finished"):
            ledger.give_up(RELEASE)
        ledger.begin(RELEASE)
        ledger.finish(RELEASE)


def test_a_ledger_of_an_earlier_version_is_used_on(tmp_path: Path) -> None:
    with Ledger(tmp_path / "l", KEY) as ledger:
        ledger.record(ORIGINAL, release=RELEASE, marked=MARKED)
    base = sqlite3.connect(tmp_path / "l")
    base.execute("DROP TABLE trace")
    base.execute("DROP TABLE note")
    base.close()
    with Ledger(tmp_path / "l", KEY) as ledger:
        with pytest.raises(AlreadyMarkedError, match=f"in another way in release {RELEASE}$"):
            ledger.check(ORIGINAL, release=LATER)
        ledger.traces.keep("one", b"data")
        ledger.notes.keep("one", b"data")


class Histories(RuleBasedStateMachine):
    """Whatever runs do, and whoever gives them up: no original is in two signed releases in two ways."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = TemporaryDirectory()
        self.ledger = Ledger(Path(self.folder.name, "l"), KEY)
        self.made: dict[str, dict[str, str]] = {}
        self.signed: set[str] = set()

    runs = st.sampled_from([f"{number:032x}" for number in range(3)])
    digests = st.sampled_from([f"{number:064x}" for number in range(2)])

    @rule(run=runs)
    def begin(self, run: str) -> None:
        if run not in self.signed:
            with suppress(InputError):
                self.ledger.begin(run)
                self.made.setdefault(run, {})

    @rule(run=runs, original=digests, marked=digests)
    def mark(self, run: str, original: str, marked: str) -> None:
        if run in self.made and run not in self.signed:
            with suppress(InputError):
                self.ledger.record(original, release=run, marked=marked)
                self.made[run][original] = marked

    @rule(run=runs)
    def finish(self, run: str) -> None:
        if run in self.made:
            with suppress(InputError):
                self.ledger.finish(run)
                self.signed.add(run)

    @rule(run=runs)
    def give_up(self, run: str) -> None:
        with suppress(InputError):
            self.ledger.give_up(run)

    @invariant()
    def one_version_is_signed(self) -> None:
        pairs = {pair for run in self.signed for pair in self.made[run].items()}
        assert len(pairs) == len({original for original, _ in pairs})

    def teardown(self) -> None:
        self.ledger.close()
        self.folder.cleanup()


test_histories = Histories.TestCase
Histories.TestCase.settings = settings(max_examples=100, stateful_step_count=25)
