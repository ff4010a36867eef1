"""Compressed DICOM frames: which codec reads each transfer syntax, and which one writes it without loss.

What was compressed without loss keeps its transfer syntax, or in JPEG 2000 and its high-throughput kind
that of lossless JPEG 2000. What was compressed with loss becomes lossless JPEG-LS: it is the smallest of
what DICOM readers know and five times as fast to write as JPEG 2000, and a search writes every candidate.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import imagecodecs
import jpeg_ls
import numpy as np

from medlocker.formats.dicom._layout import Layout, Words, sign_extended

_START = "1.2.840.10008.1.2.4."
RLE = "1.2.840.10008.1.2.5"
_LOSSLESS, _LOSSLESS_FIRST = _START + "57", _START + "70"
_FEW_SAMPLES = 64
_JPEG_LS, _JPEG_2000_LOSSLESS = _START + "80", _START + "90"
_JPEG_2000 = _START + "91"
_HEADER_RLE = 64
_BOX = b"\0\0\0\x0cjP  "
_SIZE = b"\xff\x4f\xff\x51"
"""JPEG 2000's first two markers."""
_DCT = (0xC0, 0xC1, 0xC2)
"""JPEG's frames of 8 x 8 coefficients."""


@dataclass(frozen=True)
class Codec:
    """How frames of one transfer syntax are read.

    Args:
        name: For ``inspect``.
        decode: From a frame's bytes to (H, W, C) words.
        output: UID of the transfer syntax that they are written in.
        undoes_color: Decoding a frame in YBR gives RGB.
        loss: The method that its frames may have lost something by, a defined term of Lossy Image
            Compression Method (PS3.3, C.7.6.1.1.5.1); empty if it loses nothing.
    """

    name: str
    decode: Callable[[bytes, Layout], Words]
    output: str
    undoes_color: bool = False
    loss: str = ""


def decode_frame(data: bytes, syntax: str, layout: Layout) -> Words:
    """Decode one frame.

    Returns:
        (H, W, C) words.

    Raises:
        Exception: Of many kinds, if the frame is damaged or contradicts the header.
    """
    if data.startswith(_BOX):  # not allowed, but written by some
        data = _unboxed(data)
    if syntax != RLE:
        _check_size(data, layout)
    words = CODECS[syntax].decode(data, layout)
    shape = (layout.height, layout.width, layout.samples)
    if words.ndim == 2:
        words = words[..., None]
    if words.shape != shape:
        raise ValueError("expected a frame as large as the header says")
    return words


def _unboxed(data: bytes) -> bytes:
    """Return the codestream in a JP2 file."""
    at = 0
    while at + 8 <= len(data):
        length, kind = struct.unpack_from(">I4s", data, at)
        if kind == b"jp2c":
            return data[at + 8 :]
        if length < 8:
            break
        at += length
    raise ValueError("expected a codestream")


def _check_size(data: bytes, layout: Layout) -> None:
    """Refuse a frame that announces another size than the header: decoders would make room for it."""
    if data.startswith(b"\xff\xd8"):
        marker, header = _frame_header(data)
        found = struct.unpack_from(">HH", header, 1)
        if marker in _DCT and len(data) * 8 < layout.height * layout.width // 64:
            raise ValueError("expected at least a bit for each block")
    elif data.startswith(_SIZE):
        right, bottom, left, top = struct.unpack_from(">4I", data, 8)
        found = (bottom - top, right - left)
        if struct.unpack_from(">H", data, 40) != (layout.samples,):
            raise ValueError("expected as many components as the header says")
    else:
        raise ValueError("expected a codestream")
    if found != (layout.height, layout.width):
        raise ValueError("expected a frame as large as the header says")


def _frame_header(data: bytes) -> tuple[int, bytes]:
    """Return a JPEG's or JPEG-LS's frame marker and header from its depth on."""
    at = 2
    while at + 4 <= len(data) and data[at] == 0xFF:
        marker, (length,) = data[at + 1], struct.unpack_from(">H", data, at + 2)
        if marker == 0xF7 or (0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC)):
            return marker, data[at + 4 : at + 2 + length]
        if marker < 0xC0 or 0xD0 <= marker <= 0xDA:  # these have no length, so decoders go on elsewhere
            break
        at += 1 if marker == 0xFF else 2 + length
    raise ValueError("expected a frame header")


