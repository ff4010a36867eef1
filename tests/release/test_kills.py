"""The real command, killed at random moments again and again: what comes out is always the same."""

from __future__ import annotations

import random
import sys
import time
from dataclasses import dataclass, replace
from multiprocessing.process import BaseProcess
from pathlib import Path

import numpy as np
import pytest
from test_groups import write_dicom

from killed import FORKS
from medlocker.certificates import (
    IndexEntry,
    Ledger,
    Owner,
    SealedRecord,
    ledger_path,
    load_owner,
    new_owner,
    open_release,
    owner_access,
)
from medlocker.demo import builtin_model, write_samples
from medlocker.release import status_of
from patience import HANGS_S
from pictures import smooth
from runs import check_release, images_of, picture

KILLS, ON_MARKED = 60, 12
"""At least so many; of them of runs that had marked something."""
MARKED = 10


def _run(arguments: list[str], log: str) -> None:
    """In the child: the command, its words in a file."""
    import os

    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)
    from medlocker.cli import main

    sys.argv = ["medlocker", *arguments]
    main()


@dataclass(frozen=True)
class Contents:
    """What a release holds, but for what is random in it."""

    images: dict[str, bytes]
    entries: list[IndexEntry]
    records: list[SealedRecord]


def contents(out: Path, owner: Owner) -> Contents:
    release = open_release(out, owner.signing.public)
    access = owner_access(release, owner.identity())
    lines = [line for shard in release.statement.shards for line in release.shard_lines(shard)]
    records = [replace(access.open(line), release="", salt=b"") for line in lines]
    return Contents(images_of(out), [line.entry for line in lines], records)


class Command:
    """One `protect` over the demo's photographs, started and killed."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        samples = write_samples(folder, count=6, seed=3, width=96, height=96)
        self.source = samples.images
        for k in range(4):  # slices that differ by grain only
            slice_ = smooth(96, 96, 1, seed=1)[..., 0] * 200 + np.random.default_rng(k).normal(
                20, 2, (96, 96)
            )
            pixels = np.clip(slice_, 0, 255).astype(np.uint8)
            write_dicom(self.source / f"{k}.dcm", series="1.2.3", instance=f"1.2.3.{k}", pixels=pixels)
        (self.source / "000_tiny.png").write_bytes(picture(size=12))  # is skipped
        new_owner(folder / "owner")
        self.owner = load_owner(folder / "owner")
        self.log = folder / "log.txt"

    def start(self, out: Path) -> BaseProcess:
        arguments: list[object] = ["protect", self.source, "--model", builtin_model(), "--owner"]
        arguments += [self.folder / "owner", "--out", out, "--preset", "paper", "--search", "screened"]
        arguments += ["--budget", 40, "--seed", 5, "--allow-identical-mark", "--lesions", "none"]
        arguments += ["--provenance", "none"]  # else files name their release
        process = FORKS.Process(target=_run, args=([str(a) for a in arguments], str(self.log)))
        process.start()
        return process

    def finish(self, out: Path) -> int | None:
        process = self.start(out)
        process.join(HANGS_S)
        return process.exitcode

    def known_originals(self) -> int:
        with Ledger(ledger_path(self.owner.paths), self.owner.signing) as ledger:
            return len(ledger)


@pytest.mark.slow
def test_killed_at_random_moments(tmp_path: Path) -> None:
    command = Command(tmp_path)
    assert command.finish(tmp_path / "warm-up") == 0  # starts the process that is forked from
    began = time.monotonic()
    assert command.finish(tmp_path / "whole") == 0, command.log.read_text()
    seconds = time.monotonic() - began
    whole = contents(tmp_path / "whole", command.owner)
    assert len(whole.images) == MARKED
    assert len({record.marks for record in whole.records}) == MARKED - 3  # four slices are marked alike
    rng = random.Random(11)
    kills = releases = on_marked = 0
    while kills < KILLS or on_marked < ON_MARKED:
        assert kills < 5 * KILLS  # else they all come too early, or too late
        out = tmp_path / f"out{releases}"
        releases += 1
        marked = 0
        finished = False
        for _ in range(rng.randrange(1, 12)):
            process = command.start(out)
            process.join(rng.uniform(0.02, 1.1) * seconds)
            if process.exitcode is not None:
                finished = True
                if process.exitcode:  # the one before was killed when all was done
                    assert process.exitcode == 2
                    assert f"{out.name} is a finished release" in command.log.read_text()
                break
            process.kill()
            process.join()
            kills += 1
            found = status_of(out)
            if found is not None:
                assert not found.running
                assert found.marked >= marked  # nothing is lost
                marked = found.marked
                on_marked += 0 < marked < MARKED
        # a kill between the statement and the end leaves what is both
        if not finished and (status_of(out) is not None or not (out / "certificate").exists()):
            assert command.finish(out) == 0, command.log.read_text()
        assert contents(out, command.owner) == whole
        assert not [path for path in out.rglob("*") if path.name.startswith(".medlocker-tmp")]
        if kills % 3 == 0:
            check_release(command.source, out, command.owner, tmp_path / f"r{releases}")
    assert command.known_originals() == MARKED + 1  # and one series
    assert "Traceback" not in command.log.read_text()
