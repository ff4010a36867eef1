"""All images of a training run, decoded and resized once, as one array of bytes."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
from numpy.typing import NDArray

from medlocker.classifiers import InputSpec, resize_canvas
from medlocker.errors import InputError
from medlocker.files import read_limited
from medlocker.formats import read_image
from medlocker.images import Limits, viewed

MAX_MEMORY_BYTES = 1 << 30
"""Larger sets lie in a file that is mapped into memory."""

_WORKERS = 4


@dataclass(frozen=True, eq=False)
class Pixels:
    """Decoded images.

    Args:
        canvases: (N, side, side, 3) uint8; rows of failed images are black.
        failed: From position to the reason.
    """

    canvases: NDArray[np.uint8]
    failed: dict[int, str]


class PixelStore:
    """Where decoded images are kept: in memory, or in a temporary file when they are many."""

    def __init__(self, *, max_memory_bytes: int = MAX_MEMORY_BYTES) -> None:
        self._left = max_memory_bytes
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self._files = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._folder is not None:
            self._folder.cleanup()

    def empty(self, shape: tuple[int, ...]) -> NDArray[np.uint8]:
        """Return a writable uint8 array of zeros."""
        size = int(np.prod(shape))
        if size <= self._left:
            self._left -= size
            return np.zeros(shape, np.uint8)
        if self._folder is None:
            self._folder = tempfile.TemporaryDirectory(prefix="medlocker-train-")
        self._files += 1
        return np.memmap(Path(self._folder.name, f"{self._files}.u8"), np.uint8, "w+", shape=shape)

    def decode(
        self, paths: Sequence[Path], spec: InputSpec, *, side: int, on_image: Callable[[], None]
    ) -> Pixels:
        """Read and resize images as a classifier with this input would, to ``side`` instead of its size.

        Args:
            spec: Gives the resize rule.
            on_image: Called after each.
        """
        canvases = self.empty((len(paths), side, side, 3))
        failed: dict[int, str] = {}

        def one(position: int) -> str | None:
            path = paths[position]
            try:
                data = read_limited(path, max_bytes=Limits().max_file_bytes, what="image")
                image = read_image(data, name=path.name)
            except InputError as error:
                return str(error)
            canvas = resize_canvas(viewed(image), height=side, width=side, channels=3, rule=spec.resize)
            canvases[position] = np.rint(canvas)  # whole numbers already, but for 16-bit images
            return None

        with ThreadPoolExecutor(_WORKERS) as pool:
            for position, reason in enumerate(pool.map(one, range(len(paths)))):
                if reason is not None:
                    failed[position] = reason
                on_image()
        return Pixels(canvases, failed)
