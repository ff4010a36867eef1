"""The card of a lesion segmenter, ``NAME.card.json`` beside ``NAME.onnx``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from medlocker.errors import ModelError
from medlocker.modelfiles.cardfields import (
    as_choice,
    as_digest,
    as_integer,
    as_mean_and_std,
    as_numbers,
    as_object,
    as_range,
    read_card,
)

TASK = "segmentation"
MAX_TILE_PX = 2048
MAX_SIDE_PX = 4096
MAX_MARGIN_PX = 512
_HINT = (
    'fields: {"task": "segmentation", "input": {"height", "width", "layout", "range", "mean", "std"}, '
    '"side_px", "threshold", "margin_px", "output", "sha256"}'
)


@dataclass(frozen=True)
class SegmenterCard:
    """What a segmenter expects, and what its answers mean.

    Args:
        tile_px: Side of the square tiles it sees.
        layout: ``NCHW`` or ``NHWC``.
        scale: (3) model units per grey level of 255.
        shift: (3) model units of black.
        side_px: Images are resized so that their shorter side has so many pixels.
        threshold: Probability from which a pixel is a lesion.
        margin_px: Added on every side of a box, in pixels of the resized image.
        is_probability: Whether it answers probabilities; else logits.
        sha256: Of the ONNX file, or None.
    """

    tile_px: int
    layout: str
    scale: tuple[float, ...]
    shift: tuple[float, ...]
    side_px: int
    threshold: float
    margin_px: int
    is_probability: bool
    sha256: str | None

    @property
    def border_px(self) -> int:
        """Edge of a tile whose answers are not used, for want of surroundings."""
        return self.tile_px // 8

    def rules(self) -> str:
        """Return everything but the weights that decides what is found, as text."""
        return (
            f"{self.tile_px} {self.layout} {self.scale} {self.shift} {self.side_px} {self.threshold} "
            f"{self.margin_px} {self.is_probability}"
        )


def load_segmenter_card(path: Path) -> SegmenterCard:
    """Read and check a card.

    Raises:
        ModelError: If it is unreadable, of another task, or a field is missing or wrong.
    """
    value = read_card(path)
    try:
        return _parse(as_object(value, "the card"))
    except ModelError as error:
        raise ModelError(
            f"model card {path.name}: {error}", subject=path.name, hint=error.hint or _HINT
        ) from error


def _parse(top: dict[str, Any]) -> SegmenterCard:
    if top.get("task") != TASK:
        raise ModelError(
            f"expected a segmenter, task {TASK}, got {top.get('task', 'a classifier')!s:.40}",
            hint="segmenters are made by `medlocker train segmenter`; a classifier belongs to --model",
        )
    spec = as_object(top.get("input"), "input")
    tile = as_integer(spec.get("height"), "input.height", low=32, high=MAX_TILE_PX)
    if spec.get("width") != tile:
        raise ModelError(f"expected square tiles, got {tile} x {spec.get('width')!r:.40}")
    low, high = as_range(spec)
    mean, std = as_mean_and_std(spec, 3)
    mean, std = mean or (0.0,) * 3, std or (1.0,) * 3
    (threshold,) = as_numbers([top.get("threshold")], "threshold", count=1)
    if not 0 < threshold <= 1:
        raise ModelError(f"expected a threshold above 0 and at most 1, got {threshold:g}")
    return SegmenterCard(
        tile_px=tile,
        layout=as_choice(spec.get("layout", "NCHW"), ("NCHW", "NHWC"), "input.layout"),
        scale=tuple((high - low) / 255 / value for value in std),
        shift=tuple((low - m) / s for m, s in zip(mean, std, strict=True)),
        side_px=as_integer(top.get("side_px"), "side_px", low=32, high=MAX_SIDE_PX),
        threshold=threshold,
        margin_px=as_integer(top.get("margin_px"), "margin_px", low=0, high=MAX_MARGIN_PX),
        is_probability=as_choice(top.get("output"), ("probabilities", "logits"), "output") == "probabilities",
        sha256=as_digest(top.get("sha256"), "sha256"),
    )
