"""`medlocker protect --preview N`: a page to look at, and nothing else."""

from __future__ import annotations

import re
import stat
from pathlib import Path

import pytest

from medlocker.certificates import new_owner
from onnx_models import make_onnx, weights_for
from readable import barriers
from runs import Shell, fill


@pytest.fixture
def shell(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Shell:
    return Shell(capfd, monkeypatch)


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Seven images, an owner without a ledger yet, and a folder for temporary files that is looked at."""
    fill(tmp_path / "in", 7, size=64)
    new_owner(tmp_path / "owner")
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temporary"))
    return tmp_path


def test_a_preview_claims_nothing_and_the_run_can_follow(shell: Shell, place: Path) -> None:
    (place / "boxes.csv").write_text("image,region,x,y,width,height\n02.png,a,5,5,9,9\n02.png,b,30,30,9,9\n")
    arguments = ["protect", "in", "--owner", "owner", "--out", "out", "--regions", "boxes.csv"]
    before = {path.name for path in place.iterdir()}
    made = shell(*arguments, "--preview", 3, "--json", cwd=place)
    assert made.code == 0, made.err
    assert made.json == {"preview": "out.preview.html", "images": 3, "marked": 3, "failed": []}
    assert {path.name for path in place.iterdir()} - before == {"out.preview.html"}
    assert list((place / "temporary").iterdir()) == []
    assert stat.S_IMODE((place / "out.preview.html").stat().st_mode) == 0o600
    page = (place / "out.preview.html").read_text("utf-8")
    assert barriers(page) == []
    assert re.findall(r'alt="marked version of ([^"]*)"', page) == ["00.png", "02.png", "04.png"]
    assert "2 regions kept out" in page
    assert page.count("no regions kept out") == 2
    assert "do not give it away" in page
    run = shell(*arguments, "--json", cwd=place)
    assert run.code == 0, run.err
    assert run.json["marked"] == 7
    assert "finished release" in shell(*arguments, "--preview", 3, cwd=place).err


def test_a_preview_says_what_the_models_make_of_it(shell: Shell, place: Path) -> None:
    make_onnx(place / "m.onnx", weights=weights_for(height=16, width=16, seed=1))
    (place / "in" / "05.png").write_text("no picture")
    fill(place / "in" / "ward", 1, size=64, first=9)
    arguments = ["protect", "in", "--preset", "paper", "--model", "m.onnx", "--owner", "owner"]
    more = ["--out", "out", "--budget", 4, "--seed", 7, "--preview"]
    made = shell(*arguments, *more, 100, cwd=place)
    assert made.code == 0, made.err
    assert "7 of 8 images marked for looking; nothing was claimed" in " ".join(made.out.split())
    page = (place / "out.preview.html").read_text("utf-8")
    assert len(re.findall("<br>m: (?:misled|still right)", page)) == 7
    assert re.search(r"m is misled on \d of 7 that it read rightly", page)
    assert '<b>05.png</b><br><span class="bad">failed: 05.png: ' in page
    assert "with preset paper" in page
    assert "drawn from the seed" in page
    # the same again is the same page, and replaces it
    assert shell(*arguments, *more, 100, cwd=place).code == 0
    assert (place / "out.preview.html").read_text("utf-8") == page


def test_a_preview_is_not_pushed(shell: Shell, place: Path) -> None:
    arguments = ["protect", "in", "--owner", "owner", "--out", "out", "--preview", 2]
    answer = shell(*arguments, "--push", "https://localhost/dicom-web", cwd=place)
    assert answer.code == 2
    assert "--preview cannot be used with --push" in answer.err
