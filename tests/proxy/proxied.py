"""What the tests of the proxy share: a release, a store that has its marked files, clients of the proxy."""

from __future__ import annotations

import io
import json
import re
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pydicom
import pytest
from starlette.testclient import TestClient

from fake_server import CT, PATIENT, STUDY, FakeServer, Reply, Request, dicom, listing, serving, uids
from medlocker.certificates import (
    Release,
    load_identity,
    load_owner,
    load_recipient,
    load_verify_key,
    new_owner,
    open_release,
    open_secret,
    write_grant,
)
from medlocker.dicomweb import Credentials, Server, parse_store
from medlocker.proxy import (
    LOCAL,
    ROOT,
    AccessLog,
    Caller,
    Callers,
    Instances,
    ServedReleases,
    make_app,
    open_grants,
)
from runs import called, images_of

HOST = "127.0.0.1:8043"
SERIES = ("1.2.3.4.1", "1.2.3.4.2")
ORIGINALS = [dicom(series=series, number=number, side=40) for series in SERIES for number in (1, 2, 3)]
"""Images 0 to 2 and 3 to 5 of the release, in this order."""
GRANTED = (0, 1)
"""Of the grant to alice."""


def report(*, uid: str = "1.2.3.4.9.1", series: str = "1.2.3.4.9") -> bytes:
    """An instance that is no picture and was never marked."""
    data = pydicom.dcmread(io.BytesIO(dicom(series=series, uid=uid)))
    for name in ("PixelData", "Rows", "Columns"):
        del data[name]
    stream = io.BytesIO()
    pydicom.dcmwrite(stream, data, enforce_file_format=True)
    return stream.getvalue()


@dataclass(frozen=True)
class World:
    """Keys, a release and a grant.

    Args:
        folder: Where they lie: ``own``, ``alice``, ``rel``, ``grant``.
        marked: Marked files by number.
    """

    folder: Path
    marked: Sequence[bytes]

    @property
    def release(self) -> Release:
        return open_release(self.folder / "rel", load_verify_key(self.folder / "own.sign.pub"))

    def grant(self, name: str, *, images: Sequence[int] | None = None, until: datetime | None = None) -> Path:
        """Write another grant to alice."""
        owner, release = load_owner(self.folder / "own"), self.release
        write_grant(
            release,
            self.folder / name,
            secret=open_secret(release, owner.identity()),
            signing=owner.signing,
            recipients=[load_recipient(self.folder / "alice.age.pub")],
            images=images,
            until=until,
        )
        return self.folder / name


def make_world(folder: Path, *, keys: Path | None = None, files: Mapping[str, bytes] | None = None) -> World:
    """Mark six images, or others, and grant two, with keys of their own or those of another world."""
    for name, data in (files or {f"{k}.dcm": data for k, data in enumerate(ORIGINALS)}).items():
        (folder / "in" / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / "in" / name).write_bytes(data)
    for name in ("own", "alice"):
        if keys is None:
            new_owner(folder / name)
        else:
            for file in keys.glob(f"{name}.*"):
                shutil.copy(file, folder)
    done = called(
        *("protect", "in", "--owner", "own", "--out", "rel", "--no-ledger", "--lesions", "none"), cwd=folder
    )
    assert done.code == 0, done.err
    images = images_of(folder / "rel")
    world = World(folder, [images[name] for name in sorted(images)])
    world.grant("grant", images=GRANTED)
    return world


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return make_world(tmp_path_factory.mktemp("world"))


@pytest.fixture
def store(world: World, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeServer]:
    """A server that has the marked files and a report, and also lists studies and series."""
    monkeypatch.setattr("medlocker.dicomweb._http._WAITS_S", (0.0, 0.0))
    with serving(*world.marked, report()) as server:
        server.fault = lambda request: levels(server, request)
        yield server


def levels(server: FakeServer, request: Request) -> Reply | None:
    """Answer questions for studies, series, and instances of all studies."""
    if request.path == "/instances":
        listed = [with_study(data) for data in server.files.values()]
        return Reply(body=json.dumps(listed[: int(request.query["limit"][0])]).encode())
    if not re.fullmatch(r"/studies(/[0-9.]+/series)?|/series", request.path):
        return None
    item = {
        "0020000D": {"vr": "UI", "Value": [STUDY]},
        "00081190": {"vr": "UR", "Value": [f"http://store.internal{request.path}"]},
        "00091001": {"vr": "OB", "BulkDataURI": "http://store.internal/bulk"},
        "00201208": {"vr": "IS", "Value": [len(server.files)]},
    }
    series = [{"0020000E": {"vr": "UI", "Value": [uid]}} for uid in SERIES]
    found = [item | one for one in series] if request.path.endswith("/series") else [item]
    return Reply(body=json.dumps(found).encode())


