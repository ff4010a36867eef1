"""The whole way over real servers, see `orthancs.py`."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from pydicom.data import get_testdata_file

from fake_server import dicom, uids
from orthancs import SCRIPT, STUDY, needs_orthanc, orthanc, small_study
from patience import HANGS_S, wait_until
from runs import COMMAND, Answer, Shell, environment, images_of, medlocker, tiny_model

Run = Callable[..., Answer]
pytestmark = needs_orthanc


@pytest.fixture(scope="module")
def study() -> list[bytes]:
    return small_study()


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory, study: list[bytes]) -> Iterator[Any]:
    server = orthanc.Orthanc(tmp_path_factory.mktemp("orthanc") / "source")
    server.upload(*study, Path(str(get_testdata_file("reportsi.dcm"))).read_bytes())
    yield server
    server.stop()


@pytest.fixture
def target(tmp_path: Path) -> Iterator[Any]:
    server = orthanc.Orthanc(tmp_path / "target")
    yield server
    server.stop()


@pytest.fixture
def arguments(tmp_path: Path, owner_name: Path) -> list[object]:
    files: list[object] = [
        "--model",
        tiny_model(tmp_path),
        "--owner",
        owner_name,
        "--out",
        tmp_path / "release",
    ]
    return [*files, "--seed", 1, "--budget", 4, "--no-ledger", "--json", "--preset", "paper"]


@pytest.fixture
def run(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Run:
    return partial(Shell(capfd, monkeypatch), cwd=tmp_path)


def address(server: Any, study: str = STUDY) -> str:
    url: str = server.url
    return f"dicomweb:{url}" + (f"/studies/{study}" if study else "")


def leftovers(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir() if path.name.startswith(".")]


def quiet(answer: Answer) -> str:
    """What was told, once it is checked that it names nothing private."""
    for word in ("CompressedSamples", STUDY, "127.0.0.1", "secret"):
        assert word not in answer.err + answer.out
    return answer.err


def test_a_study_goes_round_bit_for_bit(
    run: Run,
    source: Any,
    target: Any,
    study: list[bytes],
    arguments: list[object],
    tmp_path: Path,
    owner_name: Path,
) -> None:
    done = run("protect", address(source), *arguments, "--keep-original", "--push", address(target, ""))
    quiet(done)
    assert done.code == 0, done.err
    assert done.json["fetched"] == {
        "instances": 4,
        "present": 4,
        "fetched": 4,
        "passed_over": 0,
        "missing": [],
    }
    assert done.json["pushed"] == {"instances": 4, "sent": 4, "already": 0, "changed": 0, "failed": []}
    assert leftovers(tmp_path) == []
    marked = images_of(tmp_path / "release")
    names = [
        "series-0001/000001.dcm",
        "series-0002/000001.dcm",
        "series-0002/000002.dcm",
        "series-0003/000001.dcm",
    ]
    assert sorted(marked) == names
    assert source.counts() == (2, 4, 5)  # with the report, in a study of its own
    assert target.counts() == (1, 3, 4)
    # the very bytes that the owner signed lie on the server, and they are no originals
    assert target.files() == sorted(marked.values())
    assert [uids(data)[:2] for _, data in sorted(marked.items())] == [uids(data)[:2] for data in study]
    assert not {uids(data)[2] for data in marked.values()} & {uids(data)[2] for data in study}
    # what comes back from the server is that of the release, and restores to what the source holds
    (tmp_path / "one.dcm").write_bytes(target.files()[0])
    key = f"{owner_name}.sign.pub"
    assert run("verify", tmp_path / "one.dcm", "--release", tmp_path / "release", "--owner", key).code == 0
    restored = tmp_path / "restored"
    back = run(
        "restore",
        tmp_path / "release",
        "--owner",
        key,
        "--identity",
        f"{owner_name}.age.key",
        "--out",
        restored,
    )
    assert back.code == 0, back.err
    assert [(restored / name).read_bytes() for name in names] == study
    assert source.files() == sorted([*study, Path(str(get_testdata_file("reportsi.dcm"))).read_bytes()])
    # a second push finds all of them
    again = run("push", tmp_path / "release", address(target, ""), "--owner", key, "--json")
    assert again.json["pushed"] == {"instances": 4, "sent": 0, "already": 4, "changed": 0, "failed": []}
    assert (again.code, leftovers(tmp_path)) == (0, [])


def test_a_study_of_reports_and_an_unknown_one_are_refused(
    run: Run, source: Any, arguments: list[object], tmp_path: Path
) -> None:
    report = uids(Path(str(get_testdata_file("reportsi.dcm"))).read_bytes())[0]
    done = run("protect", address(source, report), *arguments)
    assert (done.code, quiet(done)) == (2, "error: expected a study or series with images, got one without\n")
    done = run("protect", address(source, "9.9"), *arguments)
    assert (done.code, quiet(done)) == (2, "error: the server has no such study or series\n")
    assert leftovers(tmp_path) == []


MANY = 200


@pytest.fixture(scope="module")
def many(source: Any) -> str:
    """A large study on the source; its address."""
    source.upload(*(dicom(study="1.2.77", series="1.2.77.1", number=k, side=32) for k in range(MANY)))
    return address(source, "1.2.77")


def start(*parts: object) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [*COMMAND, *map(str, parts)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment()
    )


@pytest.mark.slow
def test_killed_while_fetching_and_while_pushing_it_goes_on(
    source: Any, target: Any, many: str, arguments: list[object], tmp_path: Path
) -> None:
    staging = tmp_path / ".release.medlocker-transfer"
    command = ["protect", many, *arguments, "--push", address(target, "")]
    running = start(*command)
    wait_until(lambda: len(list(staging.glob("instances/*/[0-9]*.dcm"))) >= 20)
    running.kill()
    running.communicate()
    there = {path: path.stat().st_mtime_ns for path in staging.glob("instances/*/[0-9]*.dcm")}
    assert 20 <= len(there) < MANY
    running = start(*command)
    wait_until(lambda: target.counts()[2] >= 5)
    assert not (staging / "instances").exists()  # patient data went before pushing
    running.send_signal(signal.SIGKILL)
    running.communicate()
    stored = target.counts()[2]
    assert 5 <= stored < MANY
    done = medlocker(*command)
    assert done.code == 0, done.err
    pushed = done.json["pushed"]
    assert pushed["sent"] + pushed["already"] == MANY
    assert pushed["already"] >= stored
    assert target.counts() == (1, 1, MANY)
    assert target.files() == sorted(images_of(tmp_path / "release").values())
    assert leftovers(tmp_path) == []


@pytest.mark.slow
def test_a_server_killed_while_it_is_fetched_from(
    study: list[bytes], arguments: list[object], tmp_path: Path
) -> None:
    server = orthanc.Orthanc(tmp_path / "server")
    staging = tmp_path / ".release.medlocker-transfer"
    try:
        server.upload(*(dicom(study="1.2.77", series="1.2.77.1", number=k, side=32) for k in range(MANY)))
        running = start("protect", address(server, "1.2.77"), *arguments)
        wait_until(lambda: len(list(staging.glob("instances/*/[0-9]*.dcm"))) >= 20)
    finally:
        server.stop()
    out, err = running.communicate(timeout=HANGS_S)
    told = [line for line in err.decode().splitlines() if line.startswith("error: ")]
    count = len(list(staging.glob("instances/*/[0-9]*.dcm")))
    assert told == [
        f"error: {count} of {MANY} instances fetched, then: the server cannot be reached: no connection"
    ]
    assert running.returncode == 1
    assert told == [f"error: {json.loads(out)['error']}"]
    assert "Traceback" not in err.decode()
    assert not (tmp_path / "release").exists()
    assert not list(staging.rglob(".medlocker-tmp-*"))
    again = orthanc.Orthanc(tmp_path / "server", port=server.port)
    try:
        done = medlocker("protect", address(again, "1.2.77"), *arguments)
    finally:
        again.stop()
    assert done.code == 0, done.err
    assert done.json["fetched"]["fetched"] == MANY - count
    assert done.json["marked"] == MANY


def test_basic_authentication(run: Run, study: list[bytes], arguments: list[object], tmp_path: Path) -> None:
    server = orthanc.Orthanc(tmp_path / "server", user="alice:secret")
    try:
        server.upload(study[0])
        refused = run("protect", address(server), *arguments)
        assert refused.code == 2
        assert quiet(refused) == (
            "error: the server refuses the credentials, or wants some\n"
            "  give a file with `user:password` or `Bearer TOKEN`, or set MEDLOCKER_PULL_AUTH to the same\n"
        )
        auth = tmp_path / "auth"
        auth.write_text("alice:wrong-secret")
        auth.chmod(0o600)
        assert run("protect", address(server), *arguments, "--auth", auth).code == 2
        assert leftovers(tmp_path) == []
        auth.write_text("alice:secret\n")
        done = run("protect", address(server), *arguments, "--auth", auth)
        quiet(done)
        assert (done.code, done.json["marked"]) == (0, 1)
    finally:
        server.stop()


def test_the_script_starts_both_and_leaves_nothing(study: list[bytes], tmp_path: Path) -> None:
    file = tmp_path / "ct.dcm"
    file.write_bytes(study[0])
    running = subprocess.Popen(
        [sys.executable, SCRIPT, file], stdout=subprocess.PIPE, env={**os.environ, "TMPDIR": str(tmp_path)}
    )
    assert running.stdout is not None
    try:
        lines = [running.stdout.readline().decode() for _ in range(4)]
        assert [line.split()[0] for line in lines] == ["source", "target", "study", "interrupt"]
        assert lines[2].endswith(f"/dicom-web/studies/{STUDY}\n")
        running.send_signal(signal.SIGINT)
        assert running.communicate(timeout=HANGS_S)[0] == b"ended\n"
    finally:
        running.terminate()  # which ends the servers too
        running.communicate()
    assert [path.name for path in tmp_path.iterdir()] == ["ct.dcm"]