def stream_colors(data: bytes) -> str:
    """Return what a JPEG of three components says of its colours; a header often contradicts it.

    As decoders read it (libjpeg's ``default_decompress_parms``): JFIF means YCbCr; else Adobe's segment
    decides; else components that are called R, G and B.

    Returns:
        ``"RGB"``, ``"YCbCr"``, or nothing if it does not say.
    """
    at, adobe = 2, ""
    while at + 4 <= len(data) and data[at] == 0xFF:
        marker, (length,) = data[at + 1], struct.unpack_from(">H", data, at + 2)
        content = data[at + 4 : at + 2 + length]
        if marker == 0xE0 and content.startswith(b"JFIF\0"):
            return "YCbCr"
        if marker == 0xEE and content.startswith(b"Adobe") and len(content) >= 12:
            adobe = "YCbCr" if content[11] else "RGB"
        if marker in _DCT:
            return adobe or ("RGB" if content[6:13:3] == b"RGB" else "")
        if marker < 0xC0 or 0xD0 <= marker <= 0xDA:
            break
        at += 1 if marker == 0xFF else 2 + length
    return adobe


def _fitted(decoded: Any, layout: Layout) -> Words:
    """Return what a decoder gave as words of the header's size, bit patterns unchanged."""
    array = np.asarray(decoded)
    if array.dtype.kind == "i":
        return np.ascontiguousarray(array.astype(f"i{layout.allocated // 8}").view(layout.dtype))
    if array.dtype.itemsize * 8 > layout.allocated and array.max(initial=0) >> layout.allocated:
        raise ValueError("expected samples that fit into their allocated bits")
    return sign_extended(np.ascontiguousarray(array, dtype=layout.dtype), layout)


def _jpeg(data: bytes, layout: Layout) -> Words:
    if layout.samples == 1:
        return _fitted(imagecodecs.jpeg8_decode(data), layout)
    said = stream_colors(data)
    is_rgb = said == "RGB" if said else layout.photometric == "RGB"
    stored = "rgb" if is_rgb else "ycbcr"
    return _fitted(imagecodecs.jpeg8_decode(data, colorspace=stored, outcolorspace="rgb"), layout)


def _lossless_jpeg(data: bytes, layout: Layout) -> Words:
    color = None if layout.samples == 1 else "rgb"  # taken as they are, whatever they mean
    return _fitted(imagecodecs.jpeg8_decode(data, colorspace=color, outcolorspace=color), layout)


def _jpeg_ls(data: bytes, layout: Layout) -> Words:
    return _fitted(imagecodecs.jpegls_decode(data), layout)


def _jpeg_2000(data: bytes, layout: Layout) -> Words:
    return _fitted(imagecodecs.jpeg2k_decode(data), layout)


