"""Fetching over real sockets: whole files or none, each failure one sentence that names nothing private."""

from __future__ import annotations

import json
import os
import shutil
import socket
import ssl
import threading
import time
import tracemalloc
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import urllib3

from fake_server import (
    BOUNDARY,
    PATIENT,
    STUDY,
    FakeServer,
    Reply,
    Request,
    dicom,
    listing,
    multipart,
    self_signed,
    serving,
)
from medlocker.dicomweb import (
    Credentials,
    Pulled,
    Server,
    Staging,
    check_whole,
    parse_source,
    plan_pull,
    pull,
)
from medlocker.errors import InputError, MedlockerError, TransferError, WriteError

FILES = [dicom(series=series, number=number) for series in ("1.2.3.4.1", "1.2.3.4.2") for number in (1, 2, 3)]
NAMES = [f"series-000{series}/00000{number}.dcm" for series in (1, 2) for number in (1, 2, 3)]
AGAIN = "the same command fetches the rest"


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("medlocker.dicomweb._http._WAITS_S", (0.0, 0.0))


@pytest.fixture
def server() -> Iterator[FakeServer]:
    with serving(*FILES) as found:
        yield found


@dataclass
class Fetch:
    """Fetches the study of a server into a staging folder, as a command does."""

    staging: Staging

    def __call__(
        self, server: FakeServer | Elsewhere, *, study: str = STUDY, header: str = "", ca: Path | None = None
    ) -> Pulled:
        address = parse_source(f"{server.address}/studies/{study}")
        client = Server(address, Credentials(header, "VARIABLE"), ca=ca)
        self.seen: list[tuple[str, str]] = []
        plan = plan_pull(client, self.staging)
        return pull(client, plan, self.staging, progress=lambda *seen: self.seen.append(seen))

    def files(self) -> dict[str, bytes]:
        folder = self.staging.instances
        return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


@pytest.fixture
def fetch(tmp_path: Path) -> Fetch:
    return Fetch(Staging(tmp_path / "release"))


def private(error: MedlockerError) -> str:
    """The message, once it is checked that it names nothing that it must not."""
    text = f"{error} {error.hint}"
    for word in (PATIENT, "Sally", "1.2.3", "127.0.0.1", "http://", "https://", "secret"):
        assert word not in text
    assert "\n" not in text
    return str(error)


def test_the_very_bytes_are_fetched_under_names_that_tell_nothing(server: FakeServer, fetch: Fetch) -> None:
    server.page = 4  # and from a server that gives few at a time
    pulled = fetch(server)
    assert fetch.files() == dict(zip(NAMES, FILES, strict=True))
    assert pulled == Pulled(6, 6, 6, 0, ())
    assert fetch.seen == [(name, "") for name in NAMES]
    for path in [fetch.staging.folder, *fetch.staging.folder.rglob("*")]:
        if path.is_file() or path == fetch.staging.folder:
            assert path.stat().st_mode & 0o077 == 0, path
    asked = server.requests[-1].headers
    assert asked["Accept"] == 'multipart/related; type="application/dicom"; transfer-syntax=*'
    assert "Authorization" not in asked


def test_four_are_fetched_at_once_and_no_more(fetch: Fetch) -> None:
    four = threading.Barrier(4)

    def wait(request: Request) -> None:
        if "/instances/" in request.path:
            four.wait(timeout=20)
            time.sleep(0.05)  # a fifth would come now

    with serving(*(dicom(number=number) for number in range(8))) as server:
        server.fault = wait
        assert fetch(server).fetched == 8
        assert server.most_busy == 4


def test_one_series_is_fetched_alone(server: FakeServer, fetch: Fetch) -> None:
    fetch(server, study=f"{STUDY}/series/1.2.3.4.2")
    assert fetch.files() == dict(zip(NAMES[:3], FILES[3:], strict=True))


def test_what_is_there_is_not_fetched_again_and_keeps_its_name(server: FakeServer, fetch: Fetch) -> None:
    missing = uid_path(1)
    server.fault = lambda request: Reply(500) if request.path.endswith(missing) else None
    first = fetch(server)
    assert first == Pulled(6, 5, 5, 0, ((NAMES[1], "the server failed, status 500"),))
    with pytest.raises(TransferError, match=r"^5 of 6 instances fetched: nothing is marked yet$"):
        check_whole(first)
    # the study has grown: a new first series would move every name
    server.files["0", "0", "0"] = b""
    server.files.update({(STUDY, "1.1", "1.1.1"): dicom(series="1.1")})
    server.fault, server.requests = lambda request: None, []
    second = fetch(server)
    assert [one.path.rpartition("/")[2] for one in server.requests] == ["1.2.3.4.1.2"]
    assert second == Pulled(6, 6, 1, 0, ())
    assert fetch.files() == dict(zip(NAMES, FILES, strict=True))
    check_whole(second)


