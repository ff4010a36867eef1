"""Runs of several processes, here and on a Ray cluster of two nodes: the same release, whatever dies."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import bad_workers
import pytest
import several
from several import SETTINGS, SIZE, Stop, local_run, stopped_after

from medlocker.certificates import Ledger, Owner
from medlocker.engines import EngineMaker, process_engine, ray_engine
from medlocker.engines import _processes as processes_module
from medlocker.engines import _ray as ray_module
from medlocker.engines._pool import PoolEngine
from medlocker.errors import Code, Failure, InputError, WriteError
from medlocker.formats import read_image
from medlocker.images import content_digest
from medlocker.protect import Lesions, Outcome, make_finder
from medlocker.release import Run, run_release
from medlocker.release._status import status_of
from patience import HANGS_S, wait_until
from runs import LISTEN, check_release, environment, fill, images_of, medlocker, tiny_model

cluster = several.cluster
source = several.source
model = several.model
whole = several.whole
"""Fixtures."""


@dataclass(frozen=True)
class Several:
    """Two workers somewhere."""

    on_ray: bool

    def maker(self, models: Sequence[Path], *, lesions: Lesions = "none") -> EngineMaker:
        if self.on_ray:
            return ray_engine(models, lesions=lesions)
        return process_engine(models, workers=2, lesions=lesions)

    def send(self, patch: pytest.MonkeyPatch, kind: str, *arguments: str) -> None:
        """Let the workers be bad ones."""
        if self.on_ray:
            patch.setattr(ray_module, "Worker", getattr(bad_workers, kind)(*arguments))
            return
        path = [one for one in sys.path if one]
        program = f"import sys; sys.path[:0] = {path!r}\nimport bad_workers\n"
        program += f"from medlocker.engines._child import main; main(bad_workers.{kind}(*{arguments!r}))"
        patch.setattr(processes_module, "PROGRAM", program)


@pytest.fixture(params=["processes", pytest.param("ray", marks=pytest.mark.slow)])
def team(request: pytest.FixtureRequest) -> Several:
    if request.param == "ray":
        request.getfixturevalue("cluster")
    return Several(request.param == "ray")


def run_of(source: Path, out: Path, owner: Owner, model: Path, *, on: Several | None, **options: Any) -> Run:
    made = local_run(source, out, owner, model, **options)
    return made if on is None else replace(made, engine=on.maker([model]))


def test_gives_the_same_release_as_a_local_run(
    tmp_path: Path, team: Several, source: Path, owner: Owner, model: Path, whole: dict[str, bytes]
) -> None:
    with Ledger(tmp_path / "ledger", owner.signing) as ledger:
        run = run_of(source, tmp_path / "out", owner, model, on=team, ledger=ledger)
        local = run_of(source, tmp_path / "out", owner, model, on=None)
        assert run.fingerprint() == local.fingerprint()
        seen: list[Outcome] = []
        result = run_release(run, progress=seen.append)
        assert len(ledger) == len(whole) + 1  # the series too
    assert sorted(outcome.index for outcome in seen) == list(range(20))
    assert {o.name: o.status for o in seen if o.status != "marked"} == {
        "tiny.png": "skipped",
        "broken.png": "failed",
    }
    assert result.summary.followed == 3
    assert result.json["engine"]["workers"] == 2
    assert result.json["engine"]["lost"] == 0
    assert result.json["engine"]["worker_peak_rss_mb"] > 10
    assert result.json["seconds"]["model"] > 0
    (source / "broken.png").rename(tmp_path / "broken.png")
    try:
        assert check_release(source, tmp_path / "out", owner, tmp_path / "restored") == whole
    finally:
        (tmp_path / "broken.png").rename(source / "broken.png")


@pytest.mark.slow
def test_the_ledger_refuses_what_another_release_has_marked(
    tmp_path: Path, team: Several, source: Path, owner: Owner, model: Path
) -> None:
    with Ledger(tmp_path / "ledger", owner.signing) as ledger:
        some = fill(tmp_path / "in", 3, size=SIZE)
        shutil.copy(source / "0.dcm", some / "0.dcm")
        run_release(run_of(some, tmp_path / "first", owner, model, on=None, ledger=ledger))
        shutil.copy(source / "1.dcm", some / "0.dcm")
        fill(some, 1, size=SIZE, first=7)
        result = run_release(run_of(some, tmp_path / "second", owner, model, on=team, ledger=ledger))
        assert list(images_of(tmp_path / "second")) == ["07.png"]
        reasons = {one.name: one.reason for one in result.summary.failed}
        assert sorted(reasons) == ["0.dcm", "00.png", "01.png", "02.png"]
        assert reasons["00.png"].startswith("an image with these pixels was marked in another way in release")
        assert reasons["0.dcm"].startswith("an image of its series was marked in another way in release")

        # marked again, and only the commit can tell that it comes out differently
        other = replace(SETTINGS, search="random", budget=2)
        run = run_of(
            some, tmp_path / "third", owner, model, on=team, ledger=ledger, same_mark=True, settings=other
        )
        result = run_release(run)
        assert result.summary.marked == 0
        assert len(result.summary.failed) == 5
    assert not (tmp_path / "third").exists()


@pytest.mark.slow
def test_originals_are_kept_and_regions_kept_out(
    tmp_path: Path, team: Several, owner: Owner, model: Path
) -> None:
    source = fill(tmp_path / "in", 3, size=SIZE)
    outs: list[dict[str, bytes]] = []
    for on in (None, team):
        settings = replace(SETTINGS, keep_original=True)
        run = run_of(source, tmp_path / f"out{len(outs)}", owner, model, on=on, settings=settings)
        run = replace(run, finder=make_finder("skin", run.classifiers))
        if on is not None:
            run = replace(run, engine=on.maker([model], lesions="skin"))
        run_release(run)
        outs.append(check_release(source, run.release, owner, tmp_path / f"restored{len(outs)}"))
    assert outs[0] == outs[1]
    for path in source.iterdir():
        assert (tmp_path / "restored1" / path.name).read_bytes() == path.read_bytes()


def test_a_worker_killed_in_the_middle_is_replaced(
    tmp_path: Path, team: Several, source: Path, owner: Owner, model: Path, whole: dict[str, bytes]
) -> None:
    alive: list[int] = []
    killed: list[int] = []
    maker = team.maker([model])

    class Watched(PoolEngine):
        def _opened(self, slot: Any, opened: Any) -> None:
            super()._opened(slot, opened)
            alive.append(opened.pid)

    def watched(duty: Any) -> Any:
        engine = maker(duty)
        engine.__class__ = Watched
        return engine

    seen: list[int] = []

    def progress(outcome: Outcome) -> None:
        seen.append(outcome.index)
        if alive and len(seen) >= 2 + 3 * len(killed) and len(killed) < 2:
            killed.append(alive.pop())
            os.kill(killed[-1], signal.SIGKILL)

    run = replace(run_of(source, tmp_path / "out", owner, model, on=team), engine=watched)
    result = run_release(run, progress=progress)
    assert result.json["engine"]["lost"] == len(killed) == 2
    assert sorted(seen) == list(range(20))
    assert images_of(tmp_path / "out") == whole
    assert not [path for path in (tmp_path / "out").rglob("*") if path.name.startswith(".medlocker")]


@pytest.mark.slow
@pytest.mark.parametrize("here_first", [True, False])
def test_each_engine_goes_on_where_the_other_stopped(
    tmp_path: Path,
    team: Several,
    source: Path,
    owner: Owner,
    model: Path,
    whole: dict[str, bytes],
    here_first: bool,
) -> None:
    out = tmp_path / "out"
    first = run_of(source, out, owner, model, on=None if here_first else team)
    with pytest.raises(Stop):
        run_release(first, progress=stopped_after(6))
    found = status_of(out)
    assert found is not None
    assert 4 <= found.marked < len(whole)
    result = run_release(run_of(source, out, owner, model, on=team if here_first else None))
    assert result.json["engine"].get("workers") == (2 if here_first else None)
    assert images_of(out) == whole
    assert not [path for path in out.rglob("*") if path.name.startswith(".medlocker")]


@pytest.mark.slow
def test_an_image_that_kills_its_workers_fails_and_the_others_do_not(
    tmp_path: Path, team: Several, owner: Owner, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = fill(tmp_path / "in", 10, size=SIZE)
    data = (source / "03.png").read_bytes()
    poison = content_digest(read_image(data, name="p"))

    team.send(monkeypatch, "poisoned", poison)
    result = run_release(run_of(source, tmp_path / "out", owner, model, on=team))
    assert result.summary.marked == 9
    assert result.summary.failed == [
        Failure("03.png", "the process that worked on it ended without an answer 3 times", Code.WORKER_LOST)
    ]
    assert result.json["engine"]["lost"] == 3


@pytest.mark.slow
def test_workers_that_die_at_once_end_the_run(
    tmp_path: Path, team: Several, owner: Owner, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = fill(tmp_path / "in", 1, size=SIZE)
    with monkeypatch.context() as patch:
        team.send(patch, "stillborn")
        with pytest.raises(
            WriteError, match=r"^every worker ended before it had opened the models, 3 have ended$"
        ):
            run_release(run_of(source, tmp_path / "out", owner, model, on=team))
    assert run_release(run_of(source, tmp_path / "out", owner, model, on=team)).summary.marked == 1


MANY = 60
"""So many that a busy machine too notices a run before it is over."""


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="finds the workers in /proc")
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_the_command_killed_leaves_no_worker_and_goes_on(
    tmp_path: Path, owner_name: Path, how: signal.Signals
) -> None:
    fill(tmp_path / "in", MANY, size=SIZE)
    options = ["--model", tiny_model(tmp_path), "--owner", owner_name, "--preset", "paper", "--budget", 60]
    options += ["--confidence", 90, "--search", "screened", "--seed", 3, "--no-ledger", "--json"]
    (tmp_path / "boxes.csv").write_text(f"image,region,x,y,width,height\n00.png,lesion,0,0,{SIZE // 3},9\n")
    options += ["--regions", "boxes.csv"]
    assert medlocker("protect", "in", *options, "--out", "a", cwd=tmp_path).code == 0
    program = f"{LISTEN} from medlocker.cli import main; main()"
    words = [
        sys.executable,
        "-c",
        program,
        "protect",
        "in",
        *map(str, options),
        "--out",
        "b",
        "--workers",
        "2",
    ]
    with subprocess.Popen(
        words, cwd=tmp_path, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as command:
        wait_until(lambda: (found := status_of(tmp_path / "b")) is not None and found.marked > 2)
        children = children_of(command.pid)
        command.send_signal(how)
        _, err = command.communicate(timeout=HANGS_S)
    assert "Traceback" not in err
    assert len(children) == 2
    wait_until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in children))
    assert len(images_of(tmp_path / "b")) < MANY
    done = medlocker("protect", "in", *options, "--out", "b", "--workers", 2, cwd=tmp_path)
    assert done.json["marked"] == MANY
    assert done.json["engine"]["workers"] == 2
    assert images_of(tmp_path / "a") == images_of(tmp_path / "b")
    assert not [path for path in (tmp_path / "b").rglob("*") if path.name.startswith(".medlocker")]


def children_of(pid: int) -> list[int]:
    found = (Path(f"/proc/{pid}/task/{pid}/children")).read_text().split()
    return [int(one) for one in found]


def test_a_system_without_inherited_sockets_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("medlocker.engines._processes.os.name", "nt")
    with pytest.raises(InputError, match=r"^expected --workers 1 on this system$"):
        process_engine([], workers=2)


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="Linux counts otherwise than others")
def test_the_peak_of_a_small_process_is_its_own() -> None:
    program = "from medlocker.release._summary import peak_rss_mb; print(peak_rss_mb())"
    large = b"\1" * (1 << 29)  # this process has half a gigabyte while the other one starts
    found = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert len(large) == 1 << 29
    assert 5 < float(found.stdout) < 400
