"""Keep-out boxes from DICOM segmentations: by reference, by place, and refused when damaged."""

from __future__ import annotations

import io
import pickle
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from pydicom import uid
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.sequence import Sequence

from dicom_samples import Array, Sample, write
from medlocker.errors import InputError
from medlocker.geometry import Box
from medlocker.regions import Regions, load_regions

SIZE = (24, 16)
"""Width and height."""


def image(path: Path, number: int, *, reference: str = "1.2.9") -> None:
    """Slice ``number`` of a series, 3 mm apart."""
    sample = Sample(np.zeros((1, SIZE[1], SIZE[0], 1), np.uint8))
    sample.elements = {
        "SOPInstanceUID": f"1.2.3.{number}", "FrameOfReferenceUID": reference,
        "ImagePositionPatient": [0, 0, 3 * number],
    }  # fmt: skip
    path.write_bytes(write(sample))


def box_mask(x: int, y: int, width: int, height: int) -> Array:
    mask = np.zeros((SIZE[1], SIZE[0]), np.uint8)
    mask[y : y + height, x : x + width] = 1
    return mask


def segmentation(frames: list[tuple[Array, int, dict[str, Any]]], **elements: Any) -> bytes:
    """Frames with their segments and what tells their image: ``uid`` or ``place``."""
    ds = Dataset()
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = uid.ExplicitVRLittleEndian
    ds.SOPClassUID, ds.SOPInstanceUID = uid.SegmentationStorage, "1.2.4"
    ds.PatientName = "SECRET"
    ds.FrameOfReferenceUID = "1.2.9"
    ds.Rows, ds.Columns, ds.NumberOfFrames, ds.SamplesPerPixel = SIZE[1], SIZE[0], len(frames), 1
    ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.PixelRepresentation = 1, 1, 0, 0
    ds.PhotometricInterpretation, ds.SegmentationType = "MONOCHROME2", "BINARY"
    groups = []
    for _, segment, told in frames:
        group, inner = Dataset(), Dataset()
        inner.ReferencedSegmentNumber = segment
        group.SegmentIdentificationSequence = Sequence([inner])
        if "uid" in told:
            source, derivation = Dataset(), Dataset()
            source.ReferencedSOPInstanceUID = told["uid"]
            derivation.SourceImageSequence = Sequence([source])
            group.DerivationImageSequence = Sequence([derivation])
        if "place" in told:
            plane = Dataset()
            plane.ImagePositionPatient = told["place"]
            group.PlanePositionSequence = Sequence([plane])
        groups.append(group)
    ds.PerFrameFunctionalGroupsSequence = Sequence(groups)
    bits = np.packbits(np.stack([mask for mask, _, _ in frames]).ravel(), bitorder="little").tobytes()
    ds.PixelData = bits + b"\0" * (len(bits) % 2)
    for name, value in elements.items():
        setattr(ds, name, value)
    ds["PixelData"].VR = "OB"
    stream = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pydicom.dcmwrite(stream, ds, enforce_file_format=True)
    return stream.getvalue()


def opened(tmp_path: Path, data: bytes, *, count: int = 3, **options: Any) -> Regions:
    (tmp_path / "seg").mkdir()
    (tmp_path / "seg" / "s.dcm").write_bytes(data)
    places = {f"{i}.dcm": tmp_path / f"{i}.dcm" for i in range(count)}
    for number, place in enumerate(places.values()):
        image(place, number)
    return load_regions(tmp_path / "seg", images=places, **options).among(places)


def boxes(regions: Regions, name: str) -> tuple[Box, ...]:
    return regions.boxes_for(name, width=SIZE[0], height=SIZE[1])


def test_frames_go_to_the_images_that_they_name(tmp_path: Path) -> None:
    regions = opened(
        tmp_path,
        segmentation([
            (box_mask(1, 2, 3, 4), 1, {"uid": "1.2.3.0"}),
            (box_mask(7, 1, 2, 2), 2, {"uid": "1.2.3.0"}),
            (box_mask(9, 9, 5, 3), 1, {"uid": "1.2.3.2"}),
        ]),
    )  # fmt: skip
    assert boxes(regions, "0.dcm") == (Box(1, 2, 3, 4), Box(7, 1, 2, 2))
    assert boxes(regions, "1.dcm") == ()
    assert boxes(regions, "2.dcm") == (Box(9, 9, 5, 3),)
    assert regions.kinds == {"segment-1": 2, "segment-2": 1}
    assert regions.missing([f"{i}.dcm" for i in range(3)]) == ("1.dcm",)
    assert regions.unknown(["1.dcm"]) == ("s.dcm",)


def test_frames_without_a_name_go_to_the_image_at_their_place(tmp_path: Path) -> None:
    frames = [(box_mask(i + 1, 2, 3, 4), 1, {"place": [0, 0, 3 * i]}) for i in (2, 0)]
    regions = opened(tmp_path, segmentation(frames))
    assert boxes(regions, "0.dcm") == (Box(1, 2, 3, 4),)
    assert boxes(regions, "1.dcm") == ()
    assert boxes(regions, "2.dcm") == (Box(3, 2, 3, 4),)


def tilted(path: Path, *, thickness: float | None, spacing: float = 0.5) -> None:
    """Slice 0, at the origin, with an orientation."""
    image(path, 0)
    ds = pydicom.dcmread(path)
    ds.ImageOrientationPatient, ds.PixelSpacing = [1, 0, 0, 0, 1, 0], [spacing, spacing]
    if thickness is not None:
        ds.SliceThickness = thickness
    ds.save_as(path)