def with_study(data: bytes) -> dict[str, Any]:
    return listing(data) | {"0020000D": {"vr": "UI", "Value": [uids(data)[0]]}}


@dataclass
class Proxied:
    """A proxy before a store, and who may ask it."""

    client: TestClient
    instances: Instances
    log: Path
    told: list[str] = field(default_factory=list)

    def get(self, path: str, accept: str = "*/*", **options: Any) -> Any:
        headers = {"accept": accept} | options.pop("headers", {})
        return self.client.get(ROOT + path, headers=headers, **options)

    def instance(self, uid: str, series: str = SERIES[0], rest: str = "", accept: str = "") -> Any:
        """Ask for an instance's file, or for what ``rest`` adds to its address."""
        accept = accept or ("application/dicom" if not rest else "*/*")
        return self.get(f"/studies/{STUDY}/series/{series}/instances/{uid}{rest}", accept)

    @property
    def lines(self) -> list[dict[str, Any]]:
        """The log."""
        return [json.loads(line) for line in self.log.read_text().splitlines()]

    @property
    def seen(self) -> list[tuple[str, str, int | None]]:
        """The log: what was asked, how it was shown, of which image."""
        return [(line["asked"], line["shown"], line.get("image")) for line in self.lines]


def proxied(
    world: World,
    store: FakeServer,
    log: Path,
    *,
    grants: Sequence[str] | None = ("grant",),
    callers: Callers | None = None,
    origins: Sequence[str] = (),
    releases: Sequence[Release] | None = None,
    **options: Any,
) -> Proxied:
    """Start a proxy; by default everybody sees what the grant opens, with ``grants=None`` everything."""
    opened = [world.release] if releases is None else releases
    key = load_identity(world.folder / ("own.age.key" if grants is None else "alice.age.key"))
    folders = None if grants is None else [world.folder / name for name in grants]
    known = callers or Callers(Caller(LOCAL, open_grants(opened, folders, key)))
    server = Server(parse_store(store.address), Credentials("", "VARIABLE"))
    settings = {"cache_bytes": 1 << 22} | options
    instances = Instances(server, ServedReleases(opened), **settings)
    app = make_app(instances, AccessLog(log), known, hosts=(HOST,), origins=origins)
    client = TestClient(app, base_url=f"http://{HOST}", raise_server_exceptions=False)
    return Proxied(client, instances, log)


@pytest.fixture
def proxy(world: World, store: FakeServer, tmp_path: Path) -> Iterator[Proxied]:
    """A proxy that opens images 0 and 1 for everybody."""
    found = proxied(world, store, tmp_path / "log")
    yield found
    found.instances.close()


def uid_of(data: bytes) -> str:
    return uids(data)[2]


def parts_of(answer: Any) -> list[tuple[str, bytes]]:
    """The parts of a multipart answer: media type and content, read by the lengths that they tell."""
    boundary = re.search(r"boundary=([^;]+)", answer.headers["content-type"])
    assert boundary is not None
    line, rest, found = f"--{boundary[1]}".encode(), answer.content, []
    while not rest.startswith(line + b"--"):
        head, rest = rest[len(line) + 2 :].split(b"\r\n\r\n", 1)
        fields = dict(field.split(": ", 1) for field in head.decode().split("\r\n"))
        length = int(fields["Content-Length"])
        found.append((fields["Content-Type"], rest[:length]))
        rest = rest[length + 2 :]
    return found


def private(answer: Any) -> str:
    """The sentence of a refusal, once it is checked that it names nothing that it must not."""
    text = answer.text
    for word in (PATIENT, "Sally", "127.0.0.1", "http://", ".age.key", "/tmp", "Traceback"):
        assert word not in text
    told = answer.json()
    assert set(told) <= {"error", "code", "hint"}
    return str(told["error"])


def changed(data: bytes, **values: Any) -> bytes:
    """A file with other values in its header."""
    dataset = pydicom.dcmread(io.BytesIO(data))
    for name, value in values.items():
        setattr(dataset, name, value)
    stream = io.BytesIO()
    dataset.save_as(stream)
    return stream.getvalue()


NOW = datetime.now(UTC)
__all__ = ["CT", "NOW", "Proxied", "World", "proxied"]
