"""Pictures found in the wild, and the marked image that they were made of."""

from __future__ import annotations

import base64
import json
import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

import medlocker as ml
from medlocker.certificates import (
    Ledger,
    check_statement,
    ledger_path,
    load_owner,
    load_verify_key,
    new_owner,
)
from medlocker.demo import builtin_model, write_samples
from medlocker.tracing import Fingerprint, compare, fingerprint_of, query_of
from runs import Answer, called

Picture = NDArray[np.uint8]


SIDE = 384
"""Pixels of the photographs."""


class Study:
    """A release of synthetic photographs, and what was made of its sixth image."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.samples = write_samples(folder / "made", count=8, width=SIDE, height=SIDE)
        new_owner(folder / "own")
        options: Any = {"owner": folder / "own", "out": folder / "rel", "lesions": "none", "seed": 1}
        done = ml.protect(self.samples.images, **options)
        self.release, self.name = done.release, sorted(self.samples.images.iterdir())[5].name
        self.marked: Picture = np.asarray(cv2.imread(str(self.release / "images" / self.name)), np.uint8)

    def found(self, picture: Picture, ending: str = ".png", **options: Any) -> ml.Origin:
        path = self.folder / f"found{ending}"
        cv2.imwrite(str(path), picture)
        return ml.whose(path, **{"release": self.release, "owner": self.folder / "own", **options})

    def __call__(self, *arguments: object) -> Answer:
        return called("whose", *arguments, cwd=self.folder)


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Study:
    return Study(tmp_path_factory.mktemp("study"))


def _jpeg(picture: Picture, quality: int) -> Picture:
    return np.asarray(cv2.imdecode(cv2.imencode(".jpg", picture, [1, quality])[1], 1), np.uint8)


def _resized(picture: Picture, share: float) -> Picture:
    return np.asarray(cv2.resize(picture, None, fx=share, fy=share, interpolation=cv2.INTER_AREA), np.uint8)


def _turned(picture: Picture) -> Picture:
    height, width = picture.shape[:2]
    turn = cv2.getRotationMatrix2D((width / 2, height / 2), 3, 1)
    return np.asarray(cv2.warpAffine(picture, turn, (width, height)), np.uint8)


def _on_a_desktop(picture: Picture) -> Picture:
    screen = np.full((600, 800, 3), 235, np.uint8)
    cv2.putText(screen, "viewer", (20, 40), 0, 1, (40, 40, 40), 2)
    small = _resized(picture, 0.8)
    screen[100 : 100 + small.shape[0], 200 : 200 + small.shape[1]] = small
    return screen


def _bright(picture: Picture) -> Picture:
    return np.asarray(255 * (picture / 255.0) ** 0.6, np.uint8)


CHANGES: dict[str, Callable[[Picture], Picture]] = {
    "nothing": lambda picture: picture,
    "cropped": lambda picture: picture[45:315, 60:330],
    "compressed": lambda picture: _jpeg(picture, 30),
    "smaller": lambda picture: _resized(picture, 0.4),
    "larger": lambda picture: cv2.resize(picture, None, fx=2, fy=2),  # type: ignore[dict-item, return-value]
    "turned": _turned,
    "mirrored": lambda picture: picture[:, ::-1],
    "grey": lambda picture: np.repeat(picture.mean(2, keepdims=True).astype(np.uint8), 3, axis=2),
    "brighter": _bright,
    "a screenshot": _on_a_desktop,
    "three at once": lambda picture: _jpeg(_resized(picture[45:345, 30:345], 0.7), 50),
}


@pytest.mark.parametrize("change", CHANGES)
def test_what_was_made_of_a_marked_image_is_found(study: Study, change: str) -> None:
    origin = study.found(CHANGES[change](study.marked))
    assert origin.found
    assert origin.traced is not None
    assert origin.traced.candidate.name == study.name
    assert origin.traced.likeness.query.mirrored == (change == "mirrored")
    assert origin.evidence is not None
    assert origin.evidence.is_certain
    assert (origin.evidence.seen > 0.9) == (change not in ("cropped", "three at once"))


@pytest.mark.parametrize("change", ["nothing", "compressed", "larger", "brighter"])
def test_the_unmarked_original_does_not_carry_the_mark(study: Study, change: str) -> None:
    original = np.asarray(cv2.imread(str(study.samples.images / study.name)), np.uint8)
    origin = study.found(CHANGES[change](original))
    assert origin.evidence is None or not origin.evidence.is_certain


@pytest.mark.parametrize("what", ["noise", "flat", "another eye", "text"])
def test_other_pictures_are_not_found(study: Study, tmp_path: Path, what: str) -> None:
    rng = np.random.default_rng(3)
    pictures: dict[str, Callable[[], Picture]] = {
        "noise": lambda: rng.integers(0, 256, (300, 300, 3)).astype(np.uint8),
        "flat": lambda: np.full((300, 300, 3), 90, np.uint8),
        "text": lambda: _on_a_desktop(np.full((300, 300, 3), 255, np.uint8)),
    }
    if what == "another eye":
        other = write_samples(tmp_path / "other", count=1, seed=99, width=SIDE, height=SIDE)
        picture = np.asarray(cv2.imread(str(next(other.images.iterdir()))), np.uint8)
    else:
        picture = pictures[what]()
    origin = study.found(picture)
    assert not origin.found
    assert origin.evidence is None
    assert origin.facts["image"] is None


class AlikeLogos:
    """A release of four photographs whose large logos look alike, and another one with the same logo."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        made = write_samples(folder / "made", count=4, seed=4, width=SIDE, height=SIDE)
        other = write_samples(folder / "other", count=1, seed=77, width=SIDE, height=SIDE)
        self.originals = sorted(made.images.iterdir())
        new_owner(folder / "own")
        style = ml.Marks(preset="paper", search="random", budget=1, opacity=(0.9, 0.9), size=0.5)
        options: Any = {"models": builtin_model(), "lesions": "none", "preset": style, "ledger": False}
        options["owner"] = folder / "own"
        done = ml.protect(made.images, out=folder / "rel", seed=1, **options)
        foreign = ml.protect(other.images, out=folder / "foreign", seed=2, **options)
        self.marked = sorted((done.release / "images").iterdir())
        self.foreign = next((foreign.release / "images").iterdir())

    def found(self, picture: Path, owner: str = "own") -> ml.Origin:
        return ml.whose(picture, release=self.folder / "rel", owner=self.folder / owner)

    def printed(self, picture: Path) -> Path:
        """Return a halftone print of a picture."""
        grey = np.asarray(cv2.imread(str(picture)), np.uint8).mean(axis=2)
        y, x = np.mgrid[: grey.shape[0], : grey.shape[1]]
        screen = (np.sin(1.1 * x + 0.6 * y) + np.sin(1.1 * y - 0.6 * x)) / 4 + 0.5
        dots = cv2.GaussianBlur(np.where(grey / 255 > screen, 255, 0).astype(np.uint8), (0, 0), 1.2)
        path = self.folder / "print.png"
        cv2.imwrite(str(path), np.repeat(dots[..., None], 3, axis=2))
        return path


