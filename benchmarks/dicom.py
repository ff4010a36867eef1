"""DICOM: time and memory of marking one file and taking the mark off, one process per case.

    python benchmarks/dicom.py

The files are synthetic, smooth with grain. Memory is the growth of the process's largest resident size over
what it had when the file was in memory, so it counts the marked file, the residuals and the frames in work;
``bound`` is the size of what is written plus eight frames.
"""

from __future__ import annotations

import copy
import io
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pydicom
from pydicom import uid
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate

from medlocker.formats import mark_file, read_image, unmark_file
from medlocker.formats.dicom import Layout, dicom_of, encode_frame
from medlocker.logo import builtin_logo
from medlocker.mark import Mark

CASES: dict[str, tuple[tuple[int, int, int, int], str]] = {
    "CT 512 x 512, 12 bit": ((1, 512, 512, 1), uid.ExplicitVRLittleEndian),
    "mammogram 4096 x 3328, 12 bit": ((1, 4096, 3328, 1), uid.ExplicitVRLittleEndian),
    "ultrasound 600 x 800 RGB, 200 frames": ((200, 600, 800, 3), uid.ExplicitVRLittleEndian),
    "the same, JPEG-LS": ((200, 600, 800, 3), uid.JPEGLSLossless),
    "CT, JPEG 2000": ((1, 512, 512, 1), uid.JPEG2000Lossless),
    "CT, RLE": ((1, 512, 512, 1), uid.RLELossless),
    "CT, JPEG lossless": ((1, 512, 512, 1), uid.JPEGLosslessSV1),
}
FRAMES_IN_WORK = 8


def frame(shape: tuple[int, int, int], seed: int) -> np.ndarray:
    height, width, channels = shape
    rng = np.random.default_rng(seed)
    top = 255 if channels == 3 else 4095
    y, x = np.linspace(0, 3, height)[:, None, None], np.linspace(0, 2, width)[None, :, None]
    smooth = (np.sin(y * x + seed / 50 + np.arange(channels)) + 1) / 2 * top * 0.9
    noisy = smooth + rng.normal(0, top / 200, (height, width, channels))
    return noisy.clip(0, top).astype(np.uint8 if channels == 3 else np.uint16)


def file_of(shape: tuple[int, int, int, int], syntax: str) -> bytes:
    count, height, width, channels = shape
    ds = Dataset()
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = uid.ExplicitVRLittleEndian
    ds.SOPClassUID, ds.SOPInstanceUID = uid.SecondaryCaptureImageStorage, "1.2.3"
    ds.Rows, ds.Columns, ds.SamplesPerPixel, ds.NumberOfFrames = height, width, channels, count
    ds.BitsAllocated, ds.BitsStored = (8, 8) if channels == 3 else (16, 12)
    ds.HighBit, ds.PixelRepresentation = ds.BitsStored - 1, 0
    ds.PhotometricInterpretation = "RGB" if channels == 3 else "MONOCHROME2"
    if channels == 3:
        ds.PlanarConfiguration = 0
    frames = (frame(shape[1:], i) for i in range(count))
    if syntax == uid.ExplicitVRLittleEndian:
        ds.PixelData = b"".join(one.tobytes() for one in frames)
        ds["PixelData"].VR = "OB" if channels == 3 else "OW"
    else:
        ds.PixelData = bytes(2 * height * width)
        ds["PixelData"].VR = "OW"
        layout = _layout(ds, height, width, channels)
        ds.PixelData = encapsulate([encode_frame(one, syntax, layout) for one in frames])
        ds["PixelData"].VR, ds["PixelData"].is_undefined_length = "OB", True
    ds.file_meta.TransferSyntaxUID = uid.UID(syntax)
    stream = io.BytesIO()
    pydicom.dcmwrite(stream, ds, enforce_file_format=True)
    return stream.getvalue()


def _layout(ds: Dataset, height: int, width: int, channels: int) -> Layout:
    """The layout of one frame, from a small file that says the same."""
    single = copy.deepcopy(ds)
    single.NumberOfFrames = 1
    single.PixelData = bytes(height * width * channels * ds.BitsAllocated // 8)
    stream = io.BytesIO()
    pydicom.dcmwrite(stream, single, enforce_file_format=True)
    return dicom_of(read_image(stream.getvalue(), name="layout")).dicom.layout


def reset_peak() -> float:
    """Forget the largest resident size so far (Linux) and return the present one in MiB."""
    with open("/proc/self/clear_refs", "w") as stream:
        stream.write("5")
    return peak_mb()


def peak_mb() -> float:
    with open("/proc/self/status") as stream:
        line = next(line for line in stream if line.startswith("VmHWM"))
    return int(line.split()[1]) / 1024


def measure(path: str) -> dict[str, float | bool]:
    with open(path, "rb") as stream:
        data = stream.read()
    logo = builtin_logo()
    start = time.perf_counter()
    image = read_image(data, name="a")
    side = min(image.height, image.width) // 4
    marks = [Mark(x=image.width // 3, y=image.height // 3, size_px=side, opacity=50000)]
    read_s = time.perf_counter() - start
    before = reset_peak()
    start = time.perf_counter()
    marked = mark_file(image, marks, logo=logo)
    mark_s = time.perf_counter() - start
    grown = peak_mb() - before
    again = read_image(marked.data, name="a")
    before = reset_peak()
    start = time.perf_counter()
    restored = unmark_file(again, marks, logo=logo, residual=marked.residual, method=marked.method)
    unmark_s = time.perf_counter() - start
    frames = image.frames
    return {
        "MB": len(data) / 1e6,
        "marked MB": len(marked.data) / 1e6,
        "residual kB": len(marked.residual) / 1e3,
        "read ms": read_s * 1e3,
        "mark ms": mark_s * 1e3,
        "unmark ms": unmark_s * 1e3,
        "mark MiB": grown,
        "unmark MiB": peak_mb() - before,
        "bound MiB": (len(marked.data) + FRAMES_IN_WORK * image.pixels.nbytes) / (1 << 20),
        "all frames MiB": image.pixels.nbytes * (1 if frames is None else len(frames)) / (1 << 20),
        "identical": restored == data,
    }


def main() -> None:
    rows: list[tuple[str, dict[str, float | bool]]] = []
    for name, (shape, syntax) in CASES.items():
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, "a.dcm")
            path.write_bytes(file_of(shape, syntax))
            command = [sys.executable, __file__, str(path)]
            done = subprocess.run(command, check=True, capture_output=True, text=True)
        rows.append((name, json.loads(done.stdout)))
    columns = list(rows[0][1])
    print("| file | " + " | ".join(columns) + " |\n|---" + "|---" * len(columns) + "|")
    for name, row in rows:
        cells = [str(v) if isinstance(v, bool) else f"{v:.1f}" for v in row.values()]
        print(f"| {name} | " + " | ".join(cells) + " |")


if __name__ == "__main__":
    if len(sys.argv) > 1:
        print(json.dumps(measure(sys.argv[1])))
    else:
        main()
