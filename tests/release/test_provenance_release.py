"""A data set whose files say where they come from: nothing of the originals in it, and it goes again."""

from __future__ import annotations

import hashlib
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image as Pillow
from pydicom import dcmread, uid

from every_format import every_file
from medlocker.certificates import (
    CREDENTIALS_ENDING,
    ContentCredentials,
    IndexEntry,
    Owner,
    find_content_credentials,
    open_owner_grant,
    open_release,
    owner_access,
    verify_release,
)
from medlocker.errors import WriteError
from medlocker.formats import read_image, told_by
from medlocker.images import content_digest
from medlocker.options import ProvenanceName
from medlocker.protect import Settings
from medlocker.provenance import Provenance
from medlocker.release import _run as run_module
from medlocker.release import run_release
from medlocker.release._sidecars import SidecarWriter
from medlocker.restore import restore_release
from runs import called, images_of, make_run, protect

NAMES = (
    "rgb.png", "422.jpg", "rgb.tif", "pages.tif", "rgb.bmp", "ct.dcm", "jpegls.dcm", "short.nii",
    "packed.nii.gz",
)  # fmt: skip
HELD = "HELD^Patient^4711"
UID = "1.2.3.987654321.20"


def secret_files() -> dict[str, bytes]:
    """Files with texts that are sealed, and that nothing around a marked file may tell again."""
    files = {name: every_file()[name] for name in NAMES}
    picture = Pillow.open(io.BytesIO(files["422.jpg"]))
    exif = Pillow.Exif()
    exif[0x010E], exif[0x927C] = HELD, HELD.encode()
    stream = io.BytesIO()
    picture.save(stream, "JPEG", exif=exif, comment=HELD.encode() * 100)
    files["422.jpg"] = stream.getvalue()
    ds = dcmread(io.BytesIO(files["ct.dcm"]), force=True)
    ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID = uid.UID(UID)
    stream = io.BytesIO()
    ds.save_as(stream)
    files["ct.dcm"] = stream.getvalue()
    return files


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("told") / "Held_4711_input"
    folder.mkdir()
    for name, data in secret_files().items():
        (folder / name).write_bytes(data)
    return folder


def settings(provenance: ProvenanceName, **more: Any) -> Settings:
    return Settings(preset="veil", seed=1, budget=3, provenance=provenance, **more)


def restored(out: Path, owner: Owner, back: Path) -> dict[str, bytes]:
    release = open_release(out, owner.signing.public)
    report = verify_release(release)
    assert report.valid, report
    again = restore_release(owner_access(release, owner.identity()), back)
    assert (again.failed, again.restored) == (0, len(NAMES)), again.failures
    return {path.name: path.read_bytes() for path in back.iterdir()}


@pytest.fixture(scope="module")
def releases(tmp_path_factory: pytest.TempPathFactory, source: Path, owner: Owner) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("releases")
    kinds: tuple[ProvenanceName, ...] = ("none", "standard", "c2pa")
    for kind in kinds:
        assert protect(source, folder / kind, owner, settings=settings(kind)).summary.marked == len(NAMES)
    return {kind: folder / kind for kind in kinds}


def files_of(release: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (release / "images").iterdir()}


def test_what_comes_back_is_what_came_back_before(
    releases: dict[str, Path], owner: Owner, source: Path, tmp_path: Path
) -> None:
    before = restored(releases["none"], owner, tmp_path / "none")
    for kind in ("standard", "c2pa"):
        assert restored(releases[kind], owner, tmp_path / kind) == before
    identical = {name for name in NAMES if before[name] == (source / name).read_bytes()}
    assert identical >= {"422.jpg", "rgb.bmp", "ct.dcm", "jpegls.dcm", "short.nii"}
    for name in NAMES:
        data = (source / name).read_bytes()
        image, original = read_image(before[name], name=name), read_image(data, name=name)
        assert content_digest(image) == content_digest(original)


def test_every_format_says_it_in_its_own_place(releases: dict[str, Path], owner: Owner) -> None:
    release = open_release(releases["standard"], owner.signing.public).statement.release
    files = files_of(releases["standard"])
    for name in ("rgb.png", "422.jpg", "rgb.tif", "pages.tif", "ct.dcm", "jpegls.dcm"):
        assert told_by(read_image(files[name], name=name)) == Provenance(release)
    assert sorted(files.keys() - set(NAMES)) == ["packed.json", "short.json"]
    told = json.loads(files["short.json"])
    assert told == {
        "Description": Provenance(release).description,
        "GeneratedBy": [{"Name": "medlocker", "Version": Provenance(release).version}],
    }
    assert files_of(releases["none"]).keys() == set(NAMES)
    for name, data in files_of(releases["none"]).items():
        assert told_by(read_image(data, name=name)) is None


