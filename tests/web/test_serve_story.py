"""The whole story by forms: a run, its review, a grant, verifying, restoring."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image as Pillow
from served import client_of, post
from starlette.testclient import TestClient

from medlocker.certificates import new_owner
from medlocker.web._roots import Roots
from medlocker.web._started import Asked, notes_folder
from patience import wait_until
from runs import called, fill

pytestmark = pytest.mark.slow
"""Whole runs, started from pages."""


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Images and keys, and a release of them that needs a review."""
    folder = tmp_path_factory.mktemp("study")
    fill(folder / "in", 4)
    new_owner(folder / "own")
    new_owner(folder / "alice")
    done = called(
        "protect", "in", "--owner", "own", "--out", "rel", "--needs-review", "--lesions", "none", cwd=folder
    )
    assert done.code == 0
    return folder


@pytest.fixture
def client(study: Path) -> TestClient:
    return client_of(study)


@pytest.fixture
def reviewed(client: TestClient) -> TestClient:
    assert post(client, "/review/open", at="0/rel", owner="0/own.sign.key").status_code == 200
    return client


def status(client: TestClient, at: str) -> Any:
    return client.get("/run/status", params={"at": at}).json()


def test_a_run_is_started_and_watched(tmp_path: Path) -> None:
    fill(tmp_path / "in", 3)
    new_owner(tmp_path / "own")
    client = client_of(tmp_path)
    assert "0/own.sign.key" in client.get("/run/new", params={"at": "0/in"}).text
    fields = {"images": "0/in", "owner": "0/own.sign.key", "folder": "0", "name": "rel", "preset": "veil"}
    page = post(client, "/run/start", **fields)
    assert page.status_code == 200
    wait_until(lambda: not status(client, "0/rel")["can_stop"])
    page = client.get("/run", params={"at": "0/rel"})
    assert "Open the release" in page.text
    assert "3 marked, 0 skipped, 0 failed of 3" in page.text
    told = json.loads((notes_folder(tmp_path / "rel") / "result.json").read_text())
    assert told["marked"] == 3
    again = post(
        client, "/run/start", **fields
    )  # a finished release is never changed: the run itself says so
    wait_until(lambda: any("finished release" in line for line in status(client, "0/rel")["messages"]))
    assert again.status_code == 200
    wait_until(lambda: not status(client, "0/rel")["can_stop"])


def test_a_run_is_stopped_and_goes_on(tmp_path: Path) -> None:
    fill(tmp_path / "in", 60)
    new_owner(tmp_path / "own")
    client = client_of(tmp_path)
    fields = {"images": "0/in", "owner": "0/own.sign.key", "folder": "0", "name": "rel", "preset": "veil"}
    post(client, "/run/start", **fields)
    assert post(client, "/run/start", **fields).status_code == 400  # two browsers at once
    wait_until(lambda: status(client, "0/rel")["state"] in ("running", "finished"))
    if post(client, "/run/stop", at="0/rel").status_code == 200:
        wait_until(lambda: not status(client, "0/rel")["can_stop"])
    other = client_of(tmp_path)  # the server was started anew meanwhile
    if status(other, "0/rel")["state"] == "interrupted":
        assert status(other, "0/rel")["can_repeat"]
        assert post(other, "/run/start", again="0/rel").status_code == 200
    wait_until(lambda: status(other, "0/rel")["state"] == "finished")
    wait_until(lambda: not any(status(one, "0/rel")["can_stop"] for one in (client, other)))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"preset": "x"}, "expected a preset of paper, strong or veil"),
        ({"missing_regions": "x"}, "expected refuse, none or candidates"),
        ({"owner": "0/own.sign.pub"}, "expected an owner&#39;s key NAME.sign.key"),
        ({"model": "0/nothing.onnx"}, "nothing.onnx: there is no such file or folder"),
        ({"name": "../x"}, "expected the name of a new folder"),
        ({"folder": "0/nothing"}, "nothing: expected a folder"),
        ({"regions": "0/../x"}, "place"),
        ({"images": "0/list.txt"}, "list.txt: expected a folder or an image"),
    ],
)
def test_what_cannot_be_started(
    study: Path, client: TestClient, change: dict[str, str], message: str
) -> None:
    (study / "list.txt").write_text("/etc/hostname\n")
    fields = {
        "images": "0/in",
        "owner": "0/own.sign.key",
        "folder": "0",
        "name": "new",
        "preset": "veil",
        **change,
    }
    page = post(client, "/run/start", **fields)
    assert page.status_code == 400
    assert message in page.text
    assert not (study / "new").exists()


def test_a_run_takes_no_code_from_the_folders(tmp_path: Path) -> None:
    fill(tmp_path / "in", 1)
    new_owner(tmp_path / "own")
    for folder in (tmp_path, notes_folder(tmp_path / "rel")):
        folder.mkdir(exist_ok=True)
        for name in ("typer.py", "sitecustomize.py"):
            (folder / name).write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\n")
    client = client_of(tmp_path)
    fields = {"images": "0/in", "owner": "0/own.sign.key", "folder": "0", "name": "rel", "preset": "veil"}
    post(client, "/run/start", **fields)
    wait_until(lambda: not status(client, "0/rel")["can_stop"])
    assert status(client, "0/rel")["state"] == "finished"
    assert not (tmp_path / "ran").exists()


def test_what_was_asked_for_is_checked_again(tmp_path: Path) -> None:
    folder = notes_folder(tmp_path / "rel")
    folder.mkdir()
    (folder / "asked.json").write_text('{"images": "0/in", "search": "os:system"}')
    assert "expected what was asked for" in post(client_of(tmp_path), "/run/start", again="0/rel").text
    assert "search" not in Asked.__dataclass_fields__


