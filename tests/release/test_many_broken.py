"""A thousand images of which every tenth is broken: each costs only itself, and is named."""

from __future__ import annotations

from pathlib import Path

import pytest

from medlocker.certificates import Owner, open_release, verify_release
from medlocker.protect import Settings
from medlocker.release import run_release
from medlocker.testing import LinearClassifier
from runs import images_of, make_run, picture

IMAGES = 1000
SIZE = 32


def breakages(whole: bytes) -> list[bytes]:
    """Ways in which a file can be broken: cut off, other bytes inside, empty, no image at all."""
    middle = len(whole) // 2
    flipped = bytes([whole[middle] ^ 0xFF])
    return [whole[:middle], whole[:middle] + flipped + whole[middle + 1 :], b"", b"not an image\n"]


@pytest.mark.slow
def test_every_tenth_of_a_thousand_is_broken(tmp_path: Path, owner: Owner) -> None:
    source = tmp_path / "in"
    source.mkdir()
    broken = []
    for k in range(IMAGES):
        data = picture(seed=k % 50, size=SIZE)
        if k % 10 == 5:
            ways = breakages(data)
            data = ways[k // 10 % len(ways)]
            broken.append(f"{k:04d}.png")
        (source / f"{k:04d}.png").write_bytes(data)
    settings = Settings(preset="paper", search="random", budget=1, seed=1)
    run = make_run(
        source, tmp_path / "out", owner, classifiers=[LinearClassifier(size=16)], settings=settings
    )
    seen: list[int] = []
    result = run_release(run, progress=lambda outcome: seen.append(outcome.index))

    assert sorted(seen) == list(range(IMAGES))
    assert result.exit_code == 1
    assert result.summary.marked == 900
    assert [one.name for one in sorted(result.summary.failed)] == broken
    assert [one["image"] for one in result.json["failed"]] == broken
    assert all(one["reason"] for one in result.json["failed"])
    marked = images_of(tmp_path / "out")
    assert sorted(marked) == sorted({f"{k:04d}.png" for k in range(IMAGES)} - set(broken))
    report = verify_release(open_release(tmp_path / "out", owner.signing.public))
    assert report.valid
    assert report.images == 900
    assert not list((tmp_path / "out").rglob(".medlocker*"))
