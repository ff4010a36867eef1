"""Files of a release that are no marked images: signed, sealed where changed, granted with their images."""

from __future__ import annotations

import json
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
from trust_samples import Sample, flip, sha256

from medlocker.certificates import (
    Access,
    CompanionEntry,
    Recipient,
    Release,
    load_identity,
    open_grant,
    open_release,
    owner_access,
    verify_release,
    write_grant,
)
from medlocker.errors import MalformedError, SignatureError, WrongImageError
from medlocker.restore import restore_release

FILES = {
    "left/mask.png": ("copy", b"a mask", None, ()),
    "left/plan.dcm": ("companion", b"edited plan", b"original plan", ((0, 0),)),
    "report.dcm": ("companion", b"edited report", b"original report", ((0, 1),)),
    "right.json": ("sidecar", b"{}", None, ((2, 2),)),
    "sum.dcm": ("companion", b"edited sum", b"original sum", ((0, 2),)),
}


def companions() -> list[tuple[CompanionEntry, bytes | None]]:
    return [
        (CompanionEntry(name, sha256(file), kind, images), original)  # type: ignore[arg-type]
        for name, (kind, file, original, images) in sorted(FILES.items())
    ]


@pytest.fixture
def furnished(sample: Sample) -> Sample:
    """A release with files of all kinds beside its images."""
    for name, (_, file, _, _) in FILES.items():
        (sample.path / "images" / name).write_bytes(file)
    sample.assemble(sample.records, companions=companions())
    return sample


def _open(sample: Sample) -> Release:
    return open_release(sample.path, sample.owner.signing.public)


def _whole(sample: Sample) -> Access:
    return owner_access(_open(sample), sample.owner.identity())


def _files(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()
    }


def _granted(sample: Sample, reader: Recipient, images: list[int], folder: Path) -> Access:
    release = _open(sample)
    write_grant(
        release,
        folder,
        secret=sample.secret,
        signing=sample.owner.signing,
        recipients=[reader],
        images=images,
    )
    return open_grant(release, folder, identity=load_identity(sample.keys / "reader.age.key"))


def test_a_release_with_them_is_valid(furnished: Sample) -> None:
    report = verify_release(_open(furnished))
    assert report.valid
    assert (report.images, report.intact) == (3, 3)
    assert (report.companions, report.companions_intact) == (5, 5)


def test_without_them_nothing_is_added(pristine: Sample, sample: Sample) -> None:
    sample.assemble(sample.records, companions=())
    assert not _open(sample).statement.has_companions
    assert _files(sample.path).keys() == _files(pristine.path).keys()


def test_what_an_earlier_run_left_is_removed(furnished: Sample) -> None:
    furnished.assemble(furnished.records)
    assert verify_release(_open(furnished)).added.names == sorted(f"images/{name}" for name in FILES)
    assert not (furnished.path / "certificate" / "companions.seal").exists()


def test_originals_and_copies_come_back_and_sidecars_do_not(furnished: Sample, tmp_path: Path) -> None:
    report = restore_release(_whole(furnished), tmp_path / "out")
    assert (report.restored, report.companions, report.exit_code) == (3, 4, 0)
    found = _files(tmp_path / "out")
    assert "right.json" not in found
    assert found["left/mask.png"] == b"a mask"
    assert {name: found[name] for name in ("left/plan.dcm", "report.dcm", "sum.dcm")} == {
        "left/plan.dcm": b"original plan",
        "report.dcm": b"original report",
        "sum.dcm": b"original sum",
    }


@pytest.mark.parametrize(
    ("images", "opened"),
    [([0], {"left/plan.dcm"}), ([0, 1], {"left/plan.dcm", "report.dcm"}), ([1, 2], set())],
)
def test_a_grant_of_images_opens_companions_about_them_alone(
    furnished: Sample, reader: Recipient, tmp_path: Path, images: list[int], opened: set[str]
) -> None:
    access = _granted(furnished, reader, images, tmp_path / "grant")
    report = restore_release(access, tmp_path / "out")
    found = _files(tmp_path / "out")
    assert {name for name in found if name.endswith(".dcm")} == opened
    assert "left/mask.png" in found
    assert report.companions_not_granted == 3 - len(opened)


def test_a_grant_of_all_images_opens_all(furnished: Sample, reader: Recipient, tmp_path: Path) -> None:
    report = restore_release(_granted(furnished, reader, [0, 1, 2], tmp_path / "grant"), tmp_path / "out")
    assert report.companions == 4


def test_a_grant_does_not_open_the_companions_of_another_release(
    furnished: Sample, reader: Recipient, tmp_path: Path
) -> None:
    _granted(furnished, reader, [0, 1], tmp_path / "grant")
    fewer = [pair for pair in companions() if pair[0].name != "report.dcm"]
    furnished.assemble(furnished.records, companions=fewer)
    with pytest.raises(WrongImageError, match="other companions"):
        open_grant(
            _open(furnished), tmp_path / "grant", identity=load_identity(furnished.keys / "reader.age.key")
        )


