"""`medlocker protect --preset veil` on every format, by the commands: marked, verified, granted, restored."""

from __future__ import annotations

import io
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from numpy.typing import NDArray
from PIL import Image as Pillow

from every_format import REGION, slice_of_ct, write_all
from medlocker.certificates import Owner, open_release, owner_access
from medlocker.formats import metadata_digest, read_image
from medlocker.images import Image, content_digest
from medlocker.veil import Veil
from onnx_models import make_onnx, weights_for
from runs import Answer, called, fill, images_of, tiny_model

WINDOW = np.s_[REGION.y : REGION.bottom, REGION.x : REGION.right]
BYTES_STAY = (".bmp", ".dcm", ".jpg", ".nii")
"""Files that come back byte for byte without a kept original; of DICOM those that are not compressed."""
SOME = (
    "rgb.png",
    "grey16.png",
    "rgb.bmp",
    "pages.tif",
    "420.jpg",
    "ct.dcm",
    "frames.dcm",
    "j2k.dcm",
    "byte.nii",
)
"""Few of every family, for what asks a model."""


@dataclass(frozen=True)
class Place:
    """A folder of files of every format in ``in``, and what belongs to it."""

    folder: Path
    owner_name: Path

    def protect(self, out: str, *more: object, source: str = "in") -> Answer:
        arguments: list[object] = ["protect", source, "--preset", "veil", "--owner", self.owner_name]
        arguments += ["--out", out, "--no-ledger", "--seed", 1]
        return called(*arguments, *more, cwd=self.folder)

    def restore(self, release: str, out: str, *more: object) -> Answer:
        keys = ["--owner", f"{self.owner_name}.sign.pub", "--identity", f"{self.owner_name}.age.key"]
        return called("restore", release, *keys, "--out", out, *more, cwd=self.folder)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory, owner_name: Path) -> Place:
    folder = tmp_path_factory.mktemp("veil")
    write_all(folder / "in")
    fill(folder / "few", 3)
    (folder / "some").mkdir()
    for name in SOME:
        shutil.copy(folder / "in" / name, folder / "some" / name)
    tiny_model(folder)
    return Place(folder, owner_name)


@pytest.fixture(scope="module")
def everything(place: Place) -> Answer:
    """What marking every file without a model answers."""
    return place.protect("all", "--regions", "regions.csv", "--json")


def pixels_of(image: Image) -> list[NDArray[Any]]:
    frames = image.frames
    return [image.pixels] if frames is None else [frames[i] for i in range(len(frames))]


def read(path: Path) -> Image:
    return read_image(path.read_bytes(), name=path.name)


def veils_of(release: Path, owner: Owner) -> dict[str, Veil]:
    """What the sealed records say, by name; one veil alone each."""
    opened = open_release(release, owner.signing.public)
    access = owner_access(opened, owner.identity())
    found = {}
    for shard in opened.statement.shards:
        for line in opened.shard_lines(shard):
            (veil,) = access.open(line).marks
            assert isinstance(veil, Veil)
            found[line.entry.name] = veil
    return found


def test_every_file_gets_a_veil_that_spares_its_region(place: Place, everything: Answer) -> None:
    assert everything.code == 0, everything.err
    names = sorted(path.name for path in (place.folder / "in").iterdir())
    value = everything.json
    assert (value["marked"], value["failed"], value["skipped"]) == (len(names), [], [])
    sidecars = [name.partition(".nii")[0] + ".json" for name in names if ".nii" in name]
    assert sorted(images_of(place.folder / "all")) == sorted([*names, *sidecars])
    for name in names:
        before, after = read(place.folder / "in" / name), read(place.folder / "all" / "images" / name)
        assert (before.kind, before.bits, before.pixels.shape) == (after.kind, after.bits, after.pixels.shape)
        for old, new in zip(pixels_of(before), pixels_of(after), strict=True):
            assert np.array_equal(old[WINDOW], new[WINDOW]), name
            assert (old != new).any(axis=2).mean() > 0.3, name  # copies lie apart
    assert 22 < value["marks"]["least_psnr_db"] < value["marks"]["median_psnr_db"] < 45


