"""How surely `medlocker whose` finds the marked image that a picture was made of, and nothing else.

    MEDLOCKER_DATA=... python benchmarks/tracing.py [--marked 200] [--asked 60] [--foreign 2000]
        [--preset veil ...] [--only halftone ...] [--marks] [--first 0]

Photographs are marked and their fingerprints taken. Every asked image is changed in each way and looked for
among all; then foreign pictures are: photographs that were never marked, of eyes and of skin, whole and cut.
With --marks the sealed marks decide where points do not tell, as with the owner's keys; then each asked image
is also looked for among all the others, as if it were not known, and the unmarked originals are asked for.
Screenshots are those of a real browser (Debian's chromium). How long it takes among very many known pictures:
benchmarks/tracing_scale.py.
"""

from __future__ import annotations

import argparse
import base64
import io
import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image as Pillow
from playwright.sync_api import sync_playwright

import medlocker as ml
from _idrid import data_folder
from _tables import share, table
from medlocker.formats import read_image
from medlocker.images import viewed
from medlocker.testing import LinearClassifier
from medlocker.tracing import (
    Candidate,
    Decision,
    Fingerprint,
    Likeness,
    Look,
    decided,
    fingerprint_of,
    mark_evidence,
    query_of,
    trace,
)

Picture = NDArray[np.uint8]
Queries = Sequence[Fingerprint]
Change = Callable[[Picture, np.random.Generator], Picture]
_SIDE_PX = 700


def _scaled(picture: Picture, factor: float) -> Picture:
    way = cv2.INTER_AREA if factor < 1 else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(picture, None, fx=factor, fy=factor, interpolation=way), np.uint8)


def _half(picture: Picture, rng: np.random.Generator) -> Picture:
    height, width = (round(side * 0.5**0.5) for side in picture.shape[:2])
    y, x = rng.integers(0, picture.shape[0] - height), rng.integers(0, picture.shape[1] - width)
    return picture[y : y + height, x : x + width]


def _jpeg(picture: Picture, quality: int) -> Picture:
    return np.asarray(cv2.imdecode(cv2.imencode(".jpg", picture, [1, quality])[1], 1), np.uint8)


def _turned(picture: Picture, rng: np.random.Generator) -> Picture:
    height, width = picture.shape[:2]
    turn = cv2.getRotationMatrix2D((width / 2, height / 2), float(rng.choice([-3, 3])), 1)
    return np.asarray(cv2.warpAffine(picture, turn, (width, height)), np.uint8)


def _gamma(picture: Picture) -> Picture:
    return np.asarray(255 * (picture / 255.0) ** 1.6, np.uint8)


class Screen:
    """A real browser that shows a picture at four fifths of its size, with other things around it."""

    def __init__(self, browser: Any) -> None:
        self._page = browser.new_page(viewport={"width": 1600, "height": 1000})

    def __call__(self, picture: Picture) -> Picture:
        """Return what the screen shows, (1000, 1600, 3)."""
        data = base64.b64encode(cv2.imencode(".png", picture[..., ::-1])[1].tobytes()).decode("ascii")
        self._page.set_content(
            "<body style='background:#ddd'><h1>Case 12</h1><p>Image viewer: file, edit, view</p>"
            f"<img style='margin-left:200px;zoom:0.8' src='data:image/png;base64,{data}'><p>1 of 40</p>"
        )
        self._page.wait_for_function("document.images[0].complete")
        return np.asarray(Pillow.open(io.BytesIO(self._page.screenshot())).convert("RGB"))


@contextmanager
def screen() -> Iterator[Screen]:
    """Start a browser."""
    program = next(filter(None, map(shutil.which, ("chromium", "google-chrome"))), None)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox", "--disable-gpu"])
        yield Screen(browser)
        browser.close()


def _halftone(picture: Picture) -> Picture:
    grey = picture.mean(axis=2)
    y, x = np.mgrid[: grey.shape[0], : grey.shape[1]]
    screen = (np.sin(1.1 * x + 0.6 * y) + np.sin(1.1 * y - 0.6 * x)) / 4 + 0.5
    dots = np.where(grey / 255 > screen, 255, 0).astype(np.uint8)
    return np.repeat(cv2.GaussianBlur(dots, (0, 0), 1.2)[..., None], 3, axis=2)


