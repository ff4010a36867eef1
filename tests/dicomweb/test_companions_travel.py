"""A study with SEG, RTSTRUCT, presentation state, key objects and report through two real servers."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from test_orthanc import address

from companion_samples import STUDY, complaints, read, saved, uids_in, write_study
from orthancs import needs_orthanc, orthanc
from runs import Shell, images_of

pytestmark = needs_orthanc


@pytest.fixture
def servers(tmp_path: Path) -> Iterator[tuple[Any, Any]]:
    started = [orthanc.Orthanc(tmp_path / name) for name in ("source", "target")]
    yield started[0], started[1]
    for server in started:
        server.stop()


def whole(files: list[bytes]) -> int:
    """How many references there are to stored objects; each must lead to one of the files.

    Only the owner can follow what a marked image says of its source.
    """
    objects = [read(data) for data in files]
    there = {str(one.SOPInstanceUID) for one in objects}
    marked = [
        one
        for one in objects
        if any(by.Manufacturer == "medlocker" for by in one.get("ContributingEquipmentSequence", []))
    ]
    items = [item for one in marked for item in one.get("SourceImageSequence", [])]
    sources = {str(item.ReferencedSOPInstanceUID) for item in items}
    found = [
        value
        for one in objects
        for keyword, value in uids_in(one)
        if keyword == "ReferencedSOPInstanceUID" and value not in (STUDY, *sources)
    ]
    assert set(found) <= there
    return len(found)


def test_references_are_whole_on_both_sides_and_restored_equal(
    servers: tuple[Any, Any],
    tmp_path: Path,
    owner_name: Path,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    source, target = servers
    run = partial(Shell(capfd, monkeypatch), cwd=tmp_path)
    originals = [saved(ds) for ds in write_study(tmp_path / "study").values()]
    source.upload(*originals)
    release = tmp_path / "release"
    done = run(
        "protect",
        address(source, STUDY),
        *("--owner", owner_name, "--out", release, "--no-ledger", "--json"),
        *("--push", address(target, "")),
    )
    assert done.code == 0, done.err
    assert STUDY not in done.err + done.out
    assert done.json["fetched"]["instances"] == 8
    assert (done.json["marked"], done.json["beside"]["companions"]) == (3, 5)
    assert done.json["pushed"] == {"instances": 8, "sent": 8, "already": 0, "changed": 0, "failed": []}
    names = sorted(images_of(release))
    assert names[:3] == [f"series-0001/00000{number}.dcm" for number in (1, 2, 3)]
    assert target.files() == sorted(images_of(release).values())
    assert whole(source.files()) == whole(target.files()) > 30
    assert not {read(data).SOPInstanceUID for data in source.files()} & {
        read(data).SOPInstanceUID for data in target.files()
    }
    public, private = f"{owner_name}.sign.pub", f"{owner_name}.age.key"
    assert run("verify", release, "--owner", public).code == 0
    back = run("restore", release, "--owner", public, "--identity", private, "--out", tmp_path / "back")
    assert back.code == 0, back.err
    assert sorted(path.read_bytes() for path in (tmp_path / "back").rglob("*.dcm")) == sorted(originals)
    for name in names[3:]:
        assert complaints(release / "images" / name) == set()


def test_without_companions_they_stay_on_the_server(
    servers: tuple[Any, Any],
    tmp_path: Path,
    owner_name: Path,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    source, _ = servers
    run = partial(Shell(capfd, monkeypatch), cwd=tmp_path)
    source.upload(*(saved(ds) for ds in write_study(tmp_path / "study").values()))
    done = run(
        "protect",
        address(source, STUDY),
        *("--owner", owner_name, "--out", tmp_path / "release", "--no-ledger", "--json"),
        "--without-companions",
    )
    assert done.code == 0, done.err
    assert (done.json["fetched"]["instances"], done.json["fetched"]["passed_over"]) == (3, 5)
    assert len(images_of(tmp_path / "release")) == 3
