"""DICOM images: any of 8 to 16 bits, one frame or many; all but the pixels keeps its very bytes."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medlocker.errors import InputError
from medlocker.formats._glance import Content, Glance
from medlocker.formats._keep import Keep
from medlocker.formats.dicom._codecs import CODECS, output_photometric, stream_bits, stream_colors
from medlocker.formats.dicom._frames import DicomFrames, FrameWriter
from medlocker.formats.dicom._layout import Layout, check_payload, odd_bits, read_layout, to_pixels
from medlocker.formats.dicom._palette import read_palette
from medlocker.formats.dicom._parts import (
    DEFLATED,
    EXPLICIT_BIG,
    EXPLICIT_LITTLE,
    IMPLICIT_LITTLE,
    SOP_CLASS,
    Parts,
    parse_parts,
)
from medlocker.formats.dicom._shown import Window, read_shown
from medlocker.images import NO_LIMITS, Image, Limits, Pixels, refuse, translated

_UID = re.compile(r"[0-9.]{5,64}")
_WHOLE_SLIDE = "1.2.840.10008.5.1.4.1.1.77.1.6"
_NATIVE_NAMES = {
    IMPLICIT_LITTLE: "none, implicit",
    EXPLICIT_LITTLE: "none",
    EXPLICIT_BIG: "none, big endian",
    DEFLATED: "deflate",
}


@dataclass(frozen=True, eq=False, kw_only=True)
class DicomImage(Image):
    """A DICOM image.

    Args:
        dicom: The file taken apart and its frames.
        window: The window that shows the image's own range, where its header gives none; else None.
    """

    dicom: DicomFrames = field(repr=False)
    window: Window | None = None


def dicom_of(image: Image) -> DicomImage:
    """Return an image as what it is if it was read from DICOM.

    Raises:
        InputError: If it was not.
    """
    if not isinstance(image, DicomImage):
        raise InputError(f"expected an image read from DICOM, got {image.format}")
    return image


def read_dicom(data: bytes, name: str, *, limits: Limits) -> Image:
    """Read a DICOM file.

    Raises:
        NoPixelsError: If it is sound but holds no picture.
        UnsupportedImageError: If it is damaged, of other samples than whole numbers of 8 to 16 bits, of a
            transfer syntax or colour model that is not known, or beyond the limits.
    """
    with translated(name, what="DICOM"):
        parts, layout = _parse(data, name, limits)
        frames = DicomFrames.of(parts, layout, name)
        middle = frames[layout.frames // 2]
        shown = read_shown(parts, layout, middle)
        palette = read_palette(parts, layout) if layout.kind == "palette" else None
    return DicomImage(
        pixels=middle,
        kind=layout.kind,
        format="dicom",
        source=data,
        palette=palette,
        facts=_facts(frames, shown.source),
        frames=frames if layout.frames > 1 else None,
        shown=shown.table,
        inks=shown.inks,
        ybr=output_photometric(parts.syntax, layout.photometric) in ("YBR_FULL", "YBR_FULL_422"),
        dicom=frames,
        window=shown.window,
    )


def glance_dicom(data: Content, name: str, *, limits: Limits) -> Glance:
    """Tell what a DICOM file's elements say; see :func:`read_dicom`."""
    with translated(name, what="DICOM"):
        parts, layout = _parse(data, name, limits)
        facts = _facts(DicomFrames.of(parts, layout, name))
    size = layout.frames * layout.height * layout.width * layout.samples * layout.allocated // 8
    return Glance("dicom", layout.width, layout.height, layout.frames, size, facts)


def _parse(data: Content, name: str, limits: Limits) -> tuple[Parts, Layout]:
    """Take a file apart, and return the layout of its pixels."""
    parts = parse_parts(data, name, limits=limits)
    if parts.encapsulated and parts.syntax not in CODECS:
        known = _UID.fullmatch(parts.syntax)
        refuse(
            name,
            "expected a transfer syntax of JPEG, JPEG-LS, JPEG 2000 or RLE, "
            f"got {parts.syntax if known else 'another'}",
        )
    layout = read_layout(parts, name, limits=limits)
    if layout.frames > 1 and parts.text(SOP_CLASS) == _WHOLE_SLIDE:
        refuse(
            name,
            "expected frames of one place, got the tiles of a slide: each would have a logo of its own",
            hint="export the region that is needed as one picture",
        )
    if not parts.encapsulated:
        check_payload(parts, layout, name)
    return parts, layout


