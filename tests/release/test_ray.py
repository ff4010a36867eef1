"""The Ray engine on two nodes of one CPU each: the same release, whatever happens to workers."""

from __future__ import annotations

import importlib.util
import io
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image as Pillow
from test_groups import write_dicom

from medlocker import errors
from medlocker.certificates import Ledger, Owner
from medlocker.classifiers import load_classifier
from medlocker.errors import (
    AlreadyMarkedError,
    InputError,
    MedlockerError,
    MissingExtraError,
    ModelError,
    WriteError,
)
from medlocker.images import content_digest, read_image
from medlocker.protect import Outcome, Settings, make_finder
from medlocker.release import Run, _raycluster, ray_engine, run_release
from medlocker.release import _ray as engine_module
from medlocker.release._raycluster import cluster_places, connect, places
from medlocker.release._raymessages import Told
from medlocker.release._rayworker import Worker
from medlocker.release._status import status_of
from medlocker.search import Clock
from pictures import smooth
from runs import (
    COMMAND,
    Answer,
    Shell,
    check_release,
    environment,
    fill,
    images_of,
    make_run,
    medlocker,
    picture,
    tiny_model,
)

SIZE = 64


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    """Two nodes of one CPU, named by RAY_ADDRESS; the runs join and leave it."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in _raycluster._ENVIRONMENT.items():
            patch.setenv(name, value)  # read when ray is imported
        # what the workers run is what is tested here
        patch.setenv("PYTHONPATH", os.pathsep.join(sys.path))
        from ray.cluster_utils import Cluster

        node = {"num_cpus": 1, "object_store_memory": 80 * 10**6, "include_dashboard": False}
        made = Cluster(initialize_head=True, head_node_args=node)
        made.add_node(num_cpus=1, object_store_memory=80 * 10**6)
        patch.setenv("RAY_ADDRESS", made.address)
        yield made
        made.shutdown()


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pictures, a DICOM series whose slices differ by grain, one picture without room, one broken."""
    folder = fill(tmp_path_factory.mktemp("ray") / "in", 14, size=SIZE)
    for k in range(4):
        grain = np.random.default_rng(k).normal(20, 2, (SIZE, SIZE))
        pixels = np.clip(smooth(SIZE, SIZE, 1, seed=1)[..., 0] * 200 + grain, 0, 255).astype(np.uint8)
        write_dicom(folder / f"{k}.dcm", series="1.2.3", instance=f"1.2.3.{k}", pixels=pixels)
    (folder / "tiny.png").write_bytes(picture(size=12))
    (folder / "broken.png").write_bytes(picture()[:100])
    return folder


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_model(tmp_path_factory.mktemp("model"))


SETTINGS = Settings(preset="paper", search="screened", budget=30, margin=50, seed=1)


def run_of(source: Path, out: Path, owner: Owner, model: Path, *, ray: bool, **options: Any) -> Run:
    made = make_run(
        source,
        out,
        owner,
        classifiers=[load_classifier(model)],
        **{"settings": SETTINGS, **options},
    )
    return replace(made, engine=ray_engine([model])) if ray else made


@pytest.fixture(scope="module")
def whole(
    tmp_path_factory: pytest.TempPathFactory, source: Path, owner: Owner, model: Path
) -> dict[str, bytes]:
    """What a local run makes of it."""
    out = tmp_path_factory.mktemp("whole") / "out"
    run_release(run_of(source, out, owner, model, ray=False))
    return images_of(out)


class Stop(Exception):
    """Ends a run from outside."""


def stopped_after(count: int) -> Any:
    seen = []

    def progress(outcome: Outcome) -> None:
        seen.append(outcome)
        if len(seen) == count:
            raise Stop

    return progress


