"""Writing files so that a reader, a crash or a full disk never sees half of one."""

from __future__ import annotations

import errno
import hashlib
import mmap
import os
import re
import secrets
import shutil
import stat
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from medlocker.errors import InputError, OutputExistsError, WriteError

MAX_NAME_BYTES = 255
_PIECE_BYTES = 1 << 20
_WINDOWS = os.name == "nt"
_DEVICE = re.compile(r"(?i)(con|prn|aux|nul|conin\$|conout\$|(com|lpt)[0-9\u00b9\u00b2\u00b3])\s*(\..*)?")
TEMPORARY_PREFIX = ".medlocker-tmp-"
"""Every unfinished file starts with this, so that leftovers of a killed run can be told and swept."""


def write_atomic(
    path: Path, data: bytes | Iterable[bytes], *, overwrite: bool = False, mode: int = 0o644
) -> None:
    """Write a whole file or nothing: temporary file beside the target, flush to disk, then rename.

    Args:
        path: The target; its folder must exist.
        data: The content, or its pieces; if they end with an error, nothing is written.
        overwrite: Replace an existing file instead of refusing it.
        mode: Permission bits, from the first byte on.

    Raises:
        OutputExistsError: If the target exists and ``overwrite`` is false.
        WriteError: If the system refuses (full disk, read-only folder).
    """
    if not overwrite and os.path.lexists(path):
        raise OutputExistsError(f"{path.name} exists already", hint="choose another output, or --overwrite")
    temporary = path.with_name(TEMPORARY_PREFIX + secrets.token_hex(8))
    try:
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
        try:
            with os.fdopen(descriptor, "wb") as stream:
                stream.writelines((data,) if isinstance(data, bytes) else data)
                stream.flush()
                os.fsync(stream.fileno())
            if overwrite:
                os.replace(temporary, path)
            else:
                # link, unlike rename, fails if somebody made the target meanwhile
                _link_or_rename(temporary, path)
        finally:
            if os.path.lexists(temporary):
                os.unlink(temporary)
    except FileExistsError as error:
        raise OutputExistsError(f"{path.name} exists already") from error
    except OSError as error:
        raise WriteError(f"cannot write {path.name}: {_reason(error)}", subject=path.name) from error


def _link_or_rename(temporary: Path, path: Path) -> None:
    try:
        os.link(temporary, path)
    except OSError as error:
        if error.errno not in (errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK):
            raise
        os.replace(temporary, path)  # a file system without hard links


def _reason(error: OSError) -> str:
    return (error.strerror or type(error).__name__).lower()