@pytest.mark.parametrize("name", ["left/plan.dcm", "left/mask.png", "right.json"])
def test_changed_and_missing_files_are_told(furnished: Sample, tmp_path: Path, name: str) -> None:
    flip(furnished.path / "images" / name)
    assert verify_release(_open(furnished)).changed.names == [f"images/{name}"]
    report = restore_release(_whole(furnished), tmp_path / "out")
    assert report.restored == 3
    assert report.exit_code == (0 if name == "right.json" else 3)
    (furnished.path / "images" / name).unlink()
    assert verify_release(_open(furnished)).missing.names == [f"images/{name}"]


def test_a_changed_list_or_seal_costs_only_the_companions(furnished: Sample, tmp_path: Path) -> None:
    flip(furnished.path / "certificate" / "companions.seal")
    report = restore_release(_whole(furnished), tmp_path / "out")
    assert (report.restored, report.companions, report.companions_failed) == (3, 3, 1)
    assert report.exit_code == 3
    flip(furnished.path / "certificate" / "companions.jsonl")
    found = verify_release(_open(furnished))
    assert found.changed.names == ["certificate/companions.jsonl", "certificate/companions.seal"]
    assert found.intact == 3
    assert not found.added.count
    report = restore_release(_whole(furnished), tmp_path / "again")
    assert (report.restored, report.companions, report.companions_failed) == (3, 0, 1)


def test_originals_cannot_be_swapped(furnished: Sample, tmp_path: Path) -> None:
    """Even with a list that the owner signed, an original belongs to its own file."""
    release = _open(furnished)
    lines = {line.entry.name: line for line in release.companions()}
    wrong = replace(lines["sum.dcm"], seal=lines["report.dcm"].seal)
    with pytest.raises(WrongImageError, match="another name"):
        _whole(furnished).open_companion(wrong)


def test_names_are_of_images_or_of_companions(sample: Sample) -> None:
    def made(*names: str) -> list[tuple[CompanionEntry, None]]:
        return [(CompanionEntry(name, sha256(b""), "copy"), None) for name in names]

    for names in (("left/eye.png",), ("b", "a"), ("a", "a")):
        with pytest.raises(MalformedError, match="ascending names that no image has"):
            sample.assemble(sample.records, companions=made(*names))


def test_a_companion_has_an_original_and_is_about_images(sample: Sample) -> None:
    with pytest.raises(MalformedError, match="images"):
        CompanionEntry("a", sha256(b""), "companion")
    with pytest.raises(MalformedError, match="gaps"):
        CompanionEntry("a", sha256(b""), "copy", ((1, 2), (3, 3)))
    with pytest.raises(MalformedError, match="kind"):
        CompanionEntry("a", sha256(b""), "mask")  # type: ignore[arg-type]
    with pytest.raises(MalformedError, match="original"):
        sample.assemble(
            sample.records, companions=[(CompanionEntry("a", sha256(b""), "companion", ((0, 0),)), None)]
        )


def test_another_owner_is_refused(furnished: Sample, foreign: Sample) -> None:
    shutil.copy(
        foreign.path / "certificate" / "statement.dsse.json",
        furnished.path / "certificate" / "statement.dsse.json",
    )
    with pytest.raises(SignatureError):
        _open(furnished)


@pytest.mark.skipif(shutil.which("age") is None, reason="needs the age tool on PATH")
def test_the_age_tool_opens_an_original(furnished: Sample, reader: Recipient, tmp_path: Path) -> None:
    """With a grant's identities, and no line of this program."""
    _granted(furnished, reader, [0], tmp_path / "grant")
    rows = (furnished.path / "certificate" / "companions.jsonl").read_bytes().splitlines()
    line = next(line for line in map(json.loads, rows) if line["name"] == "left/plan.dcm")
    seal = line["seal"]
    blob = (furnished.path / "certificate" / "companions.seal").read_bytes()
    (tmp_path / "blob").write_bytes(blob[seal["offset"] : seal["offset"] + seal["length"]])
    identities = tmp_path / "identities"
    for key, sealed, opened in (
        (furnished.keys / "reader.age.key", tmp_path / "grant" / "identities.age", identities),
        (identities, tmp_path / "blob", tmp_path / "opened"),
    ):
        subprocess.run(["age", "-d", "-i", key, "-o", opened, sealed], check=True)
    magic, told, rest = (tmp_path / "opened").read_bytes().split(b"\n", 2)
    assert magic == b"medlocker-companion"
    facts = json.loads(told)
    assert (facts["name"], facts["file"]) == (line["name"], line["file"])
    assert rest.rstrip(b"\0") == b"original plan"
    assert facts["original"] == {"length": len(b"original plan")}