@pytest.fixture(scope="module")
def alike(tmp_path_factory: pytest.TempPathFactory) -> AlikeLogos:
    return AlikeLogos(tmp_path_factory.mktemp("alike"))


@pytest.mark.parametrize("is_printed", [False, True])
def test_pictures_that_only_have_the_same_logo_are_not_found(alike: AlikeLogos, is_printed: bool) -> None:
    picture = alike.printed(alike.foreign) if is_printed else alike.foreign
    for owner in ("own", "own.sign.pub"):
        origin = alike.found(picture, owner)
        assert not origin.found, origin.facts
    assert alike.found(alike.marked[0]).facts["found_by"] == "points"


def test_the_sealed_mark_tells_whose_print_it_is_where_points_do_not(alike: AlikeLogos) -> None:
    told = {}
    for index in (2, 3):
        found = alike.printed(alike.marked[index])
        facts = alike.found(found).facts
        assert (facts["found"], facts["index"]) == (True, index)
        assert facts["mark"]["certain"]
        told[index] = facts["found_by"]
        assert alike.found(found, "own.sign.pub").found == (told[index] == "points")
    assert told[3] == "mark"
    names = ("print.png", "--release", "rel", "--owner", "own", "--page", "p.html")
    answer = called("whose", *names, cwd=alike.folder)
    assert answer.code == 0
    assert "found by the mark: points alone do not tell the image" in answer.out
    assert "sealed marks of the likeliest decided" in (alike.folder / "p.html").read_text("utf-8")


