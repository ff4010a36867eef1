"""Fetching from servers that fail: each failure is one sentence that names nothing private."""

from __future__ import annotations

import json
import shutil
import socket
import ssl
import threading
from pathlib import Path

import pulling
import pytest
import urllib3
from pulling import AGAIN, FILES, NAMES, Elsewhere, Fetch, private, uid_path

from fake_server import (
    STUDY,
    FakeServer,
    Reply,
    Request,
    dicom,
    listing,
    self_signed,
    serving,
)
from medlocker.dicomweb import (
    Credentials,
    Pulled,
    Server,
    parse_source,
)
from medlocker.errors import InputError, MedlockerError, TransferError
from patience import wait_until

_no_pauses = pulling._no_pauses
server = pulling.server
fetch = pulling.fetch
"""Fixtures."""


def test_a_busy_server_is_asked_again(server: FakeServer, fetch: Fetch) -> None:
    seen: set[str] = set()

    def busy_once(request: Request) -> Reply | None:
        first = request.path not in seen
        seen.add(request.path)
        return [Reply(503), Reply(0)][len(seen) % 2] if first else None

    server.fault = busy_once
    assert fetch(server) == Pulled(6, 6, 6, 0, ())


@pytest.mark.parametrize(
    ("reply", "kind", "message"),
    [
        (Reply(401), InputError, "the server refuses the credentials, or wants some"),
        (Reply(403), InputError, "the server does not allow this to this user"),
        (Reply(404), InputError, "the server has no such study or series, or no DICOMweb at this address"),
        (Reply(204), InputError, "the server has no such study or series"),
        (Reply(200, body=b"[]"), InputError, "the server has no such study or series"),
        (
            Reply(302, headers={"Location": "http://h/1.2.3"}),
            InputError,
            "the server answers with a redirection",
        ),
        (Reply(400), TransferError, "the server does not list instances, status 400"),
        (Reply(500), TransferError, "the server failed, status 500"),
        (
            Reply(200, "text/html", b"<p>"),
            TransferError,
            "expected a list of instances from the server, got a web page",
        ),
        (
            Reply(200, "text/plain", b"[]"),
            TransferError,
            "expected a list of instances from the server, got something else",
        ),
        (Reply(200, body=b"[{"), TransferError, "expected DICOM JSON from the server, got something else"),
        (
            Reply(200, body=b"[" * 100_000),
            TransferError,
            "expected DICOM JSON from the server, got something else",
        ),
        (
            Reply(200, body=b'{"a": 1}'),
            TransferError,
            "expected a list of instances from the server, got something else",
        ),
        (Reply(200, body=b"[1]"), TransferError, "expected instances with UIDs in the server's list"),
        (Reply(200, body=b"[{}]", cut=1), TransferError, "the server hung up, its answer is cut off"),
    ],
)
def test_a_list_that_cannot_be_had_ends_all_and_leaves_nothing(
    reply: Reply, kind: type[MedlockerError], message: str, server: FakeServer, fetch: Fetch, tmp_path: Path
) -> None:
    server.fault = lambda request: reply
    with pytest.raises(MedlockerError) as refused:
        fetch(server)
    assert type(refused.value).__mro__.index(kind) <= 1
    assert private(refused.value) == message
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("uid", ["../1", "1/../../x", "1?x=1", "1" * 65, "", 7, None])
def test_a_uid_that_would_change_the_address_is_refused(
    uid: object, server: FakeServer, fetch: Fetch
) -> None:
    listed = {**listing(FILES[0]), "00080018": {"vr": "UI", "Value": [uid]}}
    server.fault = lambda request: Reply(body=json.dumps([listed]).encode())
    with pytest.raises(TransferError, match=r"^expected instances with UIDs in the server's list$"):
        fetch(server)


def test_a_server_that_knows_no_offset_is_not_asked_for_ever(server: FakeServer, fetch: Fetch) -> None:
    body = json.dumps([listing(data) for data in FILES]).encode()
    server.fault = lambda request: Reply(body=body) if request.path.endswith("instances") else None
    assert fetch(server).fetched == 6
    assert server.count("GET", "instances$") == 2


@pytest.mark.parametrize(
    ("kind", "companions", "fetched"), [("88.33", True, 6), ("88.33", False, 5), ("104.1", True, 5)]
)
def test_what_is_about_images_comes_with_them_and_the_rest_stays(
    server: FakeServer, fetch: Fetch, kind: str, companions: bool, fetched: int
) -> None:
    report = {**listing(FILES[0]), "00080016": {"vr": "UI", "Value": [f"1.2.840.10008.5.1.4.1.1.{kind}"]}}
    pages = [[report, *map(listing, FILES[1:])], []]
    server.fault = lambda r: (
        Reply(body=json.dumps(pages.pop(0)).encode()) if r.path.endswith("instances") else None
    )
    found = fetch(server, companions=companions)
    assert found == Pulled(fetched, fetched, fetched, 6 - fetched, ())
    assert server.count("GET", uid_path(0)) == fetched - 5


def test_a_study_of_reports_alone_is_refused(server: FakeServer, fetch: Fetch, tmp_path: Path) -> None:
    report = {**listing(FILES[0]), "00080016": {"vr": "UI", "Value": ["1.2.840.10008.5.1.4.1.1.88.33"]}}
    server.fault = lambda request: Reply(body=json.dumps([report]).encode())
    with pytest.raises(InputError, match=r"^expected a study or series with images, got one without$"):
        fetch(server)
    assert list(tmp_path.iterdir()) == []


