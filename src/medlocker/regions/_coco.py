"""Regions from COCO JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from medlocker.errors import InputError
from medlocker.regions._rle import box_from_runs
from medlocker.regions._table import Table, TableBuilder
from medlocker.regions.names import normal_name


def read_coco(content: object, file: str) -> Table:
    """Read images, annotations and categories; a polygon or runs count only where there is no ``bbox``.

    An image without annotations is known to be without regions. The category's name is the kind.

    Args:
        content: Of the JSON.
        file: How messages call it.

    Raises:
        InputError: Naming the annotation (counted from 1), if something is missing or wrong.
    """
    images = _objects(content, "images", file)
    annotations = _objects(content, "annotations", file)
    kinds = {
        _id(item, "id", f"{file}, category {number}"): _text(item, "name", f"{file}, category {number}")
        for number, item in enumerate(_objects(content, "categories", file), 1)
    }
    builder = TableBuilder()
    names: dict[int | str, str] = {}
    sizes: dict[str, tuple[int, int]] = {}
    for number, image in enumerate(images, 1):
        place = f"{file}, image {number}"
        key = _id(image, "id", place)
        if key in names:
            raise InputError(f"{place}: expected every id once, got it again")
        names[key] = name = normal_name(_text(image, "file_name", place))
        builder.add_image(name)
        width, height = image.get("width"), image.get("height")
        if type(width) is int and type(height) is int:
            sizes[name] = (width, height)

    place_of = partial(_place, file)
    for number, item in enumerate(annotations, 1):
        place = place_of("", number)
        owner = names.get(_id(item, "image_id", place))
        kind = kinds.get(_id(item, "category_id", place))
        if owner is None or kind is None:
            raise InputError(f"{place}: expected an image_id and a category_id that are listed")
        try:
            builder.add(owner, kind, _box(item), line=number)
        except ValueError as error:
            raise InputError(f"{place}: {error}") from error
    return builder.build(place_of, sizes=sizes)


def _place(file: str, _: str, line: int) -> str:
    return f"{file}, annotation {line}"


def _objects(content: object, key: str, file: str) -> Sequence[Mapping[str, Any]]:
    found = content.get(key) if isinstance(content, dict) else None
    if not isinstance(found, list) or not all(isinstance(item, dict) for item in found):
        raise InputError(f"{file}: expected COCO JSON with a list of {key}", subject=file)
    return found


def _id(item: Mapping[str, Any], key: str, place: str) -> int | str:
    value = item.get(key)
    if isinstance(value, bool) or not isinstance(value, (int, str)):
        raise InputError(f"{place}: expected {key}, a number or text")
    return value


def _text(item: Mapping[str, Any], key: str, place: str) -> str:
    value = item.get(key)
    if not isinstance(value, str) or not value.strip():
        raise InputError(f"{place}: expected {key}, a text")
    return value


def _box(item: Mapping[str, Any]) -> tuple[float, float, float, float]:
    box = item.get("bbox")
    if box:
        x, y, width, height = _numbers(box, "a bbox of 4 numbers", count=4)
        return x, y, width, height
    polygons = item.get("segmentation")
    if isinstance(polygons, dict):
        return box_from_runs(polygons)
    if not isinstance(polygons, list) or not polygons:
        raise ValueError("expected a bbox, a polygon or runs (RLE)")
    points = [value for polygon in polygons for value in _numbers(polygon, "polygons of x, y pairs")]
    if len(points) < 6 or len(points) % 2:
        raise ValueError("expected polygons of x, y pairs")
    xs, ys = points[0::2], points[1::2]
    return min(xs), min(ys), max(xs) - min(xs), max(ys) - min(ys)


def _numbers(values: object, rule: str, *, count: int | None = None) -> list[float]:
    if not isinstance(values, list) or (count is not None and len(values) != count):
        raise ValueError(f"expected {rule}")
    if any(isinstance(value, bool) or not isinstance(value, (int, float)) for value in values):
        raise ValueError(f"expected {rule}")
    try:
        return [float(value) for value in values]
    except OverflowError:
        raise ValueError("expected finite numbers") from None
