"""A folder of synthetic photographs with labels and masks, as a user's data set would look."""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image as PillowImage

from medlocker.demo.lesions import GRADES
from medlocker.demo.paint import synthesise
from medlocker.errors import InputError
from medlocker.files import make_folder, write_atomic

MAX_SAMPLES = 10_000
_NAME_RANGE = 1 << 12


@dataclass(frozen=True)
class SampleSet:
    """Where the samples lie.

    Args:
        images: Folder of PNG photographs.
        masks: Folder of PNG masks of the same names, 255 on lesions, else 0; without lesions all 0.
        labels: CSV ``image,grade``.
        names: File names in order.
        grades: The grade of each.
    """

    images: Path
    masks: Path
    labels: Path
    names: tuple[str, ...]
    grades: tuple[str, ...]


def write_samples(
    folder: Path,
    *,
    count: int,
    seed: int = 0,
    width: int = 512,
    height: int = 512,
    overwrite: bool = False,
) -> SampleSet:
    """Write ``images/NNN_xxx.png``, ``masks/NNN_xxx.png`` and ``labels.csv``.

    Grades are equally frequent, in random order; neither names nor order reveal them.

    Args:
        folder: Made if missing.
        count: 1 to 10,000 images.
        seed: The same seed gives the same set on one machine.
        width: Of the images, pixels.
        height: Of the images, pixels.

    Raises:
        InputError: If an argument is out of range.
        OutputExistsError: If a file exists and ``overwrite`` is false.
        WriteError: If the system refuses.
    """
    if not 1 <= count <= MAX_SAMPLES:
        raise InputError(f"expected 1 to {MAX_SAMPLES} samples, got {count}")
    if seed < 0:
        raise InputError(f"expected a seed of at least 0, got {seed}")
    rng = np.random.default_rng([seed, 99])
    digits = max(len(str(count)), 3)
    suffixes = rng.integers(0, _NAME_RANGE, count)
    names = tuple(f"{i + 1:0{digits}d}_{suffix:03x}.png" for i, suffix in enumerate(suffixes))
    grades = tuple(GRADES[int(k)] for k in rng.permutation(np.arange(count) % len(GRADES)))
    seeds = rng.integers(0, 1 << 62, count)
    result = SampleSet(folder / "images", folder / "masks", folder / "labels.csv", names, grades)
    make_folder(result.images)
    make_folder(result.masks)
    for name, grade, one_seed in zip(names, grades, seeds, strict=True):
        sample = synthesise(int(one_seed), grade=grade, width=width, height=height)
        write_atomic(result.images / name, _png(sample.image), overwrite=overwrite)
        write_atomic(result.masks / name, _png(sample.mask), overwrite=overwrite)
    rows = [f"{name},{grade}\n" for name, grade in zip(names, grades, strict=True)]
    write_atomic(result.labels, "".join(["image,grade\n", *rows]).encode("ascii"), overwrite=overwrite)
    return result


def _png(pixels: NDArray[np.uint8]) -> bytes:
    stream = io.BytesIO()
    PillowImage.fromarray(pixels).save(stream, "PNG", compress_level=3)
    return stream.getvalue()
