"""What an interrupted run left is looked at again: files that are gone or changed are made again."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from test_series import by_first_letter, marks_of, slices

from medlocker.certificates import Ledger, Owner
from medlocker.engines import _engine
from medlocker.errors import WriteError
from medlocker.protect import Outcome
from medlocker.regions import load_regions
from medlocker.release import Run, run_release
from runs import check_release, fill, images_of, make_run, picture, protect


@pytest.fixture(autouse=True)
def one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that it is known which images are done when a run ends early."""
    monkeypatch.setattr(_engine, "IN_FLIGHT", 1)


class Interrupted:
    """A run that ends when so many images are known, and is then continued."""

    def __init__(self, folder: Path, owner: Owner, source: Path, **options: Any) -> None:
        self.out = folder / "out"
        self.owner = owner
        self.source = source
        self.options = options
        self.seen: list[str] = []

    def run(self) -> Run:
        return make_run(self.source, self.out, self.owner, workers=1, **self.options)

    def begin(self, *, after: int) -> None:
        seen: list[Outcome] = []

        def progress(outcome: Outcome) -> None:
            seen.append(outcome)
            if len(seen) == after:
                raise WriteError("enough")

        with pytest.raises(WriteError, match=r"^enough$"):
            run_release(self.run(), progress=progress)

    def go_on(self, monkeypatch: pytest.MonkeyPatch) -> Any:
        """Finish; ``seen`` tells which images were worked on again."""
        from medlocker.protect import Protector

        honest = Protector.task

        def task(protector: Protector, job: Any) -> Any:
            self.seen.append(job.name)
            return honest(protector, job)

        monkeypatch.setattr(Protector, "task", task)
        return run_release(self.run())

    def image(self, name: str) -> Path:
        return self.out / "images" / name


def names(count: int) -> list[str]:
    return [f"{k:02d}.png" for k in range(count)]


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


def touch(path: Path) -> None:
    os.utime(path, (1, 1))


@pytest.mark.parametrize("harm", [Path.unlink, cut, lambda path: path.write_bytes(b"")])
def test_a_marked_file_that_is_gone_or_changed_is_made_again(
    tmp_path: Path, owner: Owner, monkeypatch: pytest.MonkeyPatch, harm: Callable[[Path], object]
) -> None:
    source = fill(tmp_path / "in", 4)
    protect(source, tmp_path / "whole", owner)
    with Ledger(tmp_path / "ledger", owner.signing) as ledger:
        case = Interrupted(tmp_path, owner, source, ledger=ledger)
        case.begin(after=4)
        harm(case.image("01.png"))
        touch(case.image("02.png"))  # its content is what counts
        result = case.go_on(monkeypatch)
    assert case.seen == ["01.png"]
    assert result.json["marked"] == 4
    assert check_release(source, case.out, owner, tmp_path / "r") == images_of(tmp_path / "whole")


