"""Companions seen through the proxy: what a segmentation or report refers to is what the proxy shows."""

from __future__ import annotations

import importlib
import shutil
from collections.abc import Iterator, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from proxied import GRANTED, NOW, Proxied, World, changed, make_world, parts_of, private, proxied
from pydicom import Dataset

from companion_samples import STUDY, read, saved, segmentation, slice_of, uids_in, write_study
from fake_server import FakeServer, serving, uids
from runs import images_of

OPENED, CLOSED = "notes/ko.dcm", "more/seg.dcm"
"""The grant of images 0 and 1 opens the first, which is about them alone, and not the second."""
ODD = "more/odd.dcm"
"""Frames that are no whole number of bytes; its number is that of an image that the grant opens."""


@pytest.fixture(scope="module")
def originals(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, bytes]:
    objects = write_study(tmp_path_factory.mktemp("study"))
    odd = segmentation([slice_of(number) for number in (1, 2, 3)], instance="1.2.826.2.2")
    odd.Rows = odd.Columns = 47
    odd.PixelData = bytes(830)
    objects |= {ODD: odd, OPENED: objects.pop("more/ko.dcm")}
    return {name: saved(one) for name, one in objects.items()}


@pytest.fixture(scope="module")
def world(originals: Mapping[str, bytes], tmp_path_factory: pytest.TempPathFactory) -> World:
    return make_world(tmp_path_factory.mktemp("travelled"), files=originals)


@pytest.fixture(scope="module")
def sent(world: World) -> Mapping[str, bytes]:
    """The files of the release, as the store has them."""
    return images_of(world.folder / "rel")


@pytest.fixture
def store(sent: Mapping[str, bytes], monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeServer]:
    monkeypatch.setattr("medlocker.dicomweb._http._WAITS_S", (0.0, 0.0))
    with serving(*sent.values()) as server:
        yield server


@pytest.fixture
def proxy(world: World, store: FakeServer, tmp_path: Path) -> Iterator[Proxied]:
    """A proxy that opens two of three images for everybody."""
    found = proxied(world, store, tmp_path / "log")
    yield found
    found.instances.close()


@pytest.fixture
def owner(world: World, store: FakeServer, tmp_path: Path) -> Iterator[Proxied]:
    found = proxied(world, store, tmp_path / "owner-log", grants=None)
    yield found
    found.instances.close()


def ask(proxy: Proxied, data: bytes, rest: str = "", accept: str = "application/dicom") -> Any:
    study, series, uid = uids(data)
    path = f"/studies/{study}/series/{series}/instances/{uid}{rest}"
    return proxy.get(path, "*/*" if rest else accept)


def number_of(world: World, name: str) -> int:
    return next(line.number for line in world.release.companions() if line.entry.name == name)


def test_what_the_grant_opens_is_the_original_bit_for_bit(
    proxy: Proxied, world: World, originals: Mapping[str, bytes], sent: Mapping[str, bytes]
) -> None:
    for data in (originals[OPENED], sent[OPENED]):  # by either UID, the original's before anybody listed it
        answer = ask(proxy, data)
        assert (answer.status_code, answer.content) == (200, originals[OPENED])
        assert answer.headers["medlocker-shown"] == "restored"
    last = proxy.lines[-1]
    assert (last["shown"], last["companion"], "image" in last) == (
        "restored",
        number_of(world, OPENED),
        False,
    )


def test_what_it_does_not_open_is_what_the_store_has(
    proxy: Proxied, world: World, originals: Mapping[str, bytes], sent: Mapping[str, bytes]
) -> None:
    assert number_of(world, ODD) in GRANTED
    assert number_of(world, OPENED) not in GRANTED
    for name in (CLOSED, ODD):
        answer = ask(proxy, sent[name])
        assert (answer.content, answer.headers["medlocker-shown"]) == (sent[name], "marked")
        assert proxy.lines[-1]["companion"] == number_of(world, name)
    proxy.get(f"/studies/{STUDY}/metadata")
    assert ask(proxy, originals[CLOSED]).status_code == 404  # nobody learns the original's UID
    # what it refers to is there nevertheless: marked files are found by their own UIDs too
    for name in ("ct/1.dcm", "ct/2.dcm", "ct/3.dcm"):
        assert ask(proxy, sent[name]).status_code == 200


