"""What the tests of fetching share: a server with two series of three instances, and what fetches from it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from fake_server import (
    PATIENT,
    STUDY,
    FakeServer,
    dicom,
    serving,
)
from medlocker.dicomweb import (
    Credentials,
    Pulled,
    Server,
    Staging,
    parse_source,
    plan_pull,
    pull,
)
from medlocker.errors import Failure, MedlockerError

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
        self,
        server: FakeServer | Elsewhere,
        *,
        study: str = STUDY,
        header: str = "",
        ca: Path | None = None,
        companions: bool = True,
    ) -> Pulled:
        address = parse_source(f"{server.address}/studies/{study}")
        client = Server(address, Credentials(header, "VARIABLE"), ca=ca)
        self.seen: list[tuple[str, Failure | None]] = []
        plan = plan_pull(client, self.staging, companions=companions)
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


def uid_path(k: int) -> str:
    return f"/instances/1.2.3.4.{k // 3 + 1}.{k % 3 + 1}"


@dataclass
class Elsewhere:
    """The address of a server that is not on this machine."""

    address: str = "dicomweb:http://pacs.example/dicom-web"
