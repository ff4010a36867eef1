"""Locks on files and folders, which the system takes back even from a process that was killed.

POSIX systems lock whatever can be opened (flock). Windows opens no folders, so a file in a folder stands for
it there, and removes no open files, so whoever clears a folder lets go of it first.
"""

from __future__ import annotations

import os
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import Any

from medlocker.errors import InputError

_IN_FOLDER = "lock"
_FAR = 0x7FFF0000
"""Windows lets nobody read a locked byte: this one lies behind all that a file holds."""


def _optional(name: str) -> Any:
    with suppress(ImportError):
        return import_module(name)
    return None


_fcntl, _msvcrt = _optional("fcntl"), _optional("msvcrt")
REMOVES_OPEN_FILES: bool = _fcntl is not None


def open_lock(path: Path, *, make: bool) -> int:
    """Open a file or folder to lock it; returns the descriptor.

    Args:
        path: What is locked.
        make: Make what stands for a folder, where it is missing.

    Raises:
        OSError: If it cannot be opened.
    """
    if _fcntl is None and path.is_dir():
        return os.open(path / _IN_FOLDER, os.O_RDWR | (os.O_CREAT if make else 0))
    return os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))


def try_lock(descriptor: int) -> bool:
    """Take the lock if nobody has it; it lasts until the descriptor is closed.

    Raises:
        InputError: If the system knows no locks.
    """
    try:
        if _fcntl is not None:
            _fcntl.flock(descriptor, _fcntl.LOCK_EX | _fcntl.LOCK_NB)
        else:
            _lock_byte(descriptor)
    except (BlockingIOError, PermissionError):
        return False
    return True


def is_locked(path: Path) -> bool:
    """Tell whether a living process has locked a file or folder; asks the system, changes nothing."""
    try:
        descriptor = open_lock(path, make=False)
    except OSError:
        return False
    try:
        if _fcntl is not None:
            _fcntl.flock(descriptor, _fcntl.LOCK_SH | _fcntl.LOCK_NB)
        elif _msvcrt is not None:
            _lock_byte(descriptor)
            _msvcrt.locking(descriptor, _msvcrt.LK_UNLCK, 1)
    except (BlockingIOError, PermissionError):
        return True
    finally:
        os.close(descriptor)
    return False


def _lock_byte(descriptor: int) -> None:
    if _msvcrt is None:
        raise InputError("this system has no locks for files, so runs could not be kept apart")
    os.lseek(descriptor, _FAR, os.SEEK_SET)
    _msvcrt.locking(descriptor, _msvcrt.LK_NBLCK, 1)
