"""What unfinished work has done, in one file that a kill at any moment leaves usable.

A head says whose work it is, then comes one line for each thing done::

    <code> <JSON object>

A code is HMAC-SHA256 over the code before it and the object. So a line counts only in the place where it was
written, and only if whoever wrote it had the key: from the first one that others changed, put in or took out,
nothing counts. (The end may be missing: that is what a kill leaves.) Without a key codes only find damage,
which is enough where nobody else can write. Bytes that belong to a line lie in ``<file>.blobs``; the line has
their digest.
"""

from __future__ import annotations

import errno
import hashlib
import hmac
import json
import os
import secrets
import stat
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from medlocker.errors import MalformedError, WriteError
from medlocker.files import opened_regular, write_atomic

MAX_LINE_BYTES = 1 << 20
_CODE = 64
_NO_LINKS = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
Value = dict[str, Any]


@dataclass(frozen=True)
class Blob:
    """Where the bytes of one line lie: offset and length in the file of blobs, SHA-256 as hex."""

    offset: int
    length: int
    sha256: str


class Store:
    """Lines to go on with. Nobody else may write at the same time; threads of one process may.

    Args:
        path: The file; its folder must exist.
        head: What a new file begins with; of one that is there see :func:`read_head`.
        key: Proves who wrote a line.
        take: Gets every line that counts and its mark; a ValueError says that it does not count either.
        mode: Permission bits of new files.
        what: Its name in messages.

    Raises:
        MalformedError: If the head was not written with this key.
        WriteError: If the system refuses.
    """

    def __init__(
        self,
        path: Path,
        head: Mapping[str, Any],
        *,
        key: bytes = b"",
        take: Callable[[Value, int], None] = lambda value, mark: None,
        mode: int = 0o644,
        what: str = "",
    ) -> None:
        self._path, self._blobs_path, self._key = path, blobs_path(path), key
        self._what = what or path.name
        self._lock = threading.Lock()
        self._tag_key = secrets.token_bytes(16)
        self.lost = False
        """Whether there was more than counts, and more than the half line that a kill leaves."""
        with self._errors():
            if not os.path.lexists(path):
                self._blobs_path.unlink(missing_ok=True)
                write_atomic(path, _line(key, "", head)[1], mode=mode)
            # unbuffered: what the system refuses must not be tried again when closing
            self._mode = mode
            self._lines = _open(path, mode)
            self._blobs: IO[bytes] | None = None
            try:
                if os.path.lexists(self._blobs_path):
                    self._blobs = _open(self._blobs_path, mode)
                self._read(take)
            except BaseException:
                self.close()
                raise

    def _read(self, take: Callable[[Value, int], None]) -> None:
        """Take what counts, and cut off the rest of both files."""
        self._code, self._size, self._blobs_size = "", 0, 0
        there = 0 if self._blobs is None else os.fstat(self._blobs.fileno()).st_size
        with opened_regular(self._path) as stream:
            for line in iter(lambda: stream.readline(MAX_LINE_BYTES), b""):
                try:
                    code, value = _checked(self._key, self._code, line)
                    end = self._blobs_size
                    if "blob" in value:
                        end += _length(value["blob"], self._blobs_size)
                        if end > there:
                            raise ValueError("the bytes of a line are missing")
                    if self._size:
                        take(value, self._mark(self._size, line))
                except ValueError:
                    self.lost = line.endswith(b"\n") or len(line) == MAX_LINE_BYTES
                    break
                self._code, self._size, self._blobs_size = code, self._size + len(line), end
        if not self._size:
            raise _foreign(self._path)
        self._cut()

    def _cut(self) -> None:
        self._lines.truncate(self._size)
        if self._blobs is not None:
            self._blobs.truncate(self._blobs_size)

    def add(self, value: Mapping[str, Any], blob: bytes | None = None) -> int:
        """Append a line; if the system is killed meanwhile, it counts whole or not at all.

        Args:
            value: What JSON can hold; the field ``blob`` is given here.
            blob: Bytes that belong to it.

        Returns:
            Its mark, by which :meth:`value` finds it.

        Raises:
            WriteError: If the system refuses; everything is as before.
        """
        with self._lock:
            data = blob or b""
            if blob is not None:
                there = Blob(self._blobs_size, len(blob), hashlib.sha256(blob).hexdigest())
                value = {**value, "blob": vars(there)}
            code, line = _line(self._key, self._code, value)
            try:
                if data:
                    if self._blobs is None:
                        self._blobs = _open(self._blobs_path, self._mode)
                    _write_all(self._blobs, data)
                    os.fsync(self._blobs.fileno())  # a line never outlives a power cut that its bytes did not
                _write_all(self._lines, line)
            except OSError as error:
                with suppress(OSError):
                    self._cut()
                raise self._refused(error) from error
            mark = self._mark(self._size, line)
            self._code, self._size = code, self._size + len(line)
            self._blobs_size += len(data)
            return mark

    def _mark(self, place: int, line: bytes) -> int:
        """Return place and content of a line in one number; without its key nobody finds other content."""
        tag = hashlib.blake2b(line, digest_size=8, key=self._tag_key).digest()
        return place << 64 | int.from_bytes(tag, "big")

    def value(self, mark: int) -> Value:
        """Return one line again.

        Raises:
            WriteError: If it cannot be read any more, or was changed since.
        """
        try:
            with opened_regular(self._path) as stream:
                stream.seek(mark >> 64)
                line = stream.readline(MAX_LINE_BYTES)
            if self._mark(mark >> 64, line) != mark:
                raise ValueError("expected the line that was taken")
            return _parsed(line)
        except OSError as error:
            raise self._refused(error) from error
        except ValueError as error:
            raise WriteError(f"cannot read {self._what}: somebody changed it") from error

    def blob(self, blob: Blob) -> bytes:
        """Return the bytes of a line.

        Raises:
            MalformedError: If they are not those that were added.
            WriteError: If the system refuses.
        """
        with self._errors(), opened_regular(self._blobs_path) as stream:
            stream.seek(blob.offset)
            data = stream.read(blob.length)
        if hashlib.sha256(data).hexdigest() != blob.sha256:
            raise MalformedError(f"{self._blobs_path.name}: somebody changed it")
        return data

    def close(self) -> None:
        """Close the files."""
        self._lines.close()
        if self._blobs is not None:
            self._blobs.close()

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise self._refused(error) from error

    def _refused(self, error: OSError) -> WriteError:
        return WriteError(f"cannot write {self._what}: {(error.strerror or '').lower()}")


