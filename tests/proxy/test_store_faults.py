"""Stores that fail, lie or are slow: a sentence that names nothing private, and the proxy goes on."""

from __future__ import annotations

import importlib
import json
import threading
from pathlib import Path

import proxied as helpers
import pytest
import urllib3
from proxied import ORIGINALS, SERIES, Proxied, World, private, proxied, uid_of

from fake_server import STUDY, FakeServer, Reply, Request, multipart, uids

world, store, proxy = helpers.world, helpers.store, helpers.proxy
"""Fixtures."""
PARTS = "multipart/related; boundary=fake-boundary"
HEADERS = f"/studies/{STUDY}/series/{SERIES[0]}/metadata"


@pytest.mark.parametrize(
    ("reply", "status", "message"),
    [
        (Reply(401), 502, "the server refuses the credentials, or wants some"),
        (Reply(302, headers={"Location": "http://elsewhere"}), 502, "the server answers with a redirection"),
        (Reply(500), 502, "the server failed, status 500"),
        (Reply(0), 502, "the server hung up, its answer is cut off"),
        (Reply(410), 404, "the server has no such study or series"),
        (
            Reply(media="text/html", body=b"<p>http://127.0.0.1"),
            502,
            "expected a DICOM file from the server, got a web page",
        ),
        (
            Reply(media=PARTS, body=multipart(b"x" * 200)),
            502,
            "expected a DICOM file from the server, got something else",
        ),
        (
            Reply(media=PARTS, body=multipart(b"\0" * 128 + b"DICM" + b"\xff" * 200)),
            502,
            "the server sent: expected a DICOM file with UIDs of study, series and instance",
        ),
        (
            Reply(media=PARTS, body=multipart(ORIGINALS[0]), cut=30),
            502,
            "the server hung up, its answer is cut off",
        ),
    ],
)
def test_nonsense_is_one_sentence(
    proxy: Proxied, store: FakeServer, world: World, reply: Reply, status: int, message: str
) -> None:
    before = store.fault

    def fault(request: Request) -> Reply | None:
        if "elsewhere" in reply.headers.get("Location", "") or request.path.count("/instances/"):
            return reply
        return Reply(204) if reply.status == 410 else before(request)

    store.fault = fault
    answer = proxy.instance(uid_of(world.marked[0]))
    assert (answer.status_code, private(answer)) == (status, message)
    assert proxy.lines == []
    store.fault = before
    assert proxy.instance(uid_of(world.marked[0])).content == ORIGINALS[0]


def test_a_store_that_answers_with_another_instance(proxy: Proxied, store: FakeServer, world: World) -> None:
    store.files[uids(world.marked[0])] = world.marked[1]  # signed as well
    answer = proxy.instance(uid_of(world.marked[0]))
    told = "the server answers with another instance than the one that was asked for"
    assert (answer.status_code, private(answer)) == (502, told)


def test_a_store_that_goes_away_in_the_middle(proxy: Proxied, store: FakeServer, world: World) -> None:
    store.keeps_connections = False
    assert len(proxy.get(HEADERS).json()) == 3
    store.stop()
    for path in ("/studies", f"/studies/{STUDY}/instances", HEADERS, f"/studies/{STUDY}"):
        answer = proxy.get(path)
        assert (answer.status_code, answer.json()["code"]) == (502, "transfer")
        private(answer)
    # what was asked for last is still in memory
    assert proxy.instance(uid_of(ORIGINALS[0])).content == ORIGINALS[0]


def test_a_silent_store_is_a_timeout(
    proxy: Proxied, store: FakeServer, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("medlocker.dicomweb._http.TIMEOUT", urllib3.Timeout(connect=10, read=0.05))
    ended = threading.Event()

    def wait(request: Request) -> None:
        ended.wait()

    store.fault = wait
    try:
        for path in (HEADERS, "/studies"):
            answer = proxy.get(path)
            assert (answer.status_code, private(answer)) == (504, "the server stopped answering")
    finally:
        ended.set()


def test_a_store_that_sends_too_slowly_or_too_much(
    proxy: Proxied, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    fetching = importlib.import_module("medlocker.proxy._fetching")
    monkeypatch.setattr(fetching, "MOST_SECONDS", -1.0)
    answer = proxy.instance(uid_of(world.marked[0]))
    assert (answer.status_code, private(answer)) == (504, "the server sends too slowly")
    monkeypatch.setattr(fetching, "MOST_SECONDS", 100.0)
    monkeypatch.setattr(fetching, "MOST_BYTES", 1000)
    monkeypatch.setattr("medlocker.dicomweb._multipart._MAX_HEADERS", 100)
    answer = proxy.instance(uid_of(world.marked[0]))
    assert (answer.status_code, "got a longer one" in private(answer)) == (502, True)


@pytest.mark.parametrize(
    "item",
    [{}, {"00080018": {"Value": ["../../etc"]}}, {"00080018": {"Value": ["1.2"]}}, [], 5, {"00080018": 1}],
)
def test_lists_of_nonsense(proxy: Proxied, store: FakeServer, item: object) -> None:
    store.fault = lambda request: Reply(body=json.dumps([item]).encode())
    for path in ("/instances", f"/studies/{STUDY}/instances", HEADERS):
        answer = proxy.get(path)
        assert answer.status_code == 502
        private(answer)
    assert all("/etc" not in request.path for request in store.requests)


def test_one_instance_that_cannot_be_had_costs_only_itself(
    proxy: Proxied, store: FakeServer, world: World
) -> None:
    before = store.fault

    def fault(request: Request) -> Reply | None:
        return Reply(500) if request.path.endswith(uid_of(world.marked[1])) else before(request)

    store.fault = fault
    answer = proxy.get(HEADERS)
    assert [one["00080018"]["Value"][0] for one in answer.json()] == [
        uid_of(ORIGINALS[0]),
        uid_of(world.marked[2]),
    ]
    assert "1 instances are left out" in answer.headers["warning"]


def test_files_beyond_the_memory_for_them_are_fetched_again(
    world: World, store: FakeServer, tmp_path: Path
) -> None:
    proxy = proxied(world, store, tmp_path / "log", cache_bytes=1)
    for _ in range(2):
        assert proxy.instance(uid_of(ORIGINALS[0])).content == ORIGINALS[0]
    assert store.count("GET", f"{uid_of(world.marked[0])}$") >= 2
    kept = proxied(world, store, tmp_path / "log")
    before = len(store.requests)
    for _ in range(3):
        assert kept.instance(uid_of(world.marked[0])).content == ORIGINALS[0]
    assert len(store.requests) == before + 1
