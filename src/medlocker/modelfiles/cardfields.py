"""Reading the JSON of a model card: every field checked, the first wrong one named."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from medlocker.errors import InputError, ModelError
from medlocker.files import read_limited

MAX_CARD_BYTES = 1 << 20
MAX_NUMBER = 1e9
"""Of a range, mean, or deviation; what is computed from such numbers stays finite in 32 bits."""
MIN_STD = 1e-9


def card_path(weights: Path) -> Path:
    """Return where the card of a weights file lies: ``NAME.card.json`` beside ``NAME.onnx``."""
    return weights.with_name(weights.stem + ".card.json")


def read_card(path: Path) -> object:
    """Return a card's JSON value, unchecked.

    Raises:
        ModelError: If it is unreadable or no JSON.
    """
    try:
        return json.loads(read_limited(path, max_bytes=MAX_CARD_BYTES, what="model card"))
    except InputError as error:
        raise ModelError(str(error)) from error
    except (ValueError, RecursionError) as error:
        raise ModelError(f"model card {path.name}: expected JSON", subject=path.name) from error


def as_object(value: object, what: str) -> dict[str, Any]:
    """Return a JSON object, or raise ModelError."""
    if not isinstance(value, dict):
        raise ModelError(f"expected {what} as a JSON object")
    return value


def as_choice(value: object, allowed: tuple[str, ...], what: str) -> str:
    """Return one of the allowed texts, or raise ModelError."""
    if value not in allowed:
        raise ModelError(f"expected {what} of {', '.join(allowed)}, got {value!r:.40}")
    return str(value)


def as_integer(value: object, what: str, *, high: int, low: int = 1) -> int:
    """Return an integer of low to high, or raise ModelError."""
    if type(value) is not int or not low <= value <= high:
        raise ModelError(f"expected {what} of {low} to {high}, got {value!r:.40}")
    return value


def as_numbers(value: object, what: str, *, count: int) -> tuple[float, ...]:
    """Return so many numbers of at most 1e9 (a single one is repeated), or raise ModelError."""
    if isinstance(value, list) and len(value) == 1 and count > 1:
        value = value * count
    if (
        not isinstance(value, list)
        or len(value) != count
        or not all(type(x) in (int, float) and abs(x) <= MAX_NUMBER for x in value)
    ):
        raise ModelError(f"expected {what} as {count} numbers, got {value!r:.60}")
    return tuple(float(x) for x in value)


def as_digest(value: object, what: str) -> str | None:
    """Return a SHA-256 in lower-case hex digits or None where there is none, or raise ModelError."""
    if value is None:
        return None
    if not (isinstance(value, str) and len(value) == 64):
        raise ModelError(f"expected {what} as 64 hexadecimal digits")
    return value.lower()


def as_range(spec: dict[str, Any]) -> tuple[float, float]:
    """Return ``input.range``, the values of black and white before mean and std, or raise ModelError."""
    low, high = as_numbers(spec.get("range", [0, 1]), "input.range", count=2)
    if not low < high:
        raise ModelError("expected input.range as [black, white], black below white")
    return low, high


def as_mean_and_std(spec: dict[str, Any], channels: int) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return ``input.mean`` and ``input.std`` per channel, ``()`` if not given, or raise ModelError."""
    mean, std = (
        as_numbers(spec[name], f"input.{name}", count=channels) if spec.get(name) is not None else ()
        for name in ("mean", "std")
    )
    if any(value < MIN_STD for value in std):
        raise ModelError("expected input.std above 0" + (f", at least {MIN_STD:g}" if min(std) > 0 else ""))
    return mean, std
