"""Dataclasses out of JSON, strictly: exactly the fields and types that are annotated, nothing converted."""

from __future__ import annotations

import math
import types
from collections.abc import Callable
from dataclasses import fields, is_dataclass
from functools import cache
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from medlocker.errors import MedlockerError

T = TypeVar("T")
MAX_INTEGER = 2**53 - 1
_Reader = Callable[[Any], Any]


def from_json(kind: type[T], value: object) -> T:
    """Return what :func:`dataclasses.asdict` and JSON made of a dataclass.

    Args:
        kind: Its fields are text, truth values, integers of at most 2**53 - 1, finite numbers, literals,
            None, ``tuple[X, ...]`` or ``dict[str, X]`` of these, or such dataclasses.
        value: As parsed from JSON.

    Raises:
        ValueError: If a field is missing or unknown, has another type, or breaks a rule of the class.
    """
    any_kind: Any = kind  # mypy takes no type for a key of the cache
    reader: Callable[[object], T] = _reader(any_kind)
    return reader(value)


@cache
def _reader(kind: Any, /) -> _Reader:
    simple = {str: _text, bool: _truth, int: _integer, float: _number, type(None): _nothing}
    if kind in simple:
        return simple[kind]
    origin, arguments = get_origin(kind), get_args(kind)
    if origin is Literal:
        return _one_of(arguments)
    if origin in (Union, types.UnionType):
        return _first_of([_reader(one) for one in arguments])
    if origin is tuple and arguments[1:] == (...,):
        return _every(_reader(arguments[0]))
    if origin is dict and arguments[0] is str:
        return _values(_reader(arguments[1]))
    if is_dataclass(kind):
        hints = get_type_hints(kind)
        return _object(kind, {field.name: _reader(hints[field.name]) for field in fields(kind)})
    raise TypeError(f"expected a type that JSON can hold, got {kind}")


def _text(value: Any) -> str:
    if type(value) is not str:
        raise ValueError("expected text")
    value.encode("utf-8", "surrogateescape")  # names of files may hold bytes that are no text
    return value


def _truth(value: Any) -> bool:
    if type(value) is not bool:
        raise ValueError("expected true or false")
    return value


def _integer(value: Any) -> int:
    if type(value) is not int or abs(value) > MAX_INTEGER:
        raise ValueError(f"expected an integer of at most {MAX_INTEGER}")
    return value


def _number(value: Any) -> float:
    if type(value) is float and math.isfinite(value):
        return value
    if type(value) is int and abs(value) <= MAX_INTEGER:
        return float(value)
    raise ValueError("expected a finite number")


def _nothing(value: Any) -> None:
    if value is not None:
        raise ValueError("expected null")


def _one_of(known: tuple[Any, ...]) -> _Reader:
    def read(value: Any) -> Any:
        if type(value) is not str or value not in known:
            raise ValueError(f"expected one of {known}")
        return value

    return read


def _first_of(readers: list[_Reader]) -> _Reader:
    def read(value: Any) -> Any:
        for reader in readers:
            try:
                return reader(value)
            except ValueError:
                continue
        raise ValueError("expected another type")

    return read


def _every(reader: _Reader) -> _Reader:
    def read(value: Any) -> tuple[Any, ...]:
        if type(value) is not list:
            raise ValueError("expected an array")
        return tuple([reader(one) for one in value])

    return read


def _values(reader: _Reader) -> _Reader:
    def read(value: Any) -> dict[str, Any]:
        if type(value) is not dict:
            raise ValueError("expected an object")
        return {_text(name): reader(one) for name, one in value.items()}

    return read


def _object(kind: Any, readers: dict[str, _Reader]) -> _Reader:
    def read(value: Any) -> Any:
        if type(value) is not dict or value.keys() != readers.keys():
            raise ValueError(f"expected an object with {', '.join(readers)}")
        try:
            return kind(**{name: reader(value[name]) for name, reader in readers.items()})
        except MedlockerError as error:
            raise ValueError(str(error)) from error

    return read