def uid_path(k: int) -> str:
    return f"/instances/1.2.3.4.{k // 3 + 1}.{k % 3 + 1}"


def test_once_closed_nothing_is_asked(server: FakeServer, fetch: Fetch) -> None:
    server.fault = lambda request: Reply(404) if request.path.endswith(uid_path(0)) else None
    fetch(server)
    fetch.staging.close_plan()
    server.requests = []
    assert fetch(server) == Pulled(6, 5, 0, 0, ())
    assert server.requests == []


PART = "multipart/related; boundary=" + BOUNDARY
WHOLE = multipart(FILES[0])


@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        (Reply(404), "the server does not have it any more"),
        (Reply(410), "the server does not have it any more"),
        (Reply(406), "the server does not hand it out, status 406"),
        (Reply(500, "text/html", b"<h1>secret</h1>"), "the server failed, status 500"),
        (Reply(503), "the server failed, status 503"),
        (
            Reply(200, "text/html; charset=utf-8", b"<p>secret"),
            "expected a DICOM file from the server, got a web page",
        ),
        (Reply(200, "image/png", b"x"), "expected a DICOM file from the server, got something else"),
        (Reply(200, "multipart/related", WHOLE), "expected a DICOM file from the server, got something else"),
        (Reply(200, PART, WHOLE[:-1]), "the server's answer is cut off"),
        (Reply(200, PART, WHOLE[:-40]), "the server's answer is cut off"),
        (Reply(200, PART, b""), "the server's answer is cut off"),
        (Reply(200, PART, WHOLE, cut=9), "the server hung up, its answer is cut off"),
        (Reply(200, "application/dicom", FILES[0], cut=9), "the server hung up, its answer is cut off"),
        (
            Reply(200, PART, multipart(b"x" * 200)),
            "expected a DICOM file from the server, got something else",
        ),
        (Reply(200, PART, multipart(b"DICM")), "expected a DICOM file from the server, got something else"),
        (
            Reply(200, PART, WHOLE, headers={"Content-Encoding": "gzip"}),
            "the server hung up, its answer is cut off",
        ),
        (Reply(0), "the server hung up, its answer is cut off"),
    ],
)
def test_one_bad_instance_costs_only_itself(
    reply: Reply, reason: str, server: FakeServer, fetch: Fetch
) -> None:
    server.fault = lambda request: reply if request.path.endswith(uid_path(0)) else None
    pulled = fetch(server)
    assert pulled.failed == ((NAMES[0], reason),)
    assert fetch.files() == dict(zip(NAMES[1:], FILES[1:], strict=True))
    server.fault = lambda request: None
    assert fetch(server).fetched == 1
    assert fetch.files() == dict(zip(NAMES, FILES, strict=True))


def test_a_bare_file_is_taken_too(server: FakeServer, fetch: Fetch) -> None:
    bare = Reply(200, "application/dicom", FILES[0])
    server.fault = lambda request: bare if request.path.endswith(uid_path(0)) else None
    fetch(server)
    assert fetch.files()[NAMES[0]] == FILES[0]


