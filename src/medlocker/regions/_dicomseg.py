"""Keep-out boxes from DICOM segmentations: which frames are of which image, told by identifiers or by place.

Segments are called by number: their labels are values of a patient's file, and kinds appear in messages.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.pixels.utils import pixel_array

from medlocker.errors import InputError
from medlocker.formats.dicom import has_dicom_name, is_dicom_file, quiet, read_tags
from medlocker.geometry import Box
from medlocker.regions._masks import boxes_from_mask
from medlocker.regions.names import Settled

_SEGMENTATIONS = ("1.2.840.10008.5.1.4.1.1.66.4", "1.2.840.10008.5.1.4.1.1.66.7")
_KINDS = {
    "1.2.840.10008.5.1.4.1.1.481.3": "a DICOM RT structure set (RTSTRUCT)",
    "1.2.840.10008.5.1.4.1.1.66.5": "a DICOM surface segmentation",
}
_IMAGE_TAGS = [
    *("SOPInstanceUID", "FrameOfReferenceUID", "ImagePositionPatient", "ImageOrientationPatient"),
    *("SliceThickness", "PixelSpacing"),
]
_SAME_PLACE_MM = 0.01
_SAME_PIXEL = 0.5
"""Of a pixel: frames further aside are on another grid."""
_MAX_PIXELS = 1 << 31
_DEFERRED_BYTES = 1024
"""Longer values stay in the file until they are asked for: the pixels do."""
_UNDEFINED = 0xFFFFFFFF


@dataclass(frozen=True)
class _Frame:
    """One frame of a segmentation: what it shows, and of which images."""

    segment: int
    instances: frozenset[str]
    position: tuple[float, ...] = ()


@dataclass(frozen=True)
class _Segmentation:
    reference: str
    instances: frozenset[str]
    frames: tuple[_Frame, ...]
    labelled: bool
    size: tuple[int, int]

    def of(self, image: Mapping[str, Any]) -> list[tuple[int, float]]:
        """Return the frames that lie on an image, and how many pixels aside each does.

        A frame that is told by its place lies on every slice of which it is no further than half the
        thickness off: a frame too many is safe, a missing one is not.
        """
        uid = image.get("SOPInstanceUID")
        slab = image.get("slab") if image.get("FrameOfReferenceUID") == self.reference else None
        found = []
        for index, frame in enumerate(self.frames):
            aside: float | None = None
            if frame.instances:
                aside = 0.0 if uid in frame.instances else None
            elif frame.position:
                aside = slab.pixels_aside(frame.position) if slab is not None else None
            elif uid in self.instances:
                aside = 0.0
            if aside is not None:
                found.append((index, aside))
        return found

    def lists(self, image: Mapping[str, Any]) -> bool:
        """Tell whether the segmentation says anything of an image, be it that nothing is on it."""
        return image.get("SOPInstanceUID") in self.instances or bool(self.of(image))


@dataclass(frozen=True)
class _Slab:
    """Where a slice lies, mm."""

    position: tuple[float, ...]
    normal: tuple[float, ...]
    half: float
    pixel: float

    @classmethod
    def of(cls, image: Mapping[str, Any]) -> _Slab | None:
        position, orientation = image.get("ImagePositionPatient"), image.get("ImageOrientationPatient")
        if not position or len(position) != 3:
            return None
        axes = np.array([float(value) for value in orientation or ()])
        normal = np.cross(axes[:3], axes[3:]) if axes.size == 6 else np.zeros(3)
        is_known = abs(float(np.linalg.norm(normal)) - 1) < 0.01
        half = float(image.get("SliceThickness") or 0) / 2 if is_known else 0.0
        spacing = image.get("PixelSpacing") or (0.0,)
        return cls(
            tuple(float(value) for value in position),
            tuple(normal.tolist()) if is_known else (0.0, 0.0, 0.0),
            max(half, _SAME_PLACE_MM),
            min(float(value) for value in spacing),
        )

    def pixels_aside(self, place: tuple[float, ...]) -> float | None:
        """Return how many pixels aside a frame lies in the slice's plane, None if it is of another plane."""
        if len(place) != 3:
            return None
        away = np.subtract(place, self.position)
        off = float(away @ np.array(self.normal))
        aside = float(np.linalg.norm(away - off * np.array(self.normal)))
        if not any(self.normal):  # without an orientation only the same place is known
            return 0.0 if aside <= self.half else None
        if abs(off) > self.half:
            return None
        return 0.0 if aside <= _SAME_PLACE_MM else aside / self.pixel if self.pixel > 0 else np.inf


