"""How long a review takes to open, its pages and its pictures to come, with more and more images.

    python benchmarks/review.py [COUNT ...] [--folder DIR]

Images are synthetic, 64 px, veiled without a ledger. The server is the real command, asked over a real
socket; times are also given in the time that reading and shrinking one marked picture takes in the same run.
With --folder the releases are kept there, and made only once.
"""

from __future__ import annotations

import argparse
import io
import multiprocessing
import re
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import httpx
import numpy as np
from PIL import Image as Pillow

from _tables import table
from medlocker.certificates import new_owner
from medlocker.formats import read_image
from medlocker.images import viewed
from medlocker.pages import shrunk

SIDE_PX = 64
LISTED_PX, SHOWN_PX = 240, 1280
ROUNDS = 24
MEDLOCKER = (sys.executable, "-m", "medlocker")


def write_images(folder: Path, count: int) -> None:
    """Write smooth pictures with a little noise, no two alike."""
    folder.mkdir()
    y, x = np.mgrid[:SIDE_PX, :SIDE_PX]
    for number in range(count):
        rng = np.random.default_rng(number)
        waves = [
            np.sin(rng.uniform(0.03, 0.3) * x + rng.uniform(0.03, 0.3) * y + number + c) for c in range(3)
        ]
        colors = 110 + 60 * np.stack(waves, axis=-1) + rng.normal(0, 6, (SIDE_PX, SIDE_PX, 3))
        Pillow.fromarray(np.clip(colors, 0, 255).astype(np.uint8)).save(folder / f"{number:06d}.png")


def release_of(folder: Path, count: int) -> Path:
    """Return a release of so many images, made if it is not there; nobody has looked at it."""
    release, source = folder / f"rel{count}", folder / f"in{count}"
    if not (folder / "own.sign.key").exists():
        new_owner(folder / "own")
    if not source.exists():
        write_images(source, count)
    words = ["protect", str(source), "--out", str(release), "--owner", str(folder / "own")]
    if not (release / "certificate").exists():
        subprocess.run(
            [*MEDLOCKER, *words, "--lesions", "none", "--no-ledger"],
            check=True,
            capture_output=True,
        )
    shutil.rmtree(folder / f"{release.name}.review", ignore_errors=True)
    return release


def opening(release: Path, owner: Path) -> tuple[float, float]:
    """Return seconds, and by how many MB the process grew at its peak."""
    from medlocker.api.review import review

    before, started = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.perf_counter()
    found = review(release, owner=owner)
    spent = time.perf_counter() - started
    if len(found.items) != found.release.statement.images:
        raise SystemExit("expected every image of the release")
    return spent, (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024


def opened_alone(release: Path, owner: Path) -> tuple[float, float]:
    """Open a review in a process of its own."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        return pool.submit(opening, release, owner).result()


def reading(release: Path) -> float:
    """Return the median seconds of reading one marked picture and shrinking it as the list shows it."""
    spent = []
    for path in sorted((release / "images").iterdir())[:ROUNDS]:
        started = time.perf_counter()
        colors = viewed(read_image(path.read_bytes(), name=path.name)).astype(np.uint8)
        shrunk(colors, side_px=LISTED_PX).save(io.BytesIO(), "JPEG", quality=90)
        spent.append(time.perf_counter() - started)
    return median(spent)


@contextmanager
def served(root: Path) -> Iterator[tuple[httpx.Client, Callable[[], float]]]:
    """Start the server; give a browser that has opened its address, and the server's peak of memory, MB."""
    words = [*MEDLOCKER, "serve", "--root", str(root), "--no-browser"]
    process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)

    def peak_mb() -> float:
        status = Path(f"/proc/{process.pid}/status").read_text("ascii")
        return int(re.findall(r"VmHWM:\s+(\d+)", status)[0]) / 1024

    if process.stdout is None:
        raise SystemExit("expected the server's output")
    try:
        address = httpx.URL(process.stdout.readline().strip())
        origin = str(address.copy_with(path="/", query=None)).rstrip("/")
        with httpx.Client(
            base_url=origin, headers={"origin": origin}, follow_redirects=True, timeout=600
        ) as browser:
            browser.get(address).raise_for_status()
            yield browser, peak_mb
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(60)
        process.stdout.close()