def test_an_instance_beyond_the_limit_is_refused(
    server: FakeServer, fetch: Fetch, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("medlocker.dicomweb._multipart._MAX_HEADERS", 0)
    monkeypatch.setattr("medlocker.dicomweb._pull._MAX_BYTES", 100)
    assert {reason for _, reason in fetch(server).failed} == {
        "expected an answer of at most 100 bytes, got a longer one"
    }
    assert fetch.files() == {}


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


def test_reports_stay_on_the_server(server: FakeServer, fetch: Fetch) -> None:
    report = {**listing(FILES[0]), "00080016": {"vr": "UI", "Value": ["1.2.840.10008.5.1.4.1.1.88.33"]}}
    pages = [[report, *map(listing, FILES[1:])], []]
    server.fault = lambda r: (
        Reply(body=json.dumps(pages.pop(0)).encode()) if r.path.endswith("instances") else None
    )
    assert fetch(server) == Pulled(5, 5, 5, 1, ())
    assert server.count("GET", uid_path(0)) == 0


def test_a_study_of_reports_alone_is_refused(server: FakeServer, fetch: Fetch, tmp_path: Path) -> None:
    report = {**listing(FILES[0]), "00080016": {"vr": "UI", "Value": ["1.2.840.10008.5.1.4.1.1.88.33"]}}
    server.fault = lambda request: Reply(body=json.dumps([report]).encode())
    with pytest.raises(InputError, match=r"^expected a study or series with images, got one without$"):
        fetch(server)
    assert list(tmp_path.iterdir()) == []


def test_a_server_that_goes_away_ends_it_and_what_is_there_stays(server: FakeServer, fetch: Fetch) -> None:
    def vanish(request: Request) -> Reply | None:
        if request.path.endswith(uid_path(2)):
            server.stop()
            return Reply(0)
        return None

    server.fault = vanish
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
        value = json.loads((fetch.staging.folder / "plan.json").read_text())
        value["source"] = f"{again.address}/studies/{STUDY}"  # as if it had come back on its port
        (fetch.staging.folder / "plan.json").write_text(json.dumps(value))
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
    assert {reason for _, reason in pulled.failed} == {"the server stopped answering"}
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


@dataclass
class Elsewhere:
    """The address of a server that is not on this machine."""

    address: str = "dicomweb:http://pacs.example/dicom-web"


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


@pytest.mark.parametrize("kind", ["file", "link", "open"])
def test_a_staging_folder_of_somebody_else_is_refused(
    kind: str, server: FakeServer, fetch: Fetch, tmp_path: Path
) -> None:
    folder = fetch.staging.folder
    if kind == "file":
        folder.write_text("")
    elif kind == "link":
        (tmp_path / "private").mkdir(mode=0o700)
        folder.symlink_to(tmp_path / "private")
    else:
        folder.mkdir()
        folder.chmod(0o750)
    with pytest.raises(InputError) as refused:
        fetch(server)
    name = ".release.medlocker-transfer"
    assert str(refused.value) == f"{name}: expected a folder that only this user can read"
    assert server.requests == []


def test_an_unfinished_transfer_of_another_study_is_refused(server: FakeServer, fetch: Fetch) -> None:
    server.files[("9.9", "9.9.1", "9.9.1.1")] = dicom(study="9.9", series="9.9.1")
    fetch(server, study="9.9")
    with pytest.raises(InputError, match=r"^an unfinished transfer of another study or series lies beside"):
        fetch(server)
    assert list(fetch.files()) == [NAMES[0]]


@pytest.mark.parametrize(
    "change",
    [
        {"instances": [{"name": "../../x", "series": "1", "uid": "1"}]},
        {"instances": [{"name": "a.dcm", "series": "1/../..", "uid": "1"}]},
        {"instances": [{"name": 7, "series": "1", "uid": "1"}]},
        {"instances": [1]},
        {"instances": None},
        {"passed_over": "x"},
    ],
)
def test_a_damaged_plan_is_refused(change: dict[str, object], server: FakeServer, fetch: Fetch) -> None:
    fetch(server)
    plan = fetch.staging.folder / "plan.json"
    plan.write_text(json.dumps({**json.loads(plan.read_text()), **change}))
    with pytest.raises(InputError, match=r"^\.release\.medlocker-transfer: plan\.json is damaged$"):
        fetch(server)
    plan.write_text("{")
    with pytest.raises(InputError, match=r"^\.release\.medlocker-transfer: plan\.json is damaged$"):
        fetch(server)


def test_a_full_disk_ends_it(server: FakeServer, fetch: Fetch, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    client = Server(parse_source(f"{server.address}/studies/{STUDY}"), Credentials("", "V"))
    plan = plan_pull(client, fetch.staging)
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(WriteError, match=r"^cannot write 00000\d\.dcm: no space left on device$"):
        pull(client, plan, fetch.staging)
    assert fetch.files() == {}


def test_patient_data_goes_and_a_pending_push_stays(server: FakeServer, fetch: Fetch, tmp_path: Path) -> None:
    fetch(server)
    fetch.staging.write_job("source", "target")
    fetch.staging.discard_patient_data()
    assert [path.name for path in fetch.staging.folder.iterdir()] == ["job.json"]
    assert "source" not in (fetch.staging.folder / "job.json").read_text().replace('"source":', "")
    assert fetch.staging.has_job("source", "target")
    assert not fetch.staging.has_job("source", "elsewhere")
    fetch.staging.discard_job("target")
    assert list(tmp_path.iterdir()) == []


def test_memory_does_not_grow_with_an_instance(fetch: Fetch) -> None:
    """Pieces go to the disk: a file of 24 MB needs a few of a quarter."""
    large = dicom(side=16) + bytes(24 << 20)
    with serving(large) as server:
        fetch.staging.make()
        client = Server(parse_source(f"{server.address}/studies/{STUDY}"), Credentials("", "V"))
        plan = plan_pull(client, fetch.staging)
        body = multipart(large)  # made before counting
        server.fault = lambda request: Reply(media=PART, body=body)
        tracemalloc.start()
        try:
            before = tracemalloc.get_traced_memory()[0]
            pull(client, plan, fetch.staging)
            peak = tracemalloc.get_traced_memory()[1] - before
        finally:
            tracemalloc.stop()
    assert fetch.files()[NAMES[0]] == large
    # the server's own slice of the body is one copy of it
    assert peak < len(large) + (6 << 20), peak
