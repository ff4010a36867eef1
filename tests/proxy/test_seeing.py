"""What somebody sees through the proxy: originals where a grant opens them, else what the store has."""

from __future__ import annotations

import hashlib
import importlib
import io
import shutil
from datetime import timedelta
from pathlib import Path

import proxied as helpers
import pydicom
import pytest
from proxied import (
    NOW,
    ORIGINALS,
    SERIES,
    Proxied,
    World,
    changed,
    make_world,
    parts_of,
    private,
    proxied,
    report,
    uid_of,
)

from fake_server import STUDY, FakeServer, uids
from medlocker.certificates import IndexLine
from medlocker.proxy import ServedReleases

world, store, proxy = helpers.world, helpers.store, helpers.proxy
"""Fixtures."""
NOT_SIGNED = "the instance says that it is marked, but it is not a signed file of the given releases"


def test_a_granted_instance_is_the_original_bit_for_bit(proxy: Proxied, world: World) -> None:
    for asked in (uid_of(world.marked[0]), uid_of(ORIGINALS[0])):  # by either UID
        answer = proxy.instance(asked)
        assert (answer.status_code, answer.content) == (200, ORIGINALS[0])
        assert answer.headers["medlocker-shown"] == "restored"
        assert answer.headers["content-type"].startswith("application/dicom; transfer-syntax=1.2.840.10008")


def test_an_original_is_found_by_its_uid_before_anybody_listed_its_series(proxy: Proxied) -> None:
    assert proxy.instance(uid_of(ORIGINALS[1])).content == ORIGINALS[1]


def test_what_is_not_granted_is_what_the_store_has(proxy: Proxied, world: World) -> None:
    answer = proxy.instance(uid_of(world.marked[2]))
    assert (answer.content, answer.headers["medlocker-shown"]) == (world.marked[2], "marked")
    # nobody without a grant learns that the original has this UID
    proxy.get(f"/studies/{STUDY}/series/{SERIES[0]}/metadata")
    assert proxy.instance(uid_of(ORIGINALS[2])).status_code == 404


def test_the_owner_sees_all(world: World, store: FakeServer, tmp_path: Path) -> None:
    owner = proxied(world, store, tmp_path / "log", grants=None)
    answer = owner.get(f"/studies/{STUDY}", 'multipart/related; type="application/dicom"; transfer-syntax=*')
    assert answer.status_code == 200
    assert [data for _, data in parts_of(answer)] == [*ORIGINALS, report()]


def test_a_report_is_what_the_store_has(proxy: Proxied) -> None:
    answer = proxy.instance("1.2.3.4.9.1", "1.2.3.4.9")
    assert (answer.content, answer.headers["medlocker-shown"]) == (report(), "not of a release")
    assert proxy.seen == [("instance", "not of a release", None)]


def test_all_levels_tell_the_same_uids(proxy: Proxied, world: World) -> None:
    shown = [uid_of(data) for data in (ORIGINALS[0], ORIGINALS[1], world.marked[2])]
    listed = proxy.get(f"/studies/{STUDY}/series/{SERIES[0]}/instances").json()
    headers = proxy.get(f"/studies/{STUDY}/series/{SERIES[0]}/metadata").json()
    files = parts_of(proxy.get(f"/studies/{STUDY}/series/{SERIES[0]}"))
    everywhere = proxy.get("/instances").json()
    assert [one["00080018"]["Value"][0] for one in listed] == shown
    assert [one["00080018"]["Value"][0] for one in headers] == shown
    assert [uid_of(data) for _, data in files] == shown
    assert {one["00080018"]["Value"][0] for one in everywhere} >= set(shown)
    # what the search tells is in the headers, and leads to the same instance
    for one, header in zip(listed, headers, strict=True):
        assert all(value == header[tag] for tag, value in one.items() if tag != "00081190")
        address = one["00081190"]["Value"][0]
        assert address.startswith("http://127.0.0.1:8043/dicom-web/studies/")
        found = proxy.client.get(address, headers={"accept": "application/dicom"})
        assert uid_of(found.content) == one["00080018"]["Value"][0]