def _facts(frames: DicomFrames, contrast: str = "") -> dict[str, str | int | bool]:
    layout, syntax = frames.layout, frames.parts.syntax
    codec = CODECS.get(syntax)
    contradiction = _contradiction(frames)
    return {
        **({"colours": contradiction} if contradiction else {}),
        "bit depth": layout.stored,
        "kind": layout.kind,
        "compression": _NATIVE_NAMES[syntax] if codec is None else codec.name,
        "photometric": layout.photometric,
        "signed": layout.signed,
        "frames": layout.frames,
        **({"contrast": contrast} if contrast else {}),
        "icc": 0x00282000 in frames.parts.elements,
        "exif": False,
        "gps": False,
    }


def _contradiction(frames: DicomFrames) -> str:
    """Say so if the first frame's stream has other colours than the header tells; the stream is believed."""
    codec = CODECS.get(frames.parts.syntax)
    if codec is None or not codec.undoes_color or frames.layout.samples != 3:
        return ""
    said = stream_colors(b"".join(frames.places[0]))
    told = "RGB" if frames.layout.photometric == "RGB" else "YCbCr"
    return f"{said}, as the JPEG says; its header says {told}" if said and said != told else ""


def encode_dicom(image: Image, frames: Iterator[Pixels]) -> bytes:
    """Write frames into a copy of the image's source, compressed ones without loss.

    Args:
        image: Read from DICOM.
        frames: As many as it has, of the image's shape and type.
    """
    source = dicom_of(image).dicom
    writer = FrameWriter(*source.written, pad=source.pad)
    for index, pixels in enumerate(frames):
        writer.add(pixels, like=source.words(index))
    return writer.finish()


def metadata_dicom(image: Image) -> Iterator[bytes]:
    """Yield all of a file as :func:`encode_dicom` writes it but the pixels."""
    parts, _ = dicom_of(image).dicom.written
    yield f"dicom {len(parts.head)} {len(parts.tail)}\n".encode("ascii")
    yield parts.head
    yield parts.start_of_pixels(None)
    yield parts.tail


def hold_dicom(image: Image, keep: Keep) -> tuple[Image, bytes]:
    """Return the image with nothing in the bits of its words beside the samples, and what was there.

    Old overlays lie there, and as many bits of a picture would have room.

    Args:
        image: Read from DICOM.
        keep: What passes although it may hold a picture.

    Returns:
        The image, and frame by frame the words' other bits, little-endian; nothing if they are as usual.
    """
    own = dicom_of(image)
    layout = own.dicom.layout
    if layout.stored == layout.allocated or "overlays" in keep:
        return image, b""

    def odd() -> Iterator[NDArray[Any]]:
        return (odd_bits(own.dicom.words(index), layout) for index in range(len(own.dicom)))

    told = [stream_bits(b"".join(frame)) for frame in own.dicom.places]
    if told and min(told) > 0 and max(told) <= layout.stored and not layout.shift:
        return image, b""  # no need to decode all frames once more
    if not any(bits.any() for bits in odd()):
        return image, b""
    held = b"".join(bits.astype(bits.dtype.newbyteorder("<")).tobytes() for bits in odd())
    return replace(own, dicom=replace(own.dicom, blank=True)), held


def complete_dicom(bare: bytes, held: bytes) -> bytes:
    """Return a file with what :func:`hold_dicom` held back."""
    source = dicom_of(read_dicom(bare, "image", limits=NO_LIMITS)).dicom
    layout = source.layout
    writer = FrameWriter(*source.written, pad=source.pad)
    bits = np.frombuffer(held, np.dtype(layout.dtype).newbyteorder("<"))
    for index, odd in enumerate(bits.reshape(len(source), layout.height, layout.width, layout.samples)):
        words = source.words(index)
        writer.add(to_pixels(words, layout), like=words ^ odd.astype(words.dtype))
    return writer.finish()
