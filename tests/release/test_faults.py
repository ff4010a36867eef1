"""Each thing that a run asks of the file system fails once; the same command then ends as if nothing was."""

from __future__ import annotations

import errno
import itertools
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import pytest

from medlocker import store
from medlocker.certificates import Ledger, Owner, _assemble
from medlocker.errors import OutputExistsError, WriteError
from medlocker.release._journal import is_unfinished
from runs import check_release, fill, images_of, picture, protect

_CHANGES = {"os.rename", "os.link", "os.mkdir", "os.remove", "os.rmdir"}
_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT
_REASONS = {
    errno.ENOSPC: "no space left on device",
    errno.EROFS: "read-only file system",
    errno.EIO: "input/output error",
}


class Faults:
    """Lets the n-th change below a folder fail: opening to write, writing, flushing, renaming, linking."""

    def __init__(self) -> None:
        self.folder = ""
        self.moment = 0
        self.code = 0
        self.hit = ""
        self.count = itertools.count(1)

    def arm(self, folder: Path, moment: int, code: int) -> None:
        self.folder, self.moment, self.code, self.hit = os.fspath(folder), moment, code, ""
        self.count = itertools.count(1)

    def disarm(self) -> None:
        self.folder = ""

    def step(self, what: str) -> None:
        if self.folder and next(self.count) == self.moment:
            self.hit = what
            raise OSError(self.code, os.strerror(self.code))

    def audit(self, event: str, arguments: tuple[Any, ...]) -> None:
        if not self.folder or (event != "open" and event not in _CHANGES):
            return
        path = arguments[0]
        if not isinstance(path, str | os.PathLike) or not os.fspath(path).startswith(self.folder):
            return
        if event != "open" or (isinstance(arguments[2], int) and arguments[2] & _WRITES):
            self.step(event)


FAULTS = Faults()


@pytest.fixture(scope="module", autouse=True)
def hooked() -> None:
    sys.addaudithook(FAULTS.audit)  # stays, but does nothing once disarmed


@pytest.fixture(autouse=True)
def faults(monkeypatch: pytest.MonkeyPatch) -> Iterator[Faults]:
    """What no audit event tells: writing and flushing."""
    sync, write = os.fsync, store._write_all
    fdopen = os.fdopen

    def broken_sync(descriptor: int) -> None:
        FAULTS.step("fsync")
        sync(descriptor)

    def broken_write(file: IO[bytes], data: bytes) -> None:
        write(file, data[: len(data) // 2])
        FAULTS.step("journal write")
        write(file, data[len(data) // 2 :])

    class Broken:
        """A stream that fails after the first half."""

        def __init__(self, stream: IO[bytes]) -> None:
            self._stream = stream

        def __enter__(self) -> Broken:
            return self

        def __exit__(self, *_: object) -> None:
            self._stream.close()

        def __getattr__(self, name: str) -> Any:
            return getattr(self._stream, name)

        def writelines(self, pieces: Any) -> None:
            data = b"".join(pieces)
            self._stream.write(data[: len(data) // 2])
            FAULTS.step("write")
            self._stream.write(data[len(data) // 2 :])

        def write(self, data: bytes) -> None:
            self.writelines([data])

    def broken_fdopen(descriptor: int, mode: str = "r", *more: Any, **options: Any) -> Any:
        stream = fdopen(descriptor, mode, *more, **options)
        return Broken(stream) if "w" in mode else stream

    class BrokenShard(_assemble._Stream):
        def __enter__(self) -> _assemble._Stream:
            super().__enter__()
            self._file = Broken(self._file)  # type: ignore[assignment]
            return self

    monkeypatch.setattr(os, "fsync", broken_sync)
    monkeypatch.setattr(os, "fdopen", broken_fdopen)
    monkeypatch.setattr(store, "_write_all", broken_write)
    monkeypatch.setattr(_assemble, "_Stream", BrokenShard)
    yield FAULTS
    FAULTS.disarm()


def test_every_change_fails_once(tmp_path: Path, owner: Owner, faults: Faults) -> None:
    source = fill(tmp_path / "in", 1, size=32)
    (source / "tiny.png").write_bytes(picture(size=12))
    protect(source, tmp_path / "whole", owner, workers=1)
    images = images_of(tmp_path / "whole")
    hit = []
    for moment, code in zip(itertools.count(1), itertools.cycle(_REASONS)):
        out = tmp_path / f"out{moment}"
        with Ledger(tmp_path / f"ledger{moment}", owner.signing) as ledger:
            faults.arm(out, moment, code)
            caught: WriteError | None = None
            try:
                protect(source, out, owner, workers=1, ledger=ledger)
            except WriteError as error:
                caught = error
            faults.disarm()
            hit.append(faults.hit)
            if caught is not None:
                assert str(caught).endswith(_REASONS[code])
                assert caught.exit_code == 1
                assert faults.hit == "os.remove" or not list(out.rglob(".medlocker-tmp*"))
                if is_unfinished(out) or not (out / "certificate").exists():
                    result = protect(source, out, owner, workers=1, ledger=ledger)
                    assert (result.json["marked"], len(result.json["skipped"])) == (1, 1)
                else:  # only the journal was left to remove
                    with pytest.raises(OutputExistsError, match=rf"^{out.name} is a finished release$"):
                        protect(source, out, owner, ledger=ledger)
            assert len(ledger) == 1
        assert images_of(out) == images
        assert not [path for path in out.rglob("*") if path.name.startswith(".medlocker")]
        if moment % 5 == 0:
            check_release(source, out, owner, tmp_path / f"r{moment}")
        if not faults.hit:
            break
        # a folder that is there already need not be made, a name that is gone already need not be removed
        assert caught is not None or faults.hit in ("os.mkdir", "os.remove"), moment
    assert set(hit) == {"", "open", "write", "fsync", "journal write", *_CHANGES}
    assert len(hit) > 40
