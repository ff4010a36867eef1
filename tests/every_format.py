"""One small file of every kind that can be marked, large enough for a veil, and a region in each of them."""

from __future__ import annotations

import gzip
import io
import struct
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import nibabel
import numpy as np
import tifffile
from numpy.typing import NDArray
from PIL import Image as Pillow
from pydicom import uid

import dicom_samples
import jpeg_pictures
from dicom_samples import FOLDER, Sample
from medlocker.geometry import Box
from pictures import smooth

REGION = Box(11, 9, 10, 8)
"""Pixels that must stay free in every file; few enough for decoys beside them."""


def shaded(channels: int = 3, *, bits: int = 8, seed: int = 0, count: int = 0) -> NDArray[Any]:
    """(H, W, C) of a smooth picture, or (count, H, W, C) of some that resemble each other."""
    top = (1 << bits) - 1
    pixels = np.round(smooth(52, 68, channels, seed=seed) * top).astype("u1" if bits <= 8 else "u2")
    if not count:
        return pixels
    return np.stack([np.roll(pixels, 2 * k, axis=1) for k in range(count)])


def _pillow(pixels: NDArray[Any], kind: str, *, palette: NDArray[np.uint8] | None = None) -> bytes:
    picture = Pillow.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels)
    if palette is not None:
        picture = picture.convert("P")
        picture.frombytes(pixels.tobytes())
        picture.putpalette(palette.tobytes())
    stream = io.BytesIO()
    picture.save(stream, kind)
    return stream.getvalue()


def _deep_png(pixels: NDArray[Any]) -> bytes:
    """A PNG of 16 bits, written by OpenCV."""
    done, data = cv2.imencode(".png", pixels)
    assert done
    return data.tobytes()


def _tiff(pixels: NDArray[Any], photometric: str, **options: Any) -> bytes:
    stream = io.BytesIO()
    tifffile.imwrite(
        stream,
        pixels[..., 0] if pixels.shape[-1] == 1 else pixels,
        metadata=None,
        photometric=photometric,
        **options,
    )
    return stream.getvalue()


