"""TIFF 6.0 and BigTIFF, 8 or 16 bits: tags, strips or tiles, compression and byte order stay as they were.

Several pages are read if all are alike: then they are the frames of one object, decoded one at a time.
"""

from __future__ import annotations

import io
import math
import re
import struct
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from medlocker.formats._exif import directory_facts
from medlocker.formats._glance import Content, Glance
from medlocker.formats._ifd import (
    ORDERS,
    DirectoryError,
    build_directory,
    canonical,
    long_entry,
    next_place,
    parse_header,
    successor_place,
    weight,
)
from medlocker.formats._keep import Keep
from medlocker.formats.tiff._held import pack_held, put_back, take_out, unpack_held
from medlocker.formats.tiff._layout import (
    COMPRESSIONS,
    DESCRIPTION,
    ICC,
    LAYOUT_TAGS,
    NONE,
    RESOLUTION_UNIT,
    SHOWN,
    STRIP_SIZES,
    STRIPS,
    TILE_SIZES,
    TILES,
    X_RESOLUTION,
    Layout,
    Tags,
    parse_page,
)
from medlocker.formats.tiff._range import find_range, range_entry
from medlocker.formats.tiff._samples import pack_segment, read_palette, read_samples
from medlocker.images import NO_LIMITS, Image, Limits, Pixels, check_frames, refuse, translated

_SIGN = 1 << 15
_MAX_FILE_BYTES = (1 << 32) - 1
_BIG_MARKS = (b"II+\0", b"MM\0+")
_START = {False: (42, 0), True: (43, 8, 0, 0)}
"""What follows the byte order mark: the version, in BigTIFF the width of places, the first directory."""

_MAX_SHARED = 4
"""Tags of all pages together may be this many times as long as the file: they do not share their bytes."""

_IMAGEJ_COUNT = re.compile(rb"\AImageJ=.{0,200}?^images=(\d{1,9})$", re.DOTALL | re.MULTILINE)
_SHAPE = re.compile(rb'\A\{"shape": \[([\d, ]{1,200})\]')


@dataclass(frozen=True, eq=False)
class _Pages:
    """The pages of a file, all alike; each is taken apart and decoded when it is asked for."""

    data: bytes
    name: str
    order: str
    big: bool
    places: tuple[int, ...]

    def __len__(self) -> int:
        return len(self.places)

    def __getitem__(self, index: int, /) -> Pixels:
        with translated(self.name, what="TIFF"):
            return _decoded(self.data, self.layout(index), self.name)

    def layout(self, index: int) -> Layout:
        """Take one page apart."""
        return parse_page(
            self.data, self.places[index], self.name, order=self.order, big=self.big, limits=NO_LIMITS
        )


def _decoded(data: bytes, layout: Layout, name: str) -> Pixels:
    pixels, palette = read_samples(data, layout), read_palette(layout)
    if palette is not None and pixels.max() >= len(palette):
        refuse(name, "expected palette indices below the palette's size")
    return pixels


def parse_start(data: Content) -> tuple[str, bool, int]:
    """Return byte order, whether it is a BigTIFF, and the place of the first directory."""
    if data[:4] not in _BIG_MARKS:
        order, at = parse_header(data)
        return order, False, at
    order = ORDERS[data[:2]]
    width, zero, at = struct.unpack_from(f"{order}HHQ", data, 4)
    if (width, zero) != (8, 0):
        raise DirectoryError("expected a BigTIFF with places of 8 bytes")
    return order, True, at


def _layouts(data: bytes, name: str, limits: Limits) -> Iterator[tuple[int, Layout]]:
    """Yield all pages' places and layouts, each read when it is asked for."""
    order, big, at = parse_start(data)
    seen: set[int] = set()
    left = _MAX_SHARED * len(data)
    while at:
        if at in seen:
            raise DirectoryError("expected pages that do not follow each other in a circle")
        seen.add(at)
        layout = parse_page(data, at, name, order=order, big=big, limits=limits)
        check_frames(name, count=len(seen), frame_bytes=layout.frame_bytes, limits=limits)
        left -= weight(layout.directory.entries)
        if left < 0:
            raise DirectoryError("expected tags that do not share their bytes")
        yield at, layout
        at = layout.directory.next_at