@pytest.mark.parametrize(
    ("place", "thickness", "found"),
    [
        ((0, 0, 0.02), 3, (Box(5, 5, 3, 4),)),
        ((0, 0, 1.5), 3, (Box(5, 5, 3, 4),)),
        ((0, 0, 1.6), 3, ()),
        ((0, 0, 0.02), None, ()),
        ((0.2, 0, 0.02), 3, (Box(4, 4, 5, 6),)),  # 0.4 pixels aside
    ],
)
def test_a_frame_within_half_a_slice_lies_on_it(
    tmp_path: Path, place: tuple[float, ...], thickness: float | None, found: tuple[Box, ...]
) -> None:
    tilted(tmp_path / "0.dcm", thickness=thickness)
    (tmp_path / "s.dcm").write_bytes(segmentation([(box_mask(5, 5, 3, 4), 1, {"place": list(place)})]))
    places = {"0.dcm": tmp_path / "0.dcm"}
    regions = load_regions(tmp_path / "s.dcm", images=places).among(places)
    assert boxes(regions, "0.dcm") == found
    assert regions.has_unlisted is not bool(found)  # not passed over: see --missing-regions


def test_a_frame_on_another_grid_is_refused(tmp_path: Path) -> None:
    tilted(tmp_path / "0.dcm", thickness=3)
    (tmp_path / "s.dcm").write_bytes(segmentation([(box_mask(5, 5, 3, 4), 1, {"place": [4, 0, 0]})]))
    regions = load_regions(tmp_path / "s.dcm", images={"0.dcm": tmp_path / "0.dcm"})
    message = r"^segmentation s.dcm, frame 1: expected the grid of 0.dcm, got one that lies 8.0 pixels aside$"
    with pytest.raises(InputError, match=message):
        boxes(regions, "0.dcm")


def test_a_slice_that_is_named_without_a_frame_has_no_regions(tmp_path: Path) -> None:
    series, item = Dataset(), Dataset()
    item.ReferencedSOPInstanceUID = "1.2.3.1"
    series.ReferencedInstanceSequence = Sequence([item])
    frames = [(box_mask(1, 2, 3, 4), 1, {"uid": "1.2.3.0"})]
    regions = opened(tmp_path, segmentation(frames, ReferencedSeriesSequence=Sequence([series])))
    assert boxes(regions, "1.dcm") == ()
    assert regions.missing(["0.dcm", "1.dcm", "2.dcm"]) == ("2.dcm",)


def test_a_place_in_another_frame_of_reference_is_another_place(tmp_path: Path) -> None:
    frames = [(box_mask(1, 2, 3, 4), 1, {"place": [0, 0, 0]})]
    regions = opened(tmp_path, segmentation(frames, FrameOfReferenceUID="1.2.8"))
    assert boxes(regions, "0.dcm") == ()


def test_frames_that_tell_nothing_go_to_all_images_of_the_object(tmp_path: Path) -> None:
    series, instances = Dataset(), []
    for number in (0, 1):
        item = Dataset()
        item.ReferencedSOPInstanceUID = f"1.2.3.{number}"
        instances.append(item)
    series.ReferencedInstanceSequence = Sequence(instances)
    frames: list[tuple[Array, int, dict[str, Any]]] = [(box_mask(1, 2, 3, 4), 1, {})]
    regions = opened(tmp_path, segmentation(frames, ReferencedSeriesSequence=Sequence([series])))
    assert boxes(regions, "0.dcm") == boxes(regions, "1.dcm") == (Box(1, 2, 3, 4),)
    assert boxes(regions, "2.dcm") == ()


def test_segments_can_be_chosen_and_margins_added(tmp_path: Path) -> None:
    frames = [(box_mask(4, 4, 2, 2), 1, {"uid": "1.2.3.0"}), (box_mask(9, 9, 1, 1), 2, {"uid": "1.2.3.0"})]
    regions = opened(tmp_path, segmentation(frames), only=["segment-1"], margin_px=1)
    assert boxes(regions, "0.dcm") == (Box(3, 3, 4, 4),)
    assert boxes(pickle.loads(pickle.dumps(regions)), "0.dcm") == (Box(3, 3, 4, 4),)
    with pytest.raises(InputError, match=r"occurs \(segment-1, segment-2\), got 'segment-3'"):
        load_regions(tmp_path / "seg", only=["segment-3"])


def test_one_file_will_do_and_images_of_another_kind_have_none(tmp_path: Path) -> None:
    frames = [(box_mask(4, 4, 2, 2), 1, {"uid": "1.2.3.0"})]
    opened(tmp_path, segmentation(frames))
    places = {"a.png": tmp_path / "a.png", "b.dcm": tmp_path / "0.dcm"}
    places["a.png"].write_bytes(b"no DICOM")
    regions = load_regions(tmp_path / "seg" / "s.dcm", images=places).among(places)
    assert boxes(regions, "a.png") == ()
    assert boxes(regions, "b.dcm") == (Box(4, 4, 2, 2),)


def test_sizes_must_agree(tmp_path: Path) -> None:
    regions = opened(tmp_path, segmentation([(box_mask(4, 4, 2, 2), 1, {"uid": "1.2.3.0"})]))
    with pytest.raises(InputError, match=r"^segmentation s.dcm: expected 30 x 16 pixels, got 24 x 16$"):
        regions.boxes_for("0.dcm", width=30, height=16)


def test_damage_is_told_without_values(tmp_path: Path) -> None:
    frames = [(box_mask(4, 4, 2, 2), 1, {"uid": "1.2.3.0"})]
    message = r"^segmentation s.dcm: expected a whole DICOM segmentation, got a damaged one$"
    with pytest.raises(InputError, match=message):
        opened(tmp_path, segmentation(frames, NumberOfFrames=7))
    (tmp_path / "seg" / "s.dcm").write_bytes(segmentation(frames, PixelData=b"\0\0"))
    with pytest.raises(InputError, match=message):
        load_regions(tmp_path / "seg")