def test_headers_are_the_originals(proxy: Proxied) -> None:
    header = proxy.instance(uid_of(ORIGINALS[0]), rest="/metadata").json()[0]
    wanted = pydicom.dcmread(io.BytesIO(ORIGINALS[0]), stop_before_pixels=True)
    assert pydicom.Dataset.from_json(header) == pydicom.Dataset(wanted)
    assert "DERIVED" not in str(header)


def test_frames_are_the_originals(proxy: Proxied) -> None:
    wanted = pydicom.dcmread(io.BytesIO(ORIGINALS[0])).PixelData
    answer = proxy.instance(uid_of(ORIGINALS[0]), rest="/frames/1")
    assert [data for _, data in parts_of(answer)] == [wanted]
    bare = proxy.instance(uid_of(ORIGINALS[0]), rest="/frames/1", accept="application/octet-stream")
    assert bare.content == wanted


def test_a_search_by_the_uid_of_an_original_finds_it(proxy: Proxied, store: FakeServer, world: World) -> None:
    path = f"/studies/{STUDY}/series/{SERIES[0]}/instances"
    proxy.get(path, params={"SOPInstanceUID": uid_of(ORIGINALS[1])})
    asked = [one for one in store.requests if one.path == path][-1]
    assert asked.query["SOPInstanceUID"] == [uid_of(world.marked[1])]


def test_studies_and_series_lead_here_and_not_to_the_store(proxy: Proxied) -> None:
    for path in ("/studies", "/series", f"/studies/{STUDY}/series"):
        answer = proxy.get(path, params={"PatientName": "Secret*", "includefield": "all"})
        assert "store.internal" not in answer.text
        assert all(one["00081190"]["Value"][0].startswith("http://127.0.0.1:8043/") for one in answer.json())
    assert "Secret" not in proxy.log.read_text()


def test_only_restored(world: World, store: FakeServer, tmp_path: Path) -> None:
    proxy = proxied(world, store, tmp_path / "log", only_restored=True)
    listed = proxy.get(f"/studies/{STUDY}/instances").json()
    assert [one["00080018"]["Value"][0] for one in listed] == [uid_of(data) for data in ORIGINALS[:2]]
    for data in (world.marked[2], report()):
        _, series, uid = uids(data)
        assert proxy.instance(uid, series).status_code == 404


def test_a_changed_file_is_refused_and_costs_only_itself(
    proxy: Proxied, store: FakeServer, world: World
) -> None:
    bad = bytearray(world.marked[0])
    bad[-1] ^= 1
    store.files[uids(world.marked[0])] = bytes(bad)
    answer = proxy.instance(uid_of(world.marked[0]))
    assert (answer.status_code, private(answer), answer.json()["code"]) == (403, NOT_SIGNED, "wrong-image")
    headers = proxy.get(f"/studies/{STUDY}/series/{SERIES[0]}/metadata")
    assert [one["00080018"]["Value"][0] for one in headers.json()] == [
        uid_of(ORIGINALS[1]),
        uid_of(world.marked[2]),
    ]
    assert headers.headers["warning"] == (
        f'299 medlocker "1 instances are left out, the first because: {NOT_SIGNED}"'
    )
    files = proxy.get(f"/studies/{STUDY}/series/{SERIES[0]}")
    assert (files.status_code, len(parts_of(files))) == (206, 2)
    assert ("instance", "refused", None) in proxy.seen


@pytest.fixture(scope="module")
def other(world: World, tmp_path_factory: pytest.TempPathFactory) -> World:
    """Another release of the same owner."""
    return make_world(tmp_path_factory.mktemp("other"), keys=world.folder)


def test_a_release_that_is_not_the_stores(store: FakeServer, other: World, tmp_path: Path) -> None:
    proxy = proxied(other, store, tmp_path / "log")
    answer = proxy.get(f"/studies/{STUDY}/series/{SERIES[0]}/metadata")
    assert (answer.json(), "3 instances are left out" in answer.headers["warning"]) == ([], True)
    assert proxy.instance("1.2.3.4.9.1", "1.2.3.4.9").status_code == 200