def test_an_input_that_changed_after_it_was_marked_is_marked_again(
    tmp_path: Path, owner: Owner, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = fill(tmp_path / "in", 4)
    (source / "tiny.png").write_bytes(picture(size=12))
    case = Interrupted(tmp_path, owner, source)
    case.begin(after=5)
    (source / "01.png").write_bytes(picture(seed=40))
    touch(source / "02.png")
    (source / "tiny.png").write_bytes(picture(seed=41))
    result = case.go_on(monkeypatch)
    assert sorted(case.seen) == ["01.png", "tiny.png"]
    assert (result.json["marked"], result.json["skipped"]) == (5, [])
    protect(source, tmp_path / "whole", owner)
    assert check_release(source, case.out, owner, tmp_path / "r") == images_of(tmp_path / "whole")


def test_an_input_that_became_useless_is_no_longer_in_the_release(
    tmp_path: Path, owner: Owner, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = fill(tmp_path / "in", 3)
    case = Interrupted(tmp_path, owner, source)
    case.begin(after=3)
    (source / "00.png").write_bytes(picture()[:100])
    (source / "01.png").write_bytes(picture(size=12))
    case.begin(after=3)  # the failed one is not forgotten when it is interrupted again
    result = case.go_on(monkeypatch)
    assert case.seen == ["00.png"]
    assert [one["image"] for one in result.json["failed"]] == ["00.png"]
    assert [one["image"] for one in result.json["skipped"]] == ["01.png"]
    assert list(check_release(source, case.out, owner, tmp_path / "r")) == ["02.png"]


def test_a_jpeg_file_that_became_another_one_leaves_its_place(
    tmp_path: Path, owner: Owner, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = fill(tmp_path / "in", 2)
    (source / "01.png").write_bytes(picture("JPEG", seed=7))
    case = Interrupted(tmp_path, owner, source)
    case.begin(after=2)
    (source / "01.png").write_bytes(picture(seed=8))
    case.go_on(monkeypatch)
    assert case.seen == ["01.png"]
    assert len(check_release(source, case.out, owner, tmp_path / "r")) == 2


def test_an_input_that_vanished_after_it_was_marked_stays(
    tmp_path: Path, owner: Owner, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = fill(tmp_path / "in", 3)
    listed = tmp_path / "list.txt"
    listed.write_text("".join(f"in/{name}\n" for name in names(3)))
    case = Interrupted(tmp_path, owner, listed)
    case.begin(after=2)
    kept = (source / "00.png").read_bytes()
    (source / "00.png").unlink()
    (source / "02.png").unlink()
    result = case.go_on(monkeypatch)
    assert case.seen == ["in/02.png"]
    assert result.json["marked"] == 2
    assert result.json["failed"] == [
        {"image": "in/02.png", "reason": "image 02.png: no such file or directory", "code": "input"}
    ]
    (source / "00.png").write_bytes(kept)
    assert sorted(check_release(listed, case.out, owner, tmp_path / "r")) == ["in/00.png", "in/01.png"]


def test_an_input_that_vanishes_during_the_run_costs_only_itself(
    tmp_path: Path, owner: Owner, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = fill(tmp_path / "in", 12)
    run = make_run(source, tmp_path / "out", owner, workers=1)
    monkeypatch.setattr(_engine, "IN_FLIGHT", 8)

    def vanish(outcome: Outcome) -> None:
        if (source / "11.png").exists():
            (source / "11.png").unlink()

    result = run_release(run, progress=vanish)
    assert result.exit_code == 1
    assert result.json["failed"] == [
        {"image": "11.png", "reason": "image 11.png: no such file or directory", "code": "input"}
    ]
    assert sorted(check_release(source, tmp_path / "out", owner, tmp_path / "r")) == names(11)


def test_an_input_that_changes_before_it_is_read_is_what_was_marked(tmp_path: Path, owner: Owner) -> None:
    """The time of change is taken before: where it differs, the content decides."""
    source = fill(tmp_path / "in", 2)
    case = Interrupted(tmp_path, owner, source)
    from medlocker.protect import Protector

    honest = Protector.task

    def late(protector: Protector, job: Any) -> Any:
        if job.name == "00.png":
            (source / "00.png").write_bytes(picture(seed=60))
        return honest(protector, job)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Protector, "task", late)
        case.begin(after=2)
        case.go_on(patch)
    assert case.seen == []
    check_release(source, case.out, owner, tmp_path / "r")


# ----------------------------------------------------------------------------------------------- of a series


@pytest.mark.parametrize("changed", ["s0.png", "s1.png", "s2.png"])
def test_a_changed_image_gets_the_marks_of_its_series(
    tmp_path: Path, owner: Owner, monkeypatch: pytest.MonkeyPatch, changed: str
) -> None:
    source = slices(tmp_path / "in", "s", 3)
    with Ledger(tmp_path / "ledger", owner.signing) as ledger:
        case = Interrupted(tmp_path, owner, source, series_key=by_first_letter, ledger=ledger)
        case.begin(after=2)
        (source / changed).write_bytes(picture(seed=70))
        result = case.go_on(monkeypatch)
    assert result.json["marked"] == 3
    assert len(set(marks_of(case.out, owner).values())) == 1
    check_release(source, case.out, owner, tmp_path / "r")


def test_the_leader_alone_is_lost(tmp_path: Path, owner: Owner, monkeypatch: pytest.MonkeyPatch) -> None:
    source = slices(tmp_path / "in", "s", 3)
    protect(source, tmp_path / "whole", owner, series_key=by_first_letter)
    case = Interrupted(tmp_path, owner, source, series_key=by_first_letter)
    case.begin(after=1)
    case.image("s1.png").unlink()
    result = case.go_on(monkeypatch)
    assert sorted(case.seen) == ["s0.png", "s1.png", "s2.png"]
    assert result.json["series"] == 3  # nothing was searched again
    assert check_release(source, case.out, owner, tmp_path / "r") == images_of(tmp_path / "whole")


def test_a_leader_that_vanished_still_leads(
    tmp_path: Path, owner: Owner, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = slices(tmp_path / "in", "s", 3)
    listed = tmp_path / "list.txt"
    listed.write_text("".join(f"in/s{k}.png\n" for k in range(3)))

    def key(path: Path) -> str | None:
        return "s" if path.exists() else None

    case = Interrupted(tmp_path, owner, listed, series_key=key)
    case.begin(after=1)
    shutil.move(source / "s1.png", tmp_path / "s1.png")
    case.go_on(monkeypatch)
    marks = marks_of(case.out, owner)
    assert len(marks) == 3
    assert len(set(marks.values())) == 1


def test_marks_of_a_series_never_touch_a_region_that_became_known_later(
    tmp_path: Path, owner: Owner, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A mask that could not be read when the leader was searched."""
    source = slices(tmp_path / "in", "s", 3)
    (tmp_path / "masks").mkdir()
    (tmp_path / "masks" / "s0.png").write_bytes(b"broken")
    regions = load_regions(tmp_path / "masks").among(["s0.png", "s1.png", "s2.png"])
    case = Interrupted(tmp_path, owner, source, series_key=by_first_letter, regions=regions)
    case.begin(after=2)
    from PIL import Image as Pillow

    Pillow.new("L", (48, 48), 255).save(tmp_path / "masks" / "s0.png")
    result = case.go_on(monkeypatch)
    assert result.json["skipped"] == [
        {
            "image": "s0.png",
            "reason": "the marks of its series would touch a region of this image",
            "code": "no-room",
        }
    ]
    assert result.json["marked"] == 2


# ------------------------------------------------------------------------------- where nothing can be written


@pytest.mark.parametrize(
    ("mode", "out", "message"),
    [
        (0o500, "new", "cannot make the folder new: permission denied"),
        (0o500, ".", "cannot make the folder .medlocker-run: permission denied"),
        (0o300, ".", "cannot look into the output out: permission denied"),
    ],
)
def test_a_target_that_cannot_be_written(
    tmp_path: Path, owner: Owner, mode: int, out: str, message: str
) -> None:
    source = fill(tmp_path / "in", 1)
    (tmp_path / "out").mkdir()
    user = os.geteuid()
    run = make_run(source, tmp_path / "out" / out, owner)
    (tmp_path / "out").chmod(mode)
    # all that pytest made: it lets nobody else look in
    opened = [folder for folder in (tmp_path, *tmp_path.parents) if user == 0 and "pytest" in str(folder)]
    modes = [folder.stat().st_mode for folder in opened]
    try:
        if user == 0:  # root may do everything: be nobody for a moment
            for folder in opened:
                folder.chmod(0o755)
            os.chown(tmp_path / "out", 65534, 65534)
            os.seteuid(65534)
        with pytest.raises(WriteError) as caught:
            run_release(run)
        assert str(caught.value) == message
    finally:
        os.seteuid(user)
        for folder, found in zip(opened, modes, strict=True):
            folder.chmod(found)
        (tmp_path / "out").chmod(0o700)
    assert list((tmp_path / "out").iterdir()) == []


def test_looking_again_opens_no_record(tmp_path: Path, owner: Owner) -> None:
    """Nor decodes any image: size, time and digests are enough."""
    source = fill(tmp_path / "in", 3)
    case = Interrupted(tmp_path, owner, source)
    case.begin(after=3)
    from medlocker.release import _sealer

    def refuse(*_: object, **__: object) -> Any:
        raise RuntimeError("a record was opened")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_sealer, "open_record", refuse)
        case.go_on(patch)
    assert case.seen == []