@pytest.mark.parametrize("kind", ["png", "bmp", "jpg", "tif"])
def test_other_readers_see_the_region_as_it_was(place: Place, everything: Answer, kind: str) -> None:
    found = 0
    for path in (place.folder / "in").glob(f"*.{kind}"):
        if "16" in path.name and kind in ("png", "tif"):
            continue  # Pillow has no 16-bit colours
        pictures = [
            np.asarray(Pillow.open(io.BytesIO(one.read_bytes())).convert("RGBA"))
            for one in (path, place.folder / "all" / "images" / path.name)
        ]
        assert np.array_equal(pictures[0][WINDOW], pictures[1][WINDOW]), path.name
        assert (pictures[0] != pictures[1]).any()
        found += 1
    assert found >= 2


def test_pydicom_sees_the_region_as_it_was(place: Place, everything: Answer) -> None:
    found = 0
    for path in (place.folder / "in").glob("*.dcm"):
        header = pydicom.dcmread(path)
        if header.file_meta.TransferSyntaxUID.is_compressed or header.get("NumberOfFrames", 1) > 1:
            continue  # pydicom turns colours of compressed ones into RGB
        marked = pydicom.dcmread(place.folder / "all" / "images" / path.name)
        if header.PhotometricInterpretation != marked.PhotometricInterpretation:
            continue
        assert np.array_equal(header.pixel_array[WINDOW], marked.pixel_array[WINDOW]), path.name
        assert marked.BurnedInAnnotation == "YES"
        found += 1
    assert found >= 8


def test_every_file_comes_back(place: Place, everything: Answer) -> None:
    verified = called("verify", "all", "--owner", f"{place.owner_name}.sign.pub", "--json", cwd=place.folder)
    assert verified.code == 0
    answer = place.restore("all", "back", "--json")
    assert answer.code == 0, answer.err
    originals = {path.name: path for path in (place.folder / "in").iterdir()}
    assert answer.json["restored"] == len(originals)
    for name, path in originals.items():
        data = (place.folder / "back" / name).read_bytes()
        before, again = read(path), read_image(data, name=name)
        assert content_digest(before) == content_digest(again), name
        assert metadata_digest(before) == metadata_digest(again), name
        for old, new in zip(pixels_of(before), pixels_of(again), strict=True):
            assert np.array_equal(old, new), name
        packed = name.endswith(".dcm") and pydicom.dcmread(path).file_meta.TransferSyntaxUID.is_compressed
        if name.endswith(BYTES_STAY) and not packed:
            assert data == path.read_bytes(), name


def test_no_two_images_have_one_veil(place: Place, everything: Answer, owner: Owner) -> None:
    veils = veils_of(place.folder / "all", owner)
    originals = {name: content_digest(read(place.folder / "in" / name)) for name in veils}
    keys = {(originals[name], veil.key) for name, veil in veils.items()}
    assert len(keys) == len({key for _, key in keys}) == len(set(originals.values())) > 30
    for veil in veils.values():
        assert any(
            box.x <= REGION.x
            and box.y <= REGION.y
            and box.right >= REGION.right
            and box.bottom >= REGION.bottom
            for box in veil.keep_out
        )


def test_nothing_public_tells_of_the_veils(place: Place, everything: Answer, owner: Owner) -> None:
    certificate = place.folder / "all" / "certificate"
    public = b"".join(
        path.read_bytes() for path in certificate.rglob("*") if path.is_file() and path.suffix != ".seal"
    )
    assert b"keep_out" not in public
    assert b"period" not in public
    for veil in veils_of(place.folder / "all", owner).values():
        assert veil.key.encode() not in public


