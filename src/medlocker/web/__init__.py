"""`medlocker serve`: runs, reviews, grants and restoring on pages, in a browser of this machine.

It listens on the loopback address alone, serves whoever has the token of its start, touches files only below
the folders that it was given, and loads nothing from anywhere else. ``server.py`` listens, ``_guard.py``
decides who may ask; every other file is a family of pages.
"""

from __future__ import annotations

from types import ModuleType

from medlocker.errors import MissingExtraError


def load_server() -> ModuleType:
    """Return :mod:`medlocker.web.server`.

    Raises:
        MissingExtraError: If the extra ``web`` is not installed.
    """
    try:
        from medlocker.web import server
    except ModuleNotFoundError as error:
        if error.name not in ("starlette", "uvicorn", "python_multipart", "anyio"):
            raise
        raise MissingExtraError(error.name, "web") from error
    return server