def test_a_print_of_the_unmarked_original_is_not_found_by_its_mark(alike: AlikeLogos) -> None:
    origin = alike.found(alike.printed(alike.originals[3]))
    assert origin.facts["found_by"] != "mark"
    assert origin.evidence is None or not origin.evidence.is_certain


def test_the_ledger_alone_is_enough_once_it_remembers(study: Study) -> None:
    assert study.found(study.marked).found
    ledger = study.folder / "own.ledger.sqlite"
    origin = ml.whose(study.folder / "found.png", ledger=ledger)
    assert origin.found
    assert origin.traced is not None
    assert origin.traced.candidate.name == study.name
    assert origin.looked_at == 8
    # what it remembers is sealed
    with sqlite3.connect(ledger) as base:
        data = b"".join(bytes(row[0]) for row in base.execute("SELECT data FROM trace"))
    base.close()
    assert study.name.encode() not in data
    assert b"release" not in data


def test_a_changed_memory_is_refused(study: Study, tmp_path: Path) -> None:
    assert study.found(study.marked).found
    new_owner(tmp_path / "other")
    keys = load_owner(tmp_path / "other")
    with Ledger(ledger_path(keys.paths), keys.signing) as ledger:
        ledger.traces.keep("a", b"{}\n")
        with pytest.raises(ml.errors.MalformedError, match=r"^ledger: expected what is remembered"):
            ml.whose(study.folder / "found.png", ledger=ledger_path(keys.paths))
    with sqlite3.connect(ledger_path(keys.paths)) as base:
        base.execute("UPDATE trace SET data = x'00112233445566778899aabbccddeeff'")
    base.close()
    with pytest.raises(ml.errors.MalformedError, match="it was changed"):
        ml.whose(study.folder / "found.png", ledger=ledger_path(keys.paths))


def test_the_command_and_its_statement(study: Study) -> None:
    cv2.imwrite(str(study.folder / "crop.jpg"), study.marked[45:315, 60:330])
    outputs = ("--page", "p.html", "--statement", "o.dsse.json", "--json")
    answer = study("crop.jpg", "--release", "rel", "--owner", "own", *outputs)
    assert (answer.code, answer.json["image"]) == (0, study.name)
    page = (study.folder / "p.html").read_text("utf-8")
    assert page.count("<img") == 2
    assert "sealed mark is in it" in page
    data = (study.folder / "o.dsse.json").read_bytes()
    key = load_verify_key(study.folder / "own.sign.pub")
    predicate, subjects = check_statement(data, "urn:medlocker:origin:v1", owner=key, what="o")
    assert predicate["image"] == study.name
    assert set(subjects) == {"picture"}
    assert "original" not in base64.b64decode(json.loads(data)["payload"]).decode()
    check = ("--check", "o.dsse.json", "--owner", "own.sign.pub")
    told = study("crop.jpg", *check)
    assert told.code == 0
    assert study.name in told.out
    cv2.imwrite(str(study.folder / "other.png"), study.marked)
    other = study("other.png", *check)
    assert (other.code, "it is about another picture" in other.err) == (3, True)
    public = study("crop.jpg", "--release", "rel", "--owner", "own.sign.pub")
    assert public.code == 0
    assert f"found: image 5, {study.name}" in public.out


