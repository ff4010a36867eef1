"""The whole story in a real browser: at a desk with a mouse, and on a phone's screen with the keyboard alone.

Without Chromium these tests are skipped, unless MEDLOCKER_BROWSER=required says that it must be there.
MEDLOCKER_SCREENSHOTS=FOLDER keeps the pictures that the documentation shows.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image as Pillow

from medlocker.certificates import new_owner
from medlocker.demo import write_samples
from patience import HANGS_S
from runs import COMMAND, LISTEN, environment, medlocker

BROWSER = next(filter(None, map(shutil.which, ("chromium", "google-chrome", "chrome"))), None)
SCREENSHOTS = os.environ.get("MEDLOCKER_SCREENSHOTS")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        BROWSER is None and os.environ.get("MEDLOCKER_BROWSER") != "required",
        reason="no browser: apt-get install chromium",
    ),
]
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-background-networking",
    "--disable-sync",
]


@pytest.fixture
def study(tmp_path: Path) -> Path:
    """A folder with synthetic photographs and the keys of two people."""
    samples = write_samples(tmp_path / "made", count=4)
    shutil.copytree(samples.images, tmp_path / "study" / "in")
    for name in ("own", "alice"):
        new_owner(tmp_path / "study" / name)
    return tmp_path / "study"


@pytest.fixture
def address(study: Path) -> Iterator[str]:
    """The address that the real command prints."""
    code = f"{LISTEN} {COMMAND[-1]}"
    command = [sys.executable, "-c", code, "serve", "--root", str(study), "--no-browser"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment())
    assert process.stdout is not None
    try:
        yield process.stdout.readline().strip()
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(HANGS_S)
        process.stdout.close()


@pytest.fixture(params=[(1400, False, "light"), (390, True, "dark")], ids=["desk", "keyboard on a phone"])
def person(request: pytest.FixtureRequest) -> Iterator[Person]:
    from playwright.sync_api import sync_playwright

    width, by_keyboard, scheme = request.param
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=BROWSER, args=FLAGS)
        context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
        context.set_default_timeout(HANGS_S * 1000)
        yield Person(context.new_page(), by_keyboard=by_keyboard)
        browser.close()


class Person:
    """Somebody at a browser, with a mouse or with the keyboard alone; every page is looked at by axe."""

    def __init__(self, page: Any, *, by_keyboard: bool) -> None:
        from axe_playwright_python.sync_playwright import Axe

        self.page = page
        self._by_keyboard = by_keyboard
        self._axe = Axe()
        self.said: list[str] = []
        page.on("pageerror", lambda error: self.said.append(str(error)))
        page.on(
            "console", lambda message: self.said.append(message.text) if message.type == "error" else None
        )

    def look(self, name: str) -> None:
        """Look at a page: nothing keeps anybody out, nothing is wider than the window."""
        found = self._axe.run(self.page)
        assert found.violations_count == 0, f"{name}: {found.generate_report()}"
        assert self.page.evaluate("document.documentElement.scrollWidth <= innerWidth"), name
        if SCREENSHOTS and not self._by_keyboard:
            target = Path(SCREENSHOTS, f"{name}.jpg")
            self.page.screenshot(path=target, type="jpeg", quality=70, full_page=False)

    def reach(self, found: Any) -> None:
        """Press the tab key until something has the focus."""
        wanted = found.element_handle()
        for _ in range(300):
            if self.page.evaluate("wanted => document.activeElement === wanted", wanted):
                return
            self.page.keyboard.press("Tab")
        raise AssertionError("it cannot be reached by keyboard")

    def press(self, role: str, name: str) -> None:
        found = self.page.get_by_role(role, name=name, exact=True).first
        if self._by_keyboard:
            self.reach(found)
            self.page.keyboard.press("Enter")
        else:
            found.click()

    def unfold(self, text: str) -> None:
        found = self.page.locator("summary", has_text=text)
        if self._by_keyboard:
            self.reach(found)
            self.page.keyboard.press("Enter")
        else:
            found.click()

    def fill(self, label: str, text: str) -> None:
        found = self.page.get_by_label(label).locator("visible=true").first
        if self._by_keyboard:
            self.reach(found)
            self.page.keyboard.press("Control+A")
            self.page.keyboard.type(text)
        else:
            found.fill(text)

    def choose(self, label: str, option: str) -> None:
        found = self.page.get_by_label(label, exact=True).locator("visible=true").first
        if self._by_keyboard:
            self.reach(found)
            self.page.keyboard.type(option)
            assert found.input_value() == option
        else:
            found.select_option(option)

    def tick(self, label: str) -> None:
        found = self.page.get_by_label(label)
        if self._by_keyboard:
            self.reach(found)
            self.page.keyboard.press("Space")
        else:
            found.check()
        assert found.is_checked()

    def reads(self, text: str) -> None:
        self.page.get_by_text(text).first.wait_for()


def start_run(person: Person) -> None:
    person.look("home")
    person.press("link", "New run")
    person.fill("Folder of the images", "0/in")
    person.choose("Owner's key", "0/own.sign.key")
    person.fill("Name of the release", "release")
    person.tick("Every image needs an approval before it can be granted or sent")
    person.look("new-run")
    person.press("button", "Start")
    person.reads("review its images")
    person.look("run")


def open_review(person: Person) -> None:
    person.choose("Owner's key", "0/own.sign.key")
    person.press("button", "Open the review")
    person.reads("0 of 4 approved")
    person.page.wait_for_load_state("networkidle")
    person.look("review")
    person.page.locator("figure a").first.focus()
    person.page.keyboard.press("Enter")
    person.reads("Your decision")


def compare(person: Person) -> None:
    """Move the slider by its keys: the original comes out under the marked picture."""
    page = person.page
    cut = page.get_by_label("Marked, or to the right the original")
    person.reach(cut)
    for _ in range(50):
        page.keyboard.press("ArrowRight")
    assert cut.input_value() == "50"
    page.wait_for_load_state("networkidle")
    widths = page.evaluate("[...document.querySelectorAll('.viewer img')].map(i => i.naturalWidth)")
    assert all(width > 0 for width in widths)
    person.look("review-image")


def decide(person: Person) -> None:
    person.press("button", "Approve")
    person.reads("image 2 of 4")
    person.fill("Reason for rejecting it", "the disc cannot be seen")
    person.press("button", "Reject")
    person.reads("image 3 of 4")
    person.press("link", "all images")
    person.unfold("Approve all of these")
    person.tick("I have looked at these images")
    person.press("button", "Approve all")
    person.reads("3 of 4 approved")
    person.press("link", "rejected")
    person.page.locator("figure a").first.focus()
    person.page.keyboard.press("Enter")
    person.reads("the disc cannot be seen")
    person.press("button", "Approve")


def give(person: Person) -> None:
    person.press("link", "Grants")
    person.fill("Release", "0/release")
    person.choose("Owner's key", "0/own.sign.key")
    person.choose("Who receives it", "0/alice.age.pub")
    person.fill("Name of the grant", "for-alice")
    person.press("button", "Give")
    person.reads("the whole release")
    person.look("grants")


def verify(person: Person) -> None:
    person.press("link", "Verify")
    person.fill("Release", "0/release")
    person.choose("The owner's public key", "0/own.sign.pub")
    person.press("button", "Verify")
    person.reads("4 of 4 images are as signed")
    person.look("verify")


def restore(person: Person) -> None:
    person.press("link", "Restore")
    person.fill("Release", "0/release")
    person.choose("The owner's public key", "0/own.sign.pub")
    person.choose("Your private key", "0/alice.age.key")
    person.choose("Grant", "0/for-alice")
    person.fill("Name", "back")
    person.look("restore")
    person.press("button", "Restore")
    person.reads("restored 4 images")
    person.look("restored")


def test_from_the_first_page_to_a_restored_original(person: Person, address: str, study: Path) -> None:
    person.page.goto(address)
    assert "token" not in person.page.url
    start_run(person)
    person.press("link", "review its images")
    open_review(person)
    compare(person)
    decide(person)
    give(person)
    verify(person)
    restore(person)
    for path in (study / "in").iterdir():
        with Pillow.open(path) as first, Pillow.open(study / "back" / path.name) as again:
            np.testing.assert_array_equal(np.asarray(first), np.asarray(again))
    assert person.said == []


def test_a_region_is_drawn_by_hand(person: Person, address: str, study: Path) -> None:
    options = ("--owner", "own", "--out", "rel", "--needs-review")
    assert medlocker("protect", "in", *options, cwd=study).code == 0
    page = person.page
    page.goto(f"{address}&at=0/rel")
    person.press("link", "Review")
    person.choose("Owner's key", "0/own.sign.key")
    person.press("button", "Open the review")
    page.locator("figure a").first.click()
    person.unfold("Another mark")
    page.wait_for_load_state("networkidle")
    picture = page.locator(".viewer .after")
    picture.scroll_into_view_if_needed()
    place, width = picture.bounding_box(), int(page.locator(".viewer").get_attribute("data-width"))
    top = max(place["y"], 0)
    page.mouse.move(place["x"] + place["width"] * 0.25, top + 20)
    page.mouse.down()
    page.mouse.move(place["x"] + place["width"] * 0.5, top + 60)
    page.mouse.up()
    drawn = page.get_by_label("More regions to keep free").input_value()
    x, _, wide, _ = map(int, drawn.split(","))
    assert abs(x - width / 4) <= 0.02 * width
    assert abs(wide - width / 4) <= 0.02 * width
    person.press("button", "Ask for another mark")
    person.press("link", "all images")
    person.reads("1 to be marked again")
    assert person.said == []
