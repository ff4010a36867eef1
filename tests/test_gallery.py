"""The gallery: every picture is there, says what it shows, and all together are small."""

from __future__ import annotations

import re
from pathlib import Path

DOCS = Path(__file__).resolve().parent.parent / "docs"


def test_pictures_are_there_told_and_small() -> None:
    page = (DOCS / "gallery.md").read_text("utf-8")
    shown = re.findall(r"!\[([^\]]*)\]\(([^)]*)\)", page)
    texts = [text for text, _ in shown]
    assert len(set(texts)) == len(texts)
    assert all(len(text) > 20 for text in texts)
    files = {DOCS / name for _, name in shown}
    assert files == {*(DOCS / "images" / "gallery").iterdir(), DOCS / "images" / "report.webp"}
    assert sum(file.stat().st_size for file in files) < 150_000
