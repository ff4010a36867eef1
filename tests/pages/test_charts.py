"""Charts: where a value lies on its axis, and what they say to who does not see them."""

from __future__ import annotations

import pytest

from medlocker.pages import environment
from medlocker.pages.charts import Axis, Chart, Point, seconds_axis, share_axis


def drawn(chart: Chart) -> str:
    template = environment().from_string("{% import 'charts.html' as c with context %}{{ c.chart(plot) }}")
    return template.render(plot=chart)


@pytest.mark.parametrize(("value", "at"), [(0.0, 0.0), (0.25, 25.0), (1.0, 100.0), (-3.0, 0.0), (7.0, 100.0)])
def test_a_value_lies_where_its_share_is(value: float, at: float) -> None:
    assert share_axis("x").at(value) == at


def test_seconds_lie_by_their_power_of_ten() -> None:
    axis = seconds_axis([0.001, 0.5, 7.0], "s")
    assert [text for _, text in axis.ticks] == ["0.01", "0.1", "1", "10"]
    assert [axis.at(value) for value in (0.001, 0.1, 10.0)] == [0.0, 33.33, 100.0]
    assert seconds_axis([], "s").at(1.0) == 100.0


def test_a_chart_is_drawn_spoken_and_tabled() -> None:
    points = [Point("marked <b>", "0.25 (0 to 0.5)", 0.25, (0.0, 0.5)), Point("gone", "-", None)]
    page = drawn(Chart("What is left", share_axis("share"), [("model", points)]))
    spoken = "Chart: What is left. model, marked &lt;b&gt;: 0.25 (0 to 0.5); model, gone: -."
    assert f'role="img" aria-label="{spoken}"' in page
    assert '<line class="whisker" x1="0.0%" x2="50.0%" y1="11" y2="11"/>' in page
    assert page.count('<circle class="bar"') == 1
    assert '<td>marked &lt;b&gt;</td><td class="num">0.25 (0 to 0.5)</td>' in page
    assert "style=" not in page


def test_of_many_lines_the_first_are_spoken() -> None:
    points = [Point(f"p{k}", str(k), 0.1) for k in range(11)]
    spoken = Chart("Many", Axis(0, 1, ((0, "0"),), "x"), [("", points)]).spoken
    assert spoken.endswith("p7: 7; 3 more are in the table beneath.")
