"""The model card: what a model expects and answers, as JSON beside its weights."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, cast, get_args

from medlocker.classifiers.resize import ResizeRule
from medlocker.errors import ModelError
from medlocker.modelfiles.cardfields import (
    as_choice,
    as_digest,
    as_integer,
    as_mean_and_std,
    as_object,
    as_range,
    card_path,
    read_card,
)

__all__ = ["Card", "InputSpec", "Layout", "Output", "card_path", "load_card", "parse_card"]

Layout = Literal["NCHW", "NHWC"]
Output = Literal["logits", "probabilities", "features"]

MAX_INPUT_SIDE_PX = 4096


@dataclass(frozen=True)
class InputSpec:
    """What the model wants to see.

    Args:
        layout: Order of the axes.
        channels: 1, 3 (RGB), or 4 (RGB and an alpha channel, which is always opaque).
        low: Value of black before mean and std.
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
        classes: Names in the order of the outputs; empty if unknown or if the outputs are features.
        output: Whether the model ends with softmax, or before its classes; None if unknown.
        sha256: Of the ONNX file, or None.
        extra: All other fields of the JSON object, as they are.
    """

    input: InputSpec
    classes: tuple[str, ...] = ()
    output: Output | None = None
    sha256: str | None = None
    extra: Mapping[str, Any] = field(default_factory=dict)


def load_card(path: Path) -> Card:
    """Read and check a card.

    Raises:
        ModelError: If it is unreadable or a field is missing, of the wrong type, or out of range.
    """
    value = read_card(path)
    try:
        return parse_card(value)
    except ModelError as error:
        raise ModelError(f"model card {path.name}: {error}", subject=path.name, hint=_HINT) from error


_HINT = (
    'fields: {"input": {"height", "width", "layout", "range", "mean", "std", "resize"}, '
    '"classes", "output", "sha256"}'
)


def parse_card(value: object) -> Card:
    """Check a card's JSON value.

    Raises:
        ModelError: Naming the first wrong field.
    """
    top = as_object(value, "the card")
    if top.get("task", "classification") != "classification":
        raise ModelError(f"expected a classifier, got a model for {top['task']!r:.40}")
    spec = as_object(top.get("input"), "input")
    layout = as_choice(spec.get("layout", "NCHW"), ("NCHW", "NHWC"), "input.layout")
    channels = as_integer(spec.get("channels", 3), "input.channels", high=4)
    if channels == 2:
        raise ModelError(f"expected input.channels of 1, 3 or 4, got {channels}")
    low, high = as_range(spec)
    mean, std = as_mean_and_std(spec, channels)
    classes = top.get("classes", [])
    if not isinstance(classes, list) or not all(isinstance(name, str | int) for name in classes):
        raise ModelError("expected classes as a list of names")
    names = tuple(str(name) for name in classes)
    if len(set(names)) != len(names):
        raise ModelError("expected classes with different names")
    output = top.get("output")
    return Card(
        input=InputSpec(
            height=as_integer(spec.get("height"), "input.height", high=MAX_INPUT_SIDE_PX),
            width=as_integer(spec.get("width"), "input.width", high=MAX_INPUT_SIDE_PX),
            layout=cast(Layout, layout),
            channels=channels,
            low=low,
            high=high,
            mean=mean,
            std=std,
            resize=cast(
                ResizeRule,
                as_choice(spec.get("resize", "stretch"), ("stretch", "pad", "crop"), "input.resize"),
            ),
        ),
        classes=() if output == "features" else names,
        output=None if output is None else cast(Output, as_choice(output, get_args(Output), "output")),
        sha256=as_digest(top.get("sha256"), "sha256"),
        extra={key: item for key, item in top.items() if key not in ("input", "classes", "output", "sha256")},
    )
