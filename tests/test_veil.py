"""The parameters of a veil: every range, its way through JSON, and hostile JSON."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import fields, replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from medlocker.errors import InputError
from medlocker.geometry import Box
from medlocker.mark import Mark
from medlocker.veil import _RANGES, MAX_KEEP_OUT, Veil, read_mark
from veils import make_veil, veils

SETTINGS = {
    name: st.one_of(st.integers(low, high), st.sampled_from((low, high)))
    for name, (low, high) in _RANGES.items()
}
BOXES = st.builds(
    Box, st.integers(0, 65535), st.integers(0, 65535), st.integers(1, 65535), st.integers(1, 65535)
)


@st.composite
def any_veils(draw: st.DrawFn) -> Veil:
    """Everything that is in range, absurd or not."""
    changes = {name: draw(values) for name, values in SETTINGS.items()}
    key = draw(st.binary(min_size=1, max_size=64)).hex()
    return Veil(**changes, key=key, keep_out=tuple(draw(st.lists(BOXES, max_size=5))))


def test_every_number_has_a_range() -> None:
    assert {one.name for one in fields(Veil)} == {*_RANGES, "key", "keep_out"}


@given(veil=any_veils())
def test_json_gives_the_same_veil_back(veil: Veil) -> None:
    text = json.dumps(veil.to_json())
    assert read_mark(json.loads(text)) == Veil.from_json(json.loads(text)) == veil
    assert json.dumps(read_mark(json.loads(text)).to_json()) == text


@pytest.mark.parametrize("name", _RANGES)
def test_a_number_out_of_range_is_refused(name: str) -> None:
    low, high = _RANGES[name]
    for value in (low, high):
        assert getattr(make_veil(**{name: value}), name) == value
    for wrong in (low - 1, high + 1, -(10**30), float(low), str(low), None, True, False, [low]):
        message = f"^veil: expected {name} of {low} to {high}, got {re.escape(f'{wrong!r:.40}')}$"
        with pytest.raises(InputError, match=message):
            make_veil(**{name: wrong})
        with pytest.raises(InputError, match=message):
            Veil.from_json(make_veil().to_json() | {name: wrong})


def test_a_number_of_a_million_digits_is_refused() -> None:
    with pytest.raises(InputError, match="expected opacity of 1 to 65535"):
        make_veil(opacity=10**1_000_000)


@pytest.mark.parametrize(
    ("key", "message"),
    [
        ("", "expected a key of 1 to 64 bytes"),
        ("00" * 65, "expected a key of 1 to 64 bytes"),
        ("0", "expected a hexadecimal key"),
        ("xy", "expected a hexadecimal key"),
        ("AB", "expected a hexadecimal key"),
        ("ab cd", "expected a hexadecimal key"),
        ("ab\n", "expected a hexadecimal key"),
        (7, "expected a hexadecimal key"),
        (None, "expected a hexadecimal key"),
        (["ab"], "expected a hexadecimal key"),
    ],
)
def test_keys_have_one_form(key: Any, message: str) -> None:
    with pytest.raises(InputError, match=f"^veil: {message}"):
        make_veil(key=key)


BROKEN: dict[str, tuple[Callable[[dict[str, Any]], Any], str]] = {
    "a field too many": (lambda value: value | {"lens": 1}, "expected the fields "),
    "a field of marks": (lambda value: value | {"overlay": ""}, "expected the fields "),
    "a field too few": (
        lambda value: {k: v for k, v in value.items() if k != "period_px"},
        "expected the fields ",
    ),
    "no keep-outs": (
        lambda value: {k: v for k, v in value.items() if k != "keep_out"},
        "expected the fields ",
    ),
    "another kind": (lambda value: value | {"kind": "shroud"}, "expected the fields "),
    "a kind of its own": (lambda value: value | {"kind": ["veil"]}, "expected the fields "),
    "a list": (list, "expected the fields "),
    "boxes that are none": (lambda value: value | {"keep_out": {}}, "expected a list of at most 16384"),
    "boxes as text": (lambda value: value | {"keep_out": "[]"}, "expected a list of at most 16384"),
    "a box of three": (lambda value: value | {"keep_out": [[1, 2, 3]]}, "expected keep-out boxes of x, y"),
    "a box of text": (lambda value: value | {"keep_out": ["1234"]}, "expected keep-out boxes of x, y"),
    "a box left of all": (
        lambda value: value | {"keep_out": [[-1, 2, 3, 4]]},
        "expected keep-out boxes of x, y",
    ),
    "a box of truth": (
        lambda value: value | {"keep_out": [[True, 2, 3, 4]]},
        "expected keep-out boxes of x, y",
    ),
    "a box of fractions": (
        lambda value: value | {"keep_out": [[1.0, 2, 3, 4]]},
        "expected keep-out boxes of x, y",
    ),
    "a box too far": (
        lambda value: value | {"keep_out": [[65536, 2, 3, 4]]},
        "expected keep-out boxes of x, y",
    ),
    "an empty box": (lambda value: value | {"keep_out": [[1, 2, 0, 4]]}, "expected keep-out boxes of x, y"),
    "too many boxes": (
        lambda value: value | {"keep_out": [[1, 2, 3, 4]] * (MAX_KEEP_OUT + 1)},
        "expected a list of at most 16384",
    ),
}


@pytest.mark.parametrize("case", BROKEN)
def test_broken_json_is_refused(case: str) -> None:
    change, message = BROKEN[case]
    with pytest.raises(InputError, match=f"^veil: {message}"):
        Veil.from_json(change(make_veil().to_json()))


def test_as_many_boxes_as_allowed_are_read() -> None:
    boxes = tuple(Box(k % 128, k // 128, 1, 1) for k in range(MAX_KEEP_OUT))
    veil = make_veil(keep_out=boxes)
    assert Veil.from_json(veil.to_json()) == veil
    with pytest.raises(InputError, match=r"^veil: expected at most 16384 keep-out boxes, got 16385\Z"):
        replace(veil, keep_out=(*boxes, Box(1, 1, 1, 1)))


@pytest.mark.parametrize("value", [None, 7, "veil", [], ["veil"], {}, {"kind": None}, {"kind": "mark"}])
def test_what_is_no_parameter_at_all_is_refused(value: object) -> None:
    with pytest.raises(InputError, match=r"^(mark|veil): expected the fields "):
        read_mark(value)


def test_marks_are_still_read_as_marks() -> None:
    mark = Mark(1, 2, 30, 40000)
    assert read_mark(mark.to_json()) == mark
    with pytest.raises(InputError, match=r"^mark: expected the fields"):
        read_mark(mark.to_json() | {"kind": "mark"})


def test_secrets_are_not_in_what_is_printed() -> None:
    veil = make_veil(keep_out=(Box(11, 12, 13, 14),))
    assert veil.key not in repr(veil)
    assert "Box" not in repr(veil)


@given(veil=veils())
def test_the_lattice_is_in_grains(veil: Veil) -> None:
    lattice = veil.lattice()
    assert lattice.period == veil.period_px * 65536 // veil.grain_px
    assert lattice.size == max(veil.size_px // veil.grain_px, 1)
    assert lattice.key == bytes.fromhex(veil.key)
