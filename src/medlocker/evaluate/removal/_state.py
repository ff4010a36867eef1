"""What a battery has finished, on disk: one line for each attack and image; a torn line does not count."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any

from medlocker.errors import InputError, WriteError
from medlocker.files import make_folder, write_atomic

_LINES, _RUN = "removal.jsonl", "removal.json"
STATE_VERSION = 2
"""Of what cells hold; a folder of another version is refused, for it lacks what is counted now."""


@dataclass(frozen=True)
class Cell:
    """One variant of an attack on one image.

    Args:
        answers: Each target's class for the attacked image.
        control: Each target's class for the control.
        psnr: Decibels over the marked pixels; None where pictures cannot be compared.
        ssim: Over the marked pixels; None likewise.
        seconds: Of the attack, shared among its variants.
        outputs: Each target's logits for the attacked image; empty where there is only an answer.
    """

    answers: tuple[int, ...]
    control: tuple[int, ...]
    psnr: float | None
    ssim: float | None
    seconds: float
    outputs: tuple[tuple[float, ...], ...] = ()


class State:
    """The finished cells of a battery, in memory and, if a folder is given, on disk.

    Args:
        folder: Made if missing; None keeps nothing on disk.
        run: Facts that identify the battery; another may not continue it.

    Raises:
        InputError: If the folder holds another battery.
        WriteError: If the system refuses.
    """

    def __init__(self, folder: Path | None, *, run: dict[str, Any]) -> None:
        self.cells: dict[str, dict[str, Cell]] = {}
        self._file: IO[bytes] | None = None
        if folder is None:
            return
        make_folder(folder)
        facts, path = json.dumps(run, sort_keys=True).encode("utf-8"), folder / _RUN
        if path.exists() and path.read_bytes() != facts:
            raise InputError(
                f"{folder.name} holds another battery of removal attacks",
                hint="repeat its command exactly to finish it, or choose another folder",
            )
        if not path.exists():
            write_atomic(path, facts)
        self._read(folder / _LINES)

    def _read(self, path: Path) -> None:
        """Take the whole lines and cut off the rest."""
        try:
            path.touch()
            whole = 0
            with path.open("rb") as stream:
                for line in stream:
                    try:
                        image, cells = _from_line(line)
                    except (ValueError, KeyError, TypeError, RecursionError):
                        break
                    if not line.endswith(b"\n"):
                        break
                    self.cells.setdefault(image, {}).update(cells)
                    whole += len(line)
            os.truncate(path, whole)
            # unbuffered, and kept open for the whole run: closed with it
            self._file = open(path, "ab", buffering=0)  # noqa: SIM115
        except OSError as error:
            raise WriteError(
                f"cannot use {path.name}: {(error.strerror or '').lower()}", subject=path.name
            ) from error

    def has(self, image: str, variants: tuple[str, ...]) -> bool:
        """Tell whether an attack is finished on an image."""
        return self.cells.get(image, {}).keys() >= set(variants)

    def add(self, image: str, cells: dict[str, Cell]) -> None:
        """Keep all variants of one attack on one image.

        Raises:
            WriteError: If the system refuses.
        """
        self.cells.setdefault(image, {}).update(cells)
        if self._file is None:
            return
        value = {"image": image, "cells": {name: asdict(cell) for name, cell in cells.items()}}
        rest = memoryview(json.dumps(value).encode("ascii") + b"\n")
        try:
            while rest:
                rest = rest[self._file.write(rest) :]
        except OSError as error:
            raise WriteError(f"cannot write {_LINES}: {(error.strerror or '').lower()}") from error

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()


def _from_line(line: bytes) -> tuple[str, dict[str, Cell]]:
    value = json.loads(line)
    cells = {}
    for name, one in value["cells"].items():
        answers, control = (tuple(int(k) for k in one[key]) for key in ("answers", "control"))
        # a line without outputs is an earlier program's: it counts as torn, and is made again
        outputs = tuple(tuple(float(k) for k in row) for row in one["outputs"])
        cells[name] = Cell(answers, control, one["psnr"], one["ssim"], float(one["seconds"]), outputs)
    return str(value["image"]), cells
