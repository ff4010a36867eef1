"""Lesions found by a segmentation network, through ONNX Runtime, tile by tile."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medlocker.errors import ModelError
from medlocker.modelfiles.cardfields import card_path
from medlocker.modelfiles.onnxfile import FLOATS, OnnxFile, open_onnx
from medlocker.regions._finder import Findings
from medlocker.regions._tiles import pieces
from medlocker.regions.parts import parts_of
from medlocker.regions.scale import scale_for, to_scale
from medlocker.regions.segmentercard import SegmenterCard, load_segmenter_card

MODEL = "model.onnx"
_PLAIN_LEVELS = (0, 96, 255)


class Segmenter:
    """A network that tells the probability of a lesion for every pixel; use :func:`load_segmenter`.

    It runs on the CPU only, one tile at a time: the same boxes on every machine, memory of one tile.
    """

    droppable = False

    def __init__(self, file: OnnxFile, card: SegmenterCard, *, name: str) -> None:
        self._session = file.session
        self.card = card
        self.name = name
        self.sha256 = file.sha256
        inputs = self._session.get_inputs()
        if len(inputs) != 1 or inputs[0].type not in FLOATS or len(inputs[0].shape) != 4:
            raise ModelError(
                f"segmenter {name}: expected one input of float images with four axes", subject=name
            )
        self._input = inputs[0]
        sides = list(self._input.shape[1:])
        wanted = [3, card.tile_px, card.tile_px]
        if card.layout == "NHWC":
            wanted = [*wanted[1:], 3]
        if any(isinstance(side, int) and side != want for side, want in zip(sides, wanted, strict=True)):
            raise ModelError(
                f"segmenter {name}: the card says {card.layout} {wanted}, its input is {sides}", subject=name
            )
        self._scale = np.array(card.scale, np.float32)
        self._shift = np.array(card.shift, np.float32)
        for level in _PLAIN_LEVELS:  # before any work: a wrong model is better refused than believed
            self._tile(np.full((card.tile_px, card.tile_px, 3), level, np.uint8))

    @property
    def source(self) -> str:
        """How a certificate names it."""
        return f"segmenter:{self.sha256}"

    @property
    def fingerprint(self) -> str:
        """Weights and rules."""
        return f"{self.source} {self.card.rules()}"

    def find(self, colors: NDArray[Any]) -> Findings:
        """Return the boxes of all connected parts above the threshold, with the margin.

        Args:
            colors: (H, W, 3) uint8 or uint16.

        Raises:
            NoRoomError: If there are more parts than any eye has lesions.
            ModelError: If the network fails.
        """
        scale = scale_for(*colors.shape[:2], side_px=self.card.side_px)
        probabilities = self.probabilities(to_scale(colors, scale))
        found = parts_of(probabilities >= self.card.threshold, probabilities)
        return Findings(tuple(scale.to_image(part.box, margin_px=self.card.margin_px) for part in found))

    def probabilities(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return the probability of a lesion for every pixel of a picture at the card's scale.

        Args:
            pixels: (h, w, 3) uint8.

        Returns:
            (h, w) float32 in 0..1.

        Raises:
            ModelError: If the network fails or answers NaN.
        """
        height, width = pixels.shape[:2]
        tile = self.card.tile_px
        if height < tile or width < tile:
            below, right = max(tile - height, 0), max(tile - width, 0)
            pixels = np.pad(pixels, ((0, below), (0, right), (0, 0)))
        out = np.empty(pixels.shape[:2], np.float32)
        columns = pieces(pixels.shape[1], tile=tile, border=self.card.border_px)
        for row in pieces(pixels.shape[0], tile=tile, border=self.card.border_px):
            for column in columns:
                answer = self._tile(pixels[row.start : row.start + tile, column.start : column.start + tile])
                out[row.first : row.last, column.first : column.last] = answer[
                    row.first - row.start : row.last - row.start,
                    column.first - column.start : column.last - column.start,
                ]
        return out[:height, :width]

    def _tile(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        side = self.card.tile_px
        values = pixels * self._scale + self._shift
        batch = values[None] if self.card.layout == "NHWC" else values.transpose(2, 0, 1)[None]
        batch = np.ascontiguousarray(batch, dtype=FLOATS[self._input.type])
        count = self._input.shape[0]
        if isinstance(count, int) and count > 1:  # a model with a fixed batch
            batch = np.repeat(batch, count, axis=0)
        try:
            answer = np.asarray(self._session.run(None, {self._input.name: batch})[0])
        except Exception as error:  # ONNX Runtime raises classes of its own, none of them exported
            raise ModelError(
                f"segmenter {self.name}: it fails on an input of {batch.shape}", subject=self.name
            ) from error
        maps = _maps(answer, side)
        if maps is None:
            raise ModelError(
                f"segmenter {self.name}: expected an output of one number per pixel of {side} x {side}, "
                f"got {answer.dtype} {list(answer.shape)}",
                subject=self.name,
            )
        if not np.isfinite(maps).all():
            raise ModelError(f"segmenter {self.name}: it answers NaN or infinity", subject=self.name)
        highest = np.asarray(maps.max(axis=0), dtype=np.float32)
        if not self.card.is_probability:
            return np.asarray(1 / (1 + np.exp(-highest)), dtype=np.float32)
        if highest.max() > 1 + 1e-3 or highest.min() < -1e-3:
            raise ModelError(
                f"segmenter {self.name}: expected probabilities, got {highest.max():.3g}", subject=self.name
            )
        return highest


def _maps(answer: NDArray[Any], side: int) -> NDArray[Any] | None:
    """Return the first image's maps as (types, side, side); None if it is no such thing."""
    if answer.dtype.kind != "f" or answer.ndim not in (3, 4) or len(answer) < 1:
        return None
    first = answer[0]
    if first.ndim == 3 and first.shape[:2] == (side, side) and first.shape[2] != side:
        first = first.transpose(2, 0, 1)
    if first.ndim == 2:
        first = first[None]
    return first if first.shape[1:] == (side, side) and len(first) else None


def is_segmenter(path: Path) -> bool:
    """Tell whether a folder or ``.onnx`` file has a segmenter's card beside it; nothing else is opened."""
    file = path / MODEL if path.is_dir() else path
    beside = card_path(file)
    if file.suffix.lower() != ".onnx" or not beside.is_file():
        return False
    try:
        load_segmenter_card(beside)
    except ModelError:
        return False
    return True


def load_segmenter(path: Path, *, threads: int = 0) -> Segmenter:
    """Open a segmenter: its folder, or the ``.onnx`` file in it; the card lies beside.

    Args:
        path: Folder made by ``train segmenter``, or ``NAME.onnx``.
        threads: Of ONNX Runtime; 0 takes all cores.

    Raises:
        ModelError: If there is no usable segmenter.
    """
    file = path / MODEL if path.is_dir() else path
    if file.suffix.lower() != ".onnx" or not file.is_file():
        raise ModelError(
            f"segmenter {path.name}: expected an .onnx file or a folder with {MODEL}",
            subject=path.name,
            hint="such a folder is made by `medlocker train segmenter`",
        )
    beside = card_path(file)
    if not beside.is_file():
        raise ModelError(
            f"segmenter {file.name}: expected a card {beside.name} beside it",
            subject=file.name,
            hint="without it neither the scale nor the threshold is known",
        )
    card = load_segmenter_card(beside)
    opened = open_onnx(file, stated_sha256=card.sha256, card=beside.name, threads=threads, gpu=False)
    return Segmenter(opened, card, name=path.stem)