def test_a_server_that_goes_away_ends_it_and_what_is_there_stays(server: FakeServer, fetch: Fetch) -> None:
    def vanish(request: Request) -> Reply | None:
        if request.path.endswith(uid_path(2)):
            wait_until(lambda: fetch.files().keys() >= set(NAMES[:2]))  # other threads may still be at them
            server.stop()
            return Reply(0)
        return None

    server.fault = vanish
    server.keeps_connections = False  # over an old one a closed server would still answer
    with pytest.raises(TransferError) as gone:
        fetch(server)
    # hung up on: asked again, and then there is nobody
    assert private(gone.value) in {
        f"{count} of 6 instances fetched, then: the server cannot be reached: no connection"
        for count in range(2, 6)
    }
    assert gone.value.hint == AGAIN
    assert set(fetch.files()) >= set(NAMES[:2])
    server.stop = lambda: None  # type: ignore[method-assign]
    with serving(*FILES) as again:
        known = fetch.staging.read_plan(source=f"{server.address}/studies/{STUDY}")
        assert known is not None
        # as if it had come back on its port
        fetch.staging.write_plan(known[0], source=f"{again.address}/studies/{STUDY}", passed_over=known[1])
        pulled = fetch(again)
        assert again.count("GET", "/instances/") == pulled.fetched < 6
    assert fetch.files() == dict(zip(NAMES, FILES, strict=True))


def test_credentials_that_end_in_the_middle_end_it(server: FakeServer, fetch: Fetch) -> None:
    server.fault = lambda request: Reply(401) if request.path.endswith(uid_path(5)) else None
    with pytest.raises(TransferError) as ended:
        fetch(server, header="Bearer secret")
    assert private(ended.value) == (
        "5 of 6 instances fetched, then: the server refuses the credentials, or wants some"
    )
    assert ended.value.hint == (
        f"give a file with `user:password` or `Bearer TOKEN`, or set VARIABLE to the same; {AGAIN}"
    )
    assert {one.headers["Authorization"] for one in server.requests} == {"Bearer secret"}


def test_a_server_that_falls_silent(
    server: FakeServer, fetch: Fetch, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("medlocker.dicomweb._http.TIMEOUT", urllib3.Timeout(connect=5, read=0.2))
    waiting = threading.Event()
    server.fault = lambda request: Reply(0) if "/instances/" in request.path and waiting.wait(20) else None
    pulled = fetch(server)
    waiting.set()
    assert {one.reason for one in pulled.failed} == {"the server stopped answering"}
    assert server.count("GET", "/instances/") == 6  # not asked again: a minute each is enough


def test_many_failures_one_after_the_other_end_it(fetch: Fetch) -> None:
    with serving(*(dicom(number=number) for number in range(1, 60))) as server:
        server.fault = lambda request: Reply(500) if "/instances/" in request.path else None
        with pytest.raises(TransferError) as ended:
            fetch(server)
        assert server.count("GET", "/instances/") < 30
    assert private(ended.value) == "20 failures one after the other, the last: the server failed, status 500"


def test_nobody_there(fetch: Fetch) -> None:
    with serving() as server:
        pass
    with pytest.raises(TransferError) as gone:
        fetch(server)
    assert private(gone.value) == "the server cannot be reached: no connection"


def test_an_unknown_host(fetch: Fetch, monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(*arguments: object, **options: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    with pytest.raises(TransferError) as gone:
        fetch(Elsewhere())
    assert private(gone.value) == "the server cannot be found: its name is unknown"


def test_a_proxy_is_used_but_not_for_this_machine(
    server: FakeServer, fetch: Fetch, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "HTTP_PROXY"):
        monkeypatch.setenv(name, f"http://user:pass@127.0.0.1:{server.port}")
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    assert fetch(Elsewhere()).fetched == 6
    assert {one.headers["Host"] for one in server.requests} == {"pacs.example"}
    assert {one.headers["Proxy-Authorization"] for one in server.requests} == {"Basic dXNlcjpwYXNz"}
    shutil.rmtree(fetch.staging.folder)
    server.requests = []
    assert fetch(server).fetched == 6
    assert not any("Proxy-Authorization" in one.headers for one in server.requests)


def test_a_certificate_is_checked_always_and_trusted_when_named(tmp_path: Path, fetch: Fetch) -> None:
    pem = self_signed(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem)
    with serving(*FILES, context=context) as server:
        with pytest.raises(InputError) as refused:
            fetch(server, header="Bearer secret")
        assert private(refused.value) == "the server's certificate is not trusted, or it does not speak TLS"
        assert refused.value.hint.startswith("give the certificate of its authority with --ca FILE;")
        assert server.requests == []
        assert fetch(server, ca=pem).fetched == 6
    with pytest.raises(InputError, match=r"^CA file none: expected certificates in PEM$"):
        fetch(server, ca=tmp_path / "none")
    (tmp_path / "bad.pem").write_text("no certificate")
    with pytest.raises(InputError, match=r"^CA file bad\.pem: expected certificates in PEM$"):
        fetch(server, ca=tmp_path / "bad.pem")


def test_https_to_a_server_without_it(server: FakeServer, fetch: Fetch) -> None:
    server.address = server.address.replace("http:", "https:")
    with pytest.raises(
        InputError, match=r"^the server's certificate is not trusted, or it does not speak TLS$"
    ):
        fetch(server)


@pytest.mark.parametrize(
    ("base", "count"), [("http://10.0.0.1", 1), ("https://10.0.0.1", 0), ("http://127.0.0.1:1", 0)]
)
def test_plain_http_over_a_network_is_warned_of(base: str, count: int) -> None:
    found = Server(parse_source(f"dicomweb:{base}/studies/1"), Credentials("", "V")).notes
    assert len(found) == count
    assert all(text.startswith("http sends patient data and credentials unencrypted") for text in found)
