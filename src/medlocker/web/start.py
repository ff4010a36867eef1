"""Opening the server, or saying what must be installed for it; loads nothing by itself."""

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