def test_every_file_has_valid_credentials_inside_or_beside(releases: dict[str, Path], owner: Owner) -> None:
    files = files_of(releases["c2pa"])
    inside = {"rgb.png": "png", "422.jpg": "jpeg", "rgb.tif": "tiff"}
    beside = set(NAMES) - set(inside)
    assert {name for name in files if name.endswith(".c2pa")} == {
        name + CREDENTIALS_ENDING for name in beside
    }
    for name in NAMES:
        found = find_content_credentials(
            files[name], kind=inside.get(name, "other"), beside=files.get(name + CREDENTIALS_ENDING)
        )
        assert found is not None, name
        assert (found.valid, found.key_id) == (True, owner.signing.public.key_id)


def test_pictures_look_the_same_whatever_is_around_them(releases: dict[str, Path]) -> None:
    plain = files_of(releases["none"])
    for kind in ("standard", "c2pa"):
        files = files_of(releases[kind])
        for name in NAMES:
            pair = (read_image(data, name=name) for data in (plain[name], files[name]))
            assert len({content_digest(image) for image in pair}) == 1


@pytest.mark.parametrize("kind", ["standard", "c2pa"])
def test_nothing_of_an_original_is_told_because_of_it(
    releases: dict[str, Path], source: Path, owner: Owner, kind: str
) -> None:
    """Also no parameter of a mark: keys as bytes or text, opacity and angle as text."""
    release = open_release(releases[kind], owner.signing.public)
    access = owner_access(release, owner.identity())
    plain, files = files_of(releases["none"]), files_of(releases[kind])
    secret = open_owner_grant(
        (releases[kind] / "certificate/grants/owner.age").read_bytes(),
        owner.identity(),
        owner=owner.signing.public,
    )
    for line in (line for shard in release.statement.shards for line in release.shard_lines(shard)):
        name = line.entry.name
        record, data = access.open(line), (source / name).read_bytes()
        image = read_image(data, name=name)
        digests = [hashlib.sha256(data).digest(), bytes.fromhex(content_digest(image))]
        words = [HELD.encode(), source.name.encode(), Path(name).stem.encode() + b".", owner.signing.seed]
        words += [secret.value, secret.value.hex().encode()]
        if name == "ct.dcm":
            words.append(UID.encode())
        (mark,) = record.marks
        values = mark.to_json()
        words += [bytes.fromhex(str(values["key"])), str(values["key"]).encode(), record.salt.hex().encode()]
        words += [form for digest in digests for form in (digest, digest.hex().encode())]
        for form in (b"opacity", b"residual", b"keep_out", b"phase"):
            words.append(form)
        beside = b"".join(files.get(name + end, b"") for end in (CREDENTIALS_ENDING,))
        beside += files.get(name.split(".")[0] + ".json", b"")
        for word in words:
            assert files[name].count(word) <= plain[name].count(word), word
            assert word not in beside, word


def test_marked_twice_and_restored_twice(
    releases: dict[str, Path], owner: Owner, source: Path, tmp_path: Path
) -> None:
    """Somebody marks what is marked already: what was there comes back with its own credentials."""
    first = tmp_path / "first"
    first.mkdir()
    for name in NAMES:
        (first / name).write_bytes(files_of(releases["c2pa"])[name])
    assert protect(first, tmp_path / "again", owner, settings=settings("c2pa")).summary.marked == len(NAMES)
    files = files_of(tmp_path / "again")
    second = open_release(tmp_path / "again", owner.signing.public).statement.release
    for name in ("rgb.png", "422.jpg", "rgb.tif", "ct.dcm"):
        told = told_by(read_image(files[name], name=name))
        assert told == Provenance(second)
    back = restored(tmp_path / "again", owner, tmp_path / "back")
    for name in ("422.jpg", "ct.dcm", "rgb.bmp", "short.nii"):
        assert back[name] == (first / name).read_bytes()
    release = open_release(releases["c2pa"], owner.signing.public).statement.release
    for name, kind in (("rgb.png", "png"), ("422.jpg", "jpeg"), ("rgb.tif", "tiff")):
        image = read_image(back[name], name=name)
        assert told_by(image) == Provenance(release)
        if kind == "jpeg":
            found = find_content_credentials(back[name], kind=kind)
            assert found is not None
            assert found.valid


def test_a_source_with_credentials_of_its_own_that_pass(
    releases: dict[str, Path], owner: Owner, tmp_path: Path
) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    (folder / "a.png").write_bytes(files_of(releases["c2pa"])["rgb.png"])
    out = tmp_path / "out"
    protect(folder, out, owner, settings=settings("c2pa", keep_metadata=("all",)))
    files = files_of(out)
    assert sorted(files) == ["a.png", "a.png.c2pa"]
    release = open_release(out, owner.signing.public)
    assert verify_release(release).valid
    restore_release(owner_access(release, owner.identity()), tmp_path / "back")
    back, before = ((place / "a.png").read_bytes() for place in (tmp_path / "back", folder))
    np.testing.assert_array_equal(read_image(back, name="b").pixels, read_image(before, name="b").pixels)
    assert b"caBX" in back


