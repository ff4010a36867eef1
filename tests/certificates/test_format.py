"""docs/FORMAT.md is enough to write a reader: one that was written from it restores the vectors."""

from __future__ import annotations

import base64
import hashlib
import json
import struct
import zlib
from pathlib import Path

import format_reader
import numpy as np
import pytest
import veil_reader

from medlocker.certificates import Identity, open_record
from medlocker.formats import read_image
from medlocker.images import pixel_digest
from medlocker.logo import load_logo
from medlocker.mark import Mark
from medlocker.marking import mark_pixels
from medlocker.veil import read_mark

FOLDER = Path(__file__).parent.parent / "vectors"
FILES = sorted((FOLDER / "mark").glob("*.json"))
VEILS = sorted((FOLDER / "veil").glob("*.json"))


def test_there_are_vectors() -> None:
    assert len(FILES) >= 12
    assert len(VEILS) >= 18


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_second_reader_takes_the_marks_off(path: Path) -> None:
    vector = json.loads(path.read_bytes())
    image = read_image(base64.b64decode(vector["original"]), name="x")
    logo = base64.b64decode(vector["logo"])
    marks = [Mark.from_json(mark) for mark in vector["marks"]]
    marked = mark_pixels(image, marks, logo=load_logo(logo, name="logo")).pixels
    assert pixel_digest(marked) == vector["marked_pixels"]
    samples = marked.tolist()
    format_reader.undo(samples, image.bits, vector["marks"], logo, base64.b64decode(vector["residual"]))
    assert pixel_digest(np.array(samples, dtype=marked.dtype)) == vector["original_pixels"]


def _alone(path: Path) -> bool:
    """Whether choices are a vector's residual: a veil alone, and not on a palette."""
    return base64.b64decode(json.loads(path.read_bytes())["residual"])[:1] != b"\0"


@pytest.mark.parametrize("path", [path for path in VEILS if _alone(path)], ids=lambda path: path.stem)
def test_a_second_reader_takes_veils_off(path: Path) -> None:
    vector = json.loads(path.read_bytes())
    image = read_image(base64.b64decode(vector["original"]), name="x")
    logo = base64.b64decode(vector["logo"])
    marks = [read_mark(mark) for mark in vector["marks"]]
    marked = mark_pixels(image, marks, logo=load_logo(logo, name="logo")).pixels
    assert pixel_digest(marked) == vector["marked_pixels"]
    samples = marked.tolist()
    (veil,) = vector["marks"]
    veil_reader.undo_veil(samples, image.bits, veil, logo, base64.b64decode(vector["residual"]))
    assert pixel_digest(np.array(samples, dtype=marked.dtype)) == vector["original_pixels"]


def test_a_second_reader_takes_a_veil_off_that_lies_in_a_window() -> None:
    vector = json.loads((FOLDER / "restore" / "veil-dicom.json").read_bytes())
    identity = Identity.from_secrets([vector["identity"]], what="x")
    record = open_record(base64.b64decode(vector["blob"]), [identity], what="r")
    marked = read_image(base64.b64decode(vector["file"]), name="x")
    (length,) = struct.unpack_from("<I", record.residual)
    patch, frames = record.residual[4 : 4 + length], record.residual[4 + length :]
    inks = list(struct.unpack("<256H", zlib.decompress(patch)[-512:]))
    count, own = struct.unpack_from("<II", frames)
    assert (count, 8 + own) == (1, len(frames))
    samples = marked.pixels.tolist()
    (veil,) = record.marks
    veil_reader.undo_veil(
        samples,
        marked.bits,
        veil.to_json(),
        base64.b64decode(vector["logo"]),
        frames[8:],
        shown=(min(inks), max(inks)),
        inks=inks,
    )
    assert pixel_digest(np.array(samples, dtype=marked.pixels.dtype)) == vector["original_pixels"]


def test_a_veil_on_a_jpeg_leaves_the_original_in_its_record() -> None:
    vector = json.loads((FOLDER / "restore" / "veil-jpeg.json").read_bytes())
    identity = Identity.from_secrets([vector["identity"]], what="x")
    record = open_record(base64.b64decode(vector["blob"]), [identity], what="r")
    assert pixel_digest(read_image(record.residual, name="x").pixels) == vector["original_pixels"]
    assert hashlib.sha256(record.residual).hexdigest() == record.original_file
