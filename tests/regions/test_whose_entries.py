"""Whose a source's entries are: the quick way, by equal paths first, says what looking at all pairs says."""

from __future__ import annotations

import random
from collections.abc import Iterable
from pathlib import Path

import pytest

from effort import lines_run
from medlocker.geometry import Box
from medlocker.regions import MaskFolder, Regions, regions_of
from medlocker.regions._regions import Source

FOLDERS = ("", "p1/", "p2/", "p1/EX/", "EX/p1/")
STEMS = ("view1", "view2", "view1_mask", "mask_view1", "view1_EX")
ENDINGS = (".png", ".jpg", "")


def drawn(rng: random.Random, endings: tuple[str, ...]) -> list[str]:
    names = {rng.choice(FOLDERS) + rng.choice(STEMS) + rng.choice(endings) for _ in range(rng.randint(1, 12))}
    return sorted(names, key=lambda name: rng.random())


def of_all_pairs(source: Source, names: Iterable[str]) -> dict[int, list[str]]:
    ranked: dict[int, list[tuple[int, str]]] = {}
    for name in names:
        for index, rank in source.candidates(name):
            ranked.setdefault(index, []).append((rank, name))
    return {
        index: sorted(name for rank, name in some if rank == min(some)[0]) for index, some in ranked.items()
    }


@pytest.mark.parametrize("kind", ["table", "masks"])
def test_each_entry_is_of_the_images_that_it_fits_best(kind: str) -> None:
    for seed in range(300):
        rng = random.Random(seed)
        images, entries = drawn(rng, ENDINGS), drawn(rng, ENDINGS if kind == "table" else (".png", ".tif"))
        if kind == "table":
            regions = regions_of({name: [Box(1, 1, 2, 2)] for name in entries})
        else:
            regions = Regions(MaskFolder(Path(), entries), 0, 1, bool)
        found = {index: sorted(names) for index, names in regions._owners(images).items()}
        assert found == of_all_pairs(regions.source, images), (images, entries)
        settled = regions.among(images)
        assert settled.missing(images) == regions.missing(images)
        assert settled.unknown(images) == regions.unknown(images)


def test_a_file_name_that_is_the_same_in_every_folder_costs_no_square() -> None:
    def settle(size: int) -> None:
        names = [f"p{k}/view1.png" for k in range(size)]
        regions = regions_of({name: [Box(1, 1, 2, 2)] for name in names}).among(names)
        masks = Regions(MaskFolder(Path(), names), 0, 1, bool).among(names)
        assert regions.missing(names) == masks.missing(names) == ()

    assert lines_run(lambda: settle(2_000)) < 5 * lines_run(lambda: settle(500))  # all pairs: 16 times
