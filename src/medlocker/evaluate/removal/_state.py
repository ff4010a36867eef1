"""What a battery has finished, on disk: one line for each attack and image."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from medlocker.errors import InputError
from medlocker.files import make_folder
from medlocker.store import Store
from medlocker.strictjson import from_json

STATE = "removal"
STATE_VERSION = 2
"""Of what cells hold; a folder of another version is refused, for it lacks what is counted now."""


@dataclass(frozen=True)
class VariantResult:
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


@dataclass(frozen=True)
class _Line:
    image: str
    cells: dict[str, VariantResult]


class State:
    """The finished cells of a battery, in memory and, if a folder is given, on disk.

    Args:
        folder: Made if missing; None keeps nothing on disk.
        run: Facts that identify the battery, JSON-ready; another may not continue it. None takes any.

    Raises:
        InputError: If the folder holds another battery.
        WriteError: If the system refuses.
    """

    def __init__(self, folder: Path | None, *, run: Mapping[str, Any] | None) -> None:
        self.cells: dict[str, dict[str, VariantResult]] = {}
        self._known: list[Any] = []
        self._store: Store | None = None
        if folder is None:
            return
        make_folder(folder)
        self._store = Store(folder / STATE, {"command": None}, take=self._take)
        if not self._known:
            self._store.add({"run": run})
        elif run is not None and self._known[0] != run:
            self.close()
            raise InputError(
                f"{folder.name} holds another battery of removal attacks",
                hint="repeat its command exactly to finish it, or choose another folder",
            )

    def _take(self, value: dict[str, Any], mark: int) -> None:
        if value.keys() == {"run"}:
            self._known.append(value["run"])
        else:
            line = from_json(_Line, value)
            self.cells.setdefault(line.image, {}).update(line.cells)

    def has(self, image: str, variants: tuple[str, ...]) -> bool:
        """Tell whether an attack is finished on an image."""
        return self.cells.get(image, {}).keys() >= set(variants)

    def add(self, image: str, cells: dict[str, VariantResult]) -> None:
        """Keep all variants of one attack on one image.

        Raises:
            WriteError: If the system refuses.
        """
        self.cells.setdefault(image, {}).update(cells)
        if self._store is not None:
            self._store.add(asdict(_Line(image, cells)))

    def close(self) -> None:
        """Close the file."""
        if self._store is not None:
            self._store.close()
