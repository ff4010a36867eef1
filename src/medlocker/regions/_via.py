"""Regions from the JSON of the VGG Image Annotator (VIA 1 and 2): one file for all images."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

from medlocker.errors import InputError
from medlocker.regions._shapes import UNNAMED_KIND, RowBox, box_around, numbers
from medlocker.regions._table import Table, TableBuilder
from medlocker.regions.names import normal_name

_PROJECT = "_via_img_metadata"


def is_via(content: object) -> bool:
    """Tell whether JSON is of VIA: a project, or what it exports."""
    if not isinstance(content, dict):
        return False
    if _PROJECT in content:
        return True
    images = list(content.values())
    wanted = {"filename", "regions"}
    return bool(images) and all(isinstance(one, dict) and wanted <= one.keys() for one in images)


def read_via(content: Mapping[str, Any], file: str) -> Table:
    """Read rectangles, polygons, lines, circles, ellipses and points; an image without any has none.

    Raises:
        InputError: Naming image and region (counted from 1), if something is missing or wrong.
    """
    images = content.get(_PROJECT, content)
    builder = TableBuilder()
    for image in images.values() if isinstance(images, dict) else ():
        name = image.get("filename") if isinstance(image, dict) else None
        if not isinstance(name, str) or not name.strip():
            raise InputError(f"{file}: expected images with a filename", subject=file)
        name = normal_name(name)
        builder.add_image(name)
        for number, region in enumerate(_regions(image.get("regions"), f"{file}, {name}"), 1):
            try:
                builder.add(name, _kind(region), _box(region), line=number)
            except ValueError as error:
                raise InputError(f"{_place(file, name, number)}: {error}") from error
    return builder.build(partial(_place, file))


def _place(file: str, image: str, line: int) -> str:
    return f"{file}, {image}, region {line}"


def _regions(found: object, place: str) -> Iterator[dict[str, Any]]:
    listed = list(found.values()) if isinstance(found, dict) else found  # VIA 1 numbers them
    if not isinstance(listed, list) or not all(isinstance(one, dict) for one in listed):
        raise InputError(f"{place}: expected a list of regions")
    yield from listed


def _kind(region: Mapping[str, Any]) -> str:
    """The first text among a region's attributes: what they are called is up to the user."""
    attributes = region.get("region_attributes")
    for value in attributes.values() if isinstance(attributes, dict) else ():
        if isinstance(value, str) and value.strip():
            return value.strip()
    return UNNAMED_KIND


def _box(region: Mapping[str, Any]) -> RowBox:
    shape = region.get("shape_attributes")
    if not isinstance(shape, dict):
        raise ValueError("expected shape_attributes")
    name = shape.get("name")
    if name == "rect":
        x, y, width, height = numbers([shape.get(key) for key in ("x", "y", "width", "height")])
        return box_around([x, x + width], [y, y + height])
    if name in ("polygon", "polyline"):
        return box_around(numbers(shape.get("all_points_x")), numbers(shape.get("all_points_y")))
    if name in ("circle", "ellipse", "point"):
        x, y = numbers([shape.get(key) for key in ("cx", "cy")])
        sides = [shape.get(key, 0) for key in (("r", "r") if name == "circle" else ("rx", "ry"))]
        across, down = numbers(sides)
        if name == "ellipse":  # it may be turned
            across = down = max(across, down)
        return box_around([x - across, x + across], [y - down, y + down])
    raise ValueError(f"expected a rect, polygon, polyline, circle, ellipse or point, got {name!r:.40}")