@pytest.mark.slow
def test_gives_the_same_release_as_a_local_run(
    tmp_path: Path, cluster: Any, source: Path, owner: Owner, model: Path, whole: dict[str, bytes]
) -> None:
    with Ledger(tmp_path / "ledger", owner.signing) as ledger:
        run = run_of(source, tmp_path / "out", owner, model, ray=True, ledger=ledger)
        local = run_of(source, tmp_path / "out", owner, model, ray=False)
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
    tmp_path: Path, cluster: Any, source: Path, owner: Owner, model: Path
) -> None:
    with Ledger(tmp_path / "ledger", owner.signing) as ledger:
        some = fill(tmp_path / "in", 3, size=SIZE)
        shutil.copy(source / "0.dcm", some / "0.dcm")
        run_release(run_of(some, tmp_path / "first", owner, model, ray=False, ledger=ledger))
        shutil.copy(source / "1.dcm", some / "0.dcm")
        fill(some, 1, size=SIZE, first=7)
        result = run_release(run_of(some, tmp_path / "second", owner, model, ray=True, ledger=ledger))
        assert list(images_of(tmp_path / "second")) == ["07.png"]
        reasons = dict(result.summary.failed)
        assert sorted(reasons) == ["0.dcm", "00.png", "01.png", "02.png"]
        assert reasons["00.png"].startswith("an image with these pixels was marked in another way in release")
        assert reasons["0.dcm"].startswith("an image of its series was marked in another way in release")

        # marked again, and only the commit can tell that it comes out differently
        other = replace(SETTINGS, search="random", budget=2)
        run = run_of(
            some, tmp_path / "third", owner, model, ray=True, ledger=ledger, same_mark=True, settings=other
        )
        result = run_release(run)
        assert result.summary.marked == 0
        assert len(result.summary.failed) == 5
    assert not (tmp_path / "third").exists()


@pytest.mark.slow
def test_originals_are_kept_and_regions_kept_out(
    tmp_path: Path, cluster: Any, owner: Owner, model: Path
) -> None:
    source = fill(tmp_path / "in", 3, size=SIZE)
    outs = []
    for ray in (False, True):
        settings = replace(SETTINGS, keep_original=True)
        run = run_of(source, tmp_path / f"out{ray}", owner, model, ray=ray, settings=settings)
        run = replace(run, finder=make_finder("skin", run.classifiers))
        if ray:
            run = replace(run, engine=ray_engine([model], lesions="skin"))
        run_release(run)
        outs.append(check_release(source, run.release, owner, tmp_path / f"restored{ray}"))
    assert outs[0] == outs[1]
    for path in source.iterdir():
        assert (tmp_path / "restoredTrue" / path.name).read_bytes() == path.read_bytes()


@pytest.mark.slow
def test_a_worker_killed_in_the_middle_is_replaced(
    tmp_path: Path, cluster: Any, source: Path, owner: Owner, model: Path, whole: dict[str, bytes]
) -> None:
    alive: list[int] = []
    killed: list[int] = []
    maker = ray_engine([model])

    class Watched(engine_module.RayEngine):
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

    run = replace(run_of(source, tmp_path / "out", owner, model, ray=True), engine=watched)
    result = run_release(run, progress=progress)
    assert result.json["engine"]["lost"] == len(killed) == 2
    assert sorted(seen) == list(range(20))
    assert images_of(tmp_path / "out") == whole
    assert not [path for path in (tmp_path / "out").rglob("*") if path.name.startswith(".medlocker")]


@pytest.mark.slow
@pytest.mark.parametrize("first", ["local", "ray"])
def test_each_engine_goes_on_where_the_other_stopped(
    tmp_path: Path,
    cluster: Any,
    source: Path,
    owner: Owner,
    model: Path,
    whole: dict[str, bytes],
    first: str,
) -> None:
    out = tmp_path / "out"
    with pytest.raises(Stop):
        run_release(run_of(source, out, owner, model, ray=first == "ray"), progress=stopped_after(6))
    found = status_of(out)
    assert found is not None
    assert 4 <= found.marked < len(whole)
    result = run_release(run_of(source, out, owner, model, ray=first == "local"))
    assert result.json["engine"]["name"] == ("ray" if first == "local" else "local")
    assert images_of(out) == whole
    assert not [path for path in out.rglob("*") if path.name.startswith(".medlocker")]


