from __future__ import annotations

import struct
import zlib
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image as PillowImage

from medlocker.errors import InputError
from medlocker.formats import read_image
from medlocker.geometry import Box
from medlocker.regions import boxes_from_mask, load_regions, masks_beside

WIDTH, HEIGHT = 12, 9


def put(root: Path, name: str, x: int, *, mode: str = "L", size: tuple[int, int] = (WIDTH, HEIGHT)) -> None:
    """Write a mask with one marked pixel in column x of row 1."""
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.zeros((size[1], size[0]), np.uint8)
    pixels[1, x] = 255
    PillowImage.fromarray(pixels).convert(mode).save(path)


def columns(root: Path, image: str, *, names: list[str] | None = None, **options: Any) -> list[int]:
    regions = load_regions(root, **options)
    if names is not None:
        regions = regions.among(names)
    return [box.x for box in regions.boxes_for(image, width=WIDTH, height=HEIGHT)]


def flood(mask: NDArray[np.bool_]) -> set[Box]:
    """Connected parts, found one pixel at a time."""
    left = {(int(y), int(x)) for y, x in np.argwhere(mask)}
    boxes = set()
    while left:
        part, edge = set(), [left.pop()]
        while edge:
            y, x = edge.pop()
            part.add((y, x))
            near = {(y + dy, x + dx) for dy in (-1, 0, 1) for dx in (-1, 0, 1)} & left
            left -= near
            edge += near
        ys, xs = [y for y, _ in part], [x for _, x in part]
        boxes.add(Box(min(xs), min(ys), max(xs) - min(xs) + 1, max(ys) - min(ys) + 1))
    return boxes


@given(st.lists(st.lists(st.booleans(), min_size=7, max_size=7), min_size=1, max_size=8))
def test_boxes_agree_with_a_flood_fill(rows: list[list[bool]]) -> None:
    mask = np.array(rows, np.bool_)
    assert set(boxes_from_mask(mask)) == flood(mask)
    assert set(boxes_from_mask(mask.astype(np.uint16) * 300)) == flood(mask)


def test_small_parts_are_left_out_by_their_pixels() -> None:
    mask = np.eye(6, dtype=np.uint8)
    mask[0, 5] = 1
    assert boxes_from_mask(mask, min_area_px=2) == (Box(0, 0, 6, 6),)
    assert boxes_from_mask(mask, min_area_px=7) == ()
    assert boxes_from_mask(np.zeros((0, 4), np.bool_)) == ()
    with pytest.raises(InputError, match=r"expected a mask of \(H, W\), got 3 dimensions"):
        boxes_from_mask(np.zeros((3, 3, 1)))


def test_all_masks_of_an_image_are_united(tmp_path: Path) -> None:
    put(tmp_path, "IDRiD_01_EX.tif", 1)
    put(tmp_path, "HE/IDRiD_01.png", 3)
    put(tmp_path, "MA/IDRiD_01_mask.bmp", 5)
    put(tmp_path, "IDRiD_01.png", 7)
    put(tmp_path, "IDRiD_011_EX.tif", 9)
    assert columns(tmp_path, "IDRiD_01.jpg") == [1, 3, 5, 7]
    assert columns(tmp_path, "train/IDRiD_01.jpg") == [1, 3, 5, 7]
    assert columns(tmp_path, "IDRiD_01.jpg", only=["EX", "MA"]) == [1, 5]
    assert columns(tmp_path, "IDRiD_01.jpg", exclude=["HE", "mask"]) == [1, 5]
    regions = load_regions(tmp_path, margin_px=1)
    assert regions.kinds == {"EX": 2, "HE": 1, "MA": 1, "mask": 1}
    assert regions.boxes_for("IDRiD_011.jpg", width=WIDTH, height=HEIGHT) == (Box(8, 0, 3, 3),)
    assert regions.missing(["IDRiD_01.jpg", "IDRiD_02.jpg"]) == ("IDRiD_02.jpg",)
    assert regions.unknown(["IDRiD_01.jpg"]) == ("IDRiD_011_EX.tif",)
    with pytest.raises(
        InputError, match=r"expected a kind of region that occurs \(EX, HE, MA, mask\), got 'ex'"
    ):
        columns(tmp_path, "IDRiD_01.jpg", only=["ex"])


def test_the_relative_path_goes_before_the_stem(tmp_path: Path) -> None:
    put(tmp_path, "train/1.png", 1)
    put(tmp_path, "EX/test/1.png", 3)
    names = ["train/1.jpg", "test/1.jpg"]
    assert [columns(tmp_path, name, names=names) for name in names] == [[1], [3]]
    # alone, every mask that may be the image's own is taken
    assert columns(tmp_path, "train/1.jpg") == [1, 3]