def find_segmentations(root: Path, names: Sequence[str]) -> list[str]:
    """Return those of a folder's files that are DICOM segmentations."""
    return [name for name in names if is_segmentation(root / name)]


def is_segmentation(path: Path) -> bool:
    """Tell whether a file is a DICOM segmentation; reads the header only."""
    return _class_of(path) in _SEGMENTATIONS


def dicom_kind(path: Path) -> str:
    """Return what a DICOM file is that is no segmentation, empty if it is no DICOM file."""
    found = _class_of(path)
    return "" if not found else _KINDS.get(found, "a DICOM file of another kind")


def _class_of(path: Path) -> str:
    if not (has_dicom_name(path) or is_dicom_file(path)):
        return ""
    try:
        found = read_tags(path, stop_before_pixels=True, force=True, specific_tags=["SOPClassUID"])
        with quiet():
            return str(found.get("SOPClassUID", ""))
    except Exception:  # untrusted bytes: pydicom raises errors of many kinds
        return ""


@dataclass(frozen=True, eq=False)
class DicomSegmentations:
    """DICOM segmentations, found by the images that they refer to.

    Args:
        names: Their relative paths, with forward slashes.
        images: Where each image lies, by its name.
    """

    root: Path
    names: Sequence[str]
    images: Mapping[str, Path]
    _headers: list[_Segmentation] = field(init=False, repr=False)
    _by_identifier: dict[str, set[int]] = field(default_factory=dict, init=False, repr=False)
    _known: dict[str, Mapping[str, Any]] = field(default_factory=dict, init=False, repr=False)

    def is_exclusive(self, index: int, images: Sequence[str]) -> bool:
        """Return False: one segmentation is of many slices."""
        return False

    def __post_init__(self) -> None:
        object.__setattr__(self, "_headers", [_read_header(self.root / name, name) for name in self.names])
        for index, header in enumerate(self._headers):
            for uid in (
                header.reference,
                *header.instances,
                *(u for f in header.frames for u in f.instances),
            ):
                self._by_identifier.setdefault(uid, set()).add(index)

    @property
    def kinds(self) -> Mapping[str, int]:
        """Segments with their number of frames; of a label map one for all."""
        counts: dict[str, int] = {}
        for header in self._headers:
            for frame in header.frames:
                kind = _kind(frame.segment)
                counts[kind] = counts.get(kind, 0) + 1
        return counts

    def check_kind(self, kind: str) -> bool:
        """Tell whether a segment occurs."""
        return kind in self.kinds

    def candidates(self, name: str) -> Iterator[tuple[int, int]]:
        """Yield (index, 0) of the segmentations that have a frame on an image, or name it."""
        image = self._image(name)
        near: set[int] = set()
        for tag in ("SOPInstanceUID", "FrameOfReferenceUID"):
            near |= self._by_identifier.get(str(image.get(tag, "")), set())
        for index in sorted(near):
            if self._headers[index].lists(image):
                yield index, 0

    def settled(self, names: Iterable[str]) -> Settled:
        """Return that paths tell nothing."""
        return {}, self.candidates

    def alone(self, name: str) -> tuple[int, ...]:
        """Return the segmentations of an image."""
        return tuple(index for index, _ in self.candidates(name))

    def label(self, index: int) -> str:
        """Return a segmentation's name for messages."""
        return self.names[index]

    def boxes(
        self,
        index: int,
        image: str,
        *,
        size: tuple[int, int],
        min_area_px: int,
        wanted: Callable[[str], bool],
    ) -> Sequence[Box]:
        """Return one segmentation's boxes in an image of (width, height); its frames are read now."""
        header, name = self._headers[index], self.names[index]
        if header.size != size:
            raise InputError(
                f"segmentation {name}: expected {size[0]} x {size[1]} pixels, "
                f"got {header.size[0]} x {header.size[1]}",
                subject=name,
            )
        boxes: set[Box] = set()
        for frame, aside in header.of(self._image(image)):
            kind = _kind(header.frames[frame].segment)
            if not wanted(kind):
                continue
            if aside > _SAME_PIXEL:
                raise InputError(
                    f"segmentation {name}, frame {frame + 1}: expected the grid of {image}, "
                    f"got one that lies {aside:.1f} pixels aside",
                    subject=image,
                    hint="resample the segmentation onto the images",
                )
            found = boxes_from_mask(_read_frame(self.root / name, name, frame, size), min_area_px=min_area_px)
            boxes.update(box.grown(1, within=size) if aside else box for box in found)
        return sorted(boxes)

    def _image(self, name: str) -> Mapping[str, Any]:
        """Return what tells which image it is; each header is read once."""
        if name not in self._known:
            self._known[name] = self._read_image(name)
        return self._known[name]

    def _read_image(self, name: str) -> Mapping[str, Any]:
        path = self.images.get(name)
        if path is None or not (has_dicom_name(path) or is_dicom_file(path)):
            return {}
        try:
            found = read_tags(path, stop_before_pixels=True, force=True, specific_tags=list(_IMAGE_TAGS))
            with quiet():
                image = {tag: found.get(tag) for tag in _IMAGE_TAGS}
                return {**image, "slab": _Slab.of(image)}
        except Exception:  # reading the image itself will tell what is wrong with it
            return {}


