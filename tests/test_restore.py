from __future__ import annotations

import hashlib
import io
import subprocess
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image as Pillow

from medlocker.certificates import (
    Access,
    IndexEntry,
    PublicFacts,
    ReleaseSecret,
    SealedRecord,
    assemble,
    load_identity,
    load_owner,
    new_owner,
    open_release,
    owner_access,
    seal_record,
    write_owner_grant,
)
from medlocker.errors import OutputExistsError, RestoreError, WrongImageError
from medlocker.formats import mark_file, metadata_digest, read_image
from medlocker.images import pixel_digest
from medlocker.logo import Logo, builtin_logo
from medlocker.mark import Mark
from medlocker.restore import ImageResult, check_output, restore_image, restore_release

LOGO = builtin_logo()
HEX = "00" * 32


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _pillow(pixels: NDArray[Any], kind: str, **options: Any) -> bytes:
    stream = io.BytesIO()
    Pillow.fromarray(pixels).save(stream, kind, **options)
    return stream.getvalue()


def _noise(shape: tuple[int, ...], dtype: str = "u1", seed: int = 3) -> NDArray[Any]:
    return np.random.default_rng(seed).integers(0, np.iinfo(dtype).max + 1, shape).astype(dtype)


def _tiff(pixels: NDArray[Any], **options: Any) -> bytes:
    stream = io.BytesIO()
    tifffile.imwrite(stream, pixels, metadata=None, **options)
    return stream.getvalue()


def _palette() -> bytes:
    picture = Pillow.fromarray(_noise((30, 40, 3))).quantize(31)
    stream = io.BytesIO()
    picture.save(stream, "PNG")
    return stream.getvalue()


EXIF = b"Exif\0\0MM\0*\0\0\0\x08\0\0\0\0\0\0"
ORIGINALS: dict[str, bytes] = {
    "grey.png": _pillow(_noise((30, 40)), "PNG"),
    "rgb.png": _pillow(_noise((30, 40, 3)), "PNG", dpi=(72, 72)),
    "rgba.png": _pillow(_noise((30, 40, 4)), "PNG"),
    "deep.png": _pillow(_noise((30, 40), "u2"), "PNG"),
    "palette.png": _palette(),
    "grey.bmp": _pillow(_noise((30, 40)), "BMP"),
    "rgb.bmp": _pillow(_noise((31, 41, 3)), "BMP"),
    "deep.tif": _tiff(_noise((30, 40, 3), "u2"), photometric="rgb", compression="zlib"),
    "grey.tif": _tiff(_noise((30, 40)), description="left eye"),
    "rgb.jpg": _pillow(_noise((30, 40, 3)), "JPEG", quality=90, exif=EXIF),
    "grey.jpg": _pillow(_noise((30, 40)), "JPEG"),
}
MARKS = (Mark(2, 3, 15, 50000, 700, "ab" * 16, 128, 12, 150), Mark(20, 10, 12, 30000))


@dataclass(frozen=True)
class Marked:
    original: bytes
    file: bytes
    record: SealedRecord


def _mark(data: bytes, name: str, *, marks: tuple[Mark, ...] = MARKS, index: int = 0, **facts: Any) -> Marked:
    image = read_image(data, name=name)
    result = mark_file(image, marks, logo=LOGO)
    file = result.data
    again = read_image(file, name=name)
    record = SealedRecord(
        release="00" * 16,
        index=index,
        name=name,
        file=_sha256(file),
        pixels=pixel_digest(again.pixels),
        original_file=_sha256(data),
        original_name=name,
        original_pixels=pixel_digest(image.pixels),
        metadata=result.metadata or metadata_digest(again),
        method=result.method,
        owner=HEX,
        marks=marks,
        logo=LOGO.digest,
        residual=result.residual,
    )
    return Marked(data, file, replace(record, **facts))


@pytest.mark.parametrize("name", ORIGINALS)
def test_every_format_comes_back_exactly(name: str) -> None:
    marked = _mark(ORIGINALS[name], name)
    original = read_image(marked.original, name=name)
    assert pixel_digest(read_image(marked.file, name=name).pixels) != pixel_digest(original.pixels)
    restored = restore_image(marked.file, marked.record, logo=LOGO)
    image = read_image(restored.data, name=name)
    np.testing.assert_array_equal(image.pixels, original.pixels)
    assert image.pixels.dtype == original.pixels.dtype
    assert restored.name == marked.record.name
    assert restored.identical == (restored.data == marked.original)


