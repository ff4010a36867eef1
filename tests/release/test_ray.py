"""The Ray engine on two nodes of one CPU each: the same release, whatever happens to workers."""

from __future__ import annotations

import importlib.util
import io
import os
import shutil
import signal
import subprocess
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import several
from PIL import Image as Pillow
from several import SIZE, local_run

from medlocker import errors
from medlocker.certificates import Owner
from medlocker.engines import _pool as engine_module
from medlocker.engines import _ray as ray_module
from medlocker.engines import ray_engine
from medlocker.engines._messages import Told
from medlocker.engines._raycluster import cluster_places, connect, places
from medlocker.errors import (
    AlreadyMarkedError,
    InputError,
    MedlockerError,
    MissingExtraError,
    ModelError,
)
from medlocker.release import Run, run_release
from medlocker.release._status import status_of
from medlocker.search import Clock
from patience import HANGS_S, wait_until
from runs import (
    COMMAND,
    Answer,
    Shell,
    environment,
    fill,
    images_of,
    medlocker,
    tiny_model,
)

cluster = several.cluster
source = several.source
model = several.model
whole = several.whole
"""Fixtures."""


def run_of(source: Path, out: Path, owner: Owner, model: Path, **options: Any) -> Run:
    return replace(local_run(source, out, owner, model, **options), engine=ray_engine([model]))


@pytest.mark.slow
def test_workers_that_cannot_begin_end_the_run_with_a_clear_error(
    tmp_path: Path, cluster: Any, owner: Owner, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = fill(tmp_path / "in", 3, size=SIZE)
    here = tiny_model(tmp_path)
    run = run_of(source, tmp_path / "out", owner, here)
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
    monkeypatch.setattr(ray_module, "cluster_places", lambda: (next(counts, 2), real()[1]))
    result = run_release(run_of(source, tmp_path / "out", owner, model))
    assert result.json["engine"]["workers"] == 2
    assert images_of(tmp_path / "out") == whole


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="finds the worker in /proc")
def test_the_command_starts_a_cluster_of_its_own_and_bears_a_kill(tmp_path: Path, owner_name: Path) -> None:
    many = 96  # a busy machine too notices the run before it is over
    fill(tmp_path / "in", many, size=SIZE)
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
        wait_until(
            lambda: bool((found := status_of(tmp_path / "b")) and found.marked) or command.poll() is not None
        )
        os.kill(workers_of(command.pid)[0], signal.SIGKILL)
        out, err = command.communicate(timeout=HANGS_S)
    assert command.returncode == 0, err
    assert "lost" in out, out
    assert Answer(0, out, err).json["engine"]["lost"] == 1  # nothing else on standard output
    assert images_of(tmp_path / "a") == images_of(tmp_path / "b")
    assert len(images_of(tmp_path / "b")) == many


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
