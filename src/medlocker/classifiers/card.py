"""The model card: what a model expects and answers, as JSON beside its weights."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, cast

from medlocker._files import read_limited
from medlocker.classifiers.resize import ResizeRule
from medlocker.errors import InputError, ModelError

Layout = Literal["NCHW", "NHWC"]
Output = Literal["logits", "probabilities"]

MAX_CARD_BYTES = 1 << 20
MAX_INPUT_SIDE_PX = 4096


@dataclass(frozen=True)
class InputSpec:
    """What the model wants to see.

    Args:
        height: Rows.
        width: Columns.
        layout: Order of the axes.
        channels: 1 or 3 (RGB).
        low: Value of black before mean and std.
        high: Value of white.
        mean: Per channel, in units of the range.
        std: Per channel, above 0.
        resize: How an image gets to height x width.
    """

    height: int
    width: int
    layout: Layout = "NCHW"
    channels: int = 3
    low: float = 0.0
    high: float = 1.0
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()
    resize: ResizeRule = "stretch"


@dataclass(frozen=True)
class Card:
    """A model card.

    Args:
        input: Pre-processing.
        classes: Names in the order of the outputs; empty if unknown.
        output: Whether the model ends with softmax; None if unknown.
        sha256: Of the ONNX file, or None.
        extra: All other fields of the JSON object, as they are.
    """

    input: InputSpec
    classes: tuple[str, ...] = ()
    output: Output | None = None
    sha256: str | None = None
    extra: Mapping[str, Any] = field(default_factory=dict)


def card_path(weights: Path) -> Path:
    """Return where the card of a weights file lies: ``NAME.card.json`` beside ``NAME.onnx``."""
    return weights.with_name(weights.stem + ".card.json")


def load_card(path: Path) -> Card:
    """Read and check a card.

    Raises:
        ModelError: If it is unreadable or a field is missing, of the wrong type, or out of range.
    """
    try:
        value = json.loads(read_limited(path, max_bytes=MAX_CARD_BYTES, what="model card"))
    except InputError as error:
        raise ModelError(str(error)) from error
    except (ValueError, RecursionError) as error:
        raise ModelError(f"model card {path.name}: expected JSON") from error
    try:
        return parse_card(value)
    except ModelError as error:
        raise ModelError(f"model card {path.name}: {error}", hint=_HINT) from error


_HINT = (
    'fields: {"input": {"height", "width", "layout", "range", "mean", "std", "resize"}, '
    '"classes", "output", "sha256"}'
)


def parse_card(value: object) -> Card:
    """Check a card's JSON value.

    Raises:
        ModelError: Naming the first wrong field.
    """
    top = _object(value, "the card")
    spec = _object(top.get("input"), "input")
    layout = _choice(spec.get("layout", "NCHW"), ("NCHW", "NHWC"), "input.layout")
    channels = _integer(spec.get("channels", 3), "input.channels", high=3)
    if channels not in (1, 3):
        raise ModelError(f"expected input.channels of 1 or 3, got {channels}")
    low, high = _numbers(spec.get("range", [0, 1]), "input.range", count=2)
    if not low < high:
        raise ModelError("expected input.range as [black, white], black below white")
    mean = _numbers(spec["mean"], "input.mean", count=channels) if spec.get("mean") is not None else ()
    std = _numbers(spec["std"], "input.std", count=channels) if spec.get("std") is not None else ()
    if any(value <= 0 for value in std):
        raise ModelError("expected input.std above 0")
    classes = top.get("classes", [])
    if not isinstance(classes, list) or not all(isinstance(name, str | int) for name in classes):
        raise ModelError("expected classes as a list of names")
    names = tuple(str(name) for name in classes)
    if len(set(names)) != len(names):
        raise ModelError("expected classes with different names")
    output = top.get("output")
    sha256 = top.get("sha256")
    if sha256 is not None and not (isinstance(sha256, str) and len(sha256) == 64):
        raise ModelError("expected sha256 as 64 hexadecimal digits")
    return Card(
        input=InputSpec(
            height=_integer(spec.get("height"), "input.height", high=MAX_INPUT_SIDE_PX),
            width=_integer(spec.get("width"), "input.width", high=MAX_INPUT_SIDE_PX),
            layout=cast(Layout, layout),
            channels=channels,
            low=low,
            high=high,
            mean=mean,
            std=std,
            resize=cast(
                ResizeRule,
                _choice(spec.get("resize", "stretch"), ("stretch", "pad", "crop"), "input.resize"),
            ),
        ),
        classes=names,
        output=None
        if output is None
        else cast(Output, _choice(output, ("logits", "probabilities"), "output")),
        sha256=None if sha256 is None else sha256.lower(),
        extra={key: item for key, item in top.items() if key not in ("input", "classes", "output", "sha256")},
    )


def _object(value: object, what: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ModelError(f"expected {what} as a JSON object")
    return value


def _choice(value: object, allowed: tuple[str, ...], what: str) -> str:
    if value not in allowed:
        raise ModelError(f"expected {what} of {', '.join(allowed)}, got {value!r:.40}")
    return str(value)


def _integer(value: object, what: str, *, high: int) -> int:
    if type(value) is not int or not 1 <= value <= high:
        raise ModelError(f"expected {what} of 1 to {high}, got {value!r:.40}")
    return value


def _numbers(value: object, what: str, *, count: int) -> tuple[float, ...]:
    if isinstance(value, list) and len(value) == 1 and count > 1:
        value = value * count
    if (
        not isinstance(value, list)
        or len(value) != count
        or not all(type(x) in (int, float) and math.isfinite(x) for x in value)
    ):
        raise ModelError(f"expected {what} as {count} numbers, got {value!r:.60}")
    return tuple(float(x) for x in value)