def test_a_model_is_asked_twice_an_image(place: Place) -> None:
    answer = place.protect("with-model", "--model", "tiny.onnx", "--json", source="few")
    assert answer.code == 0, answer.err
    value = answer.json
    assert (value["marked"], value["evaluations"]) == (3, 6)
    assert 0 <= value["fooled"] <= value["clean_correct"] == 3
    assert place.restore("with-model", "with-model-back").code == 0
    assert same_pixels(place.folder / "few", place.folder / "with-model-back")


def test_more_budget_draws_until_the_aim_is_reached(place: Place) -> None:
    answer = place.protect("drawn", "--model", "tiny.onnx", "--budget", 4, "--json", source="few")
    assert answer.code == 0, answer.err
    assert 6 <= answer.json["evaluations"] <= 3 * 6  # at the original, at four veils, at the best one again


def test_a_kept_original_comes_back_byte_for_byte(place: Place, owner: Owner) -> None:
    assert place.protect("kept", "--keep-original", "--provenance", "none", source="some").code == 0
    answer = place.restore("kept", "kept-back", "--json")
    assert (answer.code, answer.json["restored"]) == (0, answer.json["identical"])
    originals = {path.name: path.read_bytes() for path in (place.folder / "some").iterdir()}
    restored = {path.name: path.read_bytes() for path in (place.folder / "kept-back").iterdir()}
    assert originals == restored
    release = open_release(place.folder / "kept", owner.signing.public)
    access = owner_access(release, owner.identity())
    for line in release.shard_lines(0):
        record = access.open(line)
        assert record.original == originals[line.entry.name]
        assert (record.residual == b"") == line.entry.name.endswith(
            ".jpg"
        )  # there it would be the same again


def test_metadata_pass_only_if_they_are_named_and_the_certificate_says_so(place: Place, owner: Owner) -> None:
    source = place.folder / "with-xmp" / "a.jpg"
    source.parent.mkdir()
    packet = b"http://ns.adobe.com/xap/1.0/\0<x:xmpmeta/>"
    plain = (place.folder / "in" / "420.jpg").read_bytes()
    source.write_bytes(plain[:2] + b"\xff\xe1" + (len(packet) + 2).to_bytes(2, "big") + packet + plain[2:])
    for out, more, passes in (("untold", (), False), ("named", ("--keep-metadata", "xmp"), True)):
        answer = place.protect(out, *more, source="with-xmp")
        assert answer.code == 0, answer.err
        assert ((place.folder / out / "images" / "a.jpg").read_bytes().find(packet) > 0) == passes
        promise = open_release(place.folder / out, owner.signing.public).statement.promise
        assert promise.endswith("metadata of the kinds xmp.") == passes
        assert place.restore(out, f"{out}-back").code == 0
        assert (place.folder / f"{out}-back" / "a.jpg").read_bytes() == source.read_bytes()
    answer = place.protect("wrong", "--keep-metadata", "icons", source="with-xmp")
    assert answer.code == 2
    assert "expected metadata to keep of private, text, " in answer.err


def test_two_workers_make_the_same_files(place: Place) -> None:
    for out, workers in (("one", 1), ("several", 2)):
        answer = place.protect(out, "--workers", workers, "--regions", "regions.csv", "--provenance", "none")
        assert answer.code == 0, answer.err
    assert images_of(place.folder / "several") == images_of(place.folder / "one")


def test_two_workers_that_ask_a_model_make_the_same_files(place: Place) -> None:
    more: list[object] = ["--model", "tiny.onnx", "--budget", 40, "--out", "style"]
    assert called("prepare", "few", *more, cwd=place.folder).code == 0
    for out, workers in (("alone", 1), ("beside", 2)):
        more = ["--workers", workers, "--regions", "regions.csv", "--model", "tiny.onnx", "--logo", "style"]
        more += ["--provenance", "none"]
        answer = place.protect(out, *more, source="some")
        assert answer.code == 0, answer.err
    assert images_of(place.folder / "alone") == images_of(place.folder / "beside")
    assert len(images_of(place.folder / "alone")) == len(SOME)