@pytest.mark.parametrize("kind", ["standard", "c2pa"])
def test_an_interrupted_run_goes_on_with_the_same_files(
    releases: dict[str, Path],
    source: Path,
    owner: Owner,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    kind: ProvenanceName,
) -> None:
    out = tmp_path / "out"
    wanted = settings(kind)
    with monkeypatch.context() as patch:
        patch.setattr(run_module, "assemble", _disk_is_full)
        with pytest.raises(WriteError):
            protect(source, out, owner, settings=wanted)
    before = files_of(out)
    for name in ("rgb.png", "ct.dcm"):
        (out / "images" / name).unlink()
    (out / "images" / "short.json").write_bytes(b"somebody else wrote this")
    if kind == "c2pa":
        (out / "images" / "ct.dcm.c2pa").write_bytes(b"and this")
    assert protect(source, out, owner, settings=wanted).summary.marked == len(NAMES)
    after = files_of(out)
    restored(out, owner, tmp_path / "back")
    assert b"somebody else" not in after["short.json"]
    made = {name for name in after if name.endswith((".json", ".c2pa"))}
    assert made == {name for name in files_of(releases[kind]) if name.endswith((".json", ".c2pa"))}
    same = {name for name in before if after.get(name) == before[name]}
    if kind == "standard":
        assert same == set(before)
    else:  # signing takes random numbers: what was lost is signed again
        assert {"422.jpg", "rgb.tif", "pages.tif", "ct.dcm", "short.json"} <= same
        found = find_content_credentials(after["ct.dcm"], kind="dicom", beside=after["ct.dcm.c2pa"])
        assert found is not None
        assert found.valid


def _disk_is_full(*args: Any, **options: Any) -> None:
    raise WriteError("cannot write statement: no space left on device")


def test_a_file_that_somebody_changed_is_not_signed(owner: Owner, tmp_path: Path) -> None:
    provenance = Provenance("ab" * 16)
    writer = SidecarWriter(tmp_path, provenance, ContentCredentials(owner.signing, provenance), (), 1)
    (tmp_path / "a.bmp").write_bytes(every_file()["rgb.bmp"])
    for told, made in ((every_file()["grey.bmp"], []), (every_file()["rgb.bmp"], ["a.bmp.c2pa"])):
        entry = IndexEntry(0, "a.bmp", hashlib.sha256(told).hexdigest(), "0" * 64)
        found, missing = writer.write([entry], taken=())
        assert ([one.name for one in found], missing) == (made, 0)


def test_a_sidecar_never_takes_the_place_of_an_image(owner: Owner, tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    (folder / "a.nii").write_bytes(every_file()["short.nii"])
    (folder / "a.json").write_bytes(every_file()["rgb.png"])
    (tmp_path / "list.txt").write_text("in/a.nii\nin/a.json\n")
    said: list[str] = []
    run = make_run(tmp_path / "list.txt", tmp_path / "out", owner, settings=settings("standard"))
    run_release(run, say=said.append)
    names = [path.name for path in (tmp_path / "out" / "images").rglob("a.*")]
    assert sorted(names) == ["a.json", "a.nii"]
    image = next((tmp_path / "out" / "images").rglob("a.json")).read_bytes()
    assert read_image(image, name="a").format == "png"
    assert said == ["1 files beside marked ones could not be written: others have their names"]


def test_a_sidecar_never_takes_the_place_of_a_folder(owner: Owner, tmp_path: Path) -> None:
    (tmp_path / "in" / "a.json").mkdir(parents=True)
    (tmp_path / "in" / "a.nii").write_bytes(every_file()["short.nii"])
    (tmp_path / "in" / "a.json" / "b.png").write_bytes(every_file()["rgb.png"])
    said: list[str] = []
    run_release(
        make_run(tmp_path / "in", tmp_path / "out", owner, settings=settings("standard")), say=said.append
    )
    assert sorted(images_of(tmp_path / "out")) == ["a.json/b.png", "a.nii"]
    assert said == ["1 files beside marked ones could not be written: others have their names"]


def test_the_command(source: Path, owner_name: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    (folder / "a.png").write_bytes((source / "rgb.png").read_bytes())
    common = ("protect", "in", "--owner", owner_name, "--lesions", "none", "--no-ledger")
    done = called(*common, "--out", "r", "--provenance", "c2pa", cwd=tmp_path)
    assert done.code == 0, done.err
    told = called("inspect", "r/images/a.png", "--json", cwd=tmp_path).json
    assert told["says of itself"].startswith(
        "visible mark that misleads AI: not for diagnosis by AI; release "
    )
    assert told["content credentials"].startswith("unchanged since it was signed, by the key ")
    assert "says of itself" not in called("inspect", "in/a.png", "--json", cwd=tmp_path).json
    assert called(*common, "--out", "s", "--provenance", "wrong", cwd=tmp_path).code == 2
    monkeypatch.setattr("medlocker.certificates._contentcredentials.find_spec", lambda name: None)
    done = called(*common, "--out", "t", "--provenance", "c2pa", cwd=tmp_path)
    assert done.code == 2
    assert "this needs the library c2pa, which is not installed" in done.err
    assert not (tmp_path / "t").exists()
    told = called("inspect", "r/images/a.png", "--json", cwd=tmp_path).json
    assert told["content credentials"] == "not checked: that needs the extra c2pa"