def test_an_equal_stem_goes_before_a_suffix(tmp_path: Path) -> None:
    put(tmp_path, "a_2.png", 1)
    put(tmp_path, "a_2_mask.png", 3)
    put(tmp_path, "a.png", 5)
    names = ["a.jpg", "a_2.jpg", "b.jpg"]
    with pytest.raises(InputError) as caught:
        columns(tmp_path, "a.jpg", names=names)
    fact = "mask a_2_mask.png: expected a name that fits one image, got one that fits a.jpg and a_2.jpg"
    assert str(caught.value) == fact
    (tmp_path / "a_2_mask.png").unlink()
    assert [columns(tmp_path, name, names=names) for name in names] == [[5], [1], []]


def test_a_mask_that_fits_two_images_is_refused_for_these_only(tmp_path: Path) -> None:
    put(tmp_path, "1_mask.png", 1)
    put(tmp_path, "2_mask.png", 3)
    names = ["a/1.jpg", "b/1.jpg", "b/2.jpg"]
    assert columns(tmp_path, "b/2.jpg", names=names) == [3]
    for name in names[:2]:
        with pytest.raises(InputError, match=r"mask 1_mask\.png: expected a name that fits one image, got"):
            columns(tmp_path, name, names=names)


@pytest.mark.parametrize("mode", ["L", "RGB", "1", "P"])
@pytest.mark.parametrize("suffix", ["png", "tif", "bmp"])
def test_every_usual_pixel_type_is_read(tmp_path: Path, mode: str, suffix: str) -> None:
    put(tmp_path, f"1.{suffix}", 4, mode=mode)
    assert columns(tmp_path, "1.jpg") == [4]


@pytest.mark.parametrize("bits", [1, 2, 4, 8])
@pytest.mark.parametrize("palette", [b"", bytes([0, 0, 0, 255, 0, 0])])
def test_png_of_every_depth_is_read(tmp_path: Path, bits: int, palette: bytes) -> None:
    def chunk(kind: bytes, content: bytes) -> bytes:
        check = struct.pack(">I", zlib.crc32(kind + content))
        return struct.pack(">I", len(content)) + kind + content + check

    rows = np.zeros((HEIGHT, WIDTH, bits), np.uint8)
    rows[1, 4, -1] = 1
    packed = np.packbits(rows.reshape(HEIGHT, -1), axis=1)
    header = struct.pack(">IIBBBBB", WIDTH, HEIGHT, bits, 3 if palette else 0, 0, 0, 0)
    content = chunk(b"IHDR", header) + (chunk(b"PLTE", palette) if palette else b"")
    content += chunk(b"IDAT", zlib.compress(np.pad(packed, ((0, 0), (1, 0))).tobytes())) + chunk(b"IEND", b"")
    (tmp_path / "1.png").write_bytes(b"\x89PNG\r\n\x1a\n" + content)
    assert columns(tmp_path, "1.jpg") == [4]


def test_one_bit_tiff_in_fax_coding_is_read(tmp_path: Path) -> None:
    pixels = np.zeros((HEIGHT, WIDTH), np.bool_)
    pixels[1, 4] = True
    PillowImage.fromarray(pixels).save(tmp_path / "1.tif", compression="group4")
    assert columns(tmp_path, "1.jpg") == [4]


def test_transparency_decides_where_it_differs(tmp_path: Path) -> None:
    pixels = np.zeros((HEIGHT, WIDTH, 4), np.uint8)
    pixels[..., :3] = 255
    pixels[1, 4] = (0, 0, 0, 255)
    PillowImage.fromarray(pixels).save(tmp_path / "1.png")
    assert columns(tmp_path, "1.jpg") == [4]
    pixels[..., :3] = 0
    pixels[..., 3] = 255
    pixels[1, 6] = 255
    PillowImage.fromarray(pixels).save(tmp_path / "1.png")
    assert columns(tmp_path, "1.jpg") == [6]


def test_a_palette_counts_by_index_and_by_colour(tmp_path: Path) -> None:
    pixels = np.zeros((HEIGHT, WIDTH), np.uint8)
    pixels[1, 4], pixels[1, 6] = 1, 2
    picture = PillowImage.fromarray(pixels).convert("P")
    picture.putdata(pixels.ravel().tolist())
    picture.putpalette([0, 0, 0, 0, 0, 0, 255, 0, 0])
    picture.save(tmp_path / "1.png")
    assert columns(tmp_path, "1.jpg") == [4, 6]


def test_another_size_is_refused_before_decoding(tmp_path: Path) -> None:
    put(tmp_path, "1.png", 4, size=(WIDTH, HEIGHT + 1))
    (tmp_path / "1.png").write_bytes((tmp_path / "1.png").read_bytes()[:-20])  # not decodable
    with pytest.raises(InputError, match=r"mask 1\.png: expected a mask of 12 x 9 pixels, got 12 x 10"):
        columns(tmp_path, "1.jpg")


@pytest.mark.parametrize("mode", ["L", "1"])
def test_damaged_masks_are_refused(tmp_path: Path, mode: str) -> None:
    put(tmp_path, "1.png", 4, mode=mode)
    (tmp_path / "1.png").write_bytes((tmp_path / "1.png").read_bytes()[:-20])
    with pytest.raises(InputError, match=r"mask 1\.png: expected a whole"):
        columns(tmp_path, "1.jpg")
    (tmp_path / "1.png").write_bytes(b"no picture")
    with pytest.raises(InputError, match=r"mask 1\.png: expected a PNG, TIFF, BMP, JPEG, DICOM or"):
        columns(tmp_path, "1.jpg")


