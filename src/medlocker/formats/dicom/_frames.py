"""The frames of a DICOM image, decoded one at a time, and written again one at a time.

Compressed ones lie in items (PS3.5, annex A.4).
"""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

import numpy as np

from medlocker.formats.dicom._codecs import CODECS, decode_frame, encode_frame, output_photometric
from medlocker.formats.dicom._edit import changed
from medlocker.formats.dicom._layout import PHOTOMETRIC, Layout, Words, odd_bits, to_pixels, to_words
from medlocker.formats.dicom._parts import DEFLATED, SYNTAX, Parts
from medlocker.formats.dicom._walk import EXPLICIT, ITEM, build_item, tag_at
from medlocker.images import translated

_OFFSET_TABLES = (0x7FE00001, 0x7FE00002)
_JPEG_END = b"\xff\xd9"
_MAX_FRAGMENTS = 1 << 17
"""Of all frames together, beyond one for each."""


@dataclass(frozen=True, eq=False)
class DicomFrames:
    """The frames of a file.

    Args:
        parts: The file.
        layout: What its header says.
        name: How messages call it.
        places: The fragments of each compressed frame; empty if they are not compressed.
        written: Parts and layout of the file as it is written again, without loss.
        blank: Whether words are given with nothing in their unused bits.
    """

    parts: Parts
    layout: Layout
    name: str
    places: list[tuple[memoryview, ...]]
    written: tuple[Parts, Layout]
    blank: bool = False

    @classmethod
    def of(cls, parts: Parts, layout: Layout, name: str) -> DicomFrames:
        """Find the frames.

        Raises:
            ValueError: If compressed ones cannot be told apart, or the file cannot be written again.
        """
        written = lossless(parts, layout)
        places = find_frames(parts.payload, layout.frames) if parts.encapsulated else []
        return cls(parts, layout, name, places, written)

    @property
    def pad(self) -> bytes:
        """What follows the last of the frames that are not compressed."""
        if self.parts.encapsulated:
            return b""
        size = self.layout.frames * self.layout.frame_bytes
        if self.layout.pair_bytes:
            return np.frombuffer(self.parts.payload[size & ~1 :], np.uint16).byteswap().tobytes()[size & 1 :]
        return bytes(self.parts.payload[size:])

    def __len__(self) -> int:
        return self.layout.frames

    def __getitem__(self, index: int, /) -> Words:
        """Decode one frame: (H, W, C) samples as :func:`to_pixels` returns them."""
        return to_pixels(self.words(index), self.layout)

    def words(self, index: int) -> Words:
        """Decode one frame: (H, W, C) words as stored.

        Raises:
            UnsupportedImageError: If it is damaged.
        """
        with translated(self.name, what="DICOM"):
            if self.parts.encapsulated:
                words = decode_frame(b"".join(self.places[index]), self.parts.syntax, self.layout)
            else:
                words = self._native(index)
        return np.asarray(words ^ odd_bits(words, self.layout)) if self.blank else words

    def _native(self, index: int) -> Words:
        layout, order = self.layout, self.parts.dialect.order
        size = layout.frame_bytes
        start = index * size
        if layout.pair_bytes:
            pairs = slice(start & ~1, (start + size + 1) & ~1)
            swapped = np.frombuffer(self.parts.payload[pairs], np.uint16).byteswap().view(np.uint8)
            flat = swapped[start & 1 :][:size]
        else:
            kind = np.dtype(layout.dtype).newbyteorder(order)
            flat = np.frombuffer(self.parts.payload[start : start + size], kind)
        flat = flat.astype(layout.dtype)  # a copy of its own: callers may write
        height, width = layout.height, layout.width
        if layout.shared_color:
            groups = flat.reshape(height, width // 2, 4)
            words = np.empty((height, width, 3), layout.dtype)
            words[..., 0] = groups[..., :2].reshape(height, width)
            words[..., 1:] = np.repeat(groups[..., 2:], 2, axis=1)
            return words
        if layout.planar:
            return np.ascontiguousarray(np.moveaxis(flat.reshape(layout.samples, height, width), 0, 2))
        return flat.reshape(height, width, layout.samples)


class FrameWriter:
    """Writes a DICOM file frame by frame, into one buffer that grows to the file's size and is not copied.

    Args:
        parts: Everything but the frames, as the file shall have it.
        layout: What its header says.
        pad: What follows the last of frames that are not compressed.
    """

    def __init__(self, parts: Parts, layout: Layout, *, pad: bytes = b"") -> None:
        self._parts, self._layout, self._pad = parts, layout, pad
        self._out = io.BytesIO()
        self._out.write(parts.head)
        length = layout.frames * layout.frame_bytes + len(pad)
        self._out.write(parts.start_of_pixels(None if parts.encapsulated else length))
        self._start = self._out.tell()
        self._offsets: list[int] = []
        self.lowest, self.highest = 1 << 16, -1
        """The least and greatest sample so far."""
        if parts.encapsulated:
            self._out.write(bytes(table_bytes(layout.frames)))

    def add(self, pixels: Words, *, like: Words) -> None:
        """Write one frame.

        Args:
            pixels: (H, W, C) samples as :func:`to_pixels` returns them.
            like: Words of the same frame before it was changed; their unused bits are kept.
        """
        self.lowest = min(self.lowest, int(pixels.min()))
        self.highest = max(self.highest, int(pixels.max()))
        words = to_words(pixels, self._layout, like=like)
        if self._parts.encapsulated:
            self._offsets.append(self._out.tell() - self._start - table_bytes(self._layout.frames))
            self._out.write(frame_item(encode_frame(words, self._parts.syntax, self._layout)))
        else:
            self._out.write(self._flat(words).data.cast("B"))

    def _flat(self, words: Words) -> Words:
        layout = self._layout
        if layout.shared_color:
            groups = np.empty((layout.height, layout.width // 2, 4), words.dtype)
            groups[..., :2] = words[..., 0].reshape(layout.height, -1, 2)
            groups[..., 2:] = words[:, ::2, 1:]
            return groups
        if layout.planar:
            words = np.moveaxis(words, 2, 0)
        order = self._parts.dialect.order
        return np.ascontiguousarray(words, dtype=np.dtype(layout.dtype).newbyteorder(order))

    def patch(self, at: int, value: bytes) -> None:
        """Replace bytes of what comes before the pixels."""
        here = self._out.tell()
        self._out.seek(at)
        self._out.write(value)
        self._out.seek(here)

    def finish(self) -> bytes:
        """Return the whole file."""
        parts, out = self._parts, self._out
        if parts.encapsulated:
            self.patch(self._start, offset_table(self._offsets))
            out.write(b"\xfe\xff\xdd\xe0\0\0\0\0")
        else:
            out.write(self._pad)
        if self._layout.pair_bytes:
            stop = out.tell()
            with out.getbuffer() as view:
                pairs = np.frombuffer(view, np.uint8)[self._start : stop].reshape(-1, 2)
                pairs[...] = pairs[:, ::-1].copy()
                del pairs
        out.write(parts.tail)
        written = out.getvalue()
        if parts.syntax != DEFLATED:
            return written
        return written[: parts.meta_end] + _deflated(written[parts.meta_end :])


def _deflated(data: bytes) -> bytes:
    """Return a raw deflate stream of even length (PS3.5, annex A.5)."""
    packer = zlib.compressobj(6, zlib.DEFLATED, -zlib.MAX_WBITS)
    packed = packer.compress(data) + packer.flush()
    return packed + b"\0" * (len(packed) % 2)


def lossless(parts: Parts, layout: Layout) -> tuple[Parts, Layout]:
    """Return parts and layout as a file is written that holds the decoded frames without loss.

    A file that is not compressed stays as it is. Of a compressed one the transfer syntax and the colour
    model follow what its frames are written in, and tables of the frames' places are left out.
    """
    if not parts.encapsulated:
        return parts, layout
    photometric = output_photometric(parts.syntax, layout.photometric)
    changes: dict[int, tuple[str, bytes] | None] = dict.fromkeys(_OFFSET_TABLES)
    output = CODECS[parts.syntax].output
    if output != parts.syntax:
        changes[SYNTAX] = ("UI", output.encode("ascii"))
    if photometric != layout.photometric:
        changes[PHOTOMETRIC] = ("CS", photometric.encode("ascii"))
    return changed(parts, changes)[0], layout.with_photometric(photometric)


def find_frames(payload: memoryview, count: int) -> list[tuple[memoryview, ...]]:
    """Return the fragments of each frame.

    Raises:
        ValueError: If items are cut, or do not tell which frame they belong to.
        struct.error: If an item's first bytes are missing.
    """
    items = list(islice(_items(payload), _MAX_FRAGMENTS + count + 1))
    if len(items) > _MAX_FRAGMENTS + count:
        raise ValueError("expected fewer fragments")
    if not items:
        raise ValueError("expected an offset table")
    table, fragments = items[0][1], items[1:]
    if len(fragments) < count:
        raise ValueError("expected a fragment for each frame")
    if count == 1:
        return [tuple(part for _, part in fragments)]
    if len(fragments) == count:
        return [(part,) for _, part in fragments]
    if len(table) == 4 * count:
        starts = struct.unpack(f"<{count}I", table)
        begin = fragments[0][0]
        at = {place - begin: i for i, (place, _) in enumerate(fragments)}
        firsts = [at.get(start, -1) for start in starts]
    else:
        ends = [i + 1 for i, (_, part) in enumerate(fragments) if _JPEG_END in bytes(part[-10:])]
        firsts = [0, *ends[:-1]]
    if len(firsts) != count or firsts[0] != 0 or firsts != sorted(set(firsts)):
        raise ValueError("expected a table of where frames begin")
    stops = [*firsts[1:], len(fragments)]
    return [tuple(part for _, part in fragments[a:b]) for a, b in zip(firsts, stops, strict=True)]


def _items(payload: memoryview) -> Iterator[tuple[int, memoryview]]:
    at = 0
    while at < len(payload):
        (length,) = struct.unpack_from("<I", payload, at + 4)
        if tag_at(payload, at, "<") != ITEM or at + 8 + length > len(payload):
            raise ValueError("expected whole items")
        yield at, payload[at + 8 : at + 8 + length]
        at += 8 + length


def frame_item(data: bytes) -> bytes:
    """Return one frame as one item."""
    return build_item(data + b"\0" * (len(data) % 2), dialect=EXPLICIT)


def table_bytes(count: int) -> int:
    """Return the length of the offset table's item."""
    return 8 + 4 * count


def offset_table(offsets: list[int]) -> bytes:
    """Return the item that says where each frame's item begins, counted from behind this one."""
    return build_item(struct.pack(f"<{len(offsets)}I", *offsets), dialect=EXPLICIT)
