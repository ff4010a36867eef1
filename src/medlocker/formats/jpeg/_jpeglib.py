"""Quantised DCT coefficients out of and into entropy-coded data, by the libjpeg-turbo that jpeglib brings.

jpeglib's own Python functions decode everything twice, write the picture to disk under ``/tmp`` and keep the
markers of the file in global variables. Its two C functions do neither, so they are called directly. They may
end the process on a damaged file: **only what a strict decoder has accepted may be read**, and only
coefficients that fit are written. jpeglib writes no progressive files; MozJPEG turns its output into one.
"""

from __future__ import annotations

import ctypes
import importlib.util
import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import mozjpeg_lossless_optimization as mozjpeg
import numpy as np
from numpy.typing import NDArray

from medlocker.formats.jpeg._stream import Frame

_VERSION = "turbo210"
_GREY, _YCBCR = 1, 3
_OPTIMIZE_CODING = 1 << 6
_MAX_MCU_BLOCKS = 10

Blocks = NDArray[np.int16]
"""(rows, columns, 64) of one component, coefficients row by row, not in zigzag order."""


@cache
def _library() -> Any:
    """Load the library once; its functions keep nothing between calls."""
    package = importlib.util.find_spec("jpeglib")
    for folder in (package.submodule_search_locations or ()) if package else ():
        for path in Path(folder, "cjpeglib").glob(f"cjpeglib_{_VERSION}.*"):
            return ctypes.CDLL(str(path))
    raise ImportError(f"expected jpeglib with its library {_VERSION}")


def fits(frame: Frame) -> bool:
    """Tell whether one scan can hold all components (T.81, B.2.3)."""
    return len(frame.components) == 1 or sum(c.across * c.down for c in frame.components) <= _MAX_MCU_BLOCKS


def decode_coefficients(data: bytes, frame: Frame) -> tuple[Blocks, ...]:
    """Return the quantised coefficients of each component.

    Args:
        data: A file without metadata segments that a strict decoder has accepted.
        frame: Its frame header.

    Raises:
        ValueError: If the library refuses.
    """
    found = tuple(np.empty((*frame.blocks(component), 64), np.int16) for component in frame.components)
    with _as_path(data) as path:
        if not _library().read_jpeg_dct(os.fsencode(path), *_pointers(found), None, None):
            raise ValueError("expected coefficients")
    return found


def encode_coefficients(coefficients: Sequence[Blocks], frame: Frame) -> bytes:
    """Return a JPEG with given coefficients and Huffman tables made for them.

    Only its Huffman tables and scans are of use: its quantisation tables and names of components are not the
    frame's.

    Args:
        coefficients: Of each component, C-contiguous.
        frame: Size, sampling, and whether to write a progressive file; see :func:`fits`.

    Raises:
        ValueError: If a coefficient is beyond what an 8-bit JPEG can hold, or the library refuses.
    """
    if not fits(frame):
        raise ValueError("expected sampling factors that fit into one scan")
    for blocks, component in zip(coefficients, frame.components, strict=True):
        if (
            blocks.shape != (*frame.blocks(component), 64)
            or blocks.dtype != np.int16
            or not blocks.flags.c_contiguous
        ):
            raise ValueError("expected the frame's number of blocks")
        if not _is_codable(blocks):
            raise ValueError("expected coefficients of an 8-bit JPEG")
    count = len(coefficients)
    shapes = [side for blocks in coefficients for side in blocks.shape[:2]]
    factors = [factor for c in frame.components for factor in (c.down, c.across)]
    tables = np.ones((4, 64), np.uint16)
    numbers = np.zeros(4, np.int16)
    # MozJPEG finds its own Huffman tables
    mask = 0 if frame.progressive else _OPTIMIZE_CODING
    with _as_path() as path:
        written = _library().write_jpeg_dct(
            None, os.fsencode(path), *_pointers(coefficients),
            (ctypes.c_int * 2)(frame.height, frame.width), (ctypes.c_int * 6)(*shapes),
            (ctypes.c_int * 6)(*factors), _GREY if count == 1 else _YCBCR, count,
            tables.ctypes.data_as(ctypes.c_void_p), ctypes.c_short(-1),
            numbers.ctypes.data_as(ctypes.c_void_p),
            0, None, None, None, ctypes.c_uint(mask), ctypes.c_uint(0xFFFFFFFF),
        )  # fmt: skip
        if not written:
            raise ValueError("expected coefficients that can be written")
        data = path.read_bytes()
    return bytes(mozjpeg.optimize(data, copy=mozjpeg.COPY_MARKERS.NONE)) if frame.progressive else data


def _is_codable(blocks: Blocks) -> bool:
    """Tell whether Huffman codes exist for all values: 10 bits, and -1024 for the mean of a black block."""
    low = int(blocks.min())
    return low >= -1024 and int(blocks.max()) <= 1023 and (low > -1024 or int(blocks[..., 1:].min()) > -1024)


def _pointers(coefficients: Sequence[Blocks]) -> list[ctypes.c_void_p | None]:
    """Return what the library takes: four components, missing ones null."""
    found: list[ctypes.c_void_p | None] = [blocks.ctypes.data_as(ctypes.c_void_p) for blocks in coefficients]
    return found + [None] * (4 - len(found))


@contextmanager
def _as_path(data: bytes = b"") -> Iterator[Path]:
    """Give a name to bytes, in memory where the system can, else in a folder of the owner's alone."""
    if hasattr(os, "memfd_create"):
        with os.fdopen(os.memfd_create("jpeg", os.MFD_CLOEXEC), "wb") as stream:
            stream.write(data)
            stream.flush()
            yield Path(f"/proc/self/fd/{stream.fileno()}")
        return
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "picture")
        path.write_bytes(data)
        yield path
