"""Runs over series: near copies carry the same marks, whatever is killed, missing or in the way."""

from __future__ import annotations

import itertools
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image as Pillow

from killed import killed_child
from medlocker.certificates import Ledger, Owner, open_release, owner_access
from medlocker.errors import WriteError
from medlocker.formats import read_image
from medlocker.geometry import Box
from medlocker.mark import Mark
from medlocker.protect import Harden, Outcome, Settings
from medlocker.regions import CANDIDATES, Findings, load_regions
from medlocker.release import run_release
from medlocker.release._journal import FOLDER
from medlocker.testing import LinearClassifier
from medlocker.veil import AnyMark
from pictures import smooth
from runs import check_release, fill, images_of, make_run, picture, protect


def by_first_letter(path: Path) -> str | None:
    """Names like s1.png belong to series s; digits alone to none."""
    return path.name[0] if path.name[0].isalpha() else None


def slices(folder: Path, series: str, count: int, *, size: int = 48, seed: int = 0) -> Path:
    """Write images that differ by a little grain only."""
    folder.mkdir(parents=True, exist_ok=True)
    base = smooth(size, size, 3, seed=seed)
    for k in range(count):
        grain = np.random.default_rng(k).normal(0, 0.02, base.shape)
        pixels = np.round(np.clip(base + grain, 0, 1) * 255).astype(np.uint8)
        Pillow.fromarray(pixels).save(folder / f"{series}{k}.png")
    return folder


def run(source: Path, out: Path, owner: Owner, **options: Any) -> Any:
    return protect(source, out, owner, series_key=by_first_letter, **options)


def marks_of(out: Path, owner: Owner) -> dict[str, tuple[AnyMark, ...]]:
    """What the sealed records say, by name."""
    release = open_release(out, owner.signing.public)
    access = owner_access(release, owner.identity())
    return {
        line.entry.name: access.open(line).marks
        for shard in release.statement.shards
        for line in release.shard_lines(shard)
    }


def test_a_series_has_one_placement(tmp_path: Path, owner: Owner) -> None:
    source = slices(tmp_path / "in", "s", 5)
    slices(source, "t", 3, seed=9)
    fill(source, 2)
    seen: dict[str, Outcome] = {}
    settings = Settings(preset="strong", budget=6, seed=1, harden=Harden(warp=0.02, texture=20))
    work = make_run(source, tmp_path / "out", owner, series_key=by_first_letter, settings=settings)
    result = run_release(work, progress=lambda outcome: seen.update({outcome.name: outcome}))
    assert (result.json["marked"], result.json["series"]) == (10, 6)
    check_release(source, tmp_path / "out", owner, tmp_path / "r")
    marks = marks_of(tmp_path / "out", owner)
    different = {marks[name] for name in marks}
    assert len(different) == 4
    assert len({marks[f"s{k}.png"] for k in range(5)}) == 1
    assert len({marks[f"t{k}.png"] for k in range(3)}) == 1
    assert {name for name in seen if not seen[name].followed} == {"s2.png", "t1.png", "00.png", "01.png"}
    # a follower costs two looks; it is judged on its own file
    model = LinearClassifier(size=24)
    for name in ("s0.png", "s4.png"):
        assert seen[name].evaluations == 2
        pictures = [source / name, tmp_path / "out" / "images" / name]
        before, after = (
            model.logits(model.canvas(read_image(p.read_bytes(), name="x").pixels)[None]).argmax()
            for p in pictures
        )
        assert seen[name].fooled == (before != after,)
        assert (seen[name].size_px, seen[name].marks) == (seen["s2.png"].size_px, seen["s2.png"].marks)


def test_attacks_are_tried_on_every_image(tmp_path: Path, owner: Owner) -> None:
    source = slices(tmp_path / "in", "s", 3)
    seen: list[Outcome] = []
    settings = Settings(preset="strong", budget=20, seed=1, against=("jpeg", "blur"))
    work = make_run(source, tmp_path / "out", owner, series_key=by_first_letter, settings=settings)
    result = run_release(work, progress=seen.append)
    assert result.json["series"] == 2
    assert {one.evaluations for one in seen if one.followed} == {1 + 1 + 2}


def test_every_image_for_itself(tmp_path: Path, owner: Owner) -> None:
    source = slices(tmp_path / "in", "s", 3)
    settings = [
        Settings(preset="strong", budget=6, seed=1, placement=placement) for placement in ("series", "image")
    ]
    result = run(source, tmp_path / "b", owner, settings=settings[1])
    assert result.json["series"] == 0
    assert len(set(marks_of(tmp_path / "b", owner).values())) == 3
    runs = [make_run(source, tmp_path / "c", owner, settings=one) for one in settings]
    assert runs[0].fingerprint() != runs[1].fingerprint()


