from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from medlocker.errors import InputError
from medlocker.release import find_inputs
from medlocker.release._inputs import MAX_LIST_BYTES

PNG, JPEG = b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff\xe0"


def put(root: Path, *names: str, data: bytes = PNG) -> None:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)


def outputs(source: Path) -> dict[str, str]:
    return {item.name: item.output_name for item in find_inputs(source).items}


def test_a_folder_is_walked_in_order(tmp_path: Path) -> None:
    put(tmp_path, "b.png", "a.TIF", "sub/a.png", "sub/deep/b.bmp", "Z.PNG", "é.tiff")
    put(
        tmp_path,
        ".hidden.png",
        ".git/a.png",
        "sub/.cache/x.png",
        "notes.txt",
        "sub/x.svg",
        ".medlocker-tmp-1.png",
    )
    inputs = find_inputs(tmp_path)
    names = [item.name for item in inputs.items]
    assert names == sorted(["b.png", "a.TIF", "sub/a.png", "sub/deep/b.bmp", "Z.PNG", "é.tiff"])
    assert [item.output_name for item in inputs.items] == names
    assert inputs.items[names.index("sub/a.png")].path == tmp_path / "sub" / "a.png"
    assert sorted(inputs.passed_over) == ["notes.txt", "sub/x.svg"]
    assert (inputs.unreadable, inputs.root, inputs.walked) == ((), tmp_path, True)


def test_masks_beside_their_pictures_are_no_images(tmp_path: Path) -> None:
    for name in ("d/x.png", "d/x_mask.png", "d/x_superpixels.png", "x_mask.png", "y.png"):
        path = tmp_path / "in" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")
    inputs = find_inputs(tmp_path / "in")
    assert [item.name for item in inputs.items] == ["d/x.png", "x_mask.png", "y.png"]
    assert inputs.masks == ("d/x_mask.png", "d/x_superpixels.png")


def test_links_are_followed_only_inside(tmp_path: Path) -> None:
    put(tmp_path, "in/a.png", "outside/b.png")
    (tmp_path / "in" / "inner.png").symlink_to("a.png")
    (tmp_path / "in" / "outer.png").symlink_to(tmp_path / "outside" / "b.png")
    (tmp_path / "in" / "folder").symlink_to(tmp_path / "outside")
    (tmp_path / "in" / "dangling.png").symlink_to("nowhere.png")
    (tmp_path / "in" / "loop.png").symlink_to("loop.png")
    inputs = find_inputs(tmp_path / "in")
    assert [item.name for item in inputs.items] == ["a.png", "dangling.png", "inner.png", "loop.png"]
    assert inputs.passed_over == ("outer.png",)


def test_every_file_keeps_its_name(tmp_path: Path) -> None:
    put(tmp_path, "a.jpg", "b.JPG", "called.png", "x/y.jpeg", data=JPEG)
    put(tmp_path, "a.png", "e.jpg", "x/y.png")
    names = ["a.jpg", "a.png", "b.JPG", "called.png", "e.jpg", "x/y.jpeg", "x/y.png"]
    assert outputs(tmp_path) == {name: name for name in names}


def test_a_single_file_needs_no_known_ending(tmp_path: Path) -> None:
    put(tmp_path, "scan.dat", "other.png")
    inputs = find_inputs(tmp_path / "scan.dat")
    assert [(item.name, item.output_name) for item in inputs.items] == [("scan.dat", "scan.dat")]
    assert (inputs.root, inputs.walked) == (tmp_path, False)


def test_a_list_file(tmp_path: Path) -> None:
    put(tmp_path, "set/a.png", "set/sub/b.png", "elsewhere/c.png")
    lines = [
        "\ufeffsub/b.png",
        "",
        "# a note",
        "  a.png  ",
        "./a.png",
        "sub/../sub/b.png",
        "../elsewhere/c.png",
    ]
    (tmp_path / "set" / "list.txt").write_text("\r\n".join(lines), encoding="utf-8")
    inputs = find_inputs(tmp_path / "set" / "list.txt")
    assert [item.name for item in inputs.items] == ["a.png", "c.png", "sub/b.png"]
    assert inputs.items[1].path == tmp_path / "elsewhere" / "c.png"
    assert not inputs.walked


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"a/x.png\n../b/x.png\n../c/x.png\n", "list file l.lst line 3: two files would be called x.png"),
        (b"\xff\xfe\n", "list file l.lst: expected UTF-8 text, one path a line"),
        (
            b"# nothing\n\n",
            "input l.lst: expected images (.bmp, .dcm, .dicom, .ima, .jfif, .jpe, .jpeg, .jpg, "
            ".nii, .nii.gz, .png, .tif, .tiff), found none",
        ),
    ],
)
def test_lists_that_are_refused(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "l.lst").write_bytes(content)
    with pytest.raises(InputError) as caught:
        find_inputs(tmp_path / "l.lst")
    assert str(caught.value) == message


def test_inputs_that_are_refused(tmp_path: Path) -> None:
    put(tmp_path, "a.txt.d/notes.md")
    none = (
        "expected images (.bmp, .dcm, .dicom, .ima, .jfif, .jpe, .jpeg, .jpg, "
        ".nii, .nii.gz, .png, .tif, .tiff), found none"
    )
    expected = {
        tmp_path / "gone": "input gone: no such file or folder",
        tmp_path / "gone.txt": "input gone.txt: no such file or folder",
        tmp_path / "a.txt.d": f"input a.txt.d: {none}",
        tmp_path / ("n" * 300): f"input {'n' * 300}: file name too long",
        tmp_path / "a.txt.d" / "notes.md" / "x": "input x: not a directory",
    }
    for source, message in expected.items():
        with pytest.raises(InputError) as caught:
            find_inputs(source)
        assert str(caught.value) == message
    assert MAX_LIST_BYTES == 256 << 20


def test_folders_that_cannot_be_listed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(tmp_path, "in/a.png", "in/locked/b.png")
    honest = os.scandir

    def scandir(path: Any) -> Iterator[Any]:
        if os.fspath(path).endswith("locked") or refuse_all:
            raise PermissionError(13, "Permission denied", os.fspath(path))
        return honest(path)

    monkeypatch.setattr(os, "scandir", scandir)
    refuse_all = False
    inputs = find_inputs(tmp_path / "in")
    assert [item.name for item in inputs.items] == ["a.png"]
    assert inputs.unreadable == ("locked",)
    refuse_all = True
    with pytest.raises(InputError, match=r"^input in: the folder cannot be listed$"):
        find_inputs(tmp_path / "in")


def test_of_many_files_that_are_passed_over_the_first_are_told(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"")
    for k in range(105):
        (tmp_path / f"{k:03d}.doc").write_bytes(b"")
    told = find_inputs(tmp_path).left_out()
    assert told["count"] == 105
    assert [one["file"] for one in told["files"]] == [f"{k:03d}.doc" for k in range(100)]
