"""Objects of several frames on their way: regions of every frame are kept and checked."""

from __future__ import annotations

import io
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray

from medlocker.certificates import Owner
from medlocker.formats import MarkedFile, mark_file, read_image
from medlocker.geometry import Box
from medlocker.images import Frames, Image
from medlocker.protect import _attempt
from medlocker.regions import Findings
from medlocker.release import run_release
from pictures import smooth
from runs import make_run

REGION = Box(20, 20, 14, 10)
WINDOW = np.s_[20:30, 20:34]


def pages(count: int = 5) -> bytes:
    stack = np.stack([np.round(smooth(64, 64, 3, seed=i) * 255).astype("u1") for i in range(count)])
    stack[0, 20:30, 20:34] = 255  # in one page only, not the middle one
    stream = io.BytesIO()
    tifffile.imwrite(stream, stack, photometric="rgb", metadata=None)
    return stream.getvalue()


@dataclass(frozen=True)
class Bright:
    """Finds what is white."""

    source: str = "bright"
    fingerprint: str = "bright"
    droppable: bool = False
    seen: list[int] = field(default_factory=list)

    def find(self, colors: NDArray[Any]) -> Findings:
        self.seen.append(int((colors == 255).all(axis=2).sum()))
        return Findings((REGION,) if (colors[WINDOW] == 255).all() else ())


def frames_of(image: Image) -> Frames:
    assert image.frames is not None
    return image.frames


def test_what_is_found_in_any_frame_is_kept_free_in_all(tmp_path: Path, owner: Owner) -> None:
    source = tmp_path / "in" / "a.tif"
    source.parent.mkdir()
    source.write_bytes(pages())
    finder = Bright()
    result = run_release(make_run(source.parent, tmp_path / "out", owner, finder=finder))
    assert len(finder.seen) == 5
    assert result.summary.marked == 1
    before = frames_of(read_image(source.read_bytes(), name="a"))
    after = frames_of(read_image((tmp_path / "out" / "images" / "a.tif").read_bytes(), name="a"))
    for i in range(5):
        assert np.array_equal(before[i][WINDOW], after[i][WINDOW])
        assert not np.array_equal(before[i], after[i])


@pytest.mark.parametrize("frame", range(5))
def test_a_region_that_changes_in_any_frame_is_noticed(
    frame: int, tmp_path: Path, owner: Owner, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = tmp_path / "in" / "a.tif"
    source.parent.mkdir()
    source.write_bytes(pages())

    def broken(image: Image, *args: Any, **options: Any) -> MarkedFile:
        frames = frames_of(image)

        class Changed:
            def __len__(self) -> int:
                return len(frames)

            def __getitem__(self, index: int, /) -> NDArray[Any]:
                pixels = frames[index].copy()
                pixels[25, 30, 0] ^= np.uint8(index == frame)
                return pixels

        return mark_file(replace(image, frames=Changed()), *args, **options)

    monkeypatch.setattr(_attempt, "mark_file", broken)
    result = run_release(make_run(source.parent, tmp_path / "out", owner, finder=Bright()))
    assert result.summary.marked == 0
    (failed,) = result.summary.failed
    assert "this kind of file did not keep the pixels of a region" in str(failed)
