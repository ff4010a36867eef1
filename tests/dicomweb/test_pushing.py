"""Pushing over real sockets: only what the owner signed, once, and every refusal one sentence."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from fake_server import PATIENT, FakeServer, Reply, Request, dicom, serving, uids
from medlocker.certificates import Owner, open_release
from medlocker.dicomweb import Credentials, Pushed, PushLog, Server, Staging, find_marked, parse_store, push
from medlocker.dicomweb._push import _uids
from medlocker.errors import Code, Failure, InputError, MedlockerError, TransferError
from runs import images_of, picture, protect

NAMES = [f"a/{number}.dcm" for number in range(6)]


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("medlocker.dicomweb._http._WAITS_S", (0.0, 0.0))


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, owner: Owner) -> Path:
    """A release of six DICOM files in two series, and a PNG."""
    folder = tmp_path_factory.mktemp("made")
    (folder / "in" / "a").mkdir(parents=True)
    for number, name in enumerate(NAMES):
        data = dicom(series=f"1.2.3.4.{number // 3 + 1}", number=number, side=48)
        (folder / "in" / name).write_bytes(data)
    (folder / "in" / "b.png").write_bytes(picture())
    assert protect(folder / "in", folder / "release", owner).summary.marked == 7
    return folder / "release"


@pytest.fixture
def server() -> Iterator[FakeServer]:
    with serving() as found:
        yield found


@dataclass
class Send:
    """Pushes a release to a server, as a command does."""

    release: Path
    owner: Owner

    def __call__(self, server: FakeServer) -> Pushed:
        release = open_release(self.release, self.owner.signing.public)
        client = Server(parse_store(server.address), Credentials("Basic x", "VARIABLE"))
        staging = Staging(self.release)
        staging.make()
        log = PushLog(staging.log_path("target"), release=release.statement.release)
        self.seen: list[tuple[str, Failure | None]] = []
        return push(release, find_marked(release), client, log, progress=lambda *seen: self.seen.append(seen))


@pytest.fixture
def send(made: Path, owner: Owner, tmp_path: Path) -> Send:
    shutil.copytree(made, tmp_path / "release")
    return Send(tmp_path / "release", owner)


def private(error: MedlockerError) -> str:
    """The message, once it is checked that it names nothing that it must not."""
    text = f"{error} {error.hint}"
    for word in (PATIENT, "1.2.3", "2.25.", "127.0.0.1", "http://", "secret"):
        assert word not in text
    return str(error)


def test_the_very_bytes_of_all_dicom_files_are_sent_and_nothing_else(server: FakeServer, send: Send) -> None:
    assert send(server) == Pushed(6, 6, 0, 0, (), False)
    marked = images_of(send.release)
    assert sorted(server.files.values()) == sorted(marked[name] for name in NAMES)
    assert server.count("POST", "") == 6
    assert send.seen == [(name, None) for name in NAMES]
    assert {one.headers["Authorization"] for one in server.requests} == {"Basic x"}
    assert {one.headers["Accept"] for one in server.requests if one.method == "POST"} == {
        "application/dicom+json"
    }


def test_what_the_list_or_the_server_has_is_not_sent_again(server: FakeServer, send: Send) -> None:
    send(server)
    server.requests = []
    assert send(server) == Pushed(6, 0, 6, 0, (), False)  # by the list
    assert server.requests == []
    shutil.rmtree(Staging(send.release).folder)
    assert send(server) == Pushed(6, 0, 6, 0, (), False)  # by the server's word
    assert server.count("POST", "") == 0
    shutil.rmtree(Staging(send.release).folder)
    lost = next(iter(server.files))
    del server.files[lost]
    assert send(server) == Pushed(6, 1, 5, 0, (), False)


@pytest.mark.parametrize("reply", [Reply(400), Reply(403), Reply(404), Reply(200, "text/html", b"<p>")])
def test_a_server_that_cannot_be_asked_gets_all(reply: Reply, server: FakeServer, send: Send) -> None:
    server.fault = lambda request: reply if request.method == "GET" else None
    assert send(server).sent == 6


def report(**attributes: object) -> bytes:
    """A STOW answer with sequences of one item."""
    return json.dumps({tag: {"vr": "SQ", "Value": [item]} for tag, item in attributes.items()}).encode()


def failure(reason: object) -> bytes:
    item = {"00081197": {"vr": "US", "Value": [reason]}, "00081155": {"vr": "UI", "Value": ["1.2.3"]}}
    return report(**{"00081198": item})


REFUSED = "the server refused it: "
HTML = Reply(200, "text/html", b"<p>secret</p>")


@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        (Reply(409, body=failure(0x0110)), REFUSED + "it could not process it"),
        (Reply(409, body=failure(0x0122)), REFUSED + "it does not take this kind of object"),
        (Reply(409, body=failure(0x0124)), REFUSED + "this user may not"),
        (Reply(409, body=failure(0xA700)), REFUSED + "it is out of room"),
        (Reply(409, body=failure(0xA901)), REFUSED + "the data set does not match its kind of object"),
        (Reply(409, body=failure(0xC123)), REFUSED + "it cannot understand the data set"),
        (Reply(409, body=failure(0x0106)), REFUSED + "failure reason 0106"),
        (Reply(409, body=failure("1.2.3")), REFUSED + "it does not say why"),
        (Reply(409, body=failure(1 << 99)), REFUSED + "it does not say why"),
        (Reply(409, "text/plain", b"1.2.3"), REFUSED + "it does not say why"),
        (Reply(409, body=b""), REFUSED + "it does not say why"),
        (Reply(202, body=failure(0xA700)), REFUSED + "it is out of room"),
        (Reply(200, body=failure(0xA700)), REFUSED + "it is out of room"),
        (Reply(200, body=b"[" + failure(0xA700) + b"]"), REFUSED + "it is out of room"),
        (Reply(202, "application/dicom+xml", b"<x/>"), "the server does not say whether it stored it"),
        (Reply(202, body=b"{}"), "the server does not say whether it stored it"),
        (Reply(200, body=b"{"), "expected DICOM JSON from the server, got something else"),
        (Reply(200, body=b"{}", cut=1), "the server hung up, its answer is cut off"),
        (Reply(0), "the server hung up, its answer is cut off"),
        (HTML, "expected a report of what was stored from the server, got a web page"),
        (Reply(400), REFUSED + "it takes the request for malformed"),
        (Reply(405), REFUSED + "it takes no uploads at this address"),
        (Reply(413), REFUSED + "the instance is too large for it"),
        (Reply(415), REFUSED + "it does not take this kind of file"),
        (Reply(418), REFUSED + "status 418"),
        (Reply(500), "the server failed, status 500"),
        (Reply(503), "the server failed, status 503"),
    ],
)
def test_one_refusal_costs_only_itself_and_is_mended_by_the_next_push(
    reply: Reply, reason: str, server: FakeServer, send: Send
) -> None:
    first = uids(images_of(send.release)[NAMES[0]])[2].encode()
    server.fault = lambda request: reply if request.method == "POST" and first in request.body else None
    pushed = send(server)
    assert pushed == Pushed(6, 5, 0, 0, (Failure(NAMES[0], reason, Code.TRANSFER),), False)
    assert pushed.exit_code == 1
    assert len(server.files) == 5
    server.fault, server.requests = lambda request: None, []
    assert send(server) == Pushed(6, 1, 5, 0, (), False)
    assert server.count("POST", "") == 1


@pytest.mark.parametrize(
    "reply",
    [
        Reply(200, body=b""),
        Reply(200, "application/dicom+xml", b"<x/>"),
        Reply(200, body=b"[]"),
        Reply(200, body=b"{}"),
        Reply(200, body=report(**{"00081199": {}})),
    ],
)
def test_a_200_that_names_no_instance_is_not_believed(reply: Reply, server: FakeServer, send: Send) -> None:
    server.fault = lambda request: reply if request.method == "POST" else None
    pushed = send(server)
    assert (pushed.sent, len(pushed.failed), pushed.exit_code) == (0, 6, 1)
    assert {one.reason for one in pushed.failed} == {"the server does not say whether it stored it"}
    server.fault = lambda request: None
    assert send(server) == Pushed(6, 6, 0, 0, (), False)


def test_a_library_that_warns_of_a_value_is_not_heard(
    recwarn: pytest.WarningsRecorder,
) -> None:
    """The character set of a header is a value too."""
    plain = dicom(number=1, side=48)
    at = plain.index(b"\x08\x00\x16\x00UI")  # SOP Class UID, the first element behind the file's meta group
    strange = plain[:at] + b"\x08\x00\x05\x00CS\x0c\x00ZEBRASECRET " + plain[at:]
    assert _uids(strange) == uids(plain)
    assert not recwarn.list


@pytest.mark.parametrize("status", [200, 202])
def test_a_server_that_changes_instances_is_told(status: int, server: FakeServer, send: Send) -> None:
    item = {"00081196": {"vr": "US", "Value": [0xB000]}, "00081155": {"vr": "UI", "Value": ["1.2.3"]}}
    coerced = report(**{"00081199": item})
    server.fault = lambda request: Reply(status, body=coerced) if request.method == "POST" else None
    assert send(server) == Pushed(6, 6, 0, 6, (), False)


def test_a_file_that_is_not_the_signed_one_never_leaves(server: FakeServer, send: Send) -> None:
    """Exactly what a push must not do: send an original that lies in the marked one's place."""
    images = send.release / "images"
    original = dicom(number=1, side=48)
    (images / NAMES[1]).write_bytes(original)
    (images / NAMES[2]).unlink()
    (images / NAMES[3]).unlink()
    os.mkfifo(images / NAMES[3])
    (images / "a/added.dcm").write_bytes(original)
    pushed = send(server)
    assert pushed.failed == (
        Failure(NAMES[1], f"{NAMES[1]}: it is not the file that the owner signed", Code.WRONG_IMAGE),
        Failure(NAMES[2], f"{NAMES[2]}: the marked file is missing", Code.WRONG_IMAGE),
        Failure(NAMES[3], "marked file 3.dcm: expected a regular file", Code.WRONG_IMAGE),
    )
    assert (pushed.sent, pushed.exit_code) == (3, 3)
    assert original not in [one.body for one in server.requests]
    assert original not in server.files.values()