def test_the_owner_sees_no_reference_that_leads_nowhere(
    owner: Proxied, originals: Mapping[str, bytes]
) -> None:
    headers = [Dataset.from_json(one) for one in owner.get(f"/studies/{STUDY}/metadata").json()]
    there = {str(one.SOPInstanceUID) for one in headers}
    assert there == {uids(data)[2] for data in originals.values()}
    referred = {
        value
        for one in headers
        for keyword, value in uids_in(one)
        if keyword == "ReferencedSOPInstanceUID" and value != STUDY  # a study is no instance
    }
    assert len(referred) == 4  # the slices, and the segmentation that the report is about
    assert referred <= there
    files = parts_of(owner.get(f"/studies/{STUDY}"))
    assert sorted(data for _, data in files) == sorted(originals.values())


def test_frames_of_a_segmentation(
    owner: Proxied, proxy: Proxied, originals: Mapping[str, bytes], sent: Mapping[str, bytes]
) -> None:
    pixels = read(originals[CLOSED]).PixelData
    for looked, data in ((owner, originals[CLOSED]), (proxy, sent[CLOSED])):
        [(media, frame)] = parts_of(ask(looked, data, "/frames/2"))
        assert media.startswith("application/octet-stream")
        assert frame == pixels[288:576]
    odd = ask(owner, originals[ODD], "/frames/1")
    assert (odd.status_code, private(odd)) == (406, "the frames are no whole number of bytes")
    assert ask(owner, originals[ODD], "/metadata").json()[0]["00280010"]["Value"] == [47]


def test_a_changed_one_says_nothing_of_itself_and_is_not_restored(
    proxy: Proxied, store: FakeServer, originals: Mapping[str, bytes], sent: Mapping[str, bytes]
) -> None:
    bad = changed(sent[OPENED], SeriesDescription="changed")
    store.files[uids(bad)] = bad
    answer = ask(proxy, bad)
    assert (answer.content, answer.headers["medlocker-shown"]) == (bad, "not of a release")
    assert ask(proxy, originals[OPENED]).status_code == 404


def test_a_signed_one_in_the_place_of_a_changed_one(
    world: World,
    store: FakeServer,
    tmp_path: Path,
    originals: Mapping[str, bytes],
    sent: Mapping[str, bytes],
) -> None:
    proxy = proxied(world, store, tmp_path / "log", cache_bytes=0)
    bad = changed(sent[OPENED], SeriesDescription="changed")
    store.files[uids(bad)] = bad
    assert ask(proxy, bad).content == bad
    store.files[uids(bad)] = sent[OPENED]
    assert ask(proxy, bad).content == originals[OPENED]
    assert proxy.lines[-1]["companion"] == number_of(world, OPENED)


def test_a_damaged_seal_costs_only_itself(
    world: World, store: FakeServer, tmp_path: Path, originals: Mapping[str, bytes], sent: Mapping[str, bytes]
) -> None:
    shutil.copytree(world.folder, tmp_path / "own")
    own = World(tmp_path / "own", world.marked)
    proxy = proxied(own, store, tmp_path / "log", grants=None)
    seals = own.folder / "rel" / "certificate" / "companions.seal"
    place = next(line.seal for line in own.release.companions() if line.entry.name == CLOSED)
    assert place is not None
    damaged = bytearray(seals.read_bytes())
    damaged[place.offset + 300] ^= 1
    seals.write_bytes(damaged)
    answer = ask(proxy, sent[CLOSED])
    assert answer.status_code == 403
    wanted = f"the original of companion {number_of(own, CLOSED)} is not the signed one"
    assert private(answer).endswith(wanted)
    assert len(proxy.get(f"/studies/{STUDY}/metadata").json()) == len(originals) - 1


def test_only_restored(
    world: World, store: FakeServer, tmp_path: Path, originals: Mapping[str, bytes]
) -> None:
    proxy = proxied(world, store, tmp_path / "log", only_restored=True)
    headers = proxy.get(f"/studies/{STUDY}/metadata").json()
    wanted = [uids(originals[name])[2] for name in ("ct/1.dcm", "ct/2.dcm", OPENED)]
    assert sorted(one["00080018"]["Value"][0] for one in headers) == sorted(wanted)


def test_a_grant_that_ends_meanwhile(
    world: World,
    store: FakeServer,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    originals: Mapping[str, bytes],
    sent: Mapping[str, bytes],
) -> None:
    world.grant("short", until=NOW + timedelta(hours=1))
    proxy = proxied(world, store, tmp_path / "log", grants=["short"])
    assert ask(proxy, originals[CLOSED]).content == originals[CLOSED]
    callers = importlib.import_module("medlocker.proxy._callers")
    monkeypatch.setattr(callers, "_now", lambda: NOW + timedelta(hours=2))
    assert ask(proxy, originals[CLOSED]).status_code == 404
    assert ask(proxy, sent[CLOSED]).content == sent[CLOSED]
