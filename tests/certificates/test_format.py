"""docs/FORMAT.md is enough to write a reader: one that was written from it restores the vectors."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import format_reader
import numpy as np
import pytest

from medlocker.images import pixel_digest, read_image
from medlocker.logo import load_logo
from medlocker.mark import Mark
from medlocker.marking import mark_pixels

FILES = sorted((Path(__file__).parent.parent / "vectors" / "mark").glob("*.json"))


def test_there_are_vectors() -> None:
    assert len(FILES) >= 12


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
