"""A review from the first look to a second mark, as commands and calls."""

from __future__ import annotations

import csv
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Pillow

import medlocker as ml
from medlocker.certificates import load_owner
from medlocker.review import Concern, MarkingFacts
from medlocker.review.pictures import load_pair
from readable import barriers
from runs import Answer, called, check_release, fill, tiny_model

OPTIONS = ("--lesions", "none", "--seed", 3)


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    return Shell(tmp_path)


class Shell:
    """Commands in one folder, of one owner."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        assert self("key", "new", "--out", "own").code == 0
        fill(folder / "in", 4)

    def __call__(self, *arguments: object) -> Answer:
        return called(*arguments, cwd=self.folder)

    def protect(self, out: str, *options: object) -> Answer:
        return self("protect", "in", "--owner", "own", "--out", out, *OPTIONS, *options)

    def review(self, *options: object, release: str = "rel") -> Answer:
        return self("review", release, "--owner", "own", *options)

    def grant(self, out: str, *options: object) -> Answer:
        return self("grant", "rel", "--owner", "own", "--to", "own.age.pub", "--out", out, *options)


def test_nothing_is_granted_that_nobody_approved(shell: Shell) -> None:
    assert shell.protect("rel", "--needs-review").code == 0
    refused = shell.grant("g")
    assert refused.code == 2
    assert "4 of 4 images are not approved (0 rejected, 0 to be marked again, 4 not decided)" in refused.err
    assert shell.review("--approve", "0[0-2].png").code == 0
    assert shell.review("--reject", "03.png", "--reason", "too dark").code == 0
    left = "1 of 4 images are not approved (1 rejected, 0 to be marked again, 0 not decided)"
    assert left in shell.grant("g").err
    assert not (shell.folder / "g").exists()
    assert shell.grant("g", "--images", "0[0-2].png").code == 0
    assert shell.review("--approve", "03.png").code == 0
    assert shell.grant("h").code == 0


def test_a_release_that_needs_no_review_is_granted(shell: Shell) -> None:
    assert shell.protect("rel").code == 0
    assert shell.grant("g").code == 0


def test_push_asks_too(shell: Shell) -> None:
    assert shell.protect("rel", "--needs-review").code == 0
    answer = shell("push", "rel", "dicomweb:http://127.0.0.1:9/dicom-web", "--owner", "own.sign.pub")
    assert answer.code == 2
    assert "4 of 4 images are not approved" in answer.err
    both = shell.protect("other", "--needs-review", "--push", "dicomweb:http://127.0.0.1:9/dicom-web")
    assert both.code == 2
    assert "--push cannot be used with --needs-review" in both.err


def test_another_mark_is_made_as_asked(shell: Shell) -> None:
    assert shell.protect("rel", "--needs-review").code == 0
    asked = shell.review("--another-mark", "02.png", "--opacity", 0.06, "--keep-out", "4,4,20,20", "--json")
    assert (asked.code, asked.json["another_mark"]) == (0, 1)
    # the first version is out for good, and its ledger lets nobody but this way mark the image again
    final = shell.review("--approve", "02.png")
    assert final.code == 2
    assert "this version stays out for good" in final.err
    assert shell.protect("no").code == 1
    (shell.folder / "boxes.csv").write_text(
        "image,region,x,y,width,height\n01.png,l,9,9,9,9\n02.png,l,9,9,9,9\n"
    )
    options = ("--owner", "own", "--out", "new", "--seed", 3, "--redo", "rel", "--regions", "boxes.csv")
    redone = shell("protect", "in", *options)
    assert redone.code == 0
    assert "which the input does not have" not in redone.err
    keys = load_owner(shell.folder / "own")
    marked = check_release(shell.folder / "in", shell.folder / "new", keys, shell.folder / "back")
    assert set(marked) == {"02.png"}
    before, after, again = (
        np.asarray(Pillow.open(shell.folder / name / "02.png"), np.int16)
        for name in ("in", "new/images", "rel/images")
    )
    assert (after[4:24, 4:24] == before[4:24, 4:24]).all()
    assert (again[4:24, 4:24] != before[4:24, 4:24]).any()
    assert 0 < np.abs(after - before).max() <= round(0.06 * 255) + 1
    assert "1 were asked for and are made" in shell.protect("more", "--redo", "rel").err
    assert shell.review(release="new").out.endswith(
        "0 of 1 images approved, 0 rejected, 0 to be marked again, 1 not decided\n"
    )


def test_decisions_that_were_cut_off_are_missed(shell: Shell) -> None:
    assert shell.protect("rel", "--needs-review").code == 0
    assert shell.review("--approve", "0[013].png").code == 0
    path = shell.folder / "rel.review/decisions.jsonl"
    before = path.read_bytes()
    assert shell.review("--reject", "01.png", "--reason", "dark").code == 0
    assert shell.review("--another-mark", "02.png").code == 0
    path.write_bytes(before)  # an earlier copy: 01.png approved
    for answer in (shell.review(), shell.grant("g"), shell.protect("new", "--redo", "rel")):
        assert answer.code == 3
        assert "decisions are missing at the end, or it is an earlier copy" in answer.err
    # who lost the folder begins anew, but what was final stays so
    shutil.rmtree(path.parent)
    assert shell.review("--json").json["another_mark"] == 1
    assert "this version stays out for good" in shell.review("--approve", "02.png").err
    assert shell.review("--approve", "0[013].png").code == 0
    assert "1 of 4 images are not approved" in shell.grant("g").err
    assert shell.grant("g", "--images", "0[013].png").code == 0


def test_what_was_approved_once_gets_no_second_mark(shell: Shell) -> None:
    assert shell.protect("rel", "--needs-review").code == 0
    assert shell.review("--approve", "00.png").code == 0
    assert shell.grant("g", "--images", "00.png").code == 0
    assert shell.review("--reject", "00.png", "--reason", "after all").code == 0
    shutil.rmtree(shell.folder / "rel.review")
    assert shell.review("--approve", "01.png").code == 0
    for name in ("00.png", "01.png"):
        answer = shell.review("--another-mark", name)
        assert answer.code == 2
        assert "it was approved before, so it may have been given away" in answer.err


def test_copies_of_one_image_are_marked_again_together(shell: Shell) -> None:
    shutil.copy(shell.folder / "in/00.png", shell.folder / "in/09.png")
    assert shell.protect("rel", "--needs-review").code == 0
    assert shell.review("--another-mark", "00.png", "--json").json["another_mark"] == 2
    assert "this version stays out for good" in shell.review("--approve", "09.png").err
    assert shell.protect("new", "--redo", "rel").code == 0
    assert sorted(path.name for path in (shell.folder / "new/images").iterdir()) == ["00.png", "09.png"]
    # what was made is not made again
    assert shell.review("--another-mark", "01.png").code == 0
    assert shell.protect("third", "--redo", "rel").code == 0
    assert [path.name for path in (shell.folder / "third/images").iterdir()] == ["01.png"]
    assert "3 were asked for and are made" in shell.protect("fourth", "--redo", "rel").err


def test_a_changed_file_is_not_approved(shell: Shell) -> None:
    assert shell.protect("rel").code == 0
    shutil.copy(shell.folder / "in/01.png", shell.folder / "rel/images/01.png")
    answer = shell.review("--approve", "*")
    assert answer.code == 3
    assert "01.png: the marked file is not the signed one" in answer.err
    assert shell.review("--json").json["left"] == 4


def test_only_what_was_not_given_away_is_marked_again(shell: Shell) -> None:
    assert shell.protect("rel").code == 0
    assert shell.review("--another-mark", "02.png").code == 0
    answer = shell.protect("new", "--redo", "rel")
    assert answer.code == 2
    assert "rel: expected a release made with --needs-review" in answer.err


def test_images_to_be_marked_again_must_be_there(shell: Shell) -> None:
    assert shell.protect("rel", "--needs-review").code == 0
    assert "nobody asked for another mark" in shell.protect("new", "--redo", "rel").err
    assert shell.review("--another-mark", "02.png").code == 0
    (shell.folder / "in/02.png").unlink()
    answer = shell.protect("new", "--redo", "rel")
    assert answer.code == 2
    assert "1 images that shall get another mark are not among the inputs, first '02.png'" in answer.err


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--reject", "00.png"), "00.png: expected a reason for rejecting it"),
        (("--approve", "*", "--reject", "*"), "expected one of --approve, --reject and --another-mark"),
        (("--approve", "nothing*"), "NAMES: expected a list file or a pattern that matches names"),
        (("--opacity", 0.1), "--opacity, --size and --keep-out require --another-mark"),
        (("--reason", "so"), "--reason and --reviewer require --approve, --reject or --another-mark"),
        (("--another-mark", "*", "--opacity", 2), "another mark: expected opacity of 0.004 to 1"),
        (("--another-mark", "*", "--opacity", 0.001), "another mark: expected opacity of 0.004 to 1"),
        (("--another-mark", "*", "--opacity", "nan"), "another mark: expected opacity of 0.004 to 1"),
        (("--another-mark", "*", "--opacity", "inf"), "another mark: expected opacity of 0.004 to 1"),
        (("--another-mark", "*", "--keep-out", f"0,0,{2**53},5"), "another mark: expected regions of 0 to"),
        (("--another-mark", "*", "--keep-out", "-1,0,4,5"), "another mark: expected regions of 0 to"),
        (("--sheet", "rel/images/look.html"), "the output look.html lies inside the release rel"),
        (("--another-mark", "*", "--size", 0.001), "another mark: expected size of 0.005 to 1"),
        (
            ("--another-mark", "*", "--keep-out", "1,2,3"),
            "--keep-out: expected X,Y,W,H in pixels, got '1,2,3'",
        ),
        (("--another-mark", "*", "--keep-out", "1,2,0,3"), "expected a box of at least 1 x 1 pixels"),
        (
            ("--approve", "00.png", "--reviewer", "x" * 2001),
            "00.png: expected at most 2000 printable characters",
        ),
    ],
)
def test_what_cannot_be_decided(released: Shell, options: tuple[object, ...], message: str) -> None:
    answer = released.review(*options)
    assert (answer.code, answer.out) == (2, "")
    assert message in answer.err
    assert released.review("--json").json["left"] == 4


@pytest.fixture(scope="module")
def released(tmp_path_factory: pytest.TempPathFactory) -> Shell:
    shell = Shell(tmp_path_factory.mktemp("released"))
    model = tiny_model(shell.folder)
    (shell.folder / "boxes.csv").write_text(
        "image,region,x,y,width,height\n" + "".join(f"{k:02d}.png,l,10,12,8,9\n" for k in range(4))
    )
    options = ("--owner", "own", "--seed", 3, "--regions", "boxes.csv", "--model", model)
    assert shell("protect", "in", "--out", "rel", *options).code == 0
    return shell


def test_a_look_from_python(released: Shell) -> None:
    found = ml.review(released.folder / "rel", owner=released.folder / "own")
    assert [item.original_name for item in found.items if item.facts.regions == 1] == [
        item.entry.name for item in found.items
    ]
    assert all(ml.Box(10, 12, 8, 9) in item.facts.kept_out for item in found.items)
    right = [item for item in found.items if item.facts.asked > item.facts.misled]
    assert all(Concern.NOT_MISLED in item.concerns for item in right)
    item = found.items[0]
    pair = load_pair(found, item)
    original, marked = pair.shown()
    with Pillow.open(released.folder / "in" / item.entry.name) as picture:
        np.testing.assert_array_equal(original, np.asarray(picture.convert("RGB")))
    with Pillow.open(released.folder / "rel/images" / item.entry.name) as picture:
        np.testing.assert_array_equal(marked, np.asarray(picture.convert("RGB")))


def test_decisions_as_a_table(shell: Shell) -> None:
    assert shell.protect("rel").code == 0
    reason = "=1+1"
    assert shell.review("--reject", "01.png", "--reason", reason, "--reviewer", "Dr. A").code == 0
    assert shell.review("--export", "d.csv").code == 0
    table = shell.folder / "d.csv"
    if os.name == "posix":
        assert table.stat().st_mode & 0o077 == 0
    rows = {row["image"]: row for row in csv.DictReader(table.read_text().splitlines())}
    assert len(rows) == 4
    assert rows["01.png"]["decision"] == "rejected"
    assert rows["01.png"]["reason"] == f"'{reason}"
    assert rows["00.png"]["decision"] == ""
    assert shell.review("--export", "d.csv").code == 2  # nothing is replaced


def test_a_page_to_look_at(released: Shell) -> None:
    assert released.review("--sheet", "look.html", "--first", 3).code == 0
    page = released.folder / "look.html"
    if os.name == "posix":
        assert page.stat().st_mode & 0o077 == 0
    text = page.read_text("utf-8")
    assert text.count("<img") == 6
    assert "default-src 'none'" in text
    assert "This page shows originals: do not give it away." in text
    assert "1 regions kept out" in text
    assert barriers(text) == []


def test_an_image_that_was_changed_since_is_named_on_the_page(shell: Shell) -> None:
    assert shell.protect("rel").code == 0
    marked = shell.folder / "rel/images/01.png"
    marked.write_bytes(marked.read_bytes() + b"x")
    assert shell.review("--sheet", "look.html").code == 0
    text = (shell.folder / "look.html").read_text("utf-8")
    assert text.count("<img") == 6
    assert "01.png: the marked file is not the signed one" in text


def test_facts_are_read_as_written() -> None:
    facts = MarkingFacts(
        31.25, True, 2, 1, (ml.Box(1, 2, 3, 4), ml.Box(-5, 0, 7, 8)), 2, (ml.Box(1, 2, 3, 4),)
    )
    assert MarkingFacts.from_sealed(facts.to_sealed()) == facts
    assert MarkingFacts.from_sealed({}) == MarkingFacts()
    assert MarkingFacts.from_sealed({"psnr_mdb": "x", "kept_out": "1 2 3", "shrunk": 1}) == MarkingFacts()
