"""The report in a real browser: nobody is kept out in either scheme, and lists obey the keyboard alone.

Without Chromium this is skipped, unless MEDLOCKER_BROWSER=required says that it must be there.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from test_evaluation import Told, job, plain
from test_report_page import LABELS, removal

from medlocker.evaluate import ReportNotes, evaluate, write_report
from patience import HANGS_S

BROWSER = next(filter(None, map(shutil.which, ("chromium", "google-chrome", "chrome"))), None)
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        BROWSER is None and os.environ.get("MEDLOCKER_BROWSER") != "required",
        reason="no browser: apt-get install chromium",
    ),
]
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-sync"]


@pytest.fixture(params=[(1400, "light"), (390, "dark")], ids=["desk", "phone"])
def page(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Any]:
    """A report of eight images, opened from its file."""
    from playwright.sync_api import sync_playwright

    clean = plain(tmp_path / "clean", {name: 50 + 150 * int(label) for name, label in LABELS.items()})
    marked = plain(tmp_path / "marked", {name: 60 if name < "4" else 190 for name in LABELS})
    result = evaluate(job(clean, [marked], [Told([100.0], name="good")], LABELS))
    write_report(result, tmp_path / "report", extra=ReportNotes(), removal=removal())
    width, scheme = request.param
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=BROWSER, args=FLAGS)
        context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
        context.set_default_timeout(HANGS_S * 1000)
        opened = context.new_page()
        said: list[str] = []
        opened.on("pageerror", lambda error: said.append(str(error)))
        opened.on("console", lambda message: said.append(message.text) if message.type == "error" else None)
        opened.goto((tmp_path / "report" / "report.html").as_uri())
        yield opened
        browser.close()
    assert said == []


def test_nobody_is_kept_out_folded_or_not(page: Any) -> None:
    from axe_playwright_python.sync_playwright import Axe

    for unfold in ("", "document.querySelectorAll('details').forEach(one => { one.open = true; })"):
        page.evaluate(unfold)
        found = Axe().run(page)
        assert found.violations_count == 0, found.generate_report()
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_a_list_is_sorted_and_filtered_by_the_keyboard(page: Any) -> None:
    page.evaluate("location.hash = '#images'")
    rows = page.locator("table[data-list=images] tr:visible th[scope=row]")
    names = page.locator("table[data-list=images] th[scope=col]").first
    rows.first.wait_for()
    names.get_by_role("button").focus()
    for order, ends in (("descending", ("7.png", "0.png")), ("ascending", ("0.png", "7.png"))):
        page.keyboard.press("Enter")
        assert names.get_attribute("aria-sort") == order
        assert (rows.first.inner_text(), rows.last.inner_text()) == ends
    page.get_by_label("Show only images with").focus()
    page.keyboard.type("3.PNG")
    assert rows.all_inner_texts() == ["3.png"]
    assert "1 of 8 shown" in page.get_by_role("status").all_inner_texts()


def test_a_link_unfolds_what_it_leads_to(page: Any) -> None:
    assert not page.locator("#attackers").is_visible()
    page.get_by_role("link", name="What each attacker got").focus()
    page.keyboard.press("Enter")
    page.locator("#attackers").wait_for()