def blobs_path(path: Path) -> Path:
    """Return where the bytes that belong to the lines of a file lie."""
    return path.with_name(f"{path.name}.blobs")


def read_head(path: Path, *, key: bytes = b"") -> Value | None:
    """Return what a file begins with, None if there is none.

    Raises:
        MalformedError: If it was not written with this key.
        WriteError: If it cannot be read.
    """
    try:
        with opened_regular(path) as stream:
            return _checked(key, "", stream.readline(MAX_LINE_BYTES))[1]
    except FileNotFoundError:
        return None
    except OSError as error:
        raise WriteError(f"cannot read {path.name}: {(error.strerror or '').lower()}") from error
    except ValueError:
        raise _foreign(path) from None


def read_unproved(path: Path) -> Iterator[Value]:
    """Yield head and lines up to the first that has not their form; **anybody may have written them**.

    Raises:
        OSError: If the file cannot be read.
        ValueError: Where the form ends before the file does, but for the half line that a kill leaves.
    """
    with opened_regular(path) as stream:
        for line in iter(lambda: stream.readline(MAX_LINE_BYTES), b""):
            if not line.endswith(b"\n") and len(line) < MAX_LINE_BYTES:
                return
            yield _parsed(line)


def _line(key: bytes, before: str, value: Mapping[str, Any]) -> tuple[str, bytes]:
    data = json.dumps(value, allow_nan=False).encode("ascii")
    code = _code(key, before, data)
    line = b"%b %b\n" % (code.encode("ascii"), data)
    if len(line) > MAX_LINE_BYTES:
        raise ValueError(f"expected a line of at most {MAX_LINE_BYTES} bytes")
    return code, line


def _code(key: bytes, before: str, data: bytes) -> str:
    return hmac.digest(key, before.encode("ascii") + data, "sha256").hex()


def _checked(key: bytes, before: str, line: bytes) -> tuple[str, Value]:
    code = _code(key, before, line[_CODE + 1 : -1])
    if not hmac.compare_digest(line[: _CODE + 1], code.encode("ascii") + b" ") or not line.endswith(b"\n"):
        raise ValueError("expected another code")
    return code, _parsed(line)


def _parsed(line: bytes) -> Value:
    try:
        value = json.loads(line[_CODE + 1 :].decode("ascii"))
    except RecursionError:
        raise ValueError("expected less depth") from None
    if type(value) is not dict:
        raise ValueError("expected a JSON object")
    return value


def _length(blob: Any, offset: int) -> int:
    """Return how many bytes a line has behind those before it."""
    length = blob.get("length") if type(blob) is dict and blob.get("offset") == offset else None
    if type(length) is not int or length < 0:
        raise ValueError("expected the place of the bytes of a line")
    return length


def _foreign(path: Path) -> MalformedError:
    return MalformedError(
        f"{path.parent.name}/{path.name} was not written with this key, or was changed since",
        hint="put back what was there, or choose another output",
    )


def _open(path: Path, mode: int) -> IO[bytes]:
    descriptor = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | _NO_LINKS, mode)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(errno.EINVAL, "expected a regular file")
    return os.fdopen(descriptor, "ab", buffering=0)


def _write_all(file: IO[bytes], data: bytes) -> None:
    rest = memoryview(data)
    while rest:
        rest = rest[file.write(rest) :]