def test_regions_of_all_images_are_kept_out(tmp_path: Path, owner: Owner) -> None:
    source = slices(tmp_path / "in", "s", 4, size=64)
    boxes = {f"s{k}.png": (16 * k, 0, 16, 40) for k in range(4)}
    lines = [f"{name},a,{','.join(map(str, box))}\n" for name, box in boxes.items()]
    (tmp_path / "boxes.csv").write_text("image,region,x,y,width,height\n" + "".join(lines))
    regions = load_regions(tmp_path / "boxes.csv").among(list(boxes))
    result = run(source, tmp_path / "out", owner, regions=regions)
    assert (result.json["marked"], result.json["series"]) == (4, 3)
    for marks in marks_of(tmp_path / "out", owner).values():
        assert all(isinstance(mark, Mark) and mark.y >= 40 - mark.size_px // 4 for mark in marks)
    for name in boxes:
        first, second = (
            read_image((folder / name).read_bytes(), name="x").pixels
            for folder in (source, tmp_path / "out" / "images")
        )
        np.testing.assert_array_equal(first[:40], second[:40])
        assert not np.array_equal(first, second)


class Finder:
    """Finds in each image the box that its brightest quarter tells; counts how often it is asked."""

    source, fingerprint = CANDIDATES, "test"

    def __init__(self, *, droppable: bool = True) -> None:
        self.droppable = droppable
        self.asked = 0

    def find(self, colors: Any) -> Findings:
        self.asked += 1
        column = int(colors[0, 0, 0]) * 16
        return Findings((Box(column, 0, 16, 40),), ("regions: test",))


def coded(folder: Path, count: int) -> Path:
    """Slices whose first pixel tells their number."""
    slices(folder, "s", count, size=64)
    for k in range(count):
        pixels = np.asarray(Pillow.open(folder / f"s{k}.png")).copy()
        pixels[0, 0] = k
        Pillow.fromarray(pixels).save(folder / f"s{k}.png")
    return folder


@pytest.mark.parametrize("droppable", [False, True])
def test_findings_of_all_images_are_kept_out_and_found_once(
    tmp_path: Path, owner: Owner, droppable: bool
) -> None:
    source = coded(tmp_path / "in", 3)
    (source / "s9.png").write_bytes(picture()[:200])  # keeps nothing out, and fails by itself
    finder = Finder(droppable=droppable)
    result = run(source, tmp_path / "out", owner, finder=finder)
    assert (result.json["marked"], result.json["series"]) == (3, 2)
    assert [one["image"] for one in result.json["failed"]] == ["s9.png"]
    assert finder.asked == 3
    assert result.summary.with_found == 3
    assert result.json["notes"] == {"regions: test": 3}
    for k in range(3):
        first, second = (
            read_image((folder / f"s{k}.png").read_bytes(), name="x").pixels
            for folder in (source, tmp_path / "out" / "images")
        )
        np.testing.assert_array_equal(first[:40, :48], second[:40, :48])


def test_the_next_image_leads_where_one_cannot_be_marked(tmp_path: Path, owner: Owner) -> None:
    source = slices(tmp_path / "in", "s", 5)
    (source / "s2.png").write_bytes(picture()[:300])
    (source / "s3.png").write_bytes(b"")
    result = run(source, tmp_path / "out", owner)
    assert [one["image"] for one in result.json["failed"]] == ["s2.png", "s3.png"]
    assert (result.json["marked"], result.json["series"]) == (3, 2)
    assert len(set(marks_of(tmp_path / "out", owner).values())) == 1


def test_no_room_beside_the_regions_of_all(tmp_path: Path, owner: Owner) -> None:
    source = slices(tmp_path / "in", "s", 2)
    halves = "s0.png,a,0,0,48,24\ns1.png,a,0,24,48,24\n"
    (tmp_path / "boxes.csv").write_text("image,region,x,y,width,height\n" + halves)
    regions = load_regions(tmp_path / "boxes.csv").among(["s0.png", "s1.png"])
    result = run(source, tmp_path / "out", owner, regions=regions)
    reason = "48 x 48 pixels leave no room for the logo beside 2 regions, down to 0.125 of the shorter side"
    assert [one["reason"] for one in result.json["skipped"]] == [reason, reason]


def test_a_second_copy_of_an_instance_is_skipped(tmp_path: Path, owner: Owner) -> None:
    source = slices(tmp_path / "in", "s", 3)
    (source / "s3.png").write_bytes((source / "s0.png").read_bytes())
    same = {"s0.png": "x", "s3.png": "x"}
    result = run(source, tmp_path / "out", owner, instance=lambda path: same.get(path.name))
    assert result.json["skipped"] == [
        {"image": "s3.png", "reason": "s3.png: the same instance as s0.png", "code": "same-instance"}
    ]
    assert sorted(images_of(tmp_path / "out")) == ["s0.png", "s1.png", "s2.png"]
    assert result.exit_code == 0


def test_a_series_that_another_release_has_marked(tmp_path: Path, owner: Owner) -> None:
    """A slice more would get other marks than its neighbours have."""
    source = slices(tmp_path / "in", "s", 3)
    few = slices(tmp_path / "one", "s", 2)
    with Ledger(tmp_path / "ledger", owner.signing) as ledger:
        run(few, tmp_path / "a", owner, ledger=ledger)
        asked = Finder()
        result = run(source, tmp_path / "b", owner, ledger=ledger, finder=asked)
        first = open_release(tmp_path / "a", owner.signing.public).statement.release
        reason = f"an image of its series was marked in another way in release {first}"
        assert [one["reason"] for one in result.json["failed"]] == [reason] * 3
        assert asked.asked == 0
        again = run(few, tmp_path / "c", owner, ledger=ledger, same_mark=True)
        assert again.json["marked"] == 2
        slices(source, "s", 4)  # now another one leads
        result = run(source, tmp_path / "b", owner, ledger=ledger, same_mark=True)
        # the one that led before comes out the same, once it is its turn
        assert [one["image"] for one in result.json["failed"]] == ["s0.png", "s2.png", "s3.png"]
        assert {one["reason"] for one in result.json["failed"]} == {reason}
        assert list(images_of(tmp_path / "b")) == ["s1.png"]
        assert len(ledger) == 3  # two slices, and their series


# --------------------------------------------------------------------------------- interrupted and resumed


def failing_after(monkeypatch: pytest.MonkeyPatch, count: int) -> Callable[[], None]:
    """Let the run fail when so many images are in the journal; returns what ends it."""
    from medlocker.release._journal import Journal

    honest, calls = Journal.add, itertools.count()  # one step that threads cannot tear apart

    def add(self: Journal, *arguments: Any, **options: Any) -> None:
        if next(calls) >= count:
            raise WriteError("cannot write the journal: no space left on device")
        honest(self, *arguments, **options)

    monkeypatch.setattr(Journal, "add", add)
    return lambda: monkeypatch.setattr(Journal, "add", honest)


@pytest.mark.parametrize("count", [1, 2, 4])
def test_a_resumed_series_goes_on_with_its_marks(
    tmp_path: Path, owner: Owner, monkeypatch: pytest.MonkeyPatch, count: int
) -> None:
    source = slices(tmp_path / "in", "s", 5)
    whole = run(source, tmp_path / "whole", owner)
    heal = failing_after(monkeypatch, count)
    with pytest.raises(WriteError, match=r"^cannot write the journal: no space left on device$"):
        run(source, tmp_path / "out", owner)
    heal()
    result = run(source, tmp_path / "out", owner)
    assert (result.json["series"], result.json["fooled"]) == (4, whole.json["fooled"])
    assert check_release(source, tmp_path / "out", owner, tmp_path / "r") == images_of(tmp_path / "whole")


def test_the_journal_does_not_tell_series(
    tmp_path: Path, owner: Owner, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = slices(tmp_path / "in", "s", 3)
    key = "1.2.840.99.1234"
    heal = failing_after(monkeypatch, 2)
    with pytest.raises(WriteError):
        protect(source, tmp_path / "out", owner, series_key=lambda path: key)
    heal()
    failing_after(monkeypatch, 2)
    written = (tmp_path / "out" / FOLDER / "journal.jsonl").read_text()
    assert '"series": "' in written
    assert key not in written
    with pytest.raises(WriteError):
        protect(source, tmp_path / "b", owner, series_key=lambda path: key)
    other = (tmp_path / "b" / FOLDER / "journal.jsonl").read_text()
    names = [text.split('"series": "')[1].split('"')[0] for text in (written, other)]
    assert len(names[0]) == 32
    assert names[0] != names[1]


@pytest.mark.parametrize("moment", [12, *(pytest.param(k, marks=pytest.mark.slow) for k in range(5, 60, 6))])
def test_a_killed_series(tmp_path: Path, owner: Owner, moment: int) -> None:
    source = slices(tmp_path / "in", "s", 3)
    slices(source, "t", 2, seed=4)
    run(source, tmp_path / "whole", owner)
    out = tmp_path / "out"
    assert killed_child(moment, out, run, source, out, owner, workers=1) == -signal.SIGKILL
    run(source, out, owner)
    assert check_release(source, out, owner, tmp_path / "r") == images_of(tmp_path / "whole")
