"""Fetching over real sockets: whole files or none, and a staging folder that tells nothing."""

from __future__ import annotations

import gzip
import os
import threading
import time
import tracemalloc
from contextlib import closing
from pathlib import Path

import pulling
import pytest
from pulling import FILES, NAMES, Fetch, uid_path

from fake_server import (
    BOUNDARY,
    STUDY,
    FakeServer,
    Reply,
    Request,
    dicom,
    multipart,
    serving,
)
from medlocker.dicomweb import (
    Credentials,
    Pulled,
    Server,
    check_whole,
    parse_source,
    plan_pull,
    pull,
)
from medlocker.errors import Code, Failure, InputError, TransferError, WriteError
from medlocker.store import Store, read_head
from patience import HANGS_S

_no_pauses = pulling._no_pauses
server = pulling.server
fetch = pulling.fetch
"""Fixtures."""


def test_the_very_bytes_are_fetched_under_names_that_tell_nothing(server: FakeServer, fetch: Fetch) -> None:
    server.page = 4  # and from a server that gives few at a time
    pulled = fetch(server)
    assert fetch.files() == dict(zip(NAMES, FILES, strict=True))
    assert pulled == Pulled(6, 6, 6, 0, ())
    assert fetch.seen == [(name, None) for name in NAMES]
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
            four.wait(timeout=HANGS_S)
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
    assert first == Pulled(6, 5, 5, 0, (Failure(NAMES[1], "the server failed, status 500", Code.TRANSFER),))
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
            Reply(200, PART, gzip.compress(WHOLE), headers={"Content-Encoding": "gzip"}),
            "expected an answer as it is, got one in an encoding that was not asked for",
        ),
        (
            Reply(200, "multipart/related; boundary*=utf-8''" + BOUNDARY, WHOLE),
            "expected a plain media type from the server, got an encoded one",
        ),
        (
            Reply(200, f"multipart/related; boundary*0*=utf-8''fake; boundary*1={BOUNDARY}", WHOLE),
            "expected a plain media type from the server, got an encoded one",
        ),
        (
            Reply(200, "multipart/related; boundary=" + "b" * 71, WHOLE),
            "expected a boundary of at most 70 plain characters from the server",
        ),
        *(
            (
                Reply(200, PART, length + b"\r\n" + WHOLE, headers={"Transfer-Encoding": "chunked"}),
                "the server hung up, its answer is cut off",
            )
            for length in (b"-1", b"-5", b"-fffffffffffffffff", b"g", b"")
        ),
        (Reply(0), "the server hung up, its answer is cut off"),
    ],
)
def test_one_bad_instance_costs_only_itself(
    reply: Reply, reason: str, server: FakeServer, fetch: Fetch
) -> None:
    server.fault = lambda request: reply if request.path.endswith(uid_path(0)) else None
    pulled = fetch(server)
    assert pulled.failed == (Failure(NAMES[0], reason, Code.TRANSFER),)
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
    assert {one.reason for one in fetch(server).failed} == {
        "expected an answer of at most 100 bytes, got a longer one"
    }
    assert fetch.files() == {}


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
    with pytest.raises(
        InputError, match=r"^there is an unfinished transfer of another study or series beside"
    ):
        fetch(server)
    assert list(fetch.files()) == [NAMES[0]]


@pytest.mark.parametrize(
    "change",
    [
        {"name": "../../x", "series": "1", "uid": "1"},
        {"name": "a.dcm", "series": "1/../..", "uid": "1"},
        {"name": 7, "series": "1", "uid": "1"},
        {"name": "a.dcm", "series": "1"},
        {"name": None},
        {},
    ],
)
def test_a_damaged_plan_is_refused(change: dict[str, object], server: FakeServer, fetch: Fetch) -> None:
    fetch(server)
    plan = fetch.staging.folder / "plan"
    source = f"{server.address}/studies/{STUDY}"
    assert read_head(plan) == {"source": source}
    whole = plan.read_bytes()
    with closing(Store(plan, {})) as store:
        store.add(change)
    with pytest.raises(InputError, match=r"^\.release\.medlocker-transfer: plan is damaged$"):
        fetch(server)
    for damaged in (b"{", whole[:60] + bytes([whole[60] ^ 1]) + whole[61:], whole[:-60] + b"\n"):
        plan.write_bytes(damaged)
        with pytest.raises(InputError, match=r"^\.release\.medlocker-transfer: plan is damaged$"):
            fetch(server)


def test_a_plan_that_was_killed_while_it_was_written_is_made_again(server: FakeServer, fetch: Fetch) -> None:
    fetch(server)
    plan = fetch.staging.folder / "plan"
    lines = plan.read_bytes().splitlines(keepends=True)
    for count in range(1, len(lines) - 1):
        plan.write_bytes(b"".join(lines[:count]))
        assert fetch.staging.read_plan(source=f"{server.address}/studies/{STUDY}") is None
        assert fetch(server).instances == len(NAMES)


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
    (log,) = fetch.staging.folder.iterdir()
    assert log == fetch.staging.log_path("target")
    assert "source" not in log.read_text()
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