def test_a_jpeg_cannot_be_restored_pixel_by_pixel() -> None:
    marked = _mark(ORIGINALS["rgb.jpg"], "rgb.jpg")
    record = replace(marked.record, method="pixels-v1")
    with pytest.raises(RestoreError, match="the method pixels-v1 does not suit this file"):
        restore_image(marked.file, record, logo=LOGO)


@pytest.mark.parametrize("name", ORIGINALS)
def test_a_kept_original_comes_back_byte_for_byte(name: str) -> None:
    marked = _mark(ORIGINALS[name], name, original=ORIGINALS[name])
    restored = restore_image(marked.file, marked.record, logo=LOGO)
    assert (restored.data, restored.name, restored.identical) == (marked.original, name, True)


@settings(max_examples=60)
@given(
    seed=st.integers(0, 2**32 - 1),
    depth=st.sampled_from(("u1", "u2")),
    size=st.integers(1, 20),
    opacity=st.integers(0, 65535),
    rotation=st.integers(0, 65535),
    warp=st.integers(0, 512),
    texture=st.integers(0, 60),
    opaque=st.integers(0, 1000),
)
def test_any_mark_comes_off(
    seed: int, depth: str, size: int, opacity: int, rotation: int, warp: int, texture: int, opaque: int
) -> None:
    data = _pillow(_noise((40, 40), depth, seed), "PNG")
    mark = Mark(4, 5, size, opacity, rotation, "01" * 16, warp, texture, opaque)
    marked = _mark(data, "a.png", marks=(mark, replace(mark, x=6)))
    restored = restore_image(marked.file, marked.record, logo=LOGO)
    original = read_image(data, name="a.png")
    np.testing.assert_array_equal(read_image(restored.data, name="a.png").pixels, original.pixels)


def test_another_file_or_logo_is_refused() -> None:
    marked = _mark(ORIGINALS["rgb.png"], "rgb.png")
    with pytest.raises(WrongImageError, match=r"rgb.png: the file is not the one that was marked"):
        restore_image(marked.file + b"\0", marked.record, logo=LOGO)
    with pytest.raises(WrongImageError, match=r"rgb.png: the logo is not the one that was put on"):
        restore_image(marked.file, marked.record, logo=Logo(LOGO.rgba[:50]))


def test_a_marked_file_that_cannot_be_read_is_refused() -> None:
    marked = _mark(ORIGINALS["rgb.png"], "rgb.png")
    broken = marked.file[:200]
    with pytest.raises(RestoreError, match=r"rgb.png: .*expected a whole PNG"):
        restore_image(broken, replace(marked.record, file=_sha256(broken)), logo=LOGO)


def test_a_kept_original_with_other_pixels_is_refused() -> None:
    marked = _mark(ORIGINALS["rgb.png"], "rgb.png")
    other = ORIGINALS["grey.png"]
    with pytest.raises(RestoreError, match=r"the kept original does not hold the original pixels"):
        restore_image(
            marked.file, replace(marked.record, original=other, original_file=_sha256(other)), logo=LOGO
        )
    junk = b"junk"
    with pytest.raises(RestoreError, match=r"rgb.png: .*expected a PNG, TIFF, BMP, JPEG, DICOM or"):
        restore_image(
            marked.file, replace(marked.record, original=junk, original_file=_sha256(junk)), logo=LOGO
        )


# a whole release


@pytest.fixture(scope="module")
def access(tmp_path_factory: pytest.TempPathFactory) -> Access:
    folder = tmp_path_factory.mktemp("restore")
    new_owner(folder / "k")
    owner = load_owner(folder / "k")
    secret = ReleaseSecret.new()
    path = folder / "release"
    write_owner_grant(path, secret, recipient=owner.recipient, signing=owner.signing)
    pairs = []
    for index, (name, data) in enumerate(ORIGINALS.items()):
        kept: dict[str, Any] = {"original": data} if index % 4 == 3 else {}
        marked = _mark(
            data,
            f"eyes/{name}",
            index=index,
            release=secret.release,
            owner=owner.signing.public.key_id,
            **kept,
        )
        record = marked.record
        target = path / "images" / record.name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(marked.file)
        pairs.append(
            (IndexEntry(index, record.name, record.file, record.pixels), seal_record(record, secret))
        )
    assemble(
        path,
        iter(pairs),
        secret=secret,
        signing=owner.signing,
        recipient=owner.recipient,
        logo=LOGO,
        facts=PublicFacts("paper"),
    )
    release = open_release(path, owner.signing.public)
    return owner_access(release, load_identity(folder / "k.age.key"))


