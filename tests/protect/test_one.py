from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from medlocker.errors import InputError, WriteError
from medlocker.files import TEMPORARY_PREFIX
from medlocker.formats import read_image
from medlocker.logo import builtin_logo
from medlocker.mark import Mark
from medlocker.marking import unmark_pixels
from medlocker.protect import Harden, Job, Marked, Outcome, Protector, Settings
from medlocker.search import BatchScheduler, RandomSearch, Search
from medlocker.testing import LinearClassifier
from pictures import make_image
from runs import picture


class Bench:
    """Protects single images and keeps what would be sealed."""

    def __init__(self, folder: Path, *, search: Search | None = None, **options: Any) -> None:
        self.folder = folder
        self.sealed: list[tuple[Marked, Outcome, bytes]] = []
        self.models = [LinearClassifier(size=24)]
        self.settings = options.pop("settings", Settings(preset="strong", budget=10))
        self.protector = Protector(
            classifiers=self.models,
            logo=builtin_logo(),
            settings=self.settings,
            search=search or RandomSearch(budget=self.settings.budget, margin=self.settings.wanted_margin),
            regions=None,
            randomness=lambda purpose, digest: (purpose + digest).encode()[:32],
            admit=options.pop("admit", lambda digest: None),
            commit=options.pop("commit", self.commit),
        )

    def commit(self, marked: Marked, outcome: Outcome) -> None:
        self.sealed.append((marked, outcome, marked.temporary.read_bytes()))
        marked.temporary.unlink()

    def protect(self, data: bytes | None, *, name: str = "a.png", labels: tuple[int, ...] = ()) -> Outcome:
        source = self.folder / "source"
        if data is not None:
            source.write_bytes(data)
        job = Job(0, name, source, name, self.folder / "out" / name, labels)
        ((_, outcome),) = BatchScheduler(self.models).run([self.protector.task(job)])
        left = [path.name for path in self.folder.rglob("*") if path.name.startswith(TEMPORARY_PREFIX)]
        assert left == []
        return outcome


def test_what_is_sealed_takes_the_mark_off(tmp_path: Path) -> None:
    bench = Bench(tmp_path, settings=Settings(preset="strong", budget=10, keep_original=True))
    data = picture(seed=4)
    outcome = bench.protect(data)
    ((marked, told, file),) = bench.sealed
    assert told == outcome
    assert (outcome.status, outcome.clean_correct, outcome.labelled) == ("marked", (True,), False)
    again = read_image(file, name="m")
    original = read_image(data, name="o")
    pixels = unmark_pixels(again, marked.marks, logo=builtin_logo(), residual=marked.residual)
    np.testing.assert_array_equal(pixels, original.pixels)
    assert marked.original == data
    assert not np.array_equal(again.pixels, original.pixels)


def test_evaluations_are_counted(tmp_path: Path) -> None:
    bench = Bench(tmp_path, settings=Settings(preset="strong", budget=10, margin=50))
    outcome = bench.protect(picture(seed=4))
    # the original, 9 of the budget of 10 (1 and twice 4), and the judgement of the file
    assert outcome.evaluations == 1 + 9 + 1 or outcome.evaluations == 1 + 10 + 1


def test_hardened_marks_are_keyed_by_their_image(tmp_path: Path) -> None:
    bench = Bench(
        tmp_path,
        settings=Settings(preset="strong", budget=4, harden=Harden(warp=0.02, texture=20, opaque=0.1)),
    )
    keys = set()
    for seed in (1, 2):
        data = picture(seed=seed)
        assert bench.protect(data).status == "marked"
        marked, _, file = bench.sealed[-1]
        (mark,) = marked.marks
        assert isinstance(mark, Mark)
        keys.add(mark.key)
        assert (mark.texture, mark.opaque_permille) == (20, 100)
        again = read_image(file, name="m")
        pixels = unmark_pixels(again, marked.marks, logo=builtin_logo(), residual=marked.residual)
        np.testing.assert_array_equal(pixels, read_image(data, name="o").pixels)
    assert len(keys) == 2


@pytest.mark.parametrize(
    ("data", "name", "status", "reason"),
    [
        (
            b"",
            "a.png",
            "failed",
            "a.png: expected a PNG, TIFF, BMP, JPEG, DICOM or NIfTI image, got an empty file",
        ),
        (None, "a.png", "failed", "image source: no such file or directory"),
        (
            picture(size=20),
            "a.png",
            "skipped",
            "20 x 20 pixels leave no room for the logo, down to 0.125 of the shorter side",
        ),
        (picture(), "../a.png", "failed", "image: expected a plain relative name, got '../a.png'"),
        (picture(), "\udcff.png", "failed", r"image: expected a name of printable Unicode, got '\udcff.png'"),
        (picture(), "\x85.png", "failed", r"image: expected a name of printable Unicode, got '\x85.png'"),
    ],
)
def test_what_goes_wrong_with_one_image_is_its_outcome(
    tmp_path: Path, data: bytes | None, name: str, status: str, reason: str
) -> None:
    bench = Bench(tmp_path)
    outcome = bench.protect(data, name=name)
    assert (outcome.status, outcome.reason) == (status, reason)
    assert bench.sealed == []


def test_an_original_that_is_not_admitted(tmp_path: Path) -> None:
    def admit(digest: str) -> None:
        raise InputError("seen before")

    assert Bench(tmp_path, admit=admit).protect(picture()).reason == "seen before"


def test_too_little_memory_fails_one_image(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from medlocker.protect import _attempt

    def greedy(*_: Any, **__: Any) -> Any:
        raise MemoryError

    monkeypatch.setattr(_attempt, "mark_file", greedy)
    outcome = Bench(tmp_path).protect(picture())
    assert (outcome.status, outcome.reason) == ("failed", "not enough memory")


def test_a_full_disk_ends_everything_and_leaves_nothing(tmp_path: Path) -> None:
    def full(marked: Marked, outcome: Outcome) -> None:
        raise WriteError("cannot write: no space left on device")

    with pytest.raises(WriteError, match=r"^cannot write: no space left on device$"):
        Bench(tmp_path, commit=full).protect(picture())
    assert not [path for path in tmp_path.rglob("*") if path.name.startswith(TEMPORARY_PREFIX)]


def test_a_changed_region_is_noticed(tmp_path: Path) -> None:
    from medlocker.geometry import Box
    from medlocker.protect._attempt import check_regions

    image = make_image("rgb")
    changed = image.pixels.copy()
    changed[10, 12, 0] ^= 1
    loaded: Any = type("L", (), {"image": image, "boxes": (Box(12, 10, 1, 1),)})()
    again = make_image("rgb")
    again.pixels[...] = changed
    with pytest.raises(InputError, match=r"^this kind of file did not keep the pixels of a region$"):
        check_regions(loaded, again)
    loaded.boxes = (Box(13, 10, 1, 1), Box(11, 10, 1, 1))
    check_regions(loaded, again)