def test_one_seed_makes_one_veil_and_another_seed_another(place: Place) -> None:
    for out, seed in (("seed1", 1), ("again1", 1), ("seed2", 2)):
        assert place.protect(out, "--seed", seed, source="few").code == 0
    first, again, other = (images_of(place.folder / out) for out in ("seed1", "again1", "seed2"))
    assert first == again
    assert all(first[name] != other[name] for name in first)


def test_without_a_seed_no_two_releases_are_alike(place: Place) -> None:
    arguments = ["protect", "few", "--preset", "veil", "--owner", place.owner_name, "--no-ledger", "--out"]
    for out in ("secret1", "secret2"):
        assert called(*arguments, out, cwd=place.folder).code == 0
    first, second = (images_of(place.folder / out) for out in ("secret1", "secret2"))
    assert all(first[name] != second[name] for name in first)


def test_the_ledger_refuses_a_second_veil(place: Place, tmp_path: Path) -> None:
    called("key", "new", "--out", "owner", cwd=tmp_path)
    fill(tmp_path / "in", 2)
    arguments = ["protect", "in", "--preset", "veil", "--owner", "owner", "--seed"]
    assert called(*arguments, 1, "--out", "first", cwd=tmp_path).code == 0
    answer = called(*arguments, 2, "--out", "second", cwd=tmp_path)
    assert answer.code == 1
    assert "was marked in another way" in answer.err
    assert not (tmp_path / "second" / "certificate" / "statement.dsse.json").exists()
    assert called(*arguments, 1, "--allow-identical-mark", "--out", "third", cwd=tmp_path).code == 0
    assert images_of(tmp_path / "first") == images_of(tmp_path / "third")


def test_a_grant_opens_only_what_it_names(place: Place, everything: Answer, tmp_path: Path) -> None:
    called("key", "new", "--out", tmp_path / "alice")
    owner = ["--owner", place.owner_name]
    more = ["--to", tmp_path / "alice.age.pub", "--images", "*.jpg", "--out", tmp_path / "grant"]
    assert called("grant", "all", *owner, *more, cwd=place.folder).code == 0
    more = ["--identity", tmp_path / "alice.age.key", "--grant", tmp_path / "grant", "--out", tmp_path / "r"]
    answer = called(
        "restore", "all", "--owner", f"{place.owner_name}.sign.pub", *more, "--json", cwd=place.folder
    )
    assert answer.code == 0, answer.err
    names = sorted(path.name for path in (place.folder / "in").glob("*.jpg"))
    assert sorted(path.name for path in (tmp_path / "r").iterdir()) == names
    for name in names:
        assert (tmp_path / "r" / name).read_bytes() == (place.folder / "in" / name).read_bytes()


def test_a_series_shares_a_veil_that_spares_the_regions_of_all(
    place: Place, tmp_path: Path, owner: Owner
) -> None:
    source = tmp_path / "in"
    source.mkdir()
    rows = ["image,region,x,y,width,height"]
    for k in range(3):
        (source / f"{k}.dcm").write_bytes(slice_of_ct(50 + k, shift=2 * k))
        rows.append(f"{k}.dcm,a,{5 + 18 * k},{6 + 12 * k},12,9")
    (tmp_path / "regions.csv").write_text("\n".join(rows))
    answer = place.protect(str(tmp_path / "out"), "--regions", tmp_path / "regions.csv", source=str(source))
    assert answer.code == 0, answer.err
    veils = veils_of(tmp_path / "out", owner)
    assert len(set(veils.values())) == 1
    for k in range(3):
        before = pydicom.dcmread(source / f"{k}.dcm").pixel_array
        after = pydicom.dcmread(tmp_path / "out" / "images" / f"{k}.dcm").pixel_array
        assert (before != after).mean() > 0.4
        for j in range(3):
            part = np.s_[6 + 12 * j : 15 + 12 * j, 5 + 18 * j : 17 + 18 * j]
            assert np.array_equal(before[part], after[part])
    assert place.restore(str(tmp_path / "out"), str(tmp_path / "r")).code == 0
    for path in source.iterdir():
        assert (tmp_path / "r" / path.name).read_bytes() == path.read_bytes()


