"""Processes that may be killed by what they are asked, and are started again."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from patience import HANGS_S

FOLDER = Path(__file__).parent
_QUIET = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}


class Died(Exception):
    """The process ended before it answered."""


class Worker:
    """A child process that answers JSON lines.

    Args:
        script: Of this folder.
        errors: Where its standard error goes, for whoever looks for the reason.
    """

    def __init__(self, script: str, errors: Path) -> None:
        self._command = [sys.executable, str(FOLDER / script)]
        self._errors = errors
        self._process: subprocess.Popen[str] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end()

    def _end(self) -> int:
        process, self._process = self._process, None
        if process is None:
            return 0
        with process:
            if process.stdin is not None:
                process.stdin.close()
        return process.returncode

    def send(self, line: str) -> None:
        """Ask; starts the process if there is none."""
        if self._process is None:
            with self._errors.open("ab") as errors:
                self._process = subprocess.Popen(
                    self._command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, text=True,
                    env=os.environ | _QUIET,
                )  # fmt: skip
        assert self._process.stdin is not None
        self._process.stdin.write(line + "\n")
        self._process.stdin.flush()

    def receive(self) -> Any:
        """Return one answer.

        Raises:
            Died: If there is none.
        """
        assert self._process is not None
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            told = self._errors.read_text(errors="replace")[-20_000:]
            raise Died(f"the process ended with {self._end()}: {told}")
        return json.loads(line)


def fuzz(
    worker: Worker, reader: str, first: int, count: int, *, hangs_s: float = HANGS_S
) -> tuple[list[str], dict[str, int]]:
    """Try cases; returns what went wrong, each with the command that repeats it, and how many went how."""
    failures: list[str] = []
    counts: dict[str, int] = {}
    end = first + count
    while first < end:
        worker.send(f"{reader} {first} {end - first} {hangs_s}")
        last = first
        try:
            while "done" not in (answer := worker.receive()):
                last = answer.get("case", last)
                if "failed" in answer:
                    failures.append(_told(reader, answer["failed"], answer["how"]))
            first, done = end, answer["done"]
        except Died as error:
            failures.append(_told(reader, last, str(error)))
            first, done = last + 1, {"died": 1}
        counts = {key: counts.get(key, 0) + done.get(key, 0) for key in {*counts, *done}}
    return failures, counts


def _told(reader: str, number: int, how: str) -> str:
    return f"python tests/fuzz/fuzz_child.py {reader} {number}\n{how}"