def test_a_review_on_pages(study: Path, client: TestClient) -> None:
    assert "Owner&#39;s key" in client.get("/review", params={"at": "0/rel"}).text.replace("'", "&#39;")
    page = post(client, "/review/open", at="0/rel", owner="0/own.sign.key").text
    assert page.count("<figure>") == 4
    assert "0 of 4 approved" in page
    link = re.search(r'href="(/review/image\?[^"]*)"', page)
    assert link is not None
    image = client.get(link[1].replace("&amp;", "&")).text
    assert "Approve" in image
    pictures = [
        client.get("/review/picture", params={"at": "0/rel", "index": 0, "side": 640, "version": version})
        for version in ("original", "marked")
    ]
    assert all(picture.headers["content-type"] == "image/jpeg" for picture in pictures)
    assert pictures[0].content != pictures[1].content


def test_decisions_lead_on_to_the_next_image(tmp_path: Path) -> None:
    fill(tmp_path / "in", 3)
    new_owner(tmp_path / "own")
    options = ("--owner", "own", "--out", "rel", "--needs-review", "--lesions", "none")
    assert called("protect", "in", *options, cwd=tmp_path).code == 0
    client = client_of(tmp_path)
    post(client, "/review/open", at="0/rel", owner="0/own.sign.key")
    page = post(client, "/review/decide", at="0/rel", index=0, verdict="approved", reviewer="Dr. A")
    assert "index=" in str(page.url)
    assert "index=0" not in str(page.url)
    rejected = {"at": "0/rel", "index": 1, "verdict": "rejected"}
    assert post(client, "/review/decide", **rejected, why="").status_code == 400
    assert post(client, "/review/decide", **rejected, why="dark").status_code == 200
    wanted = {"opacity": "0.05", "keep_out": "1,2,10,10\n20,20,5,5", "verdict": "another mark"}
    assert post(client, "/review/decide", at="0/rel", index=2, **wanted).status_code == 200
    assert "That is final" in client.get("/review/image", params={"at": "0/rel", "index": 2}).text
    table = called("review", "rel", "--owner", "own", "--json", cwd=tmp_path).json
    assert (table["approved"], table["rejected"], table["another_mark"]) == (1, 1, 1)


def test_all_are_approved_only_by_who_has_looked(reviewed: TestClient) -> None:
    unsure = post(reviewed, "/review/decide", at="0/rel", which="all", verdict="approved")
    assert unsure.status_code == 400
    assert "that you have looked at these images" in unsure.text
    assert "4 of 4 approved" not in reviewed.get("/review", params={"at": "0/rel"}).text
    sure = post(reviewed, "/review/decide", at="0/rel", which="all", verdict="approved", sure="1")
    assert "4 of 4 approved" in sure.text


def test_a_grant_is_given_listed_and_opens(study: Path, reviewed: TestClient) -> None:
    post(reviewed, "/review/decide", at="0/rel", which="not decided", verdict="approved", sure="1")
    fields = {
        "at": "0/rel",
        "owner": "0/own.sign.key",
        "to": "0/alice.age.pub",
        "folder": "0",
        "images": "0[01]*",
    }
    page = post(reviewed, "/grants", **fields, name="for-alice", purpose="a study")
    assert page.status_code == 200
    assert "2 images" in page.text
    assert "a study" in page.text
    keys = {"at": "0/rel", "owner": "0/own.sign.pub", "identity": "0/alice.age.key", "folder": "0"}
    page = post(reviewed, "/restore", **keys, grant="0/for-alice", name="back")
    assert "restored 2 images" in page.text
    with Pillow.open(study / "in/00.png") as first, Pillow.open(study / "back/00.png") as again:
        np.testing.assert_array_equal(np.asarray(first), np.asarray(again))
    refused = post(reviewed, "/restore", **keys, name="no")
    assert "only the owner can open a release without a grant" in refused.text
    assert not (study / "no").exists()


def test_verifying_a_release_and_one_file(study: Path, client: TestClient) -> None:
    fields = {"at": "0/rel", "owner": "0/own.sign.pub"}
    assert "4 of 4 images are as signed" in post(client, "/verify", **fields).text
    data = (study / "rel/images/02.png").read_bytes()
    page = post(client, "/verify", **fields, file=("x.png", data)).text
    assert "the file is image 2 of the release, 02.png" in page
    changed = post(client, "/verify", **fields, file=("x.png", data + b"x")).text
    assert "NOT VALID" in changed
    assert "the file was made of image 2, 02.png, and changed since" in changed
    assert "NOT VALID" in post(client, "/verify", at="0/rel", owner="0/alice.sign.pub").text


def test_folders_say_what_they_are(study: Path, client: TestClient) -> None:
    assert "A finished release." in client.get("/", params={"at": "0/rel"}).text
    assert "Mark the images of this folder" in client.get("/", params={"at": "0/in"}).text
    assert client.get("/picture", params={"at": "0/in/00.png"}).headers["content-type"] == "image/jpeg"
    assert client.get("/reports").status_code == 200
    assert client.get("/no-such-page").status_code == 404


def test_images_without_regions_are_as_was_chosen(study: Path) -> None:
    roots = Roots([study])
    asked = Asked("0/in", "0/own.sign.key", "0/new", regions="0/in", missing_regions="none")
    assert "--missing-regions none" in " ".join(asked.command(roots))
    assert "--missing-regions" not in replace(asked, regions="").command(roots)
