"""DICOM servers on the command line: one sentence and the right exit code for everything that goes wrong."""

from __future__ import annotations

import json
import os
import shutil
import ssl
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

from fake_server import PATIENT, STUDY, FakeServer, Reply, Request, dicom, self_signed, serving
from medlocker.certificates import new_owner
from patience import HANGS_S
from runs import Answer, Shell, environment, fill, images_of, tiny_model

Run = Callable[..., Answer]
FILES = [dicom(number=number, side=48) for number in range(1, 5)]
NAMES = [f"series-0001/00000{number}.dcm" for number in range(1, 5)]
STAGING = ".release.medlocker-transfer"


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("medlocker.dicomweb._http._WAITS_S", (0.0, 0.0))
    monkeypatch.delenv("MEDLOCKER_PULL_AUTH", raising=False)
    monkeypatch.delenv("MEDLOCKER_PUSH_AUTH", raising=False)


@pytest.fixture
def source() -> Iterator[FakeServer]:
    with serving(*FILES) as server:
        yield server


@pytest.fixture
def target() -> Iterator[FakeServer]:
    with serving() as server:
        yield server


@pytest.fixture
def medlocker(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Run:
    return partial(Shell(capfd, monkeypatch), cwd=tmp_path)


@pytest.fixture
def protect(medlocker: Run, owner_name: Path, tmp_path: Path) -> Run:
    options: list[object] = ["--model", tiny_model(tmp_path), "--owner", owner_name, "--no-ledger"]
    options += ["--preset", "paper", "--budget", 4, "--seed", 1, "--out", tmp_path / "release"]

    def run(*arguments: object) -> Answer:
        answer = medlocker("protect", *arguments, *options)
        for word in (PATIENT, STUDY, "127.0.0.1", "secret"):
            assert word not in answer.out + answer.err
        return answer

    return run


def study(server: FakeServer) -> str:
    return f"{server.address}/studies/{STUDY}"


def left(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if path.name != "tiny.onnx")


def error(answer: Answer) -> str:
    lines = [line for line in answer.err.splitlines() if line.startswith("error: ")]
    assert len(lines) == 1, answer.err
    return lines[0].removeprefix("error: ")


def test_a_study_is_marked_pushed_and_nothing_of_it_stays(
    protect: Run, source: FakeServer, target: FakeServer, tmp_path: Path
) -> None:
    done = protect(study(source), "--push", target.address)
    assert done.code == 0, done.err
    assert done.out.splitlines()[0] == f"marked 4 of 4 images into {tmp_path / 'release'}"
    assert done.out.splitlines()[-1] == "pushed 4 of 4 instances"
    assert f"downloaded files are kept in {STAGING} beside the release until the run ends" in done.err
    assert left(tmp_path) == ["release"]
    assert sorted(images_of(tmp_path / "release")) == NAMES
    assert sorted(target.files.values()) == sorted(images_of(tmp_path / "release").values())
    again = protect(study(source), "--push", target.address)
    assert (again.code, error(again)) == (2, "release is a finished release")


def test_local_files_can_be_pushed_too(protect: Run, target: FakeServer, tmp_path: Path) -> None:
    fill(tmp_path / "in", 1)
    for number, data in enumerate(FILES):
        (tmp_path / "in" / f"{number}.dcm").write_bytes(data)
    done = protect("in", "--push", target.address, "--json")
    assert done.code == 0, done.err
    assert done.json["pushed"]["sent"] == len(target.files) == 4
    assert "fetched" not in done.json
    assert "1 files are no DICOM files and are not pushed" in done.err
    assert left(tmp_path) == ["in", "release"]


def test_a_part_of_a_study_is_not_marked_unless_told(
    protect: Run, source: FakeServer, tmp_path: Path
) -> None:
    source.fault = lambda request: Reply(404) if request.path.endswith("/1.2.3.4.1.2") else None
    for _ in range(2):
        done = protect(study(source))
        assert (done.code, done.out) == (1, "")
        assert error(done) == "3 of 4 instances fetched: nothing is marked yet"
        assert f"failed: {NAMES[1]}: the server does not have it any more" in done.err
        assert left(tmp_path) == [STAGING]
    done = protect(study(source), "--allow-partial", "--json")
    assert done.code == 1
    assert done.json["fetched"] == {
        "instances": 4,
        "present": 3,
        "fetched": 0,
        "passed_over": 0,
        "missing": [
            {"image": NAMES[1], "reason": "the server does not have it any more", "code": "transfer"}
        ],
    }
    assert done.json["marked"] == 3
    assert left(tmp_path) == ["release"]
    assert source.count("GET", "/instances/") == 4 + 1 + 1


def test_a_push_that_ends_in_the_middle_tells_the_run_and_is_finished_by_the_same_command(
    protect: Run, source: FakeServer, target: FakeServer, tmp_path: Path
) -> None:
    def refuse(request: Request) -> Reply | None:
        return Reply(401) if request.method == "POST" and target.files else None

    target.fault = refuse
    done = protect(study(source), "--push", target.address, "--json")
    message = error(done)
    count = message.split()[3]
    assert message == (
        f"the server has {count} of 4 instances, then: the server refuses the credentials, or wants some"
    )
    assert done.code == 1
    assert (done.json["marked"], done.json["pushed"]) == (
        4,
        {"error": message, "code": "transfer"},
    )
    assert left(tmp_path) == [STAGING, "release"]
    assert {path.name.split("-")[0] for path in (tmp_path / STAGING).iterdir()} == {"job.json", "pushed"}
    marked = images_of(tmp_path / "release")
    target.fault, source.requests = lambda request: None, []
    done = protect(study(source), "--push", target.address)
    assert done.code == 0, done.err
    assert "the release is finished: pushing what the server does not have yet" in done.err
    assert done.out == f"pushed {4 - int(count)} of 4 instances, {count} were there already\n"
    assert source.requests == []
    assert images_of(tmp_path / "release") == marked
    assert sorted(target.files.values()) == sorted(marked.values())
    assert left(tmp_path) == ["release"]


def test_refusals_are_listed_and_the_push_command_finishes(
    protect: Run, medlocker: Run, owner_name: Path, source: FakeServer, target: FakeServer, tmp_path: Path
) -> None:
    target.fault = lambda request: Reply(409) if request.method == "POST" else None
    done = protect(study(source), "--push", target.address)
    assert done.code == 1
    told = done.out.splitlines()
    assert told[-6:] == [
        "pushed 0 of 4 instances",
        "not pushed 4:",
        *(f"  {name}: the server refused it: it does not say why" for name in NAMES),
    ]
    target.fault = lambda request: None
    done = medlocker("push", "release", target.address, "--owner", f"{owner_name}.sign.pub", "--json")
    assert (done.code, done.json["pushed"]["sent"]) == (0, 4)


def test_what_a_killed_run_left_behind_is_removed(protect: Run, source: FakeServer, tmp_path: Path) -> None:
    protect(study(source))
    staging = tmp_path / STAGING
    (staging / "instances").mkdir(parents=True)
    (staging / "instances" / "1.dcm").write_bytes(FILES[0])
    done = protect(study(source))
    assert (done.code, error(done)) == (2, "release is a finished release")
    assert left(tmp_path) == ["release"]


def test_an_interrupted_fetch_says_how_to_go_on(
    protect: Run, source: FakeServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def interrupted(*arguments: object, **options: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("medlocker.dicomweb.pull", interrupted)
    done = protect(study(source))
    assert done.code == 130
    assert "interrupted: repeat the command to continue" in done.err
    assert left(tmp_path) == [STAGING]


def test_nothing_is_fetched_for_an_output_that_cannot_be(
    protect: Run, source: FakeServer, tmp_path: Path
) -> None:
    (tmp_path / "release").mkdir()
    (tmp_path / "release" / "mine").write_text("")
    done = protect(study(source))
    assert (done.code, error(done)) == (2, "the output folder release is not empty")
    assert source.requests == []


WRONG = [
    (
        ["dicomweb:https://h/dicom-web"],
        "expected the address of one study or series, got that of a whole server",
    ),
    (["dicomweb:https://a:secret@h/studies/1"], "expected an address without user and password"),
    (["in", "--auth", "x"], "--auth and --allow-partial require an INPUT that begins with dicomweb:"),
    (["in", "--allow-partial"], "--auth and --allow-partial require an INPUT that begins with dicomweb:"),
    (["in", "--ca", "x"], "expected --ca with an INPUT or --push that begins with dicomweb:"),
    (["in", "--push-auth", "x"], "--push-auth requires --push"),
    (["in", "--push", "https://h"], "expected the address of a DICOM server"),
    (
        ["in", "--push", "dicomweb:https://h/studies/1"],
        "expected the address of a server to push to, got that of a study",
    ),
    (
        ["dicomweb:http://127.0.0.1/d/studies/1", "--push", "dicomweb:http://127.0.0.1/d/"],
        "expected another server for --push: this one stores the originals, in the same series",
    ),
    (["dicomweb:https://h/studies/1", "--auth", "none"], "credentials none: no such file or directory"),
    (["dicomweb:https://h/studies/1", "--ca", "none"], "CA file none: expected certificates in PEM"),
]


@pytest.mark.parametrize(("arguments", "message"), WRONG)
def test_wrong_usage(arguments: list[str], message: str, protect: Run, tmp_path: Path) -> None:
    fill(tmp_path / "in", 1)
    done = protect(*arguments)
    assert (done.code, error(done)) == (2, message)
    assert left(tmp_path) == ["in"]


@pytest.mark.parametrize("files", [True, False])
def test_credentials_go_to_their_own_server_alone(
    files: bool,
    protect: Run,
    source: FakeServer,
    target: FakeServer,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    options: list[object] = ["--push", target.address]
    for name, option in (("PULL", "--auth"), ("PUSH", "--push-auth")):
        monkeypatch.setenv(f"MEDLOCKER_{name}_AUTH", f"Bearer {name}-variable")
        if files:
            (tmp_path / name).write_text(f"Bearer {name}-file")
            options += [option, tmp_path / name]
    done = protect(study(source), *options)
    assert done.code == 0
    assert ("warning: PULL can be read by other users of this machine: chmod 600 PULL" in done.err) == files
    kind = "file" if files else "variable"
    assert {one.headers["Authorization"] for one in source.requests} == {f"Bearer PULL-{kind}"}
    assert {one.headers["Authorization"] for one in target.requests} == {f"Bearer PUSH-{kind}"}


def test_a_certificate_is_checked(protect: Run, tmp_path: Path) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    pem = self_signed(tmp_path)
    context.load_cert_chain(pem)
    with serving(*FILES, context=context) as server:
        done = protect(study(server))
        assert done.code == 2
        assert error(done) == "the server's certificate is not trusted, or it does not speak TLS"
        assert protect(study(server), "--ca", pem).code == 0


@pytest.fixture
def release(protect: Run, tmp_path: Path) -> Path:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "1.dcm").write_bytes(FILES[0])
    assert protect("in").code == 0
    return tmp_path / "release"


def test_only_what_this_owner_signed_is_pushed(
    release: Path, medlocker: Run, owner_name: Path, target: FakeServer, tmp_path: Path
) -> None:
    key = f"{owner_name}.sign.pub"
    other = new_owner(tmp_path / "other").path(".sign.pub")
    done = medlocker("push", release, target.address, "--owner", other)
    assert done.code == 3
    (release / "images" / "1.dcm").write_bytes(FILES[0])  # an original in its place
    done = medlocker("push", release, target.address, "--owner", key)
    assert done.code == 3
    assert "1.dcm: it is not the file that the owner signed" in done.out
    assert target.requests == []
    shutil.rmtree(release / "certificate")
    done = medlocker("push", release, target.address, "--owner", key, "--json")
    assert done.code == 2
    assert done.json["pushed"]["error"] == error(done)


def test_a_server_that_changes_instances_is_warned_of(
    release: Path, medlocker: Run, owner_name: Path, target: FakeServer
) -> None:
    item = {"00081155": {"vr": "UI", "Value": ["1.2.3"]}, "00081196": {"vr": "US", "Value": [0xB000]}}
    changed = {"00081199": {"vr": "SQ", "Value": [item]}}
    reply = Reply(202, body=json.dumps(changed).encode())
    target.fault = lambda request: reply if request.method == "POST" else None
    done = medlocker("push", release, target.address, "--owner", f"{owner_name}.sign.pub")
    assert done.code == 0
    assert (
        "warning: the server changed 1 instances: its copies are no longer what the owner signed" in done.err
    )


def test_a_release_without_dicom_files_is_not_pushed(
    protect: Run, medlocker: Run, owner_name: Path, target: FakeServer, tmp_path: Path
) -> None:
    fill(tmp_path / "in", 1)
    protect("in")
    done = medlocker("push", "release", target.address, "--owner", f"{owner_name}.sign.pub")
    assert (done.code, error(done)) == (2, "release: expected DICOM files to push, found none")
    assert left(tmp_path) == ["in", "release"]


@pytest.mark.parametrize(
    ("arguments", "code"),
    [(["push", "r", "dicomweb:https://h", "--owner", "o"], 2), (["protect", "--help"], 0)],
)
def test_without_the_extra(arguments: list[str], code: int) -> None:
    start = "import sys; sys.modules['urllib3'] = None; from medlocker.cli import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", start, *arguments],
        capture_output=True,
        env=environment(),
        check=False,
        timeout=HANGS_S,
    )
    assert done.returncode == code
    if code:
        assert done.stderr.decode().splitlines() == [
            "error: this needs the library urllib3, which is not installed",
            "  in the folder of medlocker's source: pip install '.[dicomweb]'",
        ]
    assert os.linesep.encode() in done.stdout + done.stderr