@pytest.mark.slow
def test_an_image_that_kills_its_workers_fails_and_the_others_do_not(
    tmp_path: Path, cluster: Any, owner: Owner, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = fill(tmp_path / "in", 10, size=SIZE)
    data = (source / "03.png").read_bytes()
    poison = content_digest(read_image(data, name="p"))

    class Poisoned(Worker):
        def _allowed(self, original: str) -> Any:
            if original == poison:
                os.kill(os.getpid(), signal.SIGKILL)
            return super()._allowed(original)

    monkeypatch.setattr(engine_module, "Worker", Poisoned)
    result = run_release(run_of(source, tmp_path / "out", owner, model, ray=True))
    assert result.summary.marked == 9
    assert result.summary.failed == [
        ("03.png", "the process that worked on it ended without an answer 3 times")
    ]
    assert result.json["engine"]["lost"] == 3


@pytest.mark.slow
def test_workers_that_cannot_begin_end_the_run_with_a_clear_error(
    tmp_path: Path, cluster: Any, owner: Owner, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = fill(tmp_path / "in", 3, size=SIZE)
    here = tiny_model(tmp_path)
    run = run_of(source, tmp_path / "out", owner, here, ray=True)
    here.rename(tmp_path / "away.onnx")
    with pytest.raises(ModelError, match=r"^worker on [^ ]+: model tiny\.onnx: no such file$"):
        run_release(run)

    other = tiny_model(tmp_path, size=20)
    assert other == here
    with pytest.raises(
        ModelError, match=r"model tiny: expected the driver's, got a file with other weights$"
    ):
        run_release(run)

    shutil.copy(tmp_path / "away.onnx", here)
    looking = replace(run, engine=ray_engine([here], lesions="skin"))
    with pytest.raises(ModelError, match=r"expected what finds regions to be the same as at the driver$"):
        run_release(looking)

    monkeypatch.setattr(engine_module, "__version__", "0.0.0")
    with pytest.raises(InputError, match=r"expected medlocker 0\.0\.0 as at the driver, got "):
        run_release(run)
    monkeypatch.undo()
    monkeypatch.setenv("RAY_ADDRESS", cluster.address)

    def elsewhere(path: Path, data: bytes) -> None:
        """Write what only this machine sees."""

    monkeypatch.setattr(engine_module, "write_atomic", elsewhere)
    with pytest.raises(InputError, match=r"expected the release on shared storage, its folder is not there$"):
        run_release(run)
    monkeypatch.setattr(
        engine_module, "write_atomic", lambda path, data: path.write_bytes(b"another file system")
    )
    with pytest.raises(
        InputError, match=r"expected the release on shared storage, got another folder$"
    ) as got:
        run_release(run)
    assert "mount the same folders on every machine" in got.value.hint
    monkeypatch.undo()
    monkeypatch.setenv("RAY_ADDRESS", cluster.address)

    # nothing is lost by any of it
    assert run_release(run).summary.marked == 3


@pytest.mark.slow
def test_workers_that_die_at_once_end_the_run(
    tmp_path: Path, cluster: Any, owner: Owner, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Stillborn(Worker):
        def open(self) -> Any:
            os.kill(os.getpid(), signal.SIGKILL)

    source = fill(tmp_path / "in", 1, size=SIZE)
    with monkeypatch.context() as patch:
        patch.setattr(engine_module, "Worker", Stillborn)
        with pytest.raises(
            WriteError, match=r"^no worker lives long enough to open the models, 3 have ended$"
        ):
            run_release(run_of(source, tmp_path / "out", owner, model, ray=True))
    assert run_release(run_of(source, tmp_path / "out", owner, model, ray=True)).summary.marked == 1


@pytest.mark.slow
def test_a_machine_that_joins_is_used(
    tmp_path: Path,
    cluster: Any,
    source: Path,
    owner: Owner,
    model: Path,
    whole: dict[str, bytes],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(engine_module, "_LOOK_S", 0.2)
    counts = iter([1, 1])
    real = cluster_places
    monkeypatch.setattr(engine_module, "cluster_places", lambda: (next(counts, 2), real()[1]))
    result = run_release(run_of(source, tmp_path / "out", owner, model, ray=True))
    assert result.json["engine"]["workers"] == 2
    assert images_of(tmp_path / "out") == whole


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="finds the worker in /proc")
def test_the_command_starts_a_cluster_of_its_own_and_bears_a_kill(tmp_path: Path, owner_name: Path) -> None:
    fill(tmp_path / "in", 24, size=SIZE)
    (tmp_path / "masks").mkdir()
    for path in (tmp_path / "in").iterdir():
        (tmp_path / "masks" / path.name).write_bytes(corner_mask())
    options = ["--model", tiny_model(tmp_path), "--owner", owner_name, "--preset", "paper", "--budget", 60]
    options += ["--confidence", 90, "--search", "screened", "--seed", 3, "--no-ledger", "--json"]
    options += ["--regions", "masks", "--engine"]
    assert medlocker("protect", "in", *options, "local", "--out", "a", cwd=tmp_path).code == 0
    environ = {name: value for name, value in environment().items() if not name.startswith("RAY_")}
    words = [*COMMAND, "protect", "in", *map(str, options), "ray", "--out", "b"]
    with subprocess.Popen(
        words, cwd=tmp_path, env=environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as command:
        deadline = time.monotonic() + 60
        while not ((found := status_of(tmp_path / "b")) and found.marked) and command.poll() is None:
            assert time.monotonic() < deadline
            time.sleep(0.02)
        os.kill(workers_of(command.pid)[0], signal.SIGKILL)
        out, err = command.communicate(timeout=60)
    assert command.returncode == 0, err
    assert "lost" in out, out
    assert Answer(0, out, err).json["engine"]["lost"] == 1  # nothing else on standard output
    assert images_of(tmp_path / "a") == images_of(tmp_path / "b")
    assert len(images_of(tmp_path / "b")) == 24


def workers_of(pid: int) -> list[int]:
    """The workers among the processes that a process has started, directly or not."""
    parents: dict[int, int] = {}
    workers = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with suppress(OSError):
                parents[int(entry.name)] = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
                if (entry / "cmdline").read_bytes().startswith(b"ray::Worker"):
                    workers.append(int(entry.name))

    def is_below(one: int) -> bool:
        while one and one != pid:
            one = parents.get(one, 0)
        return one == pid

    return [one for one in workers if is_below(one)]


def corner_mask() -> bytes:
    pixels = np.zeros((SIZE, SIZE), np.uint8)
    pixels[:20, :20] = 255
    stream = io.BytesIO()
    Pillow.fromarray(pixels).save(stream, "PNG")
    return stream.getvalue()


def test_without_ray_the_command_says_what_to_install(
    tmp_path: Path, owner_name: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "ray" else find(name))
    with pytest.raises(MissingExtraError, match="ray, which is not installed"):
        ray_engine([])
    shell = Shell(capfd, monkeypatch)
    fill(tmp_path / "in", 1)
    options = ["--model", tiny_model(tmp_path), "--owner", owner_name, "--out", "out", "--engine", "ray"]
    answer = shell("protect", "in", *options, cwd=tmp_path)
    assert answer.code == 2
    assert "this needs the library ray, which is not installed" in answer.err
    assert "pip install '.[ray]'" in answer.err
    assert not (tmp_path / "out").exists()


def test_an_address_for_clients_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_ADDRESS", "ray://head:10001")
    with pytest.raises(InputError, match=r"^RAY_ADDRESS: expected host:port of a cluster with this machine"):
        connect()


def test_a_worker_for_each_cpu_or_each_gpu() -> None:
    assert places([]) == (0, {"num_cpus": 1})
    assert places([{"CPU": 4.0}, {"CPU": 2.0, "memory": 1e9}, {"memory": 1e9}]) == (6, {"num_cpus": 1})
    with_gpus = [{"CPU": 8.0, "GPU": 2.0}, {"CPU": 64.0}, {"CPU": 1.0, "GPU": 4.0}]
    assert places(with_gpus) == (3, {"num_cpus": 1, "num_gpus": 1})


def subclasses(kind: type[MedlockerError]) -> list[type[MedlockerError]]:
    return [kind, *(found for one in kind.__subclasses__() for found in subclasses(one))]


def test_errors_arrive_as_what_they_were() -> None:
    for kind in subclasses(MedlockerError):
        if kind.__module__ != errors.__name__ or kind is MissingExtraError:
            continue
        again = Told.of(kind("a fact", hint="do this")).error("worker on a: ")
        assert (type(again), str(again), again.hint) == (kind, "worker on a: a fact", "do this")
    again = Told.of(MissingExtraError("torch", "torch")).error()
    assert type(again) is ModelError
    assert again.hint.endswith("pip install '.[torch]'")
    assert issubclass(AlreadyMarkedError, InputError)


def test_clocks_are_summed() -> None:
    one = Clock(model=1.0, think=2.0, evaluations=3, stages={"read": 1.0})
    two = Clock(model=0.5, idle=2.0, batches=1, stages={"read": 1.0, "seal": 2.0})
    total = engine_module._summed([one, two])
    assert total == Clock(
        model=1.5, think=2.0, idle=2.0, evaluations=3, batches=1, stages={"read": 2.0, "seal": 2.0}
    )
