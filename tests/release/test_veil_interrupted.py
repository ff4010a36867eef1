"""Runs of veils that are killed and begun again: the same files as without."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from every_format import every_file
from killed import killed_child
from medlocker.certificates import Owner
from medlocker.geometry import Box
from medlocker.protect import Settings
from medlocker.regions import load_regions
from runs import check_release, images_of, protect

NAMES = ("grey16.png", "pages.tif", "420.jpg", "ct.dcm", "short.nii")
SETTINGS = Settings(preset="veil", seed=1, budget=3, provenance="none")
"""Files that name their release differ from one to the other."""


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One image of each family, and regions beside them."""
    folder = tmp_path_factory.mktemp("veils") / "in"
    folder.mkdir()
    box = Box(8, 8, 8, 8)
    rows = ["image,region,x,y,width,height"]
    for name in NAMES:
        (folder / name).write_bytes(every_file()[name])
        rows.append(f"{name},a,{box.x},{box.y},{box.width},{box.height}")
    (folder.parent / "regions.csv").write_text("\n".join(rows))
    return folder


@pytest.mark.parametrize(
    "moment", [3, 11, 19, *(pytest.param(k, marks=pytest.mark.slow) for k in (7, 15, 27))]
)
def test_a_killed_run_goes_on_where_it_was(source: Path, tmp_path: Path, owner: Owner, moment: int) -> None:
    regions = load_regions(source.parent / "regions.csv")
    options = {"settings": SETTINGS, "regions": regions, "workers": 1}
    protect(source, tmp_path / "whole", owner, **options)
    out = tmp_path / "out"
    assert killed_child(moment, out, protect, source, out, owner, **options) == -signal.SIGKILL
    assert not (out / "certificate" / "statement.dsse.json").exists()
    result = protect(source, out, owner, **options)
    assert result.summary.marked == len(NAMES)
    assert check_release(source, out, owner, tmp_path / "r") == images_of(tmp_path / "whole")
