"""Files of every format with something hidden in every place that a format has besides the picture."""

from __future__ import annotations

import gzip
import io
import struct
import zlib
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import tifffile
from PIL import Image as Pillow
from PIL import ImageCms
from pydicom import Dataset, Sequence, dcmread, uid
from pydicom.dataelem import DataElement

from dicom_samples import Sample, write

SIDE = 120
PICTURE = np.random.default_rng(7).integers(0, 256, (SIDE, SIDE)).astype(np.uint8)
Build = Callable[[bytes], bytes]


def _profile(*tags: tuple[bytes, bytes], behind: bytes = b"") -> bytes:
    """A colour profile with more tags, or with bytes behind them."""
    plain = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    count = struct.unpack_from(">I", plain, 128)[0]
    old = [struct.unpack_from(">4sII", plain, 132 + 12 * i) for i in range(count)]
    values = {name: plain[at : at + size] for name, at, size in old} | dict(tags)
    at = 132 + 12 * len(values)
    table, body = b"", b""
    for name, value in values.items():
        table += struct.pack(">4sII", name, at + len(body), len(value))
        body += value + bytes(-len(value) % 4)
    whole = plain[4:128] + struct.pack(">I", len(values)) + table + body + behind
    return struct.pack(">I", len(whole) + 4) + whole


def _exif(*, maker: bytes = b"", comment: bytes = b"", behind: bytes = b"", private: bytes = b"") -> bytes:
    """A block of an orientation, and of what is given in its places."""
    below = [(tag, value) for tag, value in ((37500, maker), (37510, comment)) if value]
    entries = [(274, 3, 1, struct.pack("<HH", 6, 0))]
    extra, at = b"", 8 + 2 + 12 * (1 + bool(below) + bool(private)) + 4
    if below:
        entries.append((34665, 4, 1, struct.pack("<I", at)))
        table, values, start = struct.pack("<H", len(below)), b"", at + 2 + 12 * len(below) + 4
        for tag, value in below:
            table += struct.pack("<HHII", tag, 7, len(value), start + len(values))
            values += value
        extra = table + bytes(4) + values
    if private:
        entries.append((50000, 7, len(private), struct.pack("<I", at + len(extra))))
        extra += private
    table = struct.pack("<H", len(entries)) + b"".join(struct.pack("<HHI4s", *entry) for entry in entries)
    return b"II*\0\x08\0\0\0" + table + bytes(4) + extra + behind


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def _png(*, before: bytes = b"", after: bytes = b"", behind: bytes = b"") -> bytes:
    rows = zlib.compress(b"".join(b"\0" + row.tobytes() for row in PICTURE))
    header = _chunk(b"IHDR", struct.pack(">IIBBBBB", SIDE, SIDE, 8, 0, 0, 0, 0))
    return (
        b"\x89PNG\r\n\x1a\n" + header + before + _chunk(b"IDAT", rows) + after + _chunk(b"IEND", b"") + behind
    )


def _png_chunk(kind: bytes, start: bytes = b"", *, packed: bool = False, after: bool = False) -> Build:
    def build(secret: bytes) -> bytes:
        one = _chunk(kind, start + (zlib.compress(secret) if packed else secret))
        return _png(after=one) if after else _png(before=one)

    return build


def _segment(marker: int, content: bytes) -> bytes:
    return struct.pack(">BBH", 0xFF, marker, len(content) + 2) + content


def _jpeg(*, head: bytes = b"", tail: bytes = b"", behind: bytes = b"") -> bytes:
    stream = io.BytesIO()
    Pillow.fromarray(PICTURE).save(stream, "JPEG", quality=90)
    plain = stream.getvalue()
    return plain[:20] + head + plain[20:-2] + tail + plain[-2:] + behind


def _jpeg_segment(marker: int, start: bytes = b"") -> Build:
    return lambda secret: _jpeg(head=_segment(marker, start + secret))


def _tiff(*extra: tuple[int, int, bytes], below: bytes = b"", behind: bytes = b"", pages: int = 1) -> bytes:
    stream = io.BytesIO()
    tags = [(tag, kind, len(data), data, False) for tag, kind, data in extra]
    pixels = PICTURE if pages == 1 else np.stack([np.roll(PICTURE, k) for k in range(pages)])
    tifffile.imwrite(stream, pixels, photometric="minisblack", metadata=None, extratags=tags)
    whole = bytearray(stream.getvalue())
    if below:  # a directory of EXIF's, with a maker's note
        at = struct.unpack_from("<I", whole, 4)[0]
        count = struct.unpack_from("<H", whole, at)[0]
        table = bytes(whole[at + 2 : at + 2 + 12 * count])
        entries = sorted(
            [table[12 * i : 12 * i + 12] for i in range(count)]
            + [struct.pack("<HHII", 34665, 4, 1, len(whole))],
            key=lambda e: struct.unpack("<H", e[:2]),
        )
        note = struct.pack(
            "<HHHIIHHIII", 2, 36864, 7, 4, 0x30333230, 37500, 7, len(below), len(whole) + 30, 0
        )
        whole += note + below
        struct.pack_into("<I", whole, 4, len(whole))
        whole += struct.pack("<H", len(entries)) + b"".join(entries) + bytes(4)
    return bytes(whole) + behind