def _kind(segment: int) -> str:
    return f"segment-{segment}" if segment else "segments"


def _read_header(path: Path, name: str) -> _Segmentation:
    try:
        found = read_tags(path, defer_size=_DEFERRED_BYTES)
        with quiet():
            return _parsed(found)
    except Exception as error:  # untrusted bytes: pydicom raises errors of many kinds
        raise InputError(
            f"segmentation {name}: expected a whole DICOM segmentation, got a damaged one", subject=name
        ) from error


def _parsed(ds: Dataset) -> _Segmentation:
    shared = (ds.get("SharedFunctionalGroupsSequence") or [Dataset()])[0]
    groups = ds.get("PerFrameFunctionalGroupsSequence") or [Dataset()]
    count = int(ds.get("NumberOfFrames") or 1)
    if len(groups) != count or count * ds.Rows * ds.Columns > _MAX_PIXELS:
        raise ValueError("expected a description of every frame")
    length = int(getattr(ds.get_item("PixelData"), "length", _UNDEFINED))
    if length != _UNDEFINED and 8 * length < count * ds.Rows * ds.Columns * ds.BitsAllocated:
        raise ValueError("expected all frames")  # what is cut off might be a lesion
    labelled = str(ds.get("SegmentationType", "")) == "LABELMAP"
    instances = {
        str(item.ReferencedSOPInstanceUID)
        for series in ds.get("ReferencedSeriesSequence") or []
        for item in series.get("ReferencedInstanceSequence") or []
    }
    return _Segmentation(
        reference=str(ds.get("FrameOfReferenceUID", "")),
        instances=frozenset(instances),
        frames=tuple(_frame(group, shared, labelled) for group in groups),
        labelled=labelled,
        size=(int(ds.Columns), int(ds.Rows)),
    )


def _frame(group: Dataset, shared: Dataset, labelled: bool) -> _Frame:
    def items(name: str) -> Sequence[Dataset]:
        return group.get(name) or shared.get(name) or []

    sources = {
        str(source.ReferencedSOPInstanceUID)
        for derivation in items("DerivationImageSequence")
        for source in derivation.get("SourceImageSequence") or []
    }
    planes = items("PlanePositionSequence")
    position = planes[0].get("ImagePositionPatient") if planes else None
    segments = items("SegmentIdentificationSequence")
    segment = 0 if labelled or not segments else int(segments[0].ReferencedSegmentNumber)
    return _Frame(segment, frozenset(sources), tuple(float(value) for value in position or ()))


def _read_frame(path: Path, name: str, index: int, size: tuple[int, int]) -> NDArray[np.bool_]:
    try:
        with quiet():
            mask: NDArray[np.bool_] = np.asarray(pixel_array(path, index=index)) != 0
    except Exception as error:  # as above
        raise InputError(
            f"segmentation {name}: expected whole frames, got a damaged one", subject=name
        ) from error
    if mask.shape != (size[1], size[0]):
        raise InputError(f"segmentation {name}: expected frames as large as the header says", subject=name)
    return mask
