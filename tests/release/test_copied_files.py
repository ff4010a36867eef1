"""`--with`: masks and tables that travel as they are, under names that fit."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest

import medlocker as ml
from companion_samples import key_objects, slice_of, structure_set, write
from medlocker.errors import InputError, OutputExistsError
from medlocker.release import find_copies, find_inputs
from medlocker.web._runs import _newest
from runs import Answer, called, fill, medlocker, picture, tiny_model


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """Images, and masks beside them whose files are called like the images."""
    fill(tmp_path / "data" / "images", 2)
    fill(tmp_path / "data" / "masks", 2, first=10)
    (tmp_path / "data" / "masks" / "more").mkdir()
    (tmp_path / "data" / "masks" / "more" / "table.csv").write_text("a,b\n")
    (tmp_path / "data" / "masks" / ".hidden").write_text("")
    return tmp_path / "data"


def names(source: Path, *given: Path) -> list[str]:
    return [copy.name for copy in find_copies(given, find_inputs(source))[1]]


def refused(source: Path, *given: Path) -> str:
    with pytest.raises(InputError) as found:
        find_copies(given, find_inputs(source))
    return str(found.value)


def test_names_are_relative_to_the_input_or_to_the_folder_around(source: Path) -> None:
    images, masks = source / "images", source / "masks"
    assert names(images, masks) == ["masks/10.png", "masks/11.png", "masks/more/table.csv"]
    assert names(images, masks / "more") == ["more/table.csv"]
    assert names(images, masks / "more" / "table.csv", masks / "10.png") == ["10.png", "table.csv"]
    assert names(source, masks) == ["masks/10.png", "masks/11.png", "masks/more/table.csv"]
    assert names(source, masks / "10.png") == ["masks/10.png"]
    assert names(source, masks, masks / "10.png") == ["masks/10.png", "masks/11.png", "masks/more/table.csv"]


def test_what_is_copied_is_not_marked(source: Path) -> None:
    inputs, _ = find_copies([source / "masks"], find_inputs(source))
    assert [item.name for item in inputs.items] == ["images/00.png", "images/01.png"]
    (source / "images" / "00_mask.png").write_bytes(picture(seed=4))
    (source / "images" / "notes.txt").write_text("")
    before = find_inputs(source)
    assert (before.masks, len(before.passed_over)) == (("images/00_mask.png",), 2)
    given = [source / "masks", source / "images" / "00_mask.png", source / "images" / "notes.txt"]
    after, copies = find_copies(given, before)
    assert (after.masks, after.passed_over, len(copies)) == ((), (), 5)
    assert refused(source, source) == "--with: expected files beside the images, got all images"


def test_what_cannot_be_copied_is_refused_before_anything_is_marked(source: Path, tmp_path: Path) -> None:
    images = source / "images"
    assert refused(images, tmp_path / "none") == "--with none: no such file or folder"
    fill(tmp_path / "other", 1)
    assert refused(images, tmp_path / "other" / "00.png") == "--with: 00.png would have the name of an image"
    fill(tmp_path / "other" / "masks", 1, first=10)
    assert refused(images, source / "masks", tmp_path / "other" / "masks") == (
        "--with masks: two files would be called masks/10.png"
    )
    (source / "masks" / "out.png").symlink_to(tmp_path / "other" / "00.png")
    assert refused(images, source / "masks") == "--with: masks/out.png is a link that leads out of its folder"
    (source / "masks" / "out.png").unlink()
    os.mkfifo(source / "masks" / "pipe")
    assert refused(images, source / "masks") == "--with: masks/pipe is no regular file"
    (source / "masks" / "pipe").unlink()
    (source / "masks" / "a\nb.csv").write_text("")
    assert "expected a plain relative name" in refused(images, source / "masks")
    (source / "masks" / "a\nb.csv").unlink()
    (source / "masks" / os.fsdecode(b"\xff.csv")).write_text("")
    assert "expected names of printable Unicode" in refused(images, source / "masks")
    os.unlink(source / "masks" / os.fsdecode(b"\xff.csv"))
    deep = Path(*["d" * 200] * 5)
    (tmp_path / "deep" / deep).mkdir(parents=True)
    (tmp_path / "deep" / deep / f"{'x' * 50}.csv").write_text("")
    assert "at most 1024 characters" in refused(images, tmp_path / "deep")
    (images / "x.png").write_bytes(picture(seed=3))
    (tmp_path / "x.png").mkdir()
    (tmp_path / "x.png" / "y.csv").write_text("")
    assert refused(images, tmp_path / "x.png") == "--with: x.png is an image and would be a folder"


def test_private_keys_and_the_release_itself_are_not_copied(
    source: Path, tmp_path: Path, owner_name: Path
) -> None:
    for kind in ("sign", "age"):
        shutil.copy(f"{owner_name}.{kind}.key", tmp_path / "table.csv")
        assert refused(source / "images", tmp_path / "table.csv") == (
            "--with: table.csv is a private key and must not be copied"
        )
        key = Path(f"{owner_name}.{kind}.key").read_text()
        for hidden in (" " * 5000 + key).encode(), key.encode("utf-16"):
            (tmp_path / "table.csv").write_bytes(hidden)
            assert "is a private key" in refused(source / "images", tmp_path / "table.csv")
    (tmp_path / "table.csv").unlink()
    shutil.copytree(source / "masks", tmp_path / "all")
    given = tmp_path / "all"
    with pytest.raises(OutputExistsError, match="the output out and all, which is to be copied, overlap"):
        ml.protect(source / "images", owner=owner_name, out=given / "out", copies=given, ledger=False)


def told(answer: Answer) -> dict[str, object]:
    value: dict[str, object] = json.loads(answer.out)["beside"]
    return value


def test_the_command(source: Path, tmp_path: Path, owner_name: Path) -> None:
    out = tmp_path / "release"
    common = ("protect", source / "images", "--owner", owner_name, "--no-ledger", "--json")
    done = called(*common, "--out", out, "--with", source / "masks")
    assert done.code == 0, done.err
    assert told(done)["copies"] == 3
    assert "copied as they are: 3 files (masks/10.png, ...)" in done.err
    public, private = f"{owner_name}.sign.pub", f"{owner_name}.age.key"
    verified = called("verify", out, "--owner", public, "--json")
    assert (verified.code, json.loads(verified.out)["companions_intact"]) == (0, 3)
    one = called("verify", out / "images/masks/10.png", "--release", out, "--owner", public)
    assert one.out.startswith("valid: copy, masks/10.png\n")
    one = called("verify", out / "images/masks/10.png", "--release", out, "--owner", public, "--json")
    assert json.loads(one.out)["kind"] == "copy"
    restored = called(
        "restore", out, "--owner", public, "--identity", private, "--out", tmp_path / "back", "--json"
    )
    assert (restored.code, json.loads(restored.out)["companions"]) == (0, 3)
    assert (tmp_path / "back/masks/more/table.csv").read_text() == "a,b\n"
    assert called("status", out).code == 0
    assert called("inspect", out).code == 0
    done = called(*common, "--out", tmp_path / "o2", "--with", source / "masks", "--with", tmp_path / "none")
    assert (done.code, done.err.splitlines()[-1]) == (2, "error: --with none: no such file or folder")
    assert not (tmp_path / "o2").exists()


def test_the_command_tells_what_stays_behind(tmp_path: Path, owner_name: Path) -> None:
    images = [slice_of(1), slice_of(2)]
    write(
        tmp_path / "in",
        {"1.dcm": images[0], "ko.dcm": key_objects(images[:1]), "rt.dcm": structure_set(images)},
    )
    done = called(
        "protect", tmp_path / "in", "--owner", owner_name, "--no-ledger", "--json", "--out", tmp_path / "out"
    )
    assert done.code == 0, done.err
    assert told(done)["left_out"] == [
        {
            "file": "rt.dcm",
            "reason": "rt.dcm: it refers to an instance that is not in the release",
            "code": "reference-lost",
        }
    ]
    assert "not copied: rt.dcm: it refers to an instance that is not in the release" in done.err
    assert "DICOM objects travel with the images (1 key object selection): they tell findings" in done.err
    assert "1.2.826" not in done.err + done.out
    done = medlocker(
        *("protect", tmp_path / "in", "--owner", owner_name, "--no-ledger", "--out", tmp_path / "out2"),
        "--without-companions",
    )
    assert "skipped: ko.dcm: a structured report, not an image" in done.err
    assert sorted(path.name for path in (tmp_path / "out2" / "images").iterdir()) == ["1.dcm"]


def test_from_python_and_in_an_evaluation(source: Path, tmp_path: Path, owner_name: Path) -> None:
    done = ml.protect(
        source,
        owner=owner_name,
        out=tmp_path / "out",
        copies=source / "masks",
        ledger=False,
        companions=False,
    )
    assert (done.marked, done.companions, done.facts["beside"]["copies"]) == (2, 0, 3)
    assert done.notes[0] == "2 images are copied as they are, not marked: --with"
    labels = tmp_path / "labels.csv"
    labels.write_text("image,label\nimages/00.png,0\nimages/01.png,1\n")
    judged = ml.evaluate(
        source, tmp_path / "out", labels=labels, target=tiny_model(tmp_path), out=tmp_path / "report"
    )
    # masks are neither originals without a mark nor marked images without an original
    assert judged.facts["skipped"] == []
    assert judged.facts["images"] == 2
    assert not any("identical to their originals" in note for note in judged.facts["notes"])


def test_the_pages_show_marked_images_alone(source: Path, tmp_path: Path, owner_name: Path) -> None:
    ml.protect(source, owner=owner_name, out=tmp_path / "out", copies=source / "masks", ledger=False)
    assert len(_newest(tmp_path / "out", "at")) == 2