def _rle(data: bytes, layout: Layout) -> Words:
    """Unpack PackBits segments (PS3.5, annex G): one per byte of a sample, highest byte first."""
    size = layout.allocated // 8
    count, *places = struct.unpack_from("<16I", data, 0)
    if count != layout.samples * size:
        raise ValueError("expected a segment for each byte of a pixel")
    places = [*places[:count], len(data)]
    pixels = layout.height * layout.width
    out = np.empty((layout.samples, size, pixels), np.uint8)
    for i in range(count):
        if not _HEADER_RLE <= places[i] <= places[i + 1] <= len(data):
            raise ValueError("expected segments in their order")
        segment = imagecodecs.packbits_decode(data[places[i] : places[i + 1]], out=pixels + 1)
        if len(segment) < pixels:
            raise ValueError("expected a whole segment")
        out[i // size, size - 1 - i % size] = np.frombuffer(segment, np.uint8, pixels)
    words = np.ascontiguousarray(out.transpose(2, 0, 1)).view(np.dtype(layout.dtype).newbyteorder("<"))
    return words.reshape(layout.height, layout.width, layout.samples).astype(layout.dtype, copy=False)


_YBR_TO_RGB = True
_JPEG_METHOD = "ISO_10918_1"
CODECS: Mapping[str, Codec] = {
    _START + "50": Codec("JPEG baseline", _jpeg, _JPEG_LS, _YBR_TO_RGB, _JPEG_METHOD),
    _START + "51": Codec("JPEG extended", _jpeg, _JPEG_LS, _YBR_TO_RGB, _JPEG_METHOD),
    _LOSSLESS: Codec("JPEG lossless", _lossless_jpeg, _LOSSLESS),
    _LOSSLESS_FIRST: Codec("JPEG lossless, first order", _lossless_jpeg, _LOSSLESS_FIRST),
    _JPEG_LS: Codec("JPEG-LS lossless", _jpeg_ls, _JPEG_LS),
    _START + "81": Codec("JPEG-LS near-lossless", _jpeg_ls, _JPEG_LS, loss="ISO_14495_1"),
    _JPEG_2000: Codec("JPEG 2000", _jpeg_2000, _JPEG_2000_LOSSLESS, loss="ISO_15444_1"),
    _JPEG_2000_LOSSLESS: Codec("JPEG 2000 lossless", _jpeg_2000, _JPEG_2000_LOSSLESS),
    _START + "201": Codec("HTJ2K lossless", _jpeg_2000, _JPEG_2000_LOSSLESS),
    _START + "202": Codec("HTJ2K lossless, progressive", _jpeg_2000, _JPEG_2000_LOSSLESS),
    _START + "203": Codec("HTJ2K", _jpeg_2000, _JPEG_2000_LOSSLESS, loss="ISO_15444_15"),
    RLE: Codec("RLE lossless", _rle, RLE),
}


def output_photometric(syntax: str, photometric: str) -> str:
    """Return the colour model that frames of a transfer syntax are written with again."""
    codec = CODECS.get(syntax)
    if codec is None:
        return photometric
    if codec.undoes_color and photometric.startswith("YBR"):
        return "RGB"
    # written without loss the transform is the reversible one
    return "YBR_RCT" if photometric == "YBR_ICT" else photometric


def encode_frame(words: Words, syntax: str, layout: Layout) -> bytes:
    """Compress one frame without loss.

    Args:
        words: (H, W, C).
        syntax: An ``output`` of :data:`CODECS`.
        layout: What the header says, the written colour model included.
    """
    if syntax == RLE:
        return _rle_packed(words, layout)
    # what lies above a sample is written only if it holds something, for instance an overlay
    plain = words & layout.dtype.type((1 << layout.high + 1) - 1)
    bits = max(layout.high + 1, 2)
    if not np.array_equal(sign_extended(plain, layout), words):
        plain, bits = words, layout.allocated
    if syntax in (_LOSSLESS, _LOSSLESS_FIRST):
        color = "gray" if layout.samples == 1 else "rgb"
        if bits <= 8:  # the library wants samples of a depth in the smallest type that holds it
            plain = plain.astype(np.uint8)
        return bytes(
            imagecodecs.jpeg8_encode(
                _squeezed(plain), lossless=True, predictor=1, bitspersample=bits,
                colorspace=color, outcolorspace=color,
            )
        )  # fmt: skip
    # imagecodecs writes no other depths; the other library has too small a buffer for a handful of samples
    if syntax == _JPEG_LS and (bits in (8, 16) or plain.size < _FEW_SAMPLES):
        return bytes(imagecodecs.jpegls_encode(_squeezed(plain)))
    if syntax == _JPEG_LS:
        little = np.ascontiguousarray(plain, dtype=plain.dtype.newbyteorder("<")).tobytes()
        mode = 2 if layout.samples == 3 else 0
        size = (layout.height, layout.width, layout.samples)
        try:
            return bytes(jpeg_ls.encode_buffer(little, *size, bits, interleave_mode=mode))
        except RuntimeError:  # noise can take more room than the library makes
            return bytes(imagecodecs.jpegls_encode(_squeezed(plain)))
    signs = words.view(f"i{layout.allocated // 8}") if layout.signed else plain
    return bytes(
        imagecodecs.jpeg2k_encode(
            _squeezed(signs), codecformat="j2k", level=0, reversible=True, bitspersample=bits,
            mct=layout.photometric == "YBR_RCT",
        )
    )  # fmt: skip


def _squeezed(words: Words) -> Words:
    return np.ascontiguousarray(words[..., 0] if words.shape[2] == 1 else words)


def _rle_packed(words: Words, layout: Layout) -> bytes:
    size = layout.allocated // 8
    little = np.ascontiguousarray(words, dtype=np.dtype(layout.dtype).newbyteorder("<"))
    planes = little.view(np.uint8).reshape(layout.height, layout.width, layout.samples, size)
    segments: list[bytes] = []
    for sample in range(layout.samples):
        for byte in reversed(range(size)):
            rows = np.ascontiguousarray(planes[:, :, sample, byte])
            packed = b"".join(bytes(imagecodecs.packbits_encode(row.tobytes())) for row in rows)
            segments.append(packed + b"\0" * (len(packed) % 2))
    places, at = [0] * 15, _HEADER_RLE
    for i, segment in enumerate(segments):
        places[i] = at
        at += len(segment)
    return struct.pack("<16I", len(segments), *places) + b"".join(segments)
