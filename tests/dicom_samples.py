"""DICOM files of every kind, written by pydicom."""

from __future__ import annotations

import io
import warnings
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image as Pillow
from pydicom import uid
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.sequence import Sequence

Array = NDArray[Any]
PERSON = "Doe^Jane^SECRET"
FOLDER = Path(pydicom.__file__).parent / "data" / "test_files"
NATIVE = (uid.ExplicitVRLittleEndian, uid.ImplicitVRLittleEndian, uid.ExplicitVRBigEndian)
PACKED = (uid.RLELossless, uid.JPEGLSLossless, uid.JPEG2000Lossless)


@dataclass
class Sample:
    """What a file holds.

    Args:
        words: (N, H, W, C) unsigned words as stored, unused bits included.
    """

    words: Array = field(repr=False)
    photometric: str = "MONOCHROME2"
    stored: int = 8
    high: int | None = None
    signed: bool = False
    planar: int = 0
    syntax: str = uid.ExplicitVRLittleEndian
    elements: dict[str, Any] = field(default_factory=dict)

    @property
    def allocated(self) -> int:
        return int(self.words.dtype.itemsize) * 8

    @property
    def shift(self) -> int:
        return (self.stored - 1 if self.high is None else self.high) + 1 - self.stored

    @property
    def samples(self) -> Array:
        """(N, H, W, C) as medlocker keeps them: moved to begin at 0."""
        values = self.words.astype(np.int64) >> self.shift & (1 << self.stored) - 1
        return np.asarray(values ^ (1 << self.stored - 1 if self.signed else 0)).astype(self.words.dtype)


def header(sample: Sample) -> Dataset:
    """All but the pixels, with what files in the wild have: private elements, sequences, an icon."""
    count, height, width, channels = sample.words.shape
    ds = Dataset()
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = uid.UID(sample.syntax)
    ds.file_meta.MediaStorageSOPClassUID = uid.SecondaryCaptureImageStorage
    ds.file_meta.MediaStorageSOPInstanceUID = uid.UID("1.2.3.4")
    ds.SOPClassUID, ds.SOPInstanceUID = uid.SecondaryCaptureImageStorage, "1.2.3.4"
    ds.SeriesInstanceUID, ds.StudyInstanceUID = "1.2.3.5", "1.2.3.6"
    ds.PatientName, ds.PatientID = PERSON, "4711-SECRET"
    ds.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
    item = Dataset()
    item.CodeValue, item.CodeMeaning = "T-1", "inner"
    inner = Dataset()
    inner.PatientComments = "nested"
    item.add_new(0x00400440, "SQ", Sequence([inner]))
    ds.add_new(0x00082218, "SQ", Sequence([item]))
    ds["AnatomicRegionSequence"].is_undefined_length = bool(count % 2)
    ds.private_block(0x0011, "ACME", create=True).add_new(1, "LO", "private")
    ds.Rows, ds.Columns, ds.SamplesPerPixel = height, width, channels
    ds.BitsAllocated, ds.BitsStored = sample.allocated, sample.stored
    ds.HighBit = sample.stored - 1 if sample.high is None else sample.high
    ds.PixelRepresentation = int(sample.signed)
    ds.PhotometricInterpretation = sample.photometric
    if channels == 3:
        ds.PlanarConfiguration = sample.planar
    if count > 1:
        ds.NumberOfFrames = count
    for name, value in sample.elements.items():
        setattr(ds, name, value)
    return ds


