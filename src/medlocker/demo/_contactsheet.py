"""The contact sheet: originals, released and restored files of some images, with the model's answers."""

from __future__ import annotations

import io
from pathlib import Path

from PIL import Image as PillowImage
from PIL import ImageDraw, ImageFont

from medlocker.demo._run import DemoResult
from medlocker.files import write_atomic

_COLUMNS = 6
_SIDE_PX = 220
_GAP_PX = 10
_TEXT_PX = 22
_LEFT_PX = 110
_INK, _PAPER, _GOOD, _BAD = (28, 32, 40), (250, 250, 248), (20, 110, 60), (180, 30, 30)


def write_sheet(story: DemoResult, path: Path) -> None:
    """Draw the sheet as a PNG."""
    shown = _chosen(story)
    rows = ("original", "protected", "restored")
    cell = _SIDE_PX + _TEXT_PX + _GAP_PX
    sheet = PillowImage.new(
        "RGB", (_LEFT_PX + len(shown) * (_SIDE_PX + _GAP_PX), len(rows) * cell + _GAP_PX), _PAPER
    )
    draw = ImageDraw.Draw(sheet)
    font = ImageFont.load_default(16)
    for r, row in enumerate(rows):
        top = _GAP_PX + r * cell
        draw.text((_GAP_PX, top + _SIDE_PX // 2), row, _INK, font)
        for c, i in enumerate(shown):
            left = _LEFT_PX + c * (_SIDE_PX + _GAP_PX)
            with PillowImage.open(_folder(story, row) / story.samples.names[i]) as picture:
                small = picture.convert("RGB").resize((_SIDE_PX, _SIDE_PX), PillowImage.Resampling.LANCZOS)
            sheet.paste(small, (left, top))
            text, right = caption(story, row, i)
            draw.text((left, top + _SIDE_PX + 2), text, _GOOD if right else _BAD, font)
    stream = io.BytesIO()
    # 256 colours: a third of the size, and it is only for looking
    sheet.quantize(256, dither=PillowImage.Dither.FLOYDSTEINBERG).save(stream, "PNG", optimize=True)
    write_atomic(path, stream.getvalue(), overwrite=True)


def _chosen(story: DemoResult) -> list[int]:
    """Show two images of each grade, in the order of the data set: not the best ones."""
    chosen: list[int] = []
    for grade in dict.fromkeys(story.samples.grades):
        chosen += [i for i, other in enumerate(story.samples.grades) if other == grade][:2]
    return sorted(chosen)[:_COLUMNS]


def _folder(story: DemoResult, row: str) -> Path:
    return {
        "original": story.samples.images,
        "protected": story.release / "images",
        "restored": story.restored,
    }[row]


def caption(story: DemoResult, row: str, i: int) -> tuple[str, bool]:
    """Return what the model answers, and whether that is right."""
    truth = story.samples.grades[i]
    if row == "restored":
        name = story.samples.names[i]
        same = (story.restored / name).read_bytes() == (story.samples.images / name).read_bytes()
        return ("same bytes" if same else "differs"), same
    judged = story.answers["originals" if row == "original" else "the veil"]
    answer = story.classes[int(judged.classes[i])]
    right = answer == truth
    return (f"model: {answer}" if right else f"model: {answer} (is {truth})"), right
