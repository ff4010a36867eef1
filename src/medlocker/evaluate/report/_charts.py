"""The report's charts: what answers still tell, of whom, after which attack, and how long that takes."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from medlocker.evaluate._numbers import Condition, Numbers
from medlocker.evaluate._pairs import CLEAN, RANDOM
from medlocker.evaluate.report._attackers import Attacker
from medlocker.evaluate.report._headline import gain_text, kappa_text
from medlocker.evaluate.report._render import left_text, seconds_text
from medlocker.pages.charts import Axis, Chart, Mark, Point, seconds_axis, share_axis

NameOf = Callable[[str], str]
_LEAST_POINTS = 0.2


def kappa_chart(numbers: Numbers, name_of: NameOf) -> Chart | None:
    """Return how well each model's answers agree with the truth; None if no kappa was measured."""

    def point(key: str, one: Condition) -> Point:
        return Point(name_of(key), kappa_text(one), one.kappa, one.kappa_interval, _mark(numbers, key))

    groups = _by_target(numbers, point, keys=(CLEAN, *numbers.keys, RANDOM, *numbers.panels))
    values = [
        value
        for _, points in groups
        for p in points
        if p.value is not None
        for value in (p.value, *(p.interval or ()))
    ]
    if not values:
        return None
    low = -1.0 if min(values) < -0.5 else -0.5 if min(values) < 0 else 0.0
    ticks = tuple((k / 2, f"{k / 2:g}") for k in range(round(2 * low), 3))
    return Chart(
        "How much each model still reads (kappa)",
        Axis(low, 1.0, ticks, "kappa: 0 is chance, 1 always right", zero=0.0),
        groups,
        "Safe is near the line at 0. Rings: originals; discs: marked images; squares: controls, with marks "
        "that nobody searched. Lines: the interval of 95 %.",
    )


def left_chart(numbers: Numbers, name_of: NameOf) -> Chart | None:
    """Return the share of right answers that survives; None if no model is right on any original."""

    def point(key: str, one: Condition) -> Point:
        return Point(
            name_of(key), left_text(one.left), one.left.share, one.left.interval, _mark(numbers, key)
        )

    groups = _by_target(numbers, point, keys=(*numbers.keys, RANDOM, *numbers.panels))
    if not any(p.value is not None for _, points in groups for p in points):
        return None
    return Chart(
        "Right answers that are left",
        share_axis("of the originals that were answered rightly"),
        groups,
        "Discs: marked images; squares: controls. Lines: Wilson's interval of 95 %.",
    )


def attackers_chart(attackers: Sequence[Attacker]) -> Chart | None:
    """Return what answers tell after each attacker, the most first; None if that was not measured."""
    rows = [(one, row) for one in attackers if (row := one.best) is not None and row.information is not None]
    rows.sort(key=lambda pair: pair[1].strength, reverse=True)
    points, ends = [], [0.0]
    for one, row in rows:
        if row.information is None:
            continue
        gain = row.information.plain
        mark: Mark = "disc" if row.combined else "diamond"
        label = f"{one.words.title} ({row.attack}, {row.target})"
        points.append(Point(label, gain_text(gain), gain.left, gain.interval, mark))
        ends += [gain.left, *gain.interval]
    if not points:
        return None
    step = 0.1 if max(ends) - min(ends) <= 0.5 else 0.25
    low = step * round(min(ends) / step - 0.5)
    high = max(step * round(max(ends) / step + 0.5), low + _LEAST_POINTS)
    count = round((high - low) / step)
    ticks = tuple((low + k * step, f"{100 * (low + k * step):.0f}") for k in range(count + 1))
    return Chart(
        "What the answers still tell after each attack",
        Axis(low, high, ticks, "information left, points: 0 is nothing", zero=0.0),
        [("", points)],
        "The variant and the model that tell most. Discs: attackers who need no more than the release; "
        "diamonds: those who need labelled images or a second version.",
    )


def time_chart(attackers: Sequence[Attacker]) -> Chart | None:
    """Return how long each attacker takes, the cheapest first; None if nobody tried."""
    tried = sorted((one for one in attackers if one.rows), key=lambda one: one.seconds)
    if not tried:
        return None
    label = "seconds an image; each step is ten times as long"
    axis = seconds_axis([one.seconds for one in tried], label)
    points = [Point(one.words.title, f"{seconds_text(one.seconds)} s", one.seconds) for one in tried]
    return Chart("How long each attack takes", axis, [("", points)])


def _by_target(
    numbers: Numbers, point: Callable[[str, Condition], Point], *, keys: Sequence[str]
) -> list[tuple[str, list[Point]]]:
    return [
        (target.target.name, [point(key, target.numbers(key)) for key in keys if target.numbers(key).n])
        for target in numbers.targets
    ]


def _mark(numbers: Numbers, key: str) -> Mark:
    return "ring" if key == CLEAN else "disc" if key in numbers.keys else "square"