def write(sample: Sample) -> bytes:
    """One file."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        ds = header(sample)
        if sample.syntax in PACKED:
            ds.file_meta.TransferSyntaxUID = uid.ExplicitVRLittleEndian
        big = sample.syntax == uid.ExplicitVRBigEndian
        words = np.moveaxis(sample.words, 3, 1) if sample.planar else sample.words
        if sample.photometric == "YBR_FULL_422":
            groups = words.reshape(*words.shape[:2], -1, 2, 3)
            luma, colors = groups[..., 0], groups[..., 0, 1:]
            words = np.concatenate([luma, colors], axis=-1)
        raw = np.ascontiguousarray(words, words.dtype.newbyteorder(">" if big else "<")).tobytes()
        ds.PixelData = raw + b"\0" * (len(raw) % 2)
        ds["PixelData"].VR = "OW" if sample.allocated == 16 else "OB"
        if sample.syntax in PACKED:
            ds.compress(uid.UID(sample.syntax), generate_instance_uid=False)
        return saved(ds)


def saved(ds: Dataset) -> bytes:
    """The bytes of a data set as a file."""
    stream = io.BytesIO()
    syntax = ds.file_meta.TransferSyntaxUID
    plain = syntax in NATIVE
    pydicom.dcmwrite(
        stream, ds, enforce_file_format=True,
        implicit_vr=syntax == uid.ImplicitVRLittleEndian if plain else None,
        little_endian=syntax != uid.ExplicitVRBigEndian if plain else None,
    )  # fmt: skip
    return stream.getvalue()


def jpeg(pictures: list[Array], photometric: str) -> bytes:
    """JPEG baseline, colours as YCbCr and subsampled."""
    packed = []
    for picture in pictures:
        stream = io.BytesIO()
        Pillow.fromarray(picture[..., 0] if picture.shape[2] == 1 else picture).save(
            stream, "JPEG", quality=80
        )
        packed.append(stream.getvalue())
    ds = header(Sample(np.stack(pictures), photometric, syntax=uid.JPEGBaseline8Bit))
    ds.LossyImageCompression = "01"
    ds.PixelData = encapsulate(packed)
    ds["PixelData"].is_undefined_length = True
    return saved(ds)


@st.composite
def sample_kinds(draw: st.DrawFn, *, syntaxes: tuple[str, ...] = (*NATIVE, *PACKED)) -> Sample:
    """Every combination that the standard allows and some that it does not."""
    syntax = draw(st.sampled_from(syntaxes))
    colors = ["MONOCHROME2", "MONOCHROME1", "RGB", "YBR_FULL", "PALETTE COLOR", "YBR_FULL_422"]
    # compressed ones are written by encoders that know fewer
    photometric = draw(st.sampled_from(colors if syntax in NATIVE else colors[:3]))
    grey = photometric.startswith("MONO")
    allocated = draw(st.sampled_from((8, 16))) if grey or photometric == "RGB" else 8
    stored = draw(st.integers(2 if allocated == 8 else 9, allocated)) if grey else allocated
    signed = grey and draw(st.booleans())
    native = syntax in NATIVE
    high = draw(st.integers(stored - 1, allocated - 1)) if native and draw(st.booleans()) else stored - 1
    height, width = draw(st.integers(9, 20)), 2 * draw(st.integers(5, 12)) + (photometric != "YBR_FULL_422")
    # JPEG 2000's encoder halves five times; that of JPEG-LS makes too little room for a little noise
    if syntax in (uid.JPEG2000Lossless, uid.JPEGLSLossless):
        height, width = height + 32, width + 32
    count = draw(st.sampled_from((1, 1, 2, 3)))
    rng = np.random.default_rng(draw(st.integers(0, 99)))
    shape = (count, height, width, 1 if grey or photometric == "PALETTE COLOR" else 3)
    dtype: Any = np.uint8 if allocated == 8 else np.uint16
    values = rng.integers(0, 1 << stored, shape)
    if photometric == "YBR_FULL_422":
        values[:, :, 1::2, 1:] = values[:, :, ::2, 1:]
    if native and draw(st.booleans()):  # unused bits hold something: overlays of old
        unused = rng.integers(0, 1 << allocated, shape)
        keep = ((1 << stored) - 1) << high + 1 - stored
        words = (values << high + 1 - stored & keep | unused & ~keep).astype(dtype)
    else:
        top = 1 << stored - 1
        words = ((values ^ top) - top if signed else values) << high + 1 - stored
        words = (words & (1 << allocated) - 1).astype(dtype)
    elements: dict[str, Any] = {}
    if photometric == "PALETTE COLOR":
        ramp = rng.integers(0, 1 << 16, (3, 256)).astype("<u2")
        for name, table in zip(("Red", "Green", "Blue"), ramp, strict=True):
            elements[f"{name}PaletteColorLookupTableDescriptor"] = [256, 0, 16]
            big = syntax == uid.ExplicitVRBigEndian
            elements[f"{name}PaletteColorLookupTableData"] = table.astype(">u2" if big else "<u2").tobytes()
    if grey and draw(st.booleans()):
        elements |= {"RescaleSlope": "2.5", "RescaleIntercept": "-100"}
    if grey and draw(st.booleans()):
        center, width_ = draw(st.integers(-50, 1 << stored)), draw(st.integers(1, 1 << stored))
        elements |= {"WindowCenter": [str(center), "7"], "WindowWidth": [str(width_), "9"]}
        elements["VOILUTFunction"] = draw(st.sampled_from(("LINEAR", "LINEAR_EXACT", "SIGMOID")))
    if draw(st.booleans()):
        elements |= {"SmallestImagePixelValue": 0, "LargestImagePixelValue": 1}
    planar = draw(st.integers(0, 1)) if photometric in ("RGB", "YBR_FULL") and native else 0
    return Sample(words, photometric, stored, high, signed, planar, syntax, elements)