def _tiff_tag(tag: int, kind: int = 7, *, pages: int = 1) -> Build:
    return lambda secret: _tiff((tag, kind, secret), pages=pages)


def _bmp(*, gap: bytes = b"", behind: bytes = b"") -> bytes:
    stream = io.BytesIO()
    Pillow.fromarray(np.stack([PICTURE] * 3, axis=2)).save(stream, "BMP")
    plain = bytearray(stream.getvalue())
    struct.pack_into("<I", plain, 10, 54 + len(gap))
    return bytes(plain[:54]) + gap + bytes(plain[54:]) + behind


def _nifti(*, extension: bytes = b"", behind: bytes = b"", count: int = 1, packed: bool = False) -> bytes:
    header = bytearray(348)
    struct.pack_into("<i", header, 0, 348)
    struct.pack_into("<8h", header, 40, 3, SIDE, SIDE, count, 1, 1, 1, 1)
    struct.pack_into("<hh", header, 70, 2, 8)
    size = -(-(len(extension) + 8) // 16) * 16 if extension else 0
    struct.pack_into("<f", header, 108, 352 + size)
    header[344:348] = b"n+1\0"
    block = struct.pack("<ii", size, 6) + extension.ljust(size - 8, b"\0") if extension else b""
    flag = b"\1\0\0\0" if extension else bytes(4)
    whole = (
        bytes(header) + flag + block + b"".join(np.roll(PICTURE, k).tobytes() for k in range(count)) + behind
    )
    return gzip.compress(whole) if packed else whole


_SAMPLE = Sample(PICTURE[None, ..., None], stored=8, high=7)


def _dicom(change: Callable[[Dataset], None], *, syntax: str = uid.ExplicitVRLittleEndian) -> bytes:
    ds = dcmread(io.BytesIO(write(_SAMPLE)))
    if "IconImageSequence" in ds:
        del ds.IconImageSequence
    change(ds)
    ds.file_meta.TransferSyntaxUID = uid.UID(syntax)
    stream = io.BytesIO()
    ds.save_as(stream, enforce_file_format=True)
    return stream.getvalue()


def _even(secret: bytes) -> bytes:
    return secret + b"\0" * (len(secret) % 2)


def _element(tag: int, vr: str, *, syntax: str = uid.ExplicitVRLittleEndian, inside: int = 0) -> Build:
    """An element of its own, or in an item of a sequence."""

    def build(secret: bytes) -> bytes:
        value: Any = _even(secret)
        if vr in ("UT", "LT", "ST", "UC", "LO"):
            value = secret.decode("latin-1")
        element = DataElement(tag, vr, value)

        def change(ds: Dataset) -> None:
            where = ds
            if inside:
                where = Dataset()
                ds.add_new(inside, "SQ", Sequence([where]))
            if tag >> 16 & 1:
                where.add_new(tag >> 16 << 16 | 0x10, "LO", "MAKER")
            where.add(element)

        return _dicom(change, syntax=syntax)

    return build


def _icon(*, inside: int = 0) -> Build:
    def build(secret: bytes) -> bytes:
        def change(ds: Dataset) -> None:
            icon = Dataset()
            icon.Rows, icon.Columns, icon.BitsAllocated = 60, 60, 8
            icon.add_new(0x7FE00010, "OB", _even(secret))
            where = ds
            if inside:
                where = Dataset()
                ds.add_new(inside, "SQ", Sequence([where]))
            where.add_new(0x00880200, "SQ", Sequence([icon]))

        return _dicom(change)

    return build


def _dicom_bytes(*, preamble: bytes = b"", behind: bytes = b"", pad: bool = False) -> Build:
    def build(secret: bytes) -> bytes:
        plain = _dicom(lambda ds: None)
        if preamble:
            return secret[:128].ljust(128, b"\0") + plain[128:]
        at = plain.index(b"\xe0\x7f\x10\0")
        size = struct.unpack_from("<I", plain, at + 8)[0]
        if pad:
            longer = size + len(_even(secret))
            return (
                plain[: at + 8] + struct.pack("<I", longer) + plain[at + 12 : at + 12 + size] + _even(secret)
                + plain[at + 12 + size :]
            )  # fmt: skip
        if behind == b"element":
            return (
                plain + struct.pack("<HH2sHI", 0xFFFC, 0xFFFC, b"OB", 0, len(_even(secret))) + _even(secret)
            )
        return plain + secret

    return build


def _unknown_sequence(secret: bytes) -> bytes:
    """A private sequence of undefined length, written as UN."""
    plain = _dicom(lambda ds: None)
    at = plain.index(b"\xe0\x7f\x10\0")
    inner = struct.pack("<HHI", 0x0029, 0x1010, len(_even(secret))) + _even(secret)
    item = struct.pack("<HHI", 0xFFFE, 0xE000, len(inner)) + inner
    whole = (
        struct.pack("<HH2sHI", 0x0040, 0x0275, b"UN", 0, 0xFFFFFFFF)
        + item
        + struct.pack("<HHI", 0xFFFE, 0xE0DD, 0)
    )
    at = plain.index(b"\x60\x00\x18\x00") if b"\x60\x00\x18\x00" in plain else at
    return plain[:at] + whole + plain[at:]


def _unused_bits(secret: bytes) -> bytes:
    """Eight bits beside each sample of eight in words of sixteen."""
    words = PICTURE.astype(np.uint16).ravel()
    words |= np.frombuffer(secret.ljust(words.size, b"\0"), np.uint8).astype(np.uint16) << 8
    sample = Sample((words & 255).reshape(1, SIDE, SIDE, 1), stored=8)
    return write(sample).replace((words & 255).astype("<u2").tobytes(), words.astype("<u2").tobytes())


_SPLT = b"palette\0\x08"
_XMP = b"http://ns.adobe.com/xap/1.0/\0"
PLACES: Mapping[str, Build] = {
    "png: private chunk": _png_chunk(b"prVt"),
    "png: private chunk behind the pixels": _png_chunk(b"prVt", after=True),
    "png: C2PA": _png_chunk(b"caBX"),
    "png: editor's preview": _png_chunk(b"prVW"),
    "png: text": _png_chunk(b"tEXt", b"Comment\0"),
    "png: text of another name": _png_chunk(b"tEXt", b"Preview\0"),
    "png: packed text": _png_chunk(b"zTXt", b"Comment\0\0", packed=True),
    "png: international text": _png_chunk(b"iTXt", b"Comment\0\0\0\0\0"),
    "png: XMP": _png_chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0"),
    "png: text behind the pixels": _png_chunk(b"tEXt", b"Description\0", after=True),
    "png: suggested palette": _png_chunk(b"sPLT", _SPLT),
    "png: long histogram": _png_chunk(b"hIST"),
    "png: name of a profile's private tag": lambda s: _png(
        before=_chunk(b"iCCP", b"p\0\0" + zlib.compress(_profile((b"priv", b"data" + s))))
    ),
    "png: description in a profile": lambda s: _png(
        before=_chunk(b"iCCP", b"p\0\0" + zlib.compress(_profile((b"desc", b"desc" + 2 * s))))
    ),
    "png: bytes behind a profile": lambda s: _png(
        before=_chunk(b"iCCP", b"p\0\0" + zlib.compress(_profile(behind=s)))
    ),
    "png: bytes behind a profile's stream": lambda s: _png(
        before=_chunk(b"iCCP", b"p\0\0" + zlib.compress(_profile()) + s)
    ),
    "png: EXIF maker's note": lambda s: _png(before=_chunk(b"eXIf", _exif(maker=s))),
    "png: EXIF unreferenced": lambda s: _png(before=_chunk(b"eXIf", _exif(behind=s))),
    "png: behind the end": lambda s: _png(behind=s),
    "jpeg: APP13": _jpeg_segment(0xED, b"Photoshop 3.0\0"),
    "jpeg: APP1 of another kind": _jpeg_segment(0xE1, b"Other\0"),
    "jpeg: XMP": _jpeg_segment(0xE1, _XMP),
    "jpeg: extended XMP (depth maps)": _jpeg_segment(0xE1, b"http://ns.adobe.com/xmp/extension/\0"),
    "jpeg: EXIF maker's note": lambda s: _jpeg(head=_segment(0xE1, b"Exif\0\0" + _exif(maker=s))),
    "jpeg: EXIF comment": lambda s: _jpeg(head=_segment(0xE1, b"Exif\0\0" + _exif(comment=s))),
    "jpeg: EXIF private tag": lambda s: _jpeg(head=_segment(0xE1, b"Exif\0\0" + _exif(private=s))),
    "jpeg: EXIF unreferenced": lambda s: _jpeg(head=_segment(0xE1, b"Exif\0\0" + _exif(behind=s))),
    "jpeg: second EXIF": lambda s: _jpeg(
        head=_segment(0xE1, b"Exif\0\0" + _exif()) + _segment(0xE1, b"Exif\0\0" + _exif(behind=s))
    ),
    "jpeg: JFIF thumbnail": lambda s: _jpeg(
        head=_segment(0xE0, b"JFIF\0\1\2\0\0\1\0\1\x3c\x3c" + s)
    ),
    "jpeg: JFXX": _jpeg_segment(0xE0, b"JFXX\0\x10"),
    "jpeg: further pictures (MPF)": _jpeg_segment(0xE2, b"MPF\0"),
    "jpeg: profile that is none": _jpeg_segment(0xE2, b"ICC_PROFILE\0\1\1"),
    "jpeg: private tag of a profile": lambda s: _jpeg(
        head=_segment(0xE2, b"ICC_PROFILE\0\1\1" + _profile((b"priv", b"data" + s)))
    ),
    "jpeg: FlashPix": _jpeg_segment(0xE2, b"FPXR\0"),
    "jpeg: APP4": _jpeg_segment(0xE4),
    "jpeg: APP11 (C2PA)": _jpeg_segment(0xEB, b"JP\0\1"),
    "jpeg: long APP14": _jpeg_segment(0xEE, b"Adobe\0\x64\0\0\0\0\0"),
    "jpeg: APP15": _jpeg_segment(0xEF),
    "jpeg: comment": _jpeg_segment(0xFE),
    "jpeg: comment behind the scan": lambda s: _jpeg(tail=_segment(0xFE, s)),
    "jpeg: behind the end": lambda s: _jpeg(behind=s),
    "tiff: private tag": _tiff_tag(50000),
    "tiff: private tag of every page": _tiff_tag(50000, pages=3),
    "tiff: description": _tiff_tag(270),
    "tiff: copyright": _tiff_tag(33432),
    "tiff: XMP": _tiff_tag(700, 1),
    "tiff: IPTC": _tiff_tag(33723),
    "tiff: Photoshop": _tiff_tag(34377),
    "tiff: Photoshop's layers": _tiff_tag(37724),
    "tiff: ImageJ": _tiff_tag(50839),
    "tiff: profile that is none": _tiff_tag(34675),
    "tiff: private tag of a profile": lambda s: _tiff((34675, 7, _profile((b"priv", b"data" + s)))),
    "tiff: EXIF maker's note": lambda s: _tiff(below=s),
    "tiff: unreferenced": lambda s: _tiff(behind=s),
    "bmp: gap before the pixels": lambda s: _bmp(gap=s),
    "bmp: behind the pixels": lambda s: _bmp(behind=s),
    "nifti: extension": lambda s: _nifti(extension=s),
    "nifti: extension of a volume": lambda s: _nifti(extension=s, count=3),
    "nifti: behind the voxels": lambda s: _nifti(behind=s),
    "nifti: packed extension": lambda s: _nifti(extension=s, packed=True),
    "nifti: packed extension of a volume": lambda s: _nifti(extension=s, packed=True, count=3),
    "nifti: packed behind the voxels": lambda s: _nifti(behind=s, packed=True),
    "dicom: private element": _element(0x00291010, "OB"),
    "dicom: private text": _element(0x00291010, "UT"),
    "dicom: private element, implicit": _element(0x00291010, "UN", syntax=uid.ImplicitVRLittleEndian),
    "dicom: private element in a sequence": _element(0x00291010, "OB", inside=0x00400275),
    "dicom: sequence of unknown representation": _unknown_sequence,
    "dicom: private element behind the pixels": _element(0x7FE11010, "OB"),
    "dicom: unknown element": _element(0x00100FFE, "OB"),
    "dicom: icon": _icon(),
    "dicom: icon in a sequence": _icon(inside=0x00081140),
    "dicom: overlay": _element(0x60003000, "OW"),
    "dicom: overlay of another group": _element(0x601E3000, "OW"),
    "dicom: curve": _element(0x50003000, "OW"),
    "dicom: waveform": _element(0x54001010, "OW", inside=0x54000100),
    "dicom: long text": _element(0x00204000, "LT"),
    "dicom: unlimited text in a sequence": _element(0x0040A160, "UT", inside=0x00400275),
    "dicom: encapsulated document": _element(0x00420011, "OB"),
    "dicom: profile": _element(0x00282000, "OB"),
    "dicom: trailing padding": _dicom_bytes(behind=b"element"),
    "dicom: behind the data set": _dicom_bytes(behind=b"bytes"),
    "dicom: padding of the pixels": _dicom_bytes(pad=True),
    "dicom: unused bits": _unused_bits,
    "dicom: preamble": _dicom_bytes(preamble=b"yes"),
}  # fmt: skip
"""A place that is missing here is not tried."""
