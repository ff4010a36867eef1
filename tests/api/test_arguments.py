"""Arguments of another type are refused in one sentence, before anything happens."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Annotated, Any, Literal

import numpy as np
import pytest

import medlocker
from medlocker.arguments import checked_arguments

ml: Any = medlocker  # what is given here has the wrong type on purpose
PATHS: dict[str, Any] = {"owner": "o", "out": "r"}
REPORT: dict[str, Any] = {"labels": "l.csv", "target": "m.onnx", "out": "r"}


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: ml.protect("in", seed="1", **PATHS), "seed: expected a whole number or None, got '1'"),
        (lambda: ml.protect("in", seed=True, **PATHS), "seed: expected a whole number or None, got True"),
        (
            lambda: ml.protect("in", margin_px=-1, **PATHS),
            "margin_px: expected a whole number of at least 0, got -1",
        ),
        (
            lambda: ml.protect("in", batch=0, **PATHS),
            "batch: expected a whole number of at least 1 or None, got 0",
        ),
        (
            lambda: ml.protect("in", workers="2", **PATHS),
            "workers: expected a whole number of at least 1, got '2'",
        ),
        (
            lambda: ml.protect("in", models=[object()], **PATHS),
            "models: expected a path or a list (each entry a path), got a list",
        ),
        (lambda: ml.protect("in", labels={"a": 1}, **PATHS), "labels: expected a path or None, got a dict"),
        (lambda: ml.protect("in", anatomy="yes", **PATHS), "anatomy: expected True or False, got 'yes'"),
        (
            lambda: ml.protect("in", progress=5, **PATHS),
            "progress: expected a function or a Listener or None, got 5",
        ),
        (
            lambda: ml.protect(np.zeros((2, 2), np.uint8), **PATHS),
            "images: expected a path, got an array of shape (2, 2) and type uint8",
        ),
        (
            lambda: ml.evaluate("in", None, **REPORT),
            "release: expected a path or a list (each entry a path), got None",
        ),
        (
            lambda: ml.evaluate("in", "r", limit=0, **REPORT),
            "limit: expected a whole number of at least 1 or None, got 0",
        ),
        (
            lambda: ml.grant("r", owner="o", to=None, out="g"),
            "to: expected a path or a list (each entry a path), got None",
        ),
        (lambda: ml.restore("r", owner="o", identity=None, out="b"), "identity: expected a path, got None"),
        (lambda: ml.verify("r", owner=None), "owner: expected a path, got None"),
        (lambda: ml.review(5, owner="o"), "release: expected a path, got 5"),
        (lambda: ml.Veil(opacity="x"), "opacity: expected a number or None, got 'x'"),
        (lambda: ml.Veil(style="x"), "style: expected a VeilStyle, got 'x'"),
        (lambda: ml.Veil(harden=5), "harden: expected True or False or a Harden, got 5"),
        (lambda: ml.Marks(opacity=0.5), "opacity: expected (a number, a number) or None, got 0.5"),
        (
            lambda: ml.Veil()(None, np.zeros((64, 64), np.uint8), seed=1.5),
            "seed: expected a whole number or None, got 1.5",
        ),
        (lambda: ml.read_image(5), "path: expected a path, got 5"),
        (lambda: ml.OnnxModel(5), "path: expected a path, got 5"),
    ],
)
def test_another_type_is_refused(call: Callable[[], object], message: str) -> None:
    with pytest.raises(ml.errors.InputError) as error:
        call()
    assert str(error.value) == message


@checked_arguments
def _sample(
    path: str | os.PathLike[str] = "",
    *,
    count: Annotated[int, 1] = 1,
    share: float = 0.5,
    way: Literal["a", "b"] = "a",
    names: Sequence[str] = (),
    call: Callable[[int], int] | None = None,
    anything: Any = None,
) -> int:
    """Say how many."""
    return count


def test_what_fits_is_let_through() -> None:
    call: Any = _sample
    assert call(count=np.int64(3), share=1, names=["x"], call=abs, anything=object()) == 3
    assert _sample.__doc__ == "Say how many."
    with pytest.raises(TypeError, match="unexpected keyword"):
        _sample(other=1)  # type: ignore[call-arg]


@pytest.mark.parametrize("value", ["text", b"bytes", [1], None])
def test_text_is_no_list_of_texts(value: Any) -> None:
    with pytest.raises(ml.errors.InputError, match=r"^names: expected a list"):
        _sample(names=value)