def test_samples_beyond_the_window_keep_their_differences(place: Place, everything: Answer) -> None:
    before, after = (
        pydicom.dcmread(place.folder / folder / "ct.dcm").pixel_array.astype(int)
        for folder in ("in", "all/images")
    )
    moved = after - before
    beyond = (before < 1024 - 160) | (before > 1024 + 240)
    assert beyond.mean() > 0.5
    # bones in a soft-tissue window are all white, yet other windows show them apart: each is moved by at most
    # what the veil moves the nearest sample that is shown
    assert np.abs(moved[beyond]).max() <= 0.3 * 400
    assert moved[before < 1024 - 160].min() >= 0  # towards what is shown, and never out of the range
    assert moved[before > 1024 + 240].max() <= 0


def same_pixels(first: Path, second: Path, *, names: Sequence[str] = ()) -> bool:
    chosen = names or [path.name for path in first.iterdir()]
    return all(content_digest(read(first / name)) == content_digest(read(second / name)) for name in chosen)


def test_what_a_person_is_told(place: Place) -> None:
    answer = place.protect("told", source="few")
    assert "no model was given: this run cannot say what its veils do" in answer.err
    assert "marked 3 of 3 images into told" in answer.out
    assert "veils on " in answer.out
    assert "PSNR " in answer.out
    told = io.StringIO(answer.out).readlines()
    assert told[-1].startswith("marks raise the cost of unauthorised analysis")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--max-marks", 2], "--max-marks cannot be used with --preset veil: it is one lattice"),
        (["--max-area", 0.3], "--max-area cannot be used with --preset veil: it covers the whole free area"),
        (
            ["--robust-to", "jpeg"],
            "--robust-to cannot be used with --preset veil: it is not optimised against attacks",
        ),
        (["--harden-opaque", 0.2], "--harden-opaque cannot be used with --preset veil: it is translucent"),
        (["--size", 0.0001], "preset veil: expected a size of 0.00"),
        (["--opacity", 0.001, 0.002], "expected an opacity of at least 0.004, got 0.002: after rounding"),
        (["--min-psnr", 99], "expected a smallest PSNR of 0 to 60 dB, got 99"),
    ],
)
def test_options_that_do_not_fit_are_wrong_usage(place: Place, options: list[object], message: str) -> None:
    answer = place.protect("unfit", *options, source="few")
    assert (answer.code, answer.out) == (2, "")
    errors = [line for line in answer.err.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1
    assert message in errors[0]
    assert not (place.folder / "unfit").exists()


def test_always_wrong_answers_of_two_classes_are_warned_of(place: Place) -> None:
    two = make_onnx(place.folder / "two.onnx", weights=weights_for(classes=2)).path
    answer = place.protect("wrong", "--model", two, "--objective", "wrong", source="few")
    assert answer.code == 0
    assert (
        "aim wrong with the two classes of two: a model that is always wrong tells as much as one"
        in answer.err
    )
    answer = place.protect("right", "--model", two, source="few")
    assert "aim wrong" not in answer.err


def test_strong_veils_come_back_too(place: Place) -> None:
    answer = place.protect("opaque", "--opacity", 0.7, 0.7, "--min-psnr", 0, source="some")
    assert answer.code == 0, answer.err
    assert "an opacity of 0.7 is more than a veil needs" in answer.err
    assert place.restore("opaque", "opaque-back").code == 0
    assert same_pixels(place.folder / "some", place.folder / "opaque-back")
