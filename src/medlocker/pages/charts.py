"""Charts of a page: points with their intervals along an axis, drawn by ``charts.html``."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

Mark = Literal["disc", "ring", "square", "diamond"]
_SPOKEN = 8


@dataclass(frozen=True)
class Axis:
    """What lies from left to right.

    Args:
        low: Value at the left end; above 0 if ``is_logarithmic``.
        high: At the right end, greater than ``low``.
        ticks: (value, text) of the lines behind the points.
        label: What is measured, with its unit.
        zero: Value with a stronger line, or None.
        is_logarithmic: Steps are factors.
    """

    low: float
    high: float
    ticks: tuple[tuple[float, str], ...]
    label: str
    zero: float | None = None
    is_logarithmic: bool = False

    def at(self, value: float) -> float:
        """Return where a value lies, 0 to 100 per cent; what is beyond an end lies on it."""
        low, high = self._scaled(self.low), self._scaled(self.high)
        share = (self._scaled(max(value, self.low)) - low) / (high - low)
        return round(100 * min(share, 1.0), 2)

    def _scaled(self, value: float) -> float:
        return math.log(value) if self.is_logarithmic else value


@dataclass(frozen=True)
class Point:
    """One line of a chart.

    Args:
        label: What was measured.
        text: The value in words, as the table says it.
        value: On the axis; None if it was not measured.
        interval: In which the true value lies with 95 % confidence, or None.
        mark: Shape, so that no meaning hangs on colour alone.
    """

    label: str
    text: str
    value: float | None
    interval: tuple[float, float] | None = None
    mark: Mark = "disc"


@dataclass(frozen=True)
class Chart:
    """A chart with a heading for each group of its lines.

    Args:
        title: What it shows.
        axis: Shared by all lines.
        groups: (heading, lines); an empty heading is left out.
        note: One sentence how to read it.
    """

    title: str
    axis: Axis
    groups: Sequence[tuple[str, Sequence[Point]]]
    note: str = ""

    @property
    def spoken(self) -> str:
        """What the chart shows, for who does not see it: the first lines, and where the others are."""
        lines = [
            f"{heading}, {point.label}: {point.text}" if heading else f"{point.label}: {point.text}"
            for heading, points in self.groups
            for point in points
        ]
        more = len(lines) - _SPOKEN
        rest = f"; {more} more are in the table beneath" if more > 0 else ""
        return f"Chart: {self.title}. {'; '.join(lines[:_SPOKEN])}{rest}."


def share_axis(label: str) -> Axis:
    """Return an axis from 0 to 100 %."""
    return Axis(0.0, 1.0, tuple((k / 4, f"{25 * k} %") for k in range(5)), label)


def seconds_axis(values: Sequence[float], label: str) -> Axis:
    """Return a logarithmic axis with whole powers of ten at both ends, from a hundredth of a second on."""
    least, most = max(min(values, default=0.01), 0.01), max(max(values, default=1.0), 0.01)
    first, last = math.floor(math.log10(least)), math.ceil(math.log10(most))
    last = max(last, first + 1)
    ticks = tuple((10.0**k, f"{10.0**k:g}") for k in range(first, last + 1))
    return Axis(10.0**first, 10.0**last, ticks, label, is_logarithmic=True)
