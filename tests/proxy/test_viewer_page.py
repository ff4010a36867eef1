"""A viewer's page on another origin, in a real browser: it sees what it may if it is let in, else nothing."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import proxied as helpers
import pytest
from proxied import ORIGINALS, SERIES, World, uid_of

from fake_server import STUDY, FakeServer
from medlocker.certificates import load_identity
from medlocker.dicomweb import Credentials, Server, parse_store
from medlocker.proxy import AccessLog, Caller, Callers, Instances, ServedReleases, make_app, open_grants
from patience import HANGS_S, wait_until

world, store = helpers.world, helpers.store
"""Fixtures."""
BROWSER = next(filter(None, map(shutil.which, ("chromium", "google-chrome", "chrome"))), None)
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        BROWSER is None and os.environ.get("MEDLOCKER_BROWSER") != "required",
        reason="no browser: apt-get install chromium",
    ),
]
FETCH = """async ([address, token]) => {
    try {
        const headers = {Authorization: 'Bearer ' + token, Accept: 'application/dicom+json'};
        const answer = await fetch(address, {headers});
        return JSON.stringify([answer.status, await answer.json()]);
    } catch (error) { return 'refused'; }
}"""


class _Page(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.end_headers()
        self.wfile.write(b"<!doctype html><title>viewer</title>")

    def log_message(self, format: str, *args: Any) -> None:
        pass


@contextmanager
def page() -> Iterator[str]:
    """The origin of an empty page."""
    with ThreadingHTTPServer(("127.0.0.1", 0), _Page) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


@contextmanager
def running(world: World, store: FakeServer, log: Path, origin: str) -> Iterator[str]:
    """A proxy on a real socket that lets pages of one origin in."""
    import uvicorn

    from medlocker.serving.listening import listening

    openings = open_grants(
        [world.release], [world.folder / "grant"], load_identity(world.folder / "alice.age.key")
    )
    callers = Callers(None, [(hashlib.sha256(b"token").hexdigest(), Caller("alice", openings))])
    upstream = Server(parse_store(store.address), Credentials("", "VARIABLE"))
    instances = Instances(upstream, ServedReleases([world.release]), cache_bytes=1 << 20)
    with listening(0) as listener:
        host = f"127.0.0.1:{listener.getsockname()[1]}"
        app = make_app(instances, AccessLog(log), callers, hosts=[host], origins=[origin])
        server = uvicorn.Server(uvicorn.Config(app, log_level="critical"))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        wait_until(lambda: server.started)
        yield f"http://{host}/dicom-web"
        server.should_exit = True
        thread.join()


def test_a_page_sees_originals_only_if_it_is_let_in(world: World, store: FakeServer, tmp_path: Path) -> None:
    from playwright.sync_api import sync_playwright

    with page() as viewer, page() as other, running(world, store, tmp_path / "log", viewer) as url:
        headers = f"{url}/studies/{STUDY}/series/{SERIES[0]}/metadata"
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(
                executable_path=BROWSER, args=["--no-sandbox", "--disable-gpu"]
            )
            tab = browser.new_page()
            tab.set_default_timeout(HANGS_S * 1000)
            tab.goto(viewer)
            status, told = json.loads(tab.evaluate(FETCH, [headers, "token"]))
            denied = json.loads(tab.evaluate(FETCH, [headers, "wrong"]))
            tab.goto(other)
            foreign = tab.evaluate(FETCH, [headers, "token"])
            browser.close()
    assert (status, told[0]["00080018"]["Value"]) == (200, [uid_of(ORIGINALS[0])])
    assert (denied[0], "error" in denied[1]) == (401, True)
    assert foreign == "refused"
