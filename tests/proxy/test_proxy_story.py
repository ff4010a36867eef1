"""The real command between a real Orthanc and an independent client, dicomweb-client."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import signal
import ssl
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from dicomweb_client.api import DICOMwebClient
from requests import Session
from requests.exceptions import HTTPError

from companion_samples import STUDY as SEGMENTED
from companion_samples import saved, segmentation, slice_of, uids_in
from fake_server import self_signed, uids
from medlocker.certificates import new_owner
from orthancs import STUDY, needs_orthanc, orthanc, small_study
from patience import HANGS_S
from runs import COMMAND, LISTEN, called, environment, images_of

pytestmark = [needs_orthanc, pytest.mark.slow]  # a real server, and the real command, again and again
ORIGINALS = small_study()
GRANTED = 3
"""The last one, of two frames, stays marked."""


@dataclass(frozen=True)
class Place:
    """Keys, release and grant, and a store with the marked files."""

    folder: Path
    store: Any
    marked: list[bytes]

    def command(self, *options: object) -> list[str]:
        """A proxy for alice on a free port."""
        parts: list[object] = ["proxy", "--server", f"dicomweb:{self.store.url}", "--release", "rel"]
        parts += ["--owner", "own.sign.pub", "--identity", "alice.age.key", "--json", "--log", "log"]
        if "--listen" not in options:
            parts += ["--listen", "127.0.0.1:0"]
        # an interrupt is heard even where a shell started the tests in the background
        start = [*COMMAND[:-1], LISTEN + COMMAND[-1]]
        return [*start, *map(str, (*parts, *options))]

    @contextmanager
    def proxy(self, *options: object) -> Iterator[str]:
        """Run a proxy, yield its address, and end it by an interrupt."""
        (self.folder / "log").unlink(missing_ok=True)
        running = subprocess.Popen(
            self.command(*options),
            cwd=self.folder, env=environment(), text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip
        assert running.stdout is not None
        try:
            lines = [running.stdout.readline() for _ in range(3)]
            yield json.loads("".join(lines))["address"]
            running.send_signal(signal.SIGINT)
            _, told = running.communicate(timeout=HANGS_S)
            assert (running.returncode, "Traceback" in told) == (130, False), told
        finally:
            running.kill()
            running.communicate()

    @property
    def log(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in (self.folder / "log").read_text().splitlines()]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    folder = tmp_path_factory.mktemp("place")
    files = {f"{k}.dcm": data for k, data in enumerate(ORIGINALS)}
    with placed(folder, files, granted="[012].dcm") as found:
        yield found


@contextmanager
def placed(folder: Path, files: Mapping[str, bytes], *, granted: str) -> Iterator[Place]:
    """Mark files, send them to an Orthanc, and grant some of them to alice."""
    (folder / "in").mkdir()
    for name, data in files.items():
        (folder / "in" / name).write_bytes(data)
    new_owner(folder / "own")
    new_owner(folder / "alice")
    store = orthanc.Orthanc(folder / "store")
    try:
        for command in (
            "protect in --owner own --out rel --no-ledger --lesions none --keep-original",
            f"push rel dicomweb:{store.url} --owner own.sign.pub",
            f"grant rel --owner own --to alice.age.pub --out grant --images {granted}",
        ):
            done = called(*command.split(), cwd=folder)
            assert done.code == 0, done.err
        marked = images_of(folder / "rel")
        yield Place(folder, store, [marked[name] for name in sorted(marked)])
    finally:
        store.stop()


def raw(address: str, **headers: str) -> bytes:
    request = urllib.request.Request(address, headers={"Accept": "application/dicom", **headers})
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(
        request, timeout=HANGS_S
    ) as answer:
        return bytes(answer.read())


def address_of(url: str, data: bytes) -> str:
    study, series, uid = uids(data)
    return f"{url}/studies/{study}/series/{series}/instances/{uid}"


def test_an_independent_client_sees_the_originals(place: Place) -> None:
    shown = [*ORIGINALS[:GRANTED], *place.marked[GRANTED:]]
    with place.proxy("--grant", "grant") as url:
        client = DICOMwebClient(url)
        assert [one["0020000D"]["Value"] for one in client.search_for_studies()] == [[STUDY]]
        assert len(client.search_for_series(STUDY)) == 3
        listed = {one["00080018"]["Value"][0]: one for one in client.search_for_instances(STUDY)}
        assert sorted(listed) == sorted(uids(data)[2] for data in shown)
        for data in shown:
            _, series, uid = uids(data)
            wanted = pydicom.dcmread(io.BytesIO(data))
            assert raw(address_of(url, data)) == data
            file = client.retrieve_instance(STUDY, series, uid)
            assert file == wanted
            [header] = [
                one
                for one in client.retrieve_series_metadata(STUDY, series)
                if one["00080018"]["Value"] == [uid]
            ]
            told = pydicom.Dataset.from_json(
                header, lambda tag, vr, address: raw(address, Accept="application/octet-stream")
            )
            wanted = pydicom.dcmread(io.BytesIO(data), stop_before_pixels=True)
            assert told == pydicom.Dataset(wanted)
            plain = client.retrieve_instance_frames(
                STUDY, series, uid, [1], media_types=(("application/octet-stream", "1.2.840.10008.1.2.1"),)
            )
            pixels = file.pixel_array if file.get("NumberOfFrames", 1) == 1 else file.pixel_array[0]
            if file.get("PlanarConfiguration") == 1:
                pixels = np.moveaxis(pixels, 2, 0)
            assert bytes(plain[0]) == pixels.tobytes()
        assert len(client.retrieve_study(STUDY)) == 4
        with pytest.raises(HTTPError, match="405"):
            client.store_instances([pydicom.dcmread(io.BytesIO(ORIGINALS[0]))])
    assert place.store.counts()[2] == 4
    assert {line["image"]: line["shown"] for line in place.log if "image" in line} == {
        0: "restored", 1: "restored", 2: "restored", 3: "marked",
    }  # fmt: skip
    assert {line["who"] for line in place.log} == {"local"}
    text = (place.folder / "log").read_text()
    assert not any(word in text for word in (STUDY, "CompressedSamples", "P1"))


def test_a_segmentation_refers_to_what_the_proxy_shows(tmp_path: Path) -> None:
    images = [slice_of(number) for number in (1, 2)]
    objects = {"1.dcm": images[0], "2.dcm": images[1], "seg.dcm": segmentation(images)}
    files = {name: saved(one) for name, one in objects.items()}
    with placed(tmp_path, files, granted="[12].dcm") as place, place.proxy("--grant", "grant") as url:
        client = DICOMwebClient(url)
        headers = [pydicom.Dataset.from_json(one) for one in client.retrieve_study_metadata(SEGMENTED)]
        [seg] = [one for one in headers if one.Modality == "SEG"]
        referred = [value for keyword, value in uids_in(seg) if keyword == "ReferencedSOPInstanceUID"]
        assert set(referred) == {str(one.SOPInstanceUID) for one in images}
        for one in images:
            file = client.retrieve_instance(SEGMENTED, one.SeriesInstanceUID, one.SOPInstanceUID)
            assert file.PixelData == one.PixelData
        assert raw(address_of(url, files["seg.dcm"])) == files["seg.dcm"]
        [frame] = client.retrieve_instance_frames(SEGMENTED, seg.SeriesInstanceUID, seg.SOPInstanceUID, [1])
        assert frame == objects["seg.dcm"].PixelData[: len(frame)]
    assert {line["shown"] for line in place.log} == {"restored"}
    assert {line["companion"] for line in place.log if "companion" in line} == {0}


def test_tokens_over_tls_and_two_callers_at_once(place: Place) -> None:
    pem = self_signed(place.folder)
    tokens = place.folder / "tokens"
    digests = {name: hashlib.sha256(f"{name}-token".encode()).hexdigest() for name in ("alice", "bob")}
    tokens.write_text(f"alice {digests['alice']} grant\nbob {digests['bob']} none\n")
    tokens.chmod(0o600)
    listen = ("--listen", "0.0.0.0:0", "--name", "127.0.0.1", "--tls-cert", pem, "--tls-key", pem)
    with place.proxy(*listen, "--token-file", tokens) as url:
        assert url.startswith("https://127.0.0.1:")

        def look(name: str) -> set[str]:
            session = Session()
            session.verify, session.trust_env = str(pem), False
            session.headers["Authorization"] = f"Bearer {name}-token"
            client = DICOMwebClient(url, session=session)
            found: set[str] = set()
            for _ in range(5):
                found |= {one["00080018"]["Value"][0] for one in client.retrieve_study_metadata(STUDY)}
            return found

        with ThreadPoolExecutor(4) as pool:
            seen = list(pool.map(look, ("alice", "bob", "alice", "bob")))
        marked, originals = [uids(data)[2] for data in place.marked], [uids(data)[2] for data in ORIGINALS]
        assert seen[0] == seen[2] == {*originals[:GRANTED], *marked[GRANTED:]}
        assert seen[1] == seen[3] == set(marked)
        opener = urllib.request.build_opener(
            urllib.request.ProxyHandler({}),
            urllib.request.HTTPSHandler(context=ssl.create_default_context(cafile=pem)),
        )
        basic = base64.b64encode(b"alice:wrong").decode()
        for headers in ({}, {"Authorization": f"Basic {basic}"}):
            with pytest.raises(urllib.error.HTTPError, match="401"):
                opener.open(urllib.request.Request(f"{url}/studies", headers=headers), timeout=HANGS_S)
    assert {(line["who"], line["shown"]) for line in place.log} == {
        ("alice", "restored"), ("alice", "marked"), ("bob", "marked"),
    }  # fmt: skip


def test_orthanc_dies_and_comes_back(place: Place) -> None:
    own = orthanc.Orthanc(place.folder / "own-store")
    own.upload(*place.marked)
    other = Place(place.folder, own, place.marked)
    try:
        with other.proxy("--grant", "grant", "--cache", "0") as url:
            address = address_of(url, ORIGINALS[0])
            assert raw(address) == ORIGINALS[0]
            own.stop()
            for path in (address, f"{url}/studies", address + "/metadata", f"{url}/studies/{STUDY}"):
                with pytest.raises(urllib.error.HTTPError) as caught:
                    raw(path, Accept="*/*")
                told = json.loads(caught.value.read())
                assert (caught.value.code, told["code"]) == (502, "transfer")
                assert "127.0.0.1" not in json.dumps(told)
            own = orthanc.Orthanc(place.folder / "own-store", port=own.port)
            assert raw(address) == ORIGINALS[0]
    finally:
        own.stop()


@pytest.mark.parametrize(
    ("options", "code", "message"),
    [
        (("--listen", "0.0.0.0:8043"), 2, "others can reach this address"),
        (("--allow-origin", "viewer.example"), 2, "expected a site such as https://viewer.example"),
        (("--release", "rel", "--grant", "grant"), 2, "expected each release once"),
        (("--grant", "in"), 2, "grant.dsse.json"),
        ((), 3, "none of the given identities opens it"),
    ],
)
def test_what_cannot_be_served_is_said_at_once(
    place: Place, options: tuple[str, ...], code: int, message: str
) -> None:
    command = place.command(*options)
    answer = called(*command[command.index("proxy") :], cwd=place.folder)
    assert (answer.code, json.loads(answer.out)["error"].count(message)) == (code, 1)
