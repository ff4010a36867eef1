from __future__ import annotations

import csv
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from medlocker.demo import write_samples
from medlocker.errors import InputError, OutputExistsError


def test_layout(tmp_path: Path) -> None:
    samples = write_samples(tmp_path / "eyes", count=6, seed=3, width=128, height=128)
    names = sorted(path.name for path in samples.images.iterdir())
    assert names == sorted(path.name for path in samples.masks.iterdir()) == list(samples.names)
    assert sorted(path.name for path in (tmp_path / "eyes").iterdir()) == ["images", "labels.csv", "masks"]
    with samples.labels.open(newline="") as stream:
        rows = list(csv.reader(stream))
    assert rows[0] == ["image", "grade"]
    assert [tuple(row) for row in rows[1:]] == list(zip(samples.names, samples.grades, strict=True))
    assert Counter(samples.grades) == {"none": 2, "mild": 2, "severe": 2}
    for name, grade in rows[1:]:
        with Image.open(samples.images / name) as image, Image.open(samples.masks / name) as mask:
            assert (image.mode, image.size, mask.mode, mask.size) == ("RGB", (128, 128), "L", (128, 128))
            assert bool(np.asarray(mask).any()) == (grade != "none")


def test_names_do_not_reveal_the_grade(tmp_path: Path) -> None:
    samples = write_samples(tmp_path, count=12, seed=1, width=64, height=64)
    assert not any(grade in name for name in samples.names for grade in ("none", "mild", "severe"))
    assert list(samples.grades) != [("none", "mild", "severe")[i % 3] for i in range(12)]


def test_the_same_seed_gives_the_same_set(tmp_path: Path) -> None:
    first = write_samples(tmp_path / "a", count=2, seed=4, width=64, height=64)
    second = write_samples(tmp_path / "b", count=2, seed=4, width=64, height=64)
    assert first.names == second.names
    for name in first.names:
        assert (first.images / name).read_bytes() == (second.images / name).read_bytes()


def test_existing_files_are_refused(tmp_path: Path) -> None:
    samples = write_samples(tmp_path, count=1, seed=4, width=64, height=64)
    with pytest.raises(OutputExistsError, match=f"^{samples.names[0]} exists already$"):
        write_samples(tmp_path, count=1, seed=4, width=64, height=64)
    write_samples(tmp_path, count=1, seed=4, width=64, height=64, overwrite=True)


@pytest.mark.parametrize(
    ("count", "seed", "message"),
    [
        (0, 0, "expected 1 to 10000 samples, got 0"),
        (1, -1, "expected a seed of at least 0, got -1"),
    ],
)
def test_wrong_arguments_are_refused(tmp_path: Path, count: int, seed: int, message: str) -> None:
    with pytest.raises(InputError) as caught:
        write_samples(tmp_path / "out", count=count, seed=seed)
    assert str(caught.value) == message
    assert not (tmp_path / "out").exists()