@pytest.mark.parametrize(
    ("options", "code", "message"),
    [
        (("crop.png",), 2, "expected --release or --ledger to look in"),
        (
            ("crop.png", "--release", "rel"),
            2,
            "rel: expected --owner: only what the owner signed is looked in",
        ),
        (("crop.png", "--ledger", "rel"), 2, "rel: expected a ledger NAME.ledger.sqlite"),
        (
            ("tiny.png", "--release", "rel", "--owner", "own"),
            2,
            "expected a picture of at least 32 pixels a side",
        ),
        (("own.sign.pub", "--release", "rel", "--owner", "own"), 2, "own.sign.pub"),
        (("flat.png", "--release", "rel", "--owner", "own"), 1, ""),
        (
            ("crop.png", "--release", "rel", "--owner", "own.sign.pub", "--statement", "x"),
            2,
            "--statement requires --owner NAME, with the private key",
        ),
    ],
)
def test_what_cannot_be_traced(study: Study, options: tuple[str, ...], code: int, message: str) -> None:
    cv2.imwrite(str(study.folder / "crop.png"), study.marked)
    cv2.imwrite(str(study.folder / "tiny.png"), study.marked[:20, :20])
    cv2.imwrite(str(study.folder / "flat.png"), np.full((300, 300, 3), 90, np.uint8))
    answer = study(*options)
    assert answer.code == code
    assert message in answer.err


def test_files_that_were_changed_are_passed_over(study: Study, tmp_path: Path) -> None:
    shutil.copytree(study.release, tmp_path / "rel")
    path = tmp_path / "rel" / "images" / study.name
    path.write_bytes(path.read_bytes() + b"x")
    cv2.imwrite(str(tmp_path / "f.png"), study.marked)
    # with keys alone: the ledger beside the study's may remember the picture by now
    for key in study.folder.glob("own.*.*"):
        if key.suffix in (".key", ".pub"):
            shutil.copy(key, tmp_path)
    answer = called("whose", "f.png", "--release", "rel", "--owner", "own", cwd=tmp_path)
    assert answer.code == 1
    assert f"passed over: {study.name}: the marked file is not the signed one" in answer.err


def test_verify_names_the_image_that_a_file_was_made_of(study: Study) -> None:
    cv2.imwrite(str(study.folder / "copy.jpg"), study.marked)
    options = ("--release", "rel", "--owner", "own.sign.pub")
    changed = called("verify", "copy.jpg", *options, cwd=study.folder)
    assert changed.code == 3
    assert f"copy.jpg: made of image 5 of this release, {study.name}, and changed since" in changed.err
    cv2.imwrite(str(study.folder / "flat.png"), np.full((300, 300, 3), 90, np.uint8))
    for name in ("flat.png", "own.sign.pub"):
        foreign = called("verify", name, *options, cwd=study.folder)
        assert foreign.code == 3
        assert "the file is not one of this release" in foreign.err


def test_a_fingerprint_is_20_bytes_a_point(study: Study) -> None:
    known = fingerprint_of(study.marked[..., ::-1])
    data = known.to_bytes()
    assert len(data) == 20 * len(known.points) <= 2000
    again = Fingerprint.from_bytes(data)
    np.testing.assert_array_equal(again.bits, known.bits)
    np.testing.assert_allclose(again.points, known.points, atol=1 / 64)
    assert compare(query_of(study.marked[..., ::-1]), again).matches > 50
    with pytest.raises(ml.errors.InputError, match=r"^fingerprint: expected 20 bytes for each point$"):
        Fingerprint.from_bytes(data[:-1])