@dataclass
class Person:
    """Somebody who reviews a release in a browser, with a watch."""

    browser: httpx.Client
    at: str

    def __post_init__(self) -> None:
        page = self.browser.get("/review", params={"at": self.at}).text
        self._token = re.findall(r'name="form_token" value="([^"]+)"', page)[0]

    def get(self, path: str, **values: Any) -> tuple[float, httpx.Response]:
        """Return how many seconds a page took, and the page."""
        return self._timed(lambda: self.browser.get(path, params={"at": self.at, **values}))

    def post(self, path: str, **values: Any) -> tuple[float, httpx.Response]:
        """Send a form, and wait for the page that comes then."""
        fields = {"form_token": self._token, "at": self.at, **values}
        return self._timed(lambda: self.browser.post(path, data=fields))

    def often(self, path: str, each: Sequence[dict[str, Any]]) -> float:
        """Return the median seconds of some pages."""
        return median(self.get(path, **values)[0] for values in each)

    @staticmethod
    def _timed(ask: Callable[[], httpx.Response]) -> tuple[float, httpx.Response]:
        started = time.perf_counter()
        answer = ask()
        spent = time.perf_counter() - started
        answer.raise_for_status()
        return spent, answer


def visited(person: Person, count: int) -> dict[str, float]:
    """Return the seconds of everything that somebody does on the pages of a review."""
    spent: dict[str, float] = {}
    spent["serve: from the owner's key to the list"], page = person.post(
        "/review/open", owner="0/own.sign.key"
    )
    shown = [int(index) for index in re.findall(r"/review/picture\?[^\"]*index=(\d+)", page.text)]
    first, *others = [{"index": index, "side": LISTED_PX} for index in shown]
    spent["serve: first picture of the list"] = person.get("/review/picture", **first)[0]
    spent["serve: another picture of the list"] = person.often("/review/picture", others)
    spent["serve: page of grants, with all keys below the root"] = person.often("/grants", 5 * [{}])
    pages = [{"page": number * (count // 24) // ROUNDS} for number in range(ROUNDS)]
    spent["serve: another page of the list"] = person.often("/review", pages)
    ones = [{"index": number * count // ROUNDS} for number in range(ROUNDS)]
    spent["serve: page of one image"] = person.often("/review/image", ones)
    both = [
        {**one, "side": SHOWN_PX, "version": version} for one in ones for version in ("original", "marked")
    ]
    spent["serve: one of its two pictures, behind it"] = person.often("/review/picture", both)
    decided = [
        person.post("/review/decide", verdict="approved", index=one["index"], which="not decided")[0]
        for one in ones
    ]
    spent["serve: approve one, and see the next"] = median(decided)
    spent["serve: approve all the others"] = person.post(
        "/review/decide", verdict="approved", which="not decided", sure="1"
    )[0]
    spent["serve: a page of the list, all approved"] = person.often("/review", pages)
    return spent


def measure(folder: Path, count: int) -> tuple[dict[str, float], dict[str, float]]:
    """Return seconds and megabytes."""
    release, owner = release_of(folder, count), folder / "own"
    unit = reading(release)
    first, first_mb = opened_alone(release, owner)
    again, again_mb = opened_alone(release, owner)
    seconds = {"read and shrink one picture": unit, "open, the first time": first, "open again": again}
    with served(folder) as (browser, peak_mb):
        before = peak_mb()
        seconds |= visited(Person(browser, f"0/{release.name}"), count)
        megabytes = {
            "open, the first time": first_mb,
            "open again": again_mb,
            "serve: before a review": before,
            "serve: after all of that": peak_mb(),
        }
    seconds["open again, all approved"], megabytes["open again, all approved"] = opened_alone(release, owner)
    return seconds, megabytes


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("counts", metavar="COUNT", nargs="*", type=int, default=[1000, 10_000])
    parser.add_argument("--folder", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.folder or Path(temporary)
        folder.mkdir(exist_ok=True)
        found = [measure(folder, count) for count in options.counts]
    units = [seconds["read and shrink one picture"] for seconds, _ in found]
    rows = [
        [
            what,
            *(
                f"{1e3 * s[what]:,.1f} ({s[what] / unit:,.1f})"
                for (s, _), unit in zip(found, units, strict=True)
            ),
        ]
        for what in found[0][0]
    ]
    print(
        table(["ms (in pictures read and shrunk)", *(f"{count:,} images" for count in options.counts)], rows)
    )
    rows = [[what, *(f"{mb[what]:.0f}" for _, mb in found)] for what in found[0][1]]
    print("\n" + table(["memory, MB at the peak", *(f"{count:,} images" for count in options.counts)], rows))


if __name__ == "__main__":
    main()
