"""Our readers of file formats against libraries that could read them instead: time, and what each refuses.

    python benchmarks/readers.py [--side 2048] [--rounds 5]

One picture as a file of each format; each reader decodes it in turn, the best of some rounds, all in one run.
Then copies with the end cut off: how many of them a reader takes for sound files. (A mark that is put on
what a reader has filled in is restored onto what nobody ever had.)
"""

from __future__ import annotations

import argparse
import io
import random
import time
import warnings
from collections.abc import Callable
from typing import Any

import cv2
import imagecodecs
import nibabel
import numpy as np
import pydicom
import tifffile
from numpy.typing import NDArray
from PIL import Image as Pillow
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import UID, ExplicitVRLittleEndian, generate_uid

from _tables import table
from medlocker.formats import read_image

Reader = Callable[[bytes], NDArray[Any]]
_HARMED = 200


def picture(side: int) -> NDArray[np.uint8]:
    """Return a smooth picture with some noise, (side, side, 3)."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:side, :side]
    waves = [128 + 90 * np.sin(x / 37 + k) * np.cos(y / 53 - k) for k in range(3)]
    return np.clip(np.stack(waves, axis=2) + rng.normal(0, 3, (side, side, 3)), 0, 255).astype(np.uint8)


def dicom_file(grey: NDArray[np.uint16]) -> bytes:
    """Return an uncompressed DICOM file of (H, W) uint16."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = UID("1.2.840.10008.5.1.4.1.1.7")
    meta.MediaStorageSOPInstanceUID, meta.TransferSyntaxUID = generate_uid(), ExplicitVRLittleEndian
    data = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    data.SOPClassUID, data.SOPInstanceUID = meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID
    data.Rows, data.Columns = grey.shape
    data.SamplesPerPixel, data.PhotometricInterpretation, data.PixelRepresentation = 1, "MONOCHROME2", 0
    data.BitsAllocated = data.BitsStored = 16
    data.HighBit, data.PixelData = 15, grey.tobytes()
    stream = io.BytesIO()
    data.save_as(stream, enforce_file_format=True)
    return stream.getvalue()


def files(side: int) -> dict[str, bytes]:
    """Return the same picture in every format."""
    colors = picture(side)
    grey = colors[..., 0].astype(np.uint16) * 257
    png, tiff, bmp = io.BytesIO(), io.BytesIO(), io.BytesIO()
    Pillow.fromarray(colors).save(png, "PNG")
    tifffile.imwrite(tiff, colors, compression="lzw", photometric="rgb")
    Pillow.fromarray(colors).save(bmp, "BMP")
    volume = nibabel.Nifti1Image((grey[:, :, None] >> 1).astype(np.int16), np.eye(4))  # type: ignore[no-untyped-call]
    return {
        "PNG": png.getvalue(),
        "TIFF, LZW": tiff.getvalue(),
        "BMP": bmp.getvalue(),
        "NIfTI": volume.to_bytes(),
        "DICOM": dicom_file(grey),
    }


def _nibabel(data: bytes) -> NDArray[Any]:
    found: Any = nibabel.Nifti1Image.from_bytes(data)
    return np.asarray(found.dataobj)


READERS: dict[str, dict[str, Reader]] = {
    "PNG": {
        "Pillow": lambda data: np.asarray(Pillow.open(io.BytesIO(data))),
        "OpenCV": lambda data: np.asarray(cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)),
        "imagecodecs": lambda data: np.asarray(imagecodecs.png_decode(data)),
    },
    "TIFF, LZW": {
        "tifffile": lambda data: np.asarray(tifffile.imread(io.BytesIO(data))),
        "Pillow": lambda data: np.asarray(Pillow.open(io.BytesIO(data))),
    },
    "BMP": {
        "Pillow": lambda data: np.asarray(Pillow.open(io.BytesIO(data))),
        "OpenCV": lambda data: np.asarray(cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)),
    },
    "NIfTI": {"nibabel": _nibabel},
    "DICOM": {"pydicom": lambda data: pydicom.dcmread(io.BytesIO(data)).pixel_array},
}


def ours(data: bytes) -> NDArray[Any]:
    """Read a file as the program does."""
    image = read_image(data, name="x")
    return np.asarray(image.pixels if image.frames is None else image.frames[0])


def best_time(read: Reader, data: bytes, rounds: int) -> float:
    """Return the shortest time of some rounds in seconds."""
    times = []
    for _ in range(rounds):
        started = time.perf_counter()
        read(data)
        times.append(time.perf_counter() - started)
    return min(times)


def taken(read: Reader, data: bytes, *, sound: NDArray[Any]) -> int:
    """Return how many files that were cut off are taken for sound although pixels are missing."""
    rng, count = random.Random(0), 0
    for _ in range(_HARMED):
        try:
            found = read(data[: rng.randrange(len(data))])
        except Exception:  # every library has errors of its own
            continue
        count += found.shape != sound.shape or not np.array_equal(found, sound)
    return count


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--side", type=int, default=2048)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    cv2.setNumThreads(1)
    large, small = files(options.side), files(64)
    rows = []
    for kind, others in READERS.items():
        own = best_time(ours, large[kind], options.rounds)
        readers = {"ours": ours, **others}
        for name, read in readers.items():
            ratio = 1.0 if read is ours else best_time(read, large[kind], options.rounds) / own
            wrong = taken(read, small[kind], sound=read(small[kind]))
            rows.append([kind, name, f"{ratio:.2f}", f"{wrong} of {_HARMED}"])
    print(table(["file", "reader", f"time / ours, {options.side} px", "cut files taken for sound"], rows))


if __name__ == "__main__":
    main()
