"""One image as it is judged: read, checked, measured, and turned into canvases; runs in a thread."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

from numpy.typing import NDArray

from medlocker.classifiers import Canvas, Classifier
from medlocker.errors import Failure, InputError, NoRoomError
from medlocker.evaluate._blocks import changed_blocks
from medlocker.evaluate._control import Control
from medlocker.evaluate._pairs import CLEAN, RANDOM, Pair, panel_keys
from medlocker.evaluate._panel import lay_panel
from medlocker.evaluate._quality import Found, Quality, find_marked, measure_known_marks
from medlocker.files import read_limited
from medlocker.formats import read_image
from medlocker.geometry import Box
from medlocker.images import LIMITS, Image, viewed
from medlocker.regions import Regions


@dataclass(frozen=True, eq=False)
class Scene:
    """An original and its marked versions, in memory only while they are looked at.

    Args:
        windows: Of the marks, by condition.
        boxes: Keep-out regions, empty if not known.
        covered: The conditions whose marks lie over nearly all of the image.
    """

    name: str
    clean: Image
    marked: Mapping[str, Image]
    windows: Mapping[str, tuple[Box, ...]]
    boxes: tuple[Box, ...]
    covered: frozenset[str] = frozenset()


View: TypeAlias = Callable[[Scene], Iterator[tuple[str, NDArray[Any]]]]
"""From an image to what the targets are shown: (condition, (H, W, 3) uint8 or uint16 colours) one by one."""


@dataclass(frozen=True, eq=False)
class ProcessedImage:
    """What is kept of one image.

    Args:
        canvases: By condition, one for each target.
        qualities: By the releases' conditions.
        failed: Why marked files could not be used.
        no_room: Whether the control found no free place.
    """

    canvases: Mapping[str, Sequence[Canvas]]
    qualities: Mapping[str, Quality]
    failed: tuple[Failure, ...] = ()
    no_room: bool = False


@dataclass(frozen=True, eq=False)
class ImageProcessor:
    """How images are looked at.

    Args:
        keys: The releases' conditions, in the order of a pair's marked files.
        control: Gives the random marks.
        regions: Keep-out boxes, or None.
        views: Further conditions, for instance attacks on the marked images.
    """

    models: Sequence[Classifier]
    keys: Sequence[str]
    control: Control
    regions: Regions | None = None
    views: Sequence[View] = field(default=())

    def look(self, pair: Pair) -> ProcessedImage:
        """Read one pair.

        Raises:
            InputError: If the original cannot be used, or none of its marked versions.
        """
        clean = _read(pair.clean, pair.name)
        boxes: tuple[Box, ...] | None = None
        if self.regions is not None:
            boxes = self.regions.boxes_for(
                pair.name, width=clean.width, height=clean.height, orientation=clean.orientation
            )
        original = viewed(clean)
        marked: dict[str, Image] = {}
        qualities: dict[str, Quality] = {}
        found: dict[str, Found] = {}
        failed: list[InputError] = []
        for key, path in zip(self.keys, pair.marked, strict=True):
            if path is None:
                continue
            try:
                image = _read(path, f"{pair.name} (marked)")
                _check_alike(clean, image, pair.name)
            except InputError as error:
                error.subject = pair.name  # its message calls it so, or "NAME (marked)"
                failed.append(error)
                continue
            marked[key] = image
            shown = viewed(image)
            blocks = changed_blocks(clean, image)
            found[key] = find_marked(original, shown, logo=self.control.logo, blocks=blocks)
            qualities[key] = measure_known_marks(original, shown, found[key], boxes=boxes)
        if not marked:
            raise failed[0]
        windows = {key: one.windows for key, one in found.items()}
        covered = frozenset(key for key, one in found.items() if one.is_covering)
        scene = Scene(pair.name, clean, marked, windows, boxes or (), covered)
        canvases: dict[str, Sequence[Canvas]] = {CLEAN: self._canvases(original)}
        no_room = False
        try:
            canvases[RANDOM] = self._canvases(self._random(scene))
        except NoRoomError:
            no_room = True
        for key, panel_key in zip(self.keys, panel_keys(self.keys), strict=True):
            if key in marked:
                panel = lay_panel(original, viewed(marked[key]), found[key].mask)
                canvases[panel_key] = self._canvases(panel.colors)
        for key, image in marked.items():
            canvases[key] = self._canvases(viewed(image))
        for view in self.views:
            for condition, colors in view(scene):
                canvases[condition] = self._canvases(colors)
        failures = tuple(Failure.of(error, pair.name) for error in failed)
        return ProcessedImage(canvases, qualities, failures, no_room)

    def _canvases(self, colors: NDArray[Any]) -> Sequence[Canvas]:
        return [model.canvas(colors) for model in self.models]

    def _random(self, scene: Scene) -> NDArray[Any]:
        first, windows = next(iter(scene.windows.items()))
        marks = self.control.against(
            scene.clean,
            name=scene.name,
            windows=windows,
            is_covering=first in scene.covered,
            boxes=scene.boxes,
        )
        return self.control.colors(scene.clean, marks)


def read_pair(pair: Pair, release: int) -> tuple[Image, Image]:
    """Read an original and its marked version in one of the releases.

    Raises:
        InputError: If one cannot be used, or they do not fit together.
    """
    path = pair.marked[release]
    if path is None:
        raise InputError(f"{pair.name}: expected a marked version, found none", subject=pair.name)
    clean, marked = _read(pair.clean, pair.name), _read(path, f"{pair.name} (marked)")
    _check_alike(clean, marked, pair.name)
    return clean, marked


def _read(path: Path, name: str) -> Image:
    return read_image(read_limited(path, max_bytes=LIMITS.max_file_bytes, what="image"), name=name)


def _check_alike(clean: Image, marked: Image, name: str) -> None:
    if (clean.width, clean.height) != (marked.width, marked.height):
        raise InputError(
            f"{name}: expected a marked image of {clean.width} x {clean.height} pixels as the original, "
            f"got {marked.width} x {marked.height}",
            subject=name,
        )
    if clean.bits != marked.bits:
        raise InputError(
            f"{name}: expected a marked image of {clean.bits} bits as the original, got {marked.bits}",
            subject=name,
        )