def make_folder(path: Path) -> None:
    """Make a folder and its parents.

    Raises:
        WriteError: If the system refuses.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise WriteError(
            f"cannot make the folder {path.name}: {_reason(error)}", subject=path.name
        ) from error


def check_output_folder(out: Path, *, overwrite: bool, ours: Callable[[Path], bool], what: str) -> None:
    """Refuse an output folder that is in the way, before any work.

    Args:
        out: May be missing or empty.
        overwrite: Whether one that this program made may be replaced.
        ours: Tells whether a folder is such a one.
        what: Its name for messages: ``"a report"``.

    Raises:
        OutputExistsError: If it exists, or with ``overwrite`` is no such folder.
    """
    if not os.path.lexists(out):
        return
    is_folder = out.is_dir() and not out.is_symlink()
    if is_folder and not any(out.iterdir()):
        return
    if not overwrite:
        raise OutputExistsError(f"{out.name} exists already", hint="choose another --out or give --overwrite")
    if not is_folder or not ours(out):
        raise OutputExistsError(f"{out.name} exists and is not {what}, it is not overwritten")


@contextmanager
def replacing_folder(out: Path, *, check: Callable[[], None]) -> Iterator[Path]:
    """Give a temporary folder beside ``out`` that takes its place if all goes well, and vanishes if not.

    Args:
        out: What is made or replaced.
        check: Called before the place is taken; raises if ``out`` must not be replaced.

    Raises:
        OutputExistsError: From ``check``: ``out`` was made meanwhile.
        WriteError: If the system refuses.
    """
    out = Path(os.path.abspath(out))  # "." has no name to stand beside
    make_folder(out.parent)
    temporary = out.with_name(TEMPORARY_PREFIX + secrets.token_hex(8))
    old = out.with_name(TEMPORARY_PREFIX + secrets.token_hex(8))
    try:
        temporary.mkdir()
        yield temporary
        check()
        if out.exists():
            os.replace(out, old)
        os.replace(temporary, out)
    except OSError as error:
        if old.exists() and not out.exists():
            os.replace(old, out)
        raise WriteError(f"cannot write {out.name}: {_reason(error)}", subject=out.name) from error
    finally:
        for leftover in (temporary, old):
            shutil.rmtree(leftover, ignore_errors=True)


def sweep_temporaries(folder: Path) -> None:
    """Remove the unfinished files that a killed process left in a folder and below it."""
    for leftover in folder.rglob(f"{TEMPORARY_PREFIX}*"):
        with suppress(OSError):
            leftover.unlink()


@contextmanager
def opened_regular(path: Path) -> Iterator[BinaryIO]:
    """Open a file to read; devices and pipes, which may keep a reader waiting for ever, are refused.

    Raises:
        OSError: If the system refuses, or it is no regular file.
    """
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))
    with os.fdopen(descriptor, "rb") as stream:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError(errno.EINVAL, "expected a regular file")
        yield stream


def read_limited(path: Path, *, max_bytes: int, what: str) -> bytes:
    """Read a regular file of at most ``max_bytes`` bytes; devices, pipes and larger files are refused unread.

    Args:
        what: For messages: ``"label file"``, ``"certificate"``.

    Raises:
        InputError: If it is missing, unreadable, no regular file, or too large.
    """
    try:
        with opened_regular(path) as stream:
            about = os.fstat(stream.fileno())
            # room is made for what is asked for, so ask for no more than there is; some files tell no size
            data = stream.read(min(about.st_size, max_bytes) + 1)
            while about.st_size < len(data) <= max_bytes and (more := stream.read(_PIECE_BYTES)):
                data += more
    except OSError as error:
        raise InputError(f"{what} {path.name}: {_reason(error)}", subject=path.name) from error
    if len(data) > max_bytes:
        raise InputError(f"{what} {path.name}: expected at most {max_bytes} bytes", subject=path.name)
    return data


def mapped(path: Path, *, max_bytes: int, what: str) -> mmap.mmap | bytes:
    """Return a regular file's bytes, of which only those are read that are looked at.

    Args:
        path: The file.
        max_bytes: How many it may have.
        what: For messages.

    Raises:
        InputError: As :func:`read_limited`.
    """
    try:
        with opened_regular(path) as stream:
            size = os.fstat(stream.fileno()).st_size
            if 0 < size <= max_bytes:
                return mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ)
    except OSError as error:
        raise InputError(f"{what} {path.name}: {_reason(error)}", subject=path.name) from error
    return read_limited(path, max_bytes=max_bytes, what=what)


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file's content as hex, read in pieces."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def check_relative_name(name: str, *, what: str) -> PurePosixPath:
    """Return a name from an untrusted list as a path that cannot leave its folder.

    Args:
        name: A relative path with forward slashes.
        what: For messages: where the name came from.

    Raises:
        InputError: If it is absolute, has empty, ``.`` or ``..`` parts, backslashes, control characters,
            or a part over 255 bytes; on Windows also if it has a colon or a device's name.
    """
    parts = name.split("/")
    if any(part in ("", ".", "..") for part in parts) or "\\" in name or any(ord(c) < 32 for c in name):
        raise InputError(f"{what}: expected a plain relative name, got {name!r:.80}", subject=what)
    if _WINDOWS and (":" in name or any(_DEVICE.fullmatch(part) for part in parts)):
        raise InputError(f"{what}: expected a name that Windows allows, got {name!r:.80}")
    if any(len(part.encode("utf-8", "surrogateescape")) > MAX_NAME_BYTES for part in parts):
        raise InputError(f"{what}: expected names of at most {MAX_NAME_BYTES} bytes", subject=what)
    return PurePosixPath(name)