def read_tiff(data: bytes, name: str, *, limits: Limits) -> Image:
    """Read a TIFF or BigTIFF file.

    Raises:
        UnsupportedImageError: If it is damaged, of pages that differ, of another pixel type than unsigned 8
            or 16 bits, or beyond the limits.
    """
    with translated(name, what="TIFF"):
        places: list[int] = []
        facts: dict[str, str | int | bool] = {}
        for at, layout in _layouts(data, name, limits):
            if not places:
                first, palette = layout, read_palette(layout)
                facts = _facts(layout)
            elif _looks(layout) != _looks(first):
                refuse(
                    name,
                    f"expected pages of one size and kind, got {_looks(first)} on page 1 and "
                    f"{_looks(layout)} on page {len(places) + 1}",
                    hint="export each page as a file of its own",
                )
            elif not _same(palette, read_palette(layout)):
                refuse(name, f"expected one palette for all pages, got another on page {len(places) + 1}")
            else:  # of every other tag it matters only whether any page has it
                facts |= {key: True for key, value in _facts(layout).items() if value is True}
            places.append(at)
        if not places:
            raise DirectoryError("expected a page")
        _check_count(data, first, len(places), name)
        pages = _Pages(data, name, first.order, first.big, tuple(places))
        pixels = pages[len(pages) // 2]
        window = find_range(first, pixels)
    frames = None
    if len(pages) > 1:
        frames = pages
        facts["frames"] = len(pages)
    image = Image(
        pixels, first.kind, "tiff", data, palette, facts, white_is_zero=first.photometric == 0, frames=frames
    )
    if window is None:
        return image
    shown = {"shown": window.words(zero=_SIGN if first.signed else 0)}
    return replace(image, facts=facts | shown, shown=window.shown(), inks=window.inks())


def glance_tiff(data: Content, name: str, *, limits: Limits) -> Glance:
    """Tell what the first page's tags say and how many pages there are; see :func:`read_tiff`."""
    with translated(name, what="TIFF"):
        order, big, at = parse_start(data)
        first = parse_page(data, at, name, order=order, big=big, limits=limits)
        count, following, seen = 1, first.directory.next_at, {at}
        while following:
            if following in seen:
                raise DirectoryError("expected pages that do not follow each other in a circle")
            seen.add(following)
            count += 1
            check_frames(name, count=count, frame_bytes=first.frame_bytes, limits=limits)
            following = next_place(data, following, order=order, big=big)
        facts = _facts(first)
    if count > 1:
        facts["frames"] = count
    return Glance("tiff", first.width, first.height, count, count * first.frame_bytes, facts)


def _same(a: NDArray[np.uint8] | None, b: NDArray[np.uint8] | None) -> bool:
    return np.array_equal(a, b) if a is not None and b is not None else a is b


def _looks(layout: Layout) -> str:
    """Say what pages must have in common."""
    white = " with white as zero" if layout.photometric == 0 else ""
    white += ", signed" if layout.signed else ""
    return f"{layout.width} x {layout.height} {layout.kind} of {layout.bits} bits{white}"


def _check_count(data: bytes, first: Layout, count: int, name: str) -> None:
    """Refuse stacks of which only the first pages have directories: the others would be lost."""
    entry = first.directory.find(DESCRIPTION)
    text = b"" if entry is None else entry.data[:1024]
    told, shape = _IMAGEJ_COUNT.match(text), _SHAPE.match(text)
    expected = int(told[1]) if told else 1
    if shape:
        expected = (
            math.prod(int(side) for side in shape[1].split(b",")) * first.bits // 8 // first.frame_bytes
        )
    end = first.segments[0].at + expected * first.frame_bytes
    if expected > count and first.compression == NONE and end <= len(data):
        refuse(
            name,
            f"expected a TIFF with a directory for each of its {expected} pages, got {count}",
            hint="save it again with a directory for each page (tifffile: truncate=False)",
        )


def _facts(layout: Layout) -> dict[str, str | int | bool]:
    find = layout.directory.find
    facts: dict[str, str | int | bool] = {
        "bit depth": layout.bits,
        "kind": layout.kind,
        "compression": COMPRESSIONS[layout.compression],
        "byte order": "little" if layout.order == "<" else "big",
        "planar": layout.planar,
        "tiled": layout.tiled,
        "white is zero": layout.photometric == 0,
        "icc": find(ICC) is not None,
        "exif": False,
        "gps": False,
    }
    if layout.signed:
        facts["signed"] = True
    if layout.big:
        facts["bigtiff"] = True
    facts |= directory_facts(layout.directory, order=layout.order)
    resolution, unit = find(X_RESOLUTION), Tags(layout.directory, layout.order).one(RESOLUTION_UNIT, 2)
    if resolution is not None and len(resolution.data) == 8 and unit in (2, 3):
        above, below = struct.unpack(f"{layout.order}II", resolution.data)
        if below:
            facts["dpi"] = f"{above / below * (1 if unit == 2 else 2.54):.5g}"
    return facts


def encode_tiff(image: Image, frames: Iterator[Pixels]) -> bytes:
    """Write pages with the tags, layout, compression and byte order that each has in the image's source.

    Args:
        image: Read from TIFF.
        frames: As many as its pages, checked to be of the image's shape and type.
    """
    order, big, _ = parse_start(image.source)
    layouts = [layout for _, layout in _layouts(image.source, "image", NO_LIMITS)]
    pieces = (
        [pack_segment(segment, layout, pixels) for segment in layout.segments]
        for layout, pixels in zip(layouts, frames, strict=True)
    )
    one_run = image.frames is not None and _shares_one_run(layouts[0])
    return _written(image.source[:2], layouts, pieces, order=order, big=big, one_run=one_run)


def _written(
    mark: bytes,
    layouts: Sequence[Layout],
    pieces: Iterable[list[bytes]],
    *,
    order: str,
    big: bool,
    one_run: bool,
) -> bytes:
    """Return a file of pages with the packed strips or tiles of each, taken one page at a time."""
    out = io.BytesIO()
    out.write(mark + struct.pack(f"{order}HHHQ" if big else f"{order}HI", *_START[big]))
    link = out.tell() - (8 if big else 4)
    pages = zip(layouts, pieces, strict=True)
    if one_run:
        # ImageJ finds the slices of a stack one behind the other from the first on, without directories
        written = [(layout, _write_segments(out, own, even=False)) for layout, own in pages]
        out.write(b"\0" * (out.tell() % 2))
        for layout, places in written:
            link = _write_directory(out, layout, places, link)
    else:
        for layout, own in pages:
            link = _write_directory(out, layout, _write_segments(out, own), link)
    if not big and len(out.getbuffer()) > _MAX_FILE_BYTES:
        refuse("image", "expected a TIFF below 4 GiB")
    return out.getvalue()


def hold_tiff(image: Image, keep: Keep) -> tuple[Image, bytes]:
    """Return the image without entries that may hold a picture, and these.

    What no entry refers to is not written anyway.

    Args:
        image: Read from TIFF.
        keep: What passes although it may hold a picture.

    Returns:
        The image, and what :func:`medlocker.formats.tiff._held.pack_held` makes of the entries of all pages.
    """
    bare = bytearray(image.source)
    order, big, _ = parse_start(image.source)
    held = []
    for at, layout in _layouts(image.source, "image", NO_LIMITS):
        held.append(take_out(bare, at, layout.directory.entries, keep, order=order, big=big))
    if not any(held):
        return image, b""
    return replace(image, source=bytes(bare)), pack_held(held)


def tell_range_tiff(data: bytes, shown: tuple[int, int] | None) -> bytes:
    """Return a TIFF with a note of the least and the greatest sample shown, or without one.

    Args:
        data: The file, of 16 bits.
        shown: Both, as held in memory; None for no note.
    """
    order, _, _ = parse_start(data)
    layouts = [layout for _, layout in _layouts(data, "image", NO_LIMITS)]
    entries = [entry for entry in layouts[0].directory.entries if entry.tag != SHOWN]
    if shown is not None:
        entries.append(range_entry(shown, order))
    layouts[0] = replace(layouts[0], directory=replace(layouts[0].directory, entries=tuple(entries)))
    return _with_layouts(data, layouts)


def complete_tiff(bare: bytes, held: bytes) -> bytes:
    """Return a file with the entries that :func:`hold_tiff` held back."""
    layouts = []
    for (_, layout), entries in zip(_layouts(bare, "image", NO_LIMITS), unpack_held(held), strict=True):
        whole = put_back(layout.directory.entries, entries)
        layouts.append(replace(layout, directory=replace(layout.directory, entries=whole)))
    return _with_layouts(bare, layouts)


def _with_layouts(data: bytes, layouts: Sequence[Layout]) -> bytes:
    """Return a file with the same strips or tiles and other directories."""
    order, big, _ = parse_start(data)
    segments = ([data[s.at : s.at + s.size] for s in layout.segments] for layout in layouts)
    one_run = len(layouts) > 1 and _shares_one_run(layouts[0])
    return _written(data[:2], layouts, segments, order=order, big=big, one_run=one_run)


def _shares_one_run(first: Layout) -> bool:
    """Tell whether all slices are found from the first one on: an ImageJ stack that is not compressed."""
    entry = first.directory.find(DESCRIPTION)
    return first.compression == NONE and entry is not None and bool(_IMAGEJ_COUNT.match(entry.data[:1024]))


def _write_segments(out: io.BytesIO, pieces: Iterable[bytes], *, even: bool = True) -> list[tuple[int, int]]:
    """Append a page's strips or tiles, and return the place and size of each."""
    places = []
    for piece in pieces:
        places.append((out.tell(), len(piece)))
        out.write(piece + b"\0" * (len(piece) % 2 if even else 0))
    return places


def _write_directory(out: io.BytesIO, layout: Layout, segments: Sequence[tuple[int, int]], link: int) -> int:
    """Append a page's directory, tell its place at offset ``link``, and return where the next one's goes."""
    order, big = layout.order, layout.big
    at = out.tell()
    if not big and at > _MAX_FILE_BYTES:
        refuse("image", "expected a TIFF below 4 GiB")
    places, sizes = [place for place, _ in segments], [size for _, size in segments]
    entries = (
        *layout.kept(),
        long_entry(TILES if layout.tiled else STRIPS, places, order=order, big=big),
        long_entry(TILE_SIZES if layout.tiled else STRIP_SIZES, sizes, order=order, big=big),
    )
    directory = build_directory(entries, at, order=order, big=big)
    out.write(directory)
    out.seek(link)
    out.write(struct.pack(f"{order}{'Q' if big else 'I'}", at))
    out.seek(0, io.SEEK_END)
    return successor_place(directory, at, order=order, big=big)


def metadata_tiff(image: Image) -> Iterator[bytes]:
    """Yield what is kept of an image's source besides its pixels and their layout."""
    order, big, _ = parse_start(image.source)
    yield (b"bigtiff " if big else b"tiff ") + order.encode("ascii")
    for _, layout in _layouts(image.source, "image", NO_LIMITS):
        entries = tuple(entry for entry in layout.kept() if entry.tag not in LAYOUT_TAGS)
        if image.frames is not None:
            yield struct.pack("<Q", len(entries))
        yield from canonical(entries)
