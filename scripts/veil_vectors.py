"""The test vectors of veils: pixels that they change, and records that take them off files again."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
from PIL import Image as Pillow
from pydicom import uid
from pydicom.dataset import Dataset, FileMetaDataset

from medlocker.certificates import SealedRecord, seal_record
from medlocker.formats import mark_file, metadata_digest, read_image
from medlocker.geometry import Box
from medlocker.images import content_digest, pixel_digest
from medlocker.mark import Mark
from medlocker.marking import mark_pixels
from medlocker.veil import AnyMark, Veil
from vector_parts import SECRET, SIGNING, Vector, encoded, fixed, logo, picture, sha256

PLAIN = Veil(
    period_px=9,
    size_px=10,
    grain_px=1,
    angle=7000,
    phase_x=20000,
    phase_y=50000,
    opacity=9830,
    ground=0,
    tint=0xFFFFFF,
    stagger=32768,
    turn=32768,
    scale=300,
    warp_256=0,
    texture=0,
    negatives=1,
    mounted=0,
    stamps=6,
    soft_px=3,
    key=fixed("veil").hex(),
)
BOXES = (Box(3, 4, 6, 5), Box(20, 15, 8, 9), Box(40, 40, 9, 9))

VEILS: dict[str, tuple[AnyMark, ...]] = {
    "upright": (replace(PLAIN, angle=0, turn=0, scale=0, stagger=0, negatives=0, stamps=1),),
    "plain": (PLAIN,),
    "kept-out": (replace(PLAIN, keep_out=BOXES),),
    "ground": (replace(PLAIN, ground=3000, tint=0x30A0F0, keep_out=BOXES, soft_px=1),),
    "hardened": (replace(PLAIN, warp_256=500, texture=30, key="ab"),),
    "grain": (replace(PLAIN, grain_px=3, period_px=18, size_px=21, warp_256=400, keep_out=BOXES),),
    "mounted": (replace(PLAIN, mounted=1),),
    "opaque": (replace(PLAIN, opacity=60000),),
    "mark-on-top": (PLAIN, Mark(8, 6, 12, 50000, 3000)),
}


def veil_vectors() -> Iterator[tuple[str, Vector]]:
    owner_logo = logo()
    for kind, data in (
        ("rgb", picture((24, 28, 3), "u1")),
        ("deep", picture((24, 28), "u2")),
        ("palette", indexed((24, 28))),
    ):
        image = read_image(data, name="x")
        for name, marks in VEILS.items():
            if kind == "palette" and name not in ("plain", "kept-out"):
                continue
            result = mark_pixels(image, marks, logo=owner_logo)
            yield (
                f"{kind}-{name}",
                {
                    "about": "marking these pixels gives those; undoing it with the residual gives them back",
                    "original": encoded(data),
                    "logo": encoded(owner_logo.to_png()),
                    "logo_digest": owner_logo.digest,
                    "marks": [mark.to_json() for mark in marks],
                    "original_pixels": pixel_digest(image.pixels),
                    "marked_pixels": pixel_digest(result.pixels),
                    "residual": encoded(result.residual),
                },
            )


def indexed(shape: tuple[int, int]) -> bytes:
    """Return a PNG with a palette of 64 colours."""
    rng = np.random.default_rng(12)
    drawn = Pillow.fromarray(rng.integers(0, 64, shape).astype("u1")).convert("P")
    drawn.putpalette(rng.integers(0, 256, 3 * 64).astype("u1").tobytes())
    stream = io.BytesIO()
    drawn.save(stream, "PNG")
    return stream.getvalue()


def shaded(shape: tuple[int, int]) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Return a smooth picture of 0 to 1 with a little noise, made by arithmetic."""
    y, x = np.mgrid[: shape[0], : shape[1]]
    noise = np.random.default_rng(13).integers(0, 20, shape) / 255
    return np.asarray(((x * 3 + y * 5) % 97 / 97 + noise) / (1 + 20 / 255))


def jpeg() -> bytes:
    """Return a JPEG with subsampled colours."""
    grey = np.round(shaded((40, 56)) * 255).astype("u1")
    stream = io.BytesIO()
    Pillow.fromarray(np.stack([grey, grey.T[:40, :40].repeat(2, axis=1)[:, :56], 255 - grey], axis=2)).save(
        stream, "JPEG", quality=85
    )
    return stream.getvalue()


def dicom() -> bytes:
    """Return a CT slice of 12 bits, most of it beyond its window."""
    ds = Dataset()
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = uid.ExplicitVRLittleEndian
    ds.file_meta.MediaStorageSOPClassUID = uid.CTImageStorage
    ds.file_meta.MediaStorageSOPInstanceUID = uid.UID("2.25.1")
    ds.SOPClassUID, ds.SOPInstanceUID = uid.CTImageStorage, "2.25.1"
    ds.SeriesInstanceUID, ds.StudyInstanceUID = "2.25.2", "2.25.3"
    ds.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
    ds.Rows, ds.Columns, ds.SamplesPerPixel = 40, 48, 1
    ds.PhotometricInterpretation = "MONOCHROME2"
    ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.PixelRepresentation = 16, 12, 11, 0
    ds.RescaleSlope, ds.RescaleIntercept = "1", "-1024"
    ds.WindowCenter, ds.WindowWidth = "40", "400"
    ds.PixelData = np.round(shaded((40, 48)) * 3000).astype("<u2").tobytes()
    ds["PixelData"].VR = "OW"
    stream = io.BytesIO()
    ds.save_as(stream, enforce_file_format=True)
    return stream.getvalue()


FILES: dict[str, tuple[str, bytes]] = {
    "png": ("left/eye.png", picture((40, 48, 3), "u1")),
    "jpeg": ("left/eye.jpg", jpeg()),
    "dicom": ("slice.dcm", dicom()),
}


def veil_restore_vectors() -> Iterator[tuple[str, Vector]]:
    for kind, (name, data) in FILES.items():
        image = read_image(data, name=name)
        marks = (replace(PLAIN, keep_out=(Box(16, 16, 16, 8),)),)
        marked = mark_file(image, marks, logo=logo())
        record = SealedRecord(
            release=SECRET.release,
            index=17,
            name=name,
            file=sha256(marked.data),
            pixels=content_digest(read_image(marked.data, name=name)),
            original_file=sha256(data),
            original_name=name,
            original_pixels=content_digest(image),
            metadata=marked.metadata or metadata_digest(image),
            owner=SIGNING.public.key_id,
            marks=marks,
            logo=logo().digest,
            residual=marked.residual,
            method=marked.method,
            seeds={"search": 7},
            salt=fixed("salt"),
        )
        base = {
            "about": "a veiled file, its sealed record, and the original's pixels",
            "file": encoded(marked.data),
            "logo": encoded(logo().to_png()),
            "identity": SECRET.image_identity(17),
            "original_pixels": record.original_pixels,
        }
        yield f"veil-{kind}", {**base, "expect": "success", "blob": encoded(seal_record(record, SECRET))}
        wrong = {"bad-residual": replace(record, residual=record.residual[:-1])}
        if kind == "png":
            form = b"\3" + record.residual[1:]
            wrong |= {
                "bad-form": replace(record, residual=form),
                "bad-parameters": replace(record, marks=(replace(marks[0], angle=9),)),
                "bad-size": replace(record, marks=(replace(marks[0], size_px=65535),)),
                "bad-two": replace(record, marks=(marks[0], marks[0])),
            }
        for label, each in wrong.items():
            yield (
                f"veil-{kind}-{label}",
                {**base, "expect": "restore", "blob": encoded(seal_record(each, SECRET))},
            )
