"""Arguments of public calls: what has another type than its annotation says is refused in one sentence."""

from __future__ import annotations

import functools
import inspect
import os
import types
from collections.abc import Callable, Sequence
from typing import (
    Annotated,
    Any,
    Literal,
    NamedTuple,
    ParamSpec,
    TypeVar,
    Union,
    cast,
    get_args,
    get_origin,
    get_type_hints,
)

import numpy as np

from medlocker.errors import InputError

P = ParamSpec("P")
R = TypeVar("R")
AtLeastOne = Annotated[int, 1]
AtLeastZero = Annotated[int, 0]
_ELSEWHERE = ("self", "keep_out")
"""Boxes are checked with their picture."""
_WHOLE = (int, np.integer)
_TRUTH = (bool, np.bool_)


class _Kind(NamedTuple):
    told: str
    fits: Callable[[Any], bool]


def checked_arguments(call: Callable[P, R]) -> Callable[P, R]:
    """Return the same call, which refuses arguments of other types than it is annotated with.

    Known are plain types, paths, literals, unions, sequences of these, classes, calls, and integers with a
    least value (``Annotated[int, 1]``). Whatever else is annotated is let through.

    Raises:
        InputError: From the call, if an argument has another type.
    """
    signature = inspect.signature(call)

    @functools.cache
    def kinds() -> dict[str, _Kind]:
        # late: names may be imported below their use
        hints = get_type_hints(call, include_extras=True)
        return {name: _kind_of(hint) for name, hint in hints.items() if name not in _ELSEWHERE}

    @functools.wraps(call)
    def checked(*args: P.args, **kwargs: P.kwargs) -> R:
        for name, value in signature.bind(*args, **kwargs).arguments.items():
            kind = kinds().get(name)
            if kind is None or value is signature.parameters[name].default or kind.fits(value):
                continue
            raise InputError(f"{name}: expected {kind.told}, got {_short(value)}")
        return call(*args, **kwargs)

    return cast("Callable[P, R]", checked)


def _kind_of(hint: Any) -> _Kind:
    make = _MAKERS.get(get_origin(hint))
    if make is not None:
        return make(get_args(hint))
    return _PLAIN.get(hint) or _instance(hint)


def _at_least(arguments: tuple[Any, ...]) -> _Kind:
    kind, least = _kind_of(arguments[0]), arguments[1]
    return _Kind(f"{kind.told} of at least {least}", lambda value: kind.fits(value) and value >= least)


def _any_of(arguments: tuple[Any, ...]) -> _Kind:
    kinds = [_kind_of(one) for one in arguments]
    told = list(dict.fromkeys(kind.told for kind in kinds))
    if "a path" in told and "text" in told:
        told.remove("text")
    return _Kind(" or ".join(told), lambda value: any(kind.fits(value) for kind in kinds))


def _literal(arguments: tuple[Any, ...]) -> _Kind:
    # which names are known, the call says itself
    return _Kind(", ".join(map(repr, arguments)), lambda value: type(value) in map(type, arguments))


def _tuple(arguments: tuple[Any, ...]) -> _Kind:
    kinds = [_kind_of(one) for one in arguments]

    def fits(value: Any) -> bool:
        pairs = zip(kinds, value, strict=False) if _is_list(value) else ()
        return _is_list(value) and len(value) == len(kinds) and all(kind.fits(one) for kind, one in pairs)

    return _Kind(f"({', '.join(kind.told for kind in kinds)})", fits)


def _list(arguments: tuple[Any, ...]) -> _Kind:
    kind = _kind_of(arguments[0])
    return _Kind(
        f"a list (each entry {kind.told})", lambda value: _is_list(value) and all(map(kind.fits, value))
    )


def _call(arguments: tuple[Any, ...]) -> _Kind:
    return _Kind("a function", callable)


def _path(arguments: tuple[Any, ...]) -> _Kind:
    return _Kind("a path", lambda value: isinstance(value, os.PathLike))


def _instance(kind: Any) -> _Kind:
    """Let through what is no class: arrays, protocols and type variables are checked where they are used."""
    if kind is Any or not isinstance(kind, type) or getattr(kind, "_is_protocol", False):
        return _Kind("any value", lambda value: True)
    article = "an" if kind.__name__[0] in "AEIO" else "a"
    return _Kind(f"{article} {kind.__name__}", lambda value: isinstance(value, kind))


_MAKERS: dict[Any, Callable[[tuple[Any, ...]], _Kind]] = {
    Annotated: _at_least,
    Union: _any_of,
    types.UnionType: _any_of,
    Literal: _literal,
    tuple: _tuple,
    list: _list,
    Sequence: _list,
    Callable: _call,
    os.PathLike: _path,
}
_PLAIN: dict[Any, _Kind] = {
    int: _Kind("a whole number", lambda value: isinstance(value, _WHOLE) and not isinstance(value, _TRUTH)),
    float: _Kind(
        "a number",
        lambda value: isinstance(value, (float, np.floating, *_WHOLE)) and not isinstance(value, _TRUTH),
    ),
    str: _Kind("text", lambda value: isinstance(value, str)),
    bool: _Kind("True or False", lambda value: isinstance(value, _TRUTH)),
    type(None): _Kind("None", lambda value: value is None),
}


def _is_list(value: object) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, str | bytes | os.PathLike)


def _short(value: object) -> str:
    if isinstance(value, np.ndarray):
        return f"an array of shape {value.shape} and type {value.dtype}"
    if not isinstance(value, int | float | str | None):
        return f"a {type(value).__name__}"
    return f"{value!r:.60}"