def _pngs() -> dict[str, bytes]:
    ramp = np.stack([np.arange(256), np.arange(256)[::-1], np.arange(256) // 2], axis=1).astype("u1")
    return {
        "grey.png": _pillow(shaded(1), "PNG"),
        "rgb.png": _pillow(shaded(3), "PNG"),
        "rgba.png": _pillow(shaded(4), "PNG"),
        "grey-alpha.png": _pillow(shaded(2), "PNG"),
        "palette.png": _pillow(shaded(1), "PNG", palette=ramp),
        "grey16.png": _deep_png(shaded(1, bits=16)),
        "rgb16.png": _deep_png(shaded(3, bits=16)),
        "rgba16.png": _deep_png(shaded(4, bits=16)),
    }


def _tiffs() -> dict[str, bytes]:
    return {
        "grey.tif": _tiff(shaded(1), "minisblack"),
        "white-is-zero.tif": _tiff(shaded(1), "miniswhite"),
        "rgb.tif": _tiff(shaded(3), "rgb", compression="zlib"),
        "rgba16.tif": _tiff(shaded(4, bits=16), "rgb", byteorder=">", extrasamples=["unassalpha"]),
        "big16.tif": _tiff(shaded(1, bits=16), "minisblack", bigtiff=True),
        "pages.tif": _tiff(shaded(3, count=3), "rgb"),
        "pages16.tif": _tiff(shaded(1, bits=16, count=4), "minisblack"),
    }


def _dicom(words: NDArray[Any], number: int, photometric: str = "MONOCHROME2", **options: Any) -> bytes:
    """A file of a series of its own."""
    elements = {"SOPInstanceUID": f"1.2.3.{number}", "SeriesInstanceUID": f"1.2.5.{number}"}
    elements |= options.pop("elements", {})
    words = words if words.ndim == 4 else words[None]
    return dicom_samples.write(Sample(words, photometric, elements=elements, **options))


def slice_of_ct(number: int, *, shift: int = 0, series: int = 900) -> bytes:
    """A CT slice shown in a soft-tissue window: air and bones lie beyond it.

    Args:
        number: Of the instance.
        shift: How many columns its content is moved.
        series: Files of one number belong together.
    """
    units = np.roll(smooth(52, 68, 1, seed=3), shift, axis=1) * 3000 - 1000
    words = np.round(units + 1024).astype("u2")
    elements = {
        "WindowCenter": "40",
        "WindowWidth": "400",
        "RescaleSlope": "1",
        "RescaleIntercept": "-1024",
        "SeriesInstanceUID": f"1.2.5.{series}",
    }
    return _dicom(words, number, stored=12, elements=elements)


def _dicoms() -> dict[str, bytes]:
    grey, deep, colour = shaded(1), shaded(1, bits=12), shaded(3)
    pair = np.repeat(colour[:, ::2], 2, axis=1)
    pair[..., 0] = colour[..., 0]
    ybr = replace(
        Sample(pair[None], "YBR_FULL_422"),
        elements={"SOPInstanceUID": "1.2.3.1", "SeriesInstanceUID": "1.2.5.1"},
    )
    return {
        "ct.dcm": slice_of_ct(20),
        "mr.dcm": _dicom(deep, 2, stored=12),
        "signed.dcm": _dicom((deep.astype("i4") - 2048).astype("i2").view("u2"), 3, stored=16, signed=True),
        "reversed.dcm": _dicom(deep, 14, "MONOCHROME1", stored=12),
        "grey8.dcm": _dicom(grey, 5),
        "six.dcm": _dicom(grey >> 2, 6, stored=6),
        "rgb.dcm": _dicom(colour, 7, "RGB", planar=1),
        "ybr.dcm": _dicom(colour, 8, "YBR_FULL"),
        "ybr422.dcm": dicom_samples.write(ybr),
        "frames.dcm": _dicom(shaded(1, bits=12, count=3), 9, stored=12),
        "rle.dcm": _dicom(colour, 10, "RGB", syntax=uid.RLELossless),
        "jpegls.dcm": _dicom(deep, 11, stored=12, syntax=uid.JPEGLSLossless),
        "j2k.dcm": _dicom(deep, 12, stored=12, syntax=uid.JPEG2000Lossless),
        "big.dcm": _dicom(deep, 13, stored=12, syntax=uid.ExplicitVRBigEndian),
        "lossy.dcm": dicom_samples.jpeg([colour], "YBR_FULL_422"),
        **{
            f"shipped-{name}": (FOLDER / f"{name}.dcm").read_bytes()
            for name in ("CT_small", "MR_small_RLE", "examples_palette", "examples_ybr_color", "SC_rgb_jpeg")
        },
    }


def _nifti(voxels: NDArray[Any], *, slope: float = 1.0, calibration: tuple[float, float] = (0, 0)) -> bytes:
    kind: Any = nibabel.Nifti1Image
    picture = kind(voxels, np.eye(4), dtype=voxels.dtype)
    picture.header["cal_min"], picture.header["cal_max"] = calibration
    data = bytearray(picture.to_bytes())
    struct.pack_into("<ff", data, 112, slope, 0)
    return bytes(data)


def _niftis() -> dict[str, bytes]:
    voxels = np.moveaxis(shaded(1, bits=12, count=3)[..., 0], 0, 2)
    colours = np.ascontiguousarray(shaded(3)).view([("R", "u1"), ("G", "u1"), ("B", "u1")])
    return {
        "byte.nii": _nifti(np.moveaxis(shaded(1, count=2)[..., 0], 0, 2)),
        "short.nii": _nifti(voxels.astype("i2") - 1000, slope=2),
        "packed.nii.gz": gzip.compress(_nifti(voxels.astype("u2"), calibration=(500, 2500)), mtime=0),
        "still.nii": _nifti(voxels[..., 0].astype("u2")),
        "rgb.nii": _nifti(colours),
    }


def _jpegs() -> dict[str, bytes]:
    names = {name: name.replace(":", "").replace(", ", "-").replace(" ", "-") for name in jpeg_pictures.FILES}
    return {f"{names[name]}.jpg": data for name, data in jpeg_pictures.FILES.items() if name != "one block"}


def every_file() -> Mapping[str, bytes]:
    """Return files by name; each has at least 51 x 51 pixels, no two the same ones."""
    return {
        **_pngs(),
        **_tiffs(),
        "rgb.bmp": _pillow(shaded(3, seed=1), "BMP"),
        "grey.bmp": _pillow(shaded(1, seed=1), "BMP"),
        **_jpegs(),
        **_dicoms(),
        **_niftis(),
    }


def write_all(folder: Path) -> Path:
    """Write every file into a folder, and ``regions.csv`` beside it."""
    folder.mkdir(parents=True)
    rows = ["image,region,x,y,width,height"]
    for name, data in every_file().items():
        (folder / name).write_bytes(data)
        rows.append(f"{name},a,{REGION.x},{REGION.y},{REGION.width},{REGION.height}")
    (folder.parent / "regions.csv").write_text("\n".join(rows) + "\n")
    return folder