@pytest.mark.parametrize("workers", [1, 4])
def test_a_release_is_restored_into_the_same_tree(access: Access, tmp_path: Path, workers: int) -> None:
    results: list[ImageResult] = []
    report = restore_release(access, tmp_path / "out", workers=workers, progress=results.append)
    assert (report.restored, report.failed, report.exit_code) == (len(ORIGINALS), 0, 0)
    assert [result.index for result in results] == list(range(len(ORIGINALS)))
    for index, (name, data) in enumerate(ORIGINALS.items()):
        restored = (tmp_path / "out" / "eyes" / name).read_bytes()
        if index % 4 == 3:
            assert restored == data
        assert pixel_digest(read_image(restored, name=name).pixels) == pixel_digest(
            read_image(data, name=name).pixels
        )
    assert not list((tmp_path / "out").rglob(".medlocker-tmp-*"))


def test_a_full_folder_is_refused_or_overwritten(access: Access, tmp_path: Path) -> None:
    out = tmp_path / "out"
    restore_release(access, out)
    with pytest.raises(OutputExistsError, match="the output folder out is not empty"):
        restore_release(access, out)
    target = out / "eyes" / "rgb.png"
    target.write_bytes(b"old")
    report = restore_release(access, out, overwrite=True)
    assert report.exit_code == 0
    assert target.read_bytes() != b"old"


def test_an_old_output_that_links_elsewhere_is_not_followed(access: Access, tmp_path: Path) -> None:
    out, elsewhere = tmp_path / "out", tmp_path / "elsewhere"
    out.mkdir()
    elsewhere.mkdir()
    (out / "eyes").symlink_to(elsewhere)
    report = restore_release(access, out, overwrite=True)
    assert report.restored == 0
    assert report.exit_code == 1
    assert str(report.failures[0].failure) == "eyes/grey.png: its folder leads out of the output"
    assert not list(elsewhere.iterdir())


@pytest.mark.parametrize("place", [".", "x", "images", "..", "../release", "a/../x"])
def test_an_output_in_or_around_the_release_is_refused(tmp_path: Path, place: str) -> None:
    release = tmp_path / "release"
    (release / "images").mkdir(parents=True)
    with pytest.raises(OutputExistsError, match="and the release overlap"):
        check_output(release / place, release, overwrite=True)


def test_a_link_to_the_release_is_refused(tmp_path: Path) -> None:
    (tmp_path / "release").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "release")
    with pytest.raises(OutputExistsError, match="the output out and the release overlap"):
        check_output(tmp_path / "link" / "out", tmp_path / "release", overwrite=True)


def test_a_file_as_output_is_refused(tmp_path: Path) -> None:
    (tmp_path / "out").write_bytes(b"")
    with pytest.raises(OutputExistsError, match="the output out is a file"):
        check_output(tmp_path / "out", tmp_path / "release", overwrite=True)


def test_an_output_that_is_a_link_to_itself_is_refused(tmp_path: Path) -> None:
    (tmp_path / "out").symlink_to("out")
    with pytest.raises(OutputExistsError, match=r"^the output out is a link that leads nowhere$"):
        check_output(tmp_path / "out", tmp_path / "release", overwrite=True)


def test_a_full_disk_costs_the_image_and_leaves_no_file(
    access: Access, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", refuse)
    report = restore_release(access, tmp_path / "out", workers=1)
    assert (report.restored, report.failed) == (0, len(ORIGINALS))
    assert (report.trust, report.exit_code) == (False, 1)
    assert str(report.failures[0].failure) == "eyes/grey.png: cannot write grey.png: no space left on device"
    assert not [path for path in (tmp_path / "out").rglob("*") if path.is_file()]


def test_too_little_memory_costs_the_image(
    access: Access, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise MemoryError

    monkeypatch.setattr(sys.modules["medlocker.restore"], "unmark_file", refuse)
    report = restore_release(access, tmp_path / "out", workers=1)
    kept = len(range(3, len(ORIGINALS), 4))
    assert (report.restored, report.failed, report.exit_code) == (kept, len(ORIGINALS) - kept, 1)
    assert str(report.failures[0].failure) == "eyes/grey.png: not enough memory"


def test_an_interrupted_restore_leaves_whole_files_only(access: Access, tmp_path: Path) -> None:
    def stop(result: ImageResult) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        restore_release(access, tmp_path / "out", workers=1, progress=stop)
    for path in (tmp_path / "out").rglob("*.png"):
        assert read_image(path.read_bytes(), name="x").width == 40
    assert not list((tmp_path / "out").rglob(".medlocker-tmp-*"))


def test_restoring_imports_no_model_library() -> None:
    code = (
        "import sys, medlocker.restore; "
        "sys.exit(any(name in sys.modules for name in ('torch', 'onnxruntime', 'timm')))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
