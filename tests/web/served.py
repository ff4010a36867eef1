"""The server without a socket: a browser's requests as a client of the application."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from starlette.testclient import TestClient

from medlocker.web._app import make_app
from medlocker.web._roots import Roots

HOST, TOKEN = "127.0.0.1:8765", "t" * 43
ORIGIN = f"http://{HOST}"


def client_of(*folders: Path, enters: bool = True) -> TestClient:
    """A client that has opened the printed address, unless it shall not."""
    app = make_app(Roots(folders), hosts=(HOST,), token=TOKEN)
    client = TestClient(app, base_url=ORIGIN, follow_redirects=True, raise_server_exceptions=False)
    if enters:
        assert client.get("/", params={"token": TOKEN}).status_code == 200
    return client


def form_token(client: TestClient) -> str:
    """The token that forms of this start carry."""
    found = re.search(r'name="form_token" value="([^"]+)"', client.get("/verify").text)
    assert found is not None
    return found[1]


def post(client: TestClient, path: str, **fields: Any) -> Any:
    """Send a form as a page of the server would."""
    files = {name: value for name, value in fields.items() if isinstance(value, tuple)}
    data = {name: value for name, value in fields.items() if name not in files}
    given = {"form_token": form_token(client), **data}
    return client.post(path, data=given, files=files or None, headers={"origin": ORIGIN})
