"""Starting the server: one port on the loopback address, one address with a token."""

from __future__ import annotations

import secrets
import webbrowser
from collections.abc import Callable, Sequence
from pathlib import Path

import uvicorn

from medlocker.serving.listening import LOOPBACK, listening
from medlocker.serving.prompt import PromptProtocol
from medlocker.web._app import make_app
from medlocker.web._roots import Roots


def run_server(
    folders: Sequence[Path],
    *,
    port: int = 0,
    opens_browser: bool = True,
    say: Callable[[str], None],
) -> None:
    """Serve until interrupted.

    Args:
        folders: Files are read and written below these alone.
        port: 1 to 65535; 0 takes a free one.
        opens_browser: Open the address in this machine's browser.
        say: Called with the address, which holds the token of this start.

    Raises:
        InputError: If a folder is none, or the port cannot be used.
    """
    roots, listener = Roots(folders), listening(port)
    port = listener.getsockname()[1]
    token = secrets.token_urlsafe(32)
    app = make_app(roots, hosts=(f"{LOOPBACK}:{port}", f"localhost:{port}"), token=token)
    address = f"http://{LOOPBACK}:{port}/?token={token}"
    config = uvicorn.Config(
        app, log_level="error", access_log=False, server_header=False, http=PromptProtocol
    )
    say(address)
    if opens_browser:
        webbrowser.open(address)
    with listener:
        uvicorn.Server(config).run(sockets=[listener])
