"""Regions from LabelMe JSON: one file for each image, beside it or in a folder of its own."""

from __future__ import annotations

import math
from typing import Any

from medlocker.regions._shapes import UNNAMED_KIND, ImageNotes, RowBox, box_around, numbers, stated_size


def is_labelme(content: object) -> bool:
    """Tell whether JSON is of LabelMe."""
    return isinstance(content, dict) and isinstance(content.get("shapes"), list)


def labelme_notes(content: dict[str, Any]) -> ImageNotes:
    """Return polygons, rectangles, circles, lines, points and masks as boxes.

    Raises:
        ValueError: Naming the shape (counted from 1), if it is none of these.
    """
    rows = []
    for number, shape in enumerate(content["shapes"], 1):
        try:
            rows.append(_row(shape))
        except ValueError as error:
            raise ValueError(f"shape {number}: {error}") from None
    image = content.get("imagePath")
    size = stated_size(content.get("imageWidth"), content.get("imageHeight"))
    return ImageNotes(image if isinstance(image, str) else "", size, rows)


def _row(shape: object) -> tuple[str, RowBox]:
    if not isinstance(shape, dict) or not isinstance(shape.get("points"), list):
        raise ValueError("expected points of two finite numbers")
    points = [numbers(point, count=2) for point in shape["points"]]
    label = shape.get("label")
    kind = (label.strip() if isinstance(label, str) else "") or UNNAMED_KIND
    xs, ys = [x for x, _ in points], [y for _, y in points]
    if shape.get("shape_type") == "circle":
        if len(points) != 2:
            raise ValueError("expected a circle of a centre and a point")
        radius = math.dist(*points)
        xs, ys = [xs[0] - radius, xs[0] + radius], [ys[0] - radius, ys[0] + radius]
    return kind, box_around(xs, ys)
