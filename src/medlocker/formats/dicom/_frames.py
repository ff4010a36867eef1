"""The frames of a DICOM image, decoded one at a time, and written again one at a time."""

from __future__ import annotations

import io
import zlib
from dataclasses import dataclass

import numpy as np

from medlocker.formats.dicom._codecs import decode_frame, encode_frame
from medlocker.formats.dicom._edit import lossless
from medlocker.formats.dicom._items import find_frames, frame_item, offset_table, table_bytes
from medlocker.formats.dicom._layout import Layout, Words, odd_bits, to_pixels, to_words
from medlocker.formats.dicom._parts import DEFLATED, Parts
from medlocker.images import translated


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
