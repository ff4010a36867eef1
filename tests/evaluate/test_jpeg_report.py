"""What a report says of JPEG releases, on its page, in its tables and on the command line."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import Any

import pytest
from PIL import Image as Pillow
from test_evaluation import LOGO, Told, job

from jpeg_pictures import jpeg
from medlocker.cli._evaluated import quality_line
from medlocker.evaluate import ReportNotes, Result, evaluate, summarise_quality, write_report
from medlocker.formats import encode_image, mark_file, read_image
from medlocker.mark import Mark
from medlocker.marking import mark_pixels

NAMES = ("a.jpg", "b.jpg", "c.png")


def evaluated(folder: Path, names: tuple[str, ...]) -> Result:
    """Each image with one mark, evaluated with a model that is right before and after."""
    clean, marked = folder / "clean", folder / "marked"
    clean.mkdir()
    marked.mkdir()
    mark = Mark(x=37, y=21, size_px=70, opacity=60000)
    for k, name in enumerate(names):
        plain = jpeg(160, 200, seed=k, subsampling=2)
        if name.endswith("png"):
            stream = io.BytesIO()
            Pillow.open(io.BytesIO(plain)).save(stream, "PNG")
            plain = stream.getvalue()
        (clean / name).write_bytes(plain)
        image = read_image(plain, name=name)
        if name.endswith("png"):
            changed = encode_image(image, mark_pixels(image, [mark], logo=LOGO).pixels)
        else:
            changed = mark_file(image, [mark], logo=LOGO).data
        (marked / name).write_bytes(changed)
    return evaluate(job(clean, [marked], [Told([300.0])], dict.fromkeys(names, "0")))


@pytest.mark.parametrize("names", [NAMES, NAMES[:2], NAMES[2:]])
def test_blocks_are_told_in_plain_words(names: tuple[str, ...], tmp_path: Path) -> None:
    result = evaluated(tmp_path, names)
    blocks = sum(name.endswith("jpg") for name in names)
    (quality,) = summarise_quality(result)
    assert (quality.in_blocks, quality.identical_outside) == (blocks, len(names))
    value: dict[str, Any] = write_report(result, tmp_path / "report", extra=ReportNotes())
    found = value["quality"]["protected"]
    assert (found["jpeg_blocks"], found["identical_outside"]) == (blocks, len(names))
    assert found["area_clear"]["mean"] < found["area"]["mean"]
    assert {one["image"]: one["jpeg_blocks"] for one in found["worst"]} == {
        name: name.endswith("jpg") for name in names
    }
    page = (tmp_path / "report" / "report.html").read_text("utf-8")
    assert "pixels changed clearly" in page
    assert f"{quality.measures['area_clear'].mean:.1%}" in page
    assert f"marked: {len(names)} of {len(names)} images are identical to their originals outside" in page
    sentence = f"{blocks} of the images are JPEG. It stores small blocks"
    assert (sentence in page) == (blocks > 0)
    assert ("pixels changed at all, of JPEG those of whole blocks" in page) == (blocks > 0)
    assert ("<td>pixels changed at all</td>" in page) == (blocks == 0)
    line = quality_line(quality)
    clear, area = (quality.measures[name].mean for name in ("area_clear", "area"))
    how = "in whole JPEG blocks" if blocks else "at all"
    assert line.startswith(f"protected: {clear:.1%} of the pixels clearly changed ({area:.1%} {how}), SSIM ")
    assert line.endswith(f"identical outside the marks {len(names)} of {len(names)}")
    with (tmp_path / "report" / "per_image.csv").open(newline="") as stream:
        rows = list(csv.DictReader(io.StringIO(stream.read())))
    assert [row["jpeg_blocks"] for row in rows] == ["1" if name.endswith("jpg") else "0" for name in names]
    assert all(float(row["area_clear"]) < float(row["area"]) for row in rows)