def _grey(picture: Picture) -> Picture:
    return np.repeat(picture.mean(axis=2).astype(np.uint8)[..., None], 3, axis=2)


def changes(shown: Screen) -> dict[str, Change]:
    """Return what is done to the pictures."""
    return {
        "none": lambda picture, rng: picture,
        "crop to 50 %": _half,
        "JPEG 30": lambda picture, rng: _jpeg(picture, 30),
        "resized 0.25": lambda picture, rng: _scaled(picture, 0.25),
        "resized 2": lambda picture, rng: _scaled(picture, 2),
        "turned by 3 degrees": _turned,
        "mirrored": lambda picture, rng: picture[:, ::-1],
        "grey": lambda picture, rng: _grey(picture),
        "gamma 1.6": lambda picture, rng: _gamma(picture),
        "screenshot": lambda picture, rng: shown(picture),
        "halftone": lambda picture, rng: _halftone(picture),
        "half the size, crop, JPEG 30": lambda picture, rng: _jpeg(_half(_scaled(picture, 0.5), rng), 30),
        "crop, turned, gamma": lambda picture, rng: _gamma(_turned(_half(picture, rng), rng)),
        "screenshot, mirrored, JPEG 50": lambda picture, rng: _jpeg(shown(picture)[:, ::-1], 50),
    }


def photographs(folder: str) -> Iterator[Picture]:
    """Yield the photographs of a data set, the shorter side at most 700 px."""
    for path in sorted((data_folder() / folder / "images").iterdir()):
        colors = np.asarray(viewed(read_image(path.read_bytes(), name=path.name)), np.uint8)
        yield _scaled(colors, min(_SIDE_PX / min(colors.shape[:2]), 1))


def marked_by(preset: str, picture: Picture, seed: int) -> Picture:
    """Mark a picture; single marks lie at random, where a search would put them by a model."""
    style: Any = ml.Veil() if preset == "veil" else ml.Marks(preset=preset, search="random", budget=1)  # type: ignore[arg-type]
    model = None if preset == "veil" else LinearClassifier(size=24)
    return np.asarray(style(model, picture, keep_out=[], seed=seed).apply(picture), np.uint8)


@dataclass
class Marked:
    """Photographs marked in one way: what is known of all, and some of them to ask for."""

    preset: str
    known: list[Candidate] = field(default_factory=list)
    asked: list[tuple[int, Picture]] = field(default_factory=list)
    files: list[tuple[bytes, bytes]] = field(default_factory=list)
    """Original and marked picture of each, if marks are to be looked at."""

    def made_of(self, picture: Picture, queries: Queries, *, without: int | None = None) -> Decision | None:
        """Tell what `medlocker whose` says with the owner's keys, or without them where no files are kept."""
        traced = trace(queries, [one for one in self.known if one.index != without])

        def look(candidate: Candidate, likeness: Likeness) -> Look | None:
            if not self.files:
                return None
            original, marked = (_opened(data) for data in self.files[candidate.index])
            return Look(mark_evidence(picture, original, marked, likeness), marked)

        return None if traced is None else decided(traced, look, sealed=bool(self.files))


def _packed(picture: Picture) -> bytes:
    return bytes(cv2.imencode(".png", picture)[1])


def _opened(data: bytes) -> Picture:
    return np.asarray(cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR), np.uint8)


