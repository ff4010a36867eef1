"""Starting the server, or saying what must be installed for it; loads nothing by itself."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from medlocker.errors import MissingExtraError


def start(
    folders: Sequence[Path],
    *,
    port: int = 0,
    opens_browser: bool = True,
    start_at: str = "/",
    say: Callable[[str], None],
) -> None:
    """Serve until interrupted; see :func:`medlocker.web.server.run_server`.

    Raises:
        MissingExtraError: If the extra ``web`` is not installed.
        InputError: If a folder is none, or the port cannot be used.
    """
    try:
        from medlocker.web.server import run_server
    except ModuleNotFoundError as error:
        if error.name not in ("starlette", "uvicorn", "python_multipart", "anyio"):
            raise
        raise MissingExtraError(error.name, "web") from error
    run_server(folders, port=port, opens_browser=opens_browser, start_at=start_at, say=say)
