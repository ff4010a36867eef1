from __future__ import annotations

import json
from pathlib import Path

import pytest
from train_samples import BACKBONE, Photographs
from typer.testing import CliRunner

from medlocker.cli._main import app
from medlocker.errors import InputError, ModelError

QUICK = ["--weights", "none", "--size", "32", "--epochs", "1", "--batch-size", "16"]


def arguments(photographs: Photographs, out: Path) -> list[str]:
    start = ["train", "classifier", str(photographs.folder), "--labels", str(photographs.labels)]
    return [*start, "--backbone", BACKBONE, "--out", str(out), *QUICK]


def test_help_shows_an_example() -> None:
    result = CliRunner().invoke(app, ["train", "classifier", "--help"])
    assert result.exit_code == 0
    assert "medlocker train classifier fundus/" in result.stdout


@pytest.mark.usefixtures("no_export")
def test_prints_one_json_object(photographs: Photographs, tmp_path: Path) -> None:
    excluded = tmp_path / "held-out.txt"
    excluded.write_text("p00.png\nnobody.png\n")
    result = CliRunner().invoke(
        app, [*arguments(photographs, tmp_path / "out"), "--exclude", str(excluded), "--json"]
    )
    assert result.exit_code == 0, result.output
    value = json.loads(result.stdout)
    assert (value["architecture"], value["classes"]) == (BACKBONE, ["no", "yes"])
    assert (value["excluded"], value["excluded_unknown"]) == (1, 1)
    assert value["train_images"] + value["validation"]["n"] == 39
    assert "left out by --exclude: 1 images" in result.stderr
    assert "the list of exclusions names nobody.png, which the folder does not have" in result.stderr


def test_errors_reach_the_user_before_any_work(photographs: Photographs, tmp_path: Path) -> None:
    start = arguments(photographs, tmp_path / "out")
    with pytest.raises(InputError, match=r"^labels labels\.csv: expected a column 'grade', got ill$"):
        CliRunner().invoke(app, [*start, "--label-column", "grade"], catch_exceptions=False)
    unknown = [text if text != BACKBONE else "resnet_of_mine" for text in start]
    with pytest.raises(ModelError, match=r"^expected an architecture of timm or torchvision, got 'resnet_of"):
        CliRunner().invoke(app, unknown, catch_exceptions=False)
    with pytest.raises(ModelError, match=r"^weights w\.pt: no such file$"):
        CliRunner().invoke(app, [*start, "--weights", "w.pt"], catch_exceptions=False)
    assert not (tmp_path / "out").exists()