def test_refused_credentials_end_it(server: FakeServer, send: Send) -> None:
    server.fault = lambda request: Reply(401)
    with pytest.raises(InputError) as refused:
        send(server)
    assert private(refused.value) == "the server refuses the credentials, or wants some"
    server.fault = lambda request: Reply(403) if request.method == "POST" else None
    with pytest.raises(InputError) as refused:
        send(server)
    assert private(refused.value) == "the server does not allow this to this user"


def test_a_server_that_goes_away_ends_it_and_the_rest_is_pushed_later(server: FakeServer, send: Send) -> None:
    def vanish(request: Request) -> Reply | None:
        if request.method == "POST" and len(server.files) >= 2:
            with server.lock:
                server.stop()
                server.stop = lambda: None  # type: ignore[method-assign]
            return Reply(0)
        return None

    server.fault = vanish
    with pytest.raises(TransferError) as gone:
        send(server)
    stored = len(server.files)
    assert private(gone.value) in {
        f"the server has {count} of 6 instances, then: the server cannot be reached: no connection"
        for count in range(1, stored + 1)
    }
    assert gone.value.hint == "repeat the command to push the rest"
    with serving(*server.files.values()) as again:
        assert send(again) == Pushed(6, 6 - stored, stored, 0, (), False)
        assert again.count("POST", "") == 6 - stored


def test_another_release_does_not_count_as_pushed(server: FakeServer, send: Send) -> None:
    staging = Staging(send.release)
    staging.make()
    log = PushLog(staging.log_path("target"), release="another")
    for name in NAMES:
        log.add(name)
    assert send(server).sent == 6