def changed(marked: Marked, ways: Mapping[str, Change], *, only: Sequence[str]) -> None:
    """Print how many are found after each change."""
    title = f"{marked.preset}, {len(marked.asked)} of {len(marked.known)} marked photographs"
    columns = [title, "found", "of these by the mark", "another named", "another named if it is not known"]
    print(table([*columns, "fewest points", "most of another image", "s"], []))
    for name in only or ways:
        right, by_mark, wrong, alone, least, other = 0, 0, 0, 0, 10**6, 0
        started = time.process_time()
        for number, picture in marked.asked:
            found = ways[name](picture, np.random.default_rng(number))
            queries = query_of(found)
            made = marked.made_of(found, queries)
            if made is None:
                continue
            matches, is_it = made.traced.likeness.matches, made.traced.candidate.index == number
            right += made.found and is_it
            by_mark += made.found and is_it and made.next_deviations is not None
            wrong += made.found and not is_it
            least = min(least, matches if is_it else 0)
            other = max(other, made.traced.second if is_it else matches)
            if marked.files:
                rest = marked.made_of(found, queries, without=number)
                alone += rest is not None and rest.found
        each = (time.process_time() - started) / len(marked.asked)
        print(
            f"| {name} | {share(right, len(marked.asked))} | {by_mark} | {wrong} "
            f"| {alone if marked.files else ''} | {least} | {other} | {each:.2f} |",
            flush=True,
        )
    print(flush=True)


def originals(marked: Marked, ways: Mapping[str, Change], *, only: Sequence[str]) -> None:
    """Print how often the unmarked original of an asked image is said to carry a mark."""
    print(
        table([f"{marked.preset}, {len(marked.asked)} unmarked originals", "found", "said to be marked"], [])
    )
    for name in only or ways:
        found, certain = 0, 0
        for number, _ in marked.asked:
            original = _opened(marked.files[number][0])
            picture = ways[name](original, np.random.default_rng(number))
            made = marked.made_of(picture, query_of(picture))
            found += made is not None and made.found
            evidence = None if made is None or made.look is None else made.look.evidence
            certain += evidence is not None and evidence.is_certain
        asked = len(marked.asked)
        print(f"| {name} | {share(found, asked)} | {share(certain, asked)} |", flush=True)
    print(flush=True)


def foreign_ones(pictures: Sequence[Picture], every: Sequence[Marked], *, count: int) -> None:
    """Print how many foreign pictures are found wrongly."""
    rng = np.random.default_rng(0)
    wrong, most = ({marked.preset: 0 for marked in every} for _ in range(2))
    for number in range(count):
        picture = pictures[number % len(pictures)]
        picture = picture if number < len(pictures) else _half(picture, rng)
        queries = query_of(picture)
        for marked in every:
            made = marked.made_of(picture, queries)
            wrong[marked.preset] += made is not None and made.found
            matches = 0 if made is None else made.traced.likeness.matches
            most[marked.preset] = max(most[marked.preset], matches)
    rows = [[name, share(wrong[name], count), str(most[name])] for name in wrong]
    print(table([f"{count} foreign pictures", "found wrongly", "most points in common"], rows), flush=True)


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--marked", type=int, default=200)
    parser.add_argument("--asked", type=int, default=60)
    parser.add_argument("--foreign", type=int, default=2000)
    parser.add_argument("--preset", action="append", default=[], help="veil, strong, paper; default all")
    parser.add_argument("--only", action="append", default=[], help="only this change; nothing: none at all")
    parser.add_argument("--marks", action="store_true", help="let the sealed marks decide too")
    parser.add_argument("--first", type=int, default=0, help="first asked photograph; others follow evenly")
    options = parser.parse_args()
    cv2.setNumThreads(1)
    every = [Marked(preset) for preset in options.preset or ("veil", "strong", "paper")]
    foreign: list[Picture] = []
    for number, picture in enumerate(photographs("idrid")):
        if number >= options.marked:
            foreign.append(picture)
            continue
        for marked in every:
            painted = marked_by(marked.preset, picture, number)
            marked.known.append(Candidate("0" * 32, number, str(number), 0, fingerprint_of(painted)))
            if options.marks:
                marked.files.append((_packed(picture), _packed(painted)))
            each = max(options.marked // options.asked, 1)
            if len(marked.asked) < options.asked and number % each == options.first % each:
                marked.asked.append((number, painted))
    if options.only != ["nothing"]:
        with screen() as shown:
            for marked in every:
                changed(marked, changes(shown), only=options.only)
                if options.marks:
                    originals(marked, changes(shown), only=options.only)
    if options.foreign:
        foreign_ones([*foreign, *photographs("isic2017")], every, count=options.foreign)


if __name__ == "__main__":
    main()