def test_several_releases(world: World, other: World, store: FakeServer, tmp_path: Path) -> None:
    releases = [other.release, world.release]
    proxy = proxied(world, store, tmp_path / "log", releases=releases)
    assert proxy.instance(uid_of(ORIGINALS[0])).content == ORIGINALS[0]
    assert {line["release"] for line in proxy.lines} == {world.release.statement.release}


def test_a_grant_that_ends_meanwhile(
    world: World, store: FakeServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.grant(f"short-{tmp_path.name}", until=NOW + timedelta(hours=1))
    proxy = proxied(world, store, tmp_path / "log", grants=[f"short-{tmp_path.name}"])
    assert proxy.instance(uid_of(ORIGINALS[0])).content == ORIGINALS[0]

    callers = importlib.import_module("medlocker.proxy._callers")
    monkeypatch.setattr(callers, "_now", lambda: NOW + timedelta(hours=2))
    gone = proxy.instance(uid_of(ORIGINALS[0]))
    assert gone.status_code == 404
    assert "a grant of yours has ended" in gone.json()["hint"]
    assert proxy.instance(uid_of(world.marked[0])).content == world.marked[0]
    listed = proxy.get(f"/studies/{STUDY}/series/{SERIES[0]}/metadata").json()
    assert [one["00080018"]["Value"][0] for one in listed] == [uid_of(data) for data in world.marked[:3]]


def test_a_damaged_release_is_never_served(world: World, store: FakeServer, tmp_path: Path) -> None:
    shutil.copytree(world.folder, tmp_path / "own")
    own = World(tmp_path / "own", world.marked)
    proxy = proxied(own, store, tmp_path / "log")
    seal = next((own.folder / "rel" / "certificate" / "sealed").glob("*.seal"))
    damaged = bytearray(seal.read_bytes())
    damaged[len(damaged) // 12] ^= 1  # the record of image 0
    seal.write_bytes(damaged)
    answer = proxy.instance(uid_of(own.marked[0]))
    assert answer.status_code == 403
    assert private(answer).endswith("the record of image 0 is not the signed one")
    assert proxy.instance(uid_of(own.marked[1])).content == ORIGINALS[1]


def test_another_instance_with_the_uid_of_a_restored_one(proxy: Proxied, store: FakeServer) -> None:
    false = changed(report(series=SERIES[0]), SOPInstanceUID=uid_of(ORIGINALS[0]))
    store.files[uids(false)] = false
    headers = proxy.get(f"/studies/{STUDY}/series/{SERIES[0]}/metadata").json()
    same = [one for one in headers if one["00080018"]["Value"] == [uid_of(ORIGINALS[0])]]
    assert [("00280010" in one) for one in same] == [True]
    assert proxy.instance(uid_of(ORIGINALS[0])).content == ORIGINALS[0]


def test_a_file_whose_digest_only_begins_like_a_signed_one(world: World) -> None:
    [served] = ServedReleases([world.release]).served
    digest = hashlib.sha256(world.marked[0]).hexdigest()
    found = served.find(digest)
    assert isinstance(found, IndexLine)
    assert found.entry.index == 0
    assert served.find(digest[:20] + "0" * 44) is None


def test_the_log_tells_who_saw_what(proxy: Proxied, world: World) -> None:
    proxy.instance(uid_of(ORIGINALS[0]))
    proxy.instance(uid_of(world.marked[2]), rest="/frames/1")
    proxy.get(f"/studies/{STUDY}/series/{SERIES[0]}/metadata")
    assert proxy.seen == [
        ("instance", "restored", 0),
        ("frames", "marked", 2),
        *(("metadata", shown, k) for k, shown in enumerate(("restored", "restored", "marked"))),
    ]
    assert {line["who"] for line in proxy.lines} == {"local"}
    text = proxy.log.read_text()
    assert STUDY not in text
    assert "Sally" not in text