def test_one_bit_masks_of_several_pages_are_refused(tmp_path: Path) -> None:
    page = PillowImage.new("1", (WIDTH, HEIGHT))
    page.save(tmp_path / "1.tif", save_all=True, append_images=[page])
    with pytest.raises(InputError, match=r"mask 1\.tif: expected one picture, got 2"):
        columns(tmp_path, "1.jpg")


def test_folders_that_hold_both_or_nothing_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="expected a folder of masks or YOLO text files, got none in it"):
        load_regions(tmp_path)
    put(tmp_path, "1.png", 4)
    put(tmp_path, ".hidden/2.png", 4)
    (tmp_path / "README.txt").write_text("words", encoding="utf-8")
    assert load_regions(tmp_path).unknown(["1.jpg"]) == ()
    (tmp_path / "1.txt").write_text("0 0.5 0.5 0.1 0.1", encoding="utf-8")
    with pytest.raises(InputError, match=r"either masks or YOLO text files, got both \(1\.png, 1\.txt\)"):
        load_regions(tmp_path)


@pytest.mark.parametrize("kind", [np.float32, np.int32])
def test_masks_of_whole_and_real_numbers_of_32_bits(tmp_path: Path, kind: type[np.generic]) -> None:
    mask: NDArray[Any] = np.zeros((HEIGHT, WIDTH), kind)
    mask[2:5, 3:9] = 1
    PillowImage.fromarray(mask).save(tmp_path / "a.tif")
    assert load_regions(tmp_path).boxes_for("a.png", width=WIDTH, height=HEIGHT) == (Box(3, 2, 6, 3),)


def test_a_word_before_the_name(tmp_path: Path) -> None:
    put(tmp_path, "mask_0001.png", 1)
    put(tmp_path, "Seg-0002_EX.png", 3)
    put(tmp_path, "other_0001.png", 5)
    names = ["0001.png", "0002.png"]
    assert [columns(tmp_path, name, names=names) for name in names] == [[1], [3]]
    assert columns(tmp_path, "0002.png", only=["EX"]) == [3]
    assert load_regions(tmp_path).unknown(names) == ("other_0001.png",)


def test_masks_beside_their_pictures(tmp_path: Path) -> None:
    marks = {"benign (1)": 0, "benign (1)_mask": 1, "benign (1)_mask_1": 3, "b_mask": 5, "mask_benign (1)": 7}
    for name, x in marks.items():
        put(tmp_path, f"{name}.png", x)
    names = {path.name for path in tmp_path.iterdir()}
    masks = {"benign (1)_mask.png", "benign (1)_mask_1.png", "mask_benign (1).png"}
    assert masks_beside(names) == masks  # b_mask.png lies beside no b: a picture
    pictures = {name: tmp_path / name for name in names - masks}
    assert columns(tmp_path, "benign (1).png", names=sorted(pictures), images=pictures) == [1, 3, 7]
    assert columns(tmp_path, "b_mask.png", names=sorted(pictures), images=pictures) == []


def test_volumes_of_labels_keep_out_what_any_slice_marks(tmp_path: Path) -> None:
    labels = np.zeros((WIDTH, HEIGHT, 3), np.uint8)
    labels[2:4, 1:5, 1] = 3
    path = tmp_path / "case.nii.gz"
    nibabel.save(nibabel.Nifti1Image(labels, np.eye(4)), path)  # type: ignore[no-untyped-call]
    volume = read_image(path.read_bytes(), name="case.nii.gz")
    boxes = load_regions(tmp_path).boxes_for("case.nii.gz", width=volume.width, height=volume.height)
    assert volume.frames is not None
    assert boxes == boxes_from_mask(np.asarray(np.asarray(volume.frames[1]).any(axis=2)))
    assert len(boxes) == 1


def test_one_mask_of_several_pictures_of_one_thing(tmp_path: Path) -> None:
    mask = np.zeros((20, 30), np.uint8)
    mask[4:9, 10:16] = 255
    for name in ("p1_seg.png", "p2_seg.png"):
        PillowImage.fromarray(mask).save(tmp_path / name)
    names = [f"p{patient}_{kind}.png" for patient in (1, 2) for kind in ("t1", "flair")]
    regions = load_regions(tmp_path, images={name: tmp_path / name for name in names}).among(names)
    for name in names:
        assert regions.boxes_for(name, width=30, height=20) == (Box(10, 4, 6, 5),)
    assert regions.missing(names) == ()


def test_masks_beside_pictures_are_no_pictures() -> None:
    names = {"a/x.png", "a/x_mask.png", "a/mask_x.png", "p1_t1.nii.gz", "p1_flair.nii.gz", "p1_seg.nii.gz"}
    others = {"b/x_seg.png", "left_label.png", "q_1.png"}
    found = masks_beside(names | others)
    assert found == {"a/x_mask.png", "a/mask_x.png", "p1_seg.nii.gz"}
