"""The demo's page: names are escaped, pictures are in it, and nothing is loaded."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image as Pillow

from medlocker.demo import _page, write_page
from readable import barriers


def test_the_page_shows_every_image_and_runs_no_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = ["<b>one.png", "two.png"]
    for folder in ("originals", "release/images"):
        (tmp_path / folder).mkdir(parents=True)
        for name in names:
            Pillow.fromarray(np.zeros((8, 12, 3), np.uint8)).save(tmp_path / folder / name)
    judged = SimpleNamespace(accuracy=0.5, classes=np.array([0, 1]), labels=np.array([0, 0]), kappa=0.25)
    story: Any = SimpleNamespace(
        samples=SimpleNamespace(names=names, images=tmp_path / "originals"),
        release=tmp_path / "release",
        answers={"originals": judged},
        identical=2,
        seconds=3.4,
    )
    monkeypatch.setattr(_page, "caption", lambda story, row, i: (f"<i>{row} {i}", row == "original"))
    write_page(story, tmp_path / "index.html")
    page = (tmp_path / "index.html").read_text("utf-8")
    assert page.count("data:image/jpeg;base64,") == 4
    assert page.count('type="range"') == 2
    assert barriers(page) == []
    for words in ("50%", "1 of 2", "0.25", "2 of 2 restored files equal", "It took 3 s."):
        assert words in page
    assert 'aria-label="compare &lt;b&gt;one.png with its original"' in page
    arrow = (
        '<span class="good">&lt;i&gt;original 0</span> &rarr; <span class="bad">&lt;i&gt;protected 0</span>'
    )
    assert arrow in " ".join(page.split())
    assert "<b>one" not in page
    assert "<i>" not in page
