from __future__ import annotations

import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from medlocker.certificates import Owner, open_release
from medlocker.classifiers import Gradients
from medlocker.errors import InputError, ModelError, OutputExistsError, WriteError
from medlocker.formats import encode_image, read_image
from medlocker.images import viewed
from medlocker.labels import class_indices, load_labels
from medlocker.protect import Outcome, Settings
from medlocker.regions import CandidateFinder, Finder, load_regions, load_segmenter
from medlocker.release import run_release
from medlocker.release._journal import FOLDER
from medlocker.testing import LinearClassifier
from onnx_models import make_segmenter
from runs import check_release, fill, images_of, make_run, picture, protect


def test_a_small_data_set(tmp_path: Path, owner: Owner) -> None:
    source = fill(tmp_path / "in", 4)
    (source / "sub" / "deep").mkdir(parents=True)
    (source / "sub" / "00.png").write_bytes(picture(seed=50))
    (source / "sub" / "deep" / "grün 眼.tif").write_bytes(picture("TIFF", seed=51))
    (source / "sub" / "a.jpg").write_bytes(picture("JPEG", seed=52, quality=90))
    (source / "sub" / "a.png").write_bytes(picture(seed=53))
    (source / "b.bmp").write_bytes(picture("BMP", seed=54))
    (source / "c.jpeg").write_bytes(picture("JPEG", seed=55))
    model = LinearClassifier(size=24)
    seen: list[Outcome] = []
    run = make_run(
        source,
        tmp_path / "out",
        owner,
        classifiers=[model],
        settings=Settings(preset="strong", budget=20, seed=3),
    )
    result = run_release(run, progress=seen.append)
    images = check_release(source, tmp_path / "out", owner, tmp_path / "restored")
    wanted = ["00.png", "01.png", "02.png", "03.png", "b.bmp", "c.jpeg", "sub/00.png", "sub/a.jpg"]
    assert sorted(images) == [*wanted, "sub/a.png", "sub/deep/grün 眼.tif"]
    assert sorted(outcome.index for outcome in seen) == list(range(10))
    assert result.exit_code == 0
    # what is reported is what the files on disk say
    fooled = 0
    for item in run.inputs.items:
        original = read_image(item.path.read_bytes(), name="o")
        marked = read_image(images[item.output_name], name="m")
        assert not np.array_equal(original.pixels, marked.pixels)
        before, after = model.logits(np.stack([model.canvas(viewed(i)) for i in (original, marked)]))
        fooled += int(before.argmax() != after.argmax())
    value = result.json
    assert (value["images"], value["marked"], value["clean_correct"]) == (10, 10, 10)
    assert value["fooled"] == fooled > 0
    assert value["notes"] == {}
    assert images["c.jpeg"].startswith(b"\xff\xd8\xff")
    assert (value["skipped"], value["failed"], value["labelled"]) == ([], [], 0)
    assert value["evaluations"] == sum(outcome.evaluations for outcome in seen)
    assert set(value["seconds"]) >= {"total", "model", "search"}
    assert value["peak_rss_mb"] > 10


def test_a_seed_repeats_the_images(tmp_path: Path, owner: Owner) -> None:
    source = fill(tmp_path / "in", 5)
    first = protect(source, tmp_path / "a", owner)
    protect(source, tmp_path / "b", owner, workers=1, batch=3)
    assert images_of(tmp_path / "a") == images_of(tmp_path / "b")
    by_chance = [Settings(preset="strong", budget=6, seed=seed, search="random") for seed in (1, 1, 2)]
    for name, settings in zip("cde", by_chance, strict=True):
        protect(source, tmp_path / name, owner, settings=settings)
    assert images_of(tmp_path / "c") == images_of(tmp_path / "d") != images_of(tmp_path / "e")
    assert first.json["marked"] == 5


def test_regions_stay_as_they_are(tmp_path: Path, owner: Owner) -> None:
    source = fill(tmp_path / "in", 4, size=64)
    lines = [f"{k:02d}.png,lesion,{5 + 9 * k},{12},30,20\n" for k in range(3)]
    (tmp_path / "boxes.csv").write_text("".join(["image,region,x,y,width,height\n", *lines]))
    regions = load_regions(tmp_path / "boxes.csv", margin_px=2).among([f"{k:02d}.png" for k in range(4)])
    result = protect(
        source,
        tmp_path / "out",
        owner,
        regions=regions,
        settings=Settings(preset="strong", budget=40, seed=1),
    )
    assert result.json["marked"] == 4
    images = check_release(source, tmp_path / "out", owner, tmp_path / "restored")
    for k in range(3):
        window = (slice(10, 34), slice(3 + 9 * k, 37 + 9 * k))
        original = read_image((source / f"{k:02d}.png").read_bytes(), name="o").pixels
        marked = read_image(images[f"{k:02d}.png"], name="m").pixels
        np.testing.assert_array_equal(original[window], marked[window])
        assert not np.array_equal(original, marked)


def test_no_room_skips_and_little_room_shrinks(tmp_path: Path, owner: Owner) -> None:
    source = fill(tmp_path / "in", 3, size=64)
    (source / "tiny.png").write_bytes(picture(size=20))
    boxes = "00.png,full,0,0,64,64\n01.png,most,0,0,64,52\n01.png,left,0,0,50,64\n"
    (tmp_path / "boxes.csv").write_text("image,region,x,y,width,height\n" + boxes)
    regions = load_regions(tmp_path / "boxes.csv").among(["00.png", "01.png", "02.png", "tiny.png"])
    seen: dict[str, Outcome] = {}
    run = make_run(source, tmp_path / "out", owner, regions=regions, settings=Settings(preset="paper"))
    result = run_release(run, progress=lambda outcome: seen.update({outcome.name: outcome}))
    assert result.exit_code == 0
    assert result.json["skipped"] == [
        {
            "image": "00.png",
            "reason": "64 x 64 pixels leave no room for the logo beside 1 regions, "
            "down to 0.125 of the shorter side",
            "code": "no-room",
        },
        {
            "image": "tiny.png",
            "reason": "20 x 20 pixels leave no room for the logo, down to 0.125 of the shorter side",
            "code": "no-room",
        },
    ]
    assert result.json["shrunk"] == 1
    assert seen["01.png"].shrunk
    assert 8 <= seen["01.png"].size_px <= 12 < seen["02.png"].size_px == 16
    assert sorted(check_release(source, tmp_path / "out", owner, tmp_path / "r")) == ["01.png", "02.png"]


def test_one_broken_image_in_many(tmp_path: Path, owner: Owner) -> None:
    source = fill(tmp_path / "in", 4)
    (source / "01a.png").write_bytes(picture()[:300])
    (source / "01b.png").write_bytes(b"")
    result = protect(source, tmp_path / "out", owner)
    assert result.exit_code == 1
    assert result.json["failed"] == [
        {
            "image": "01a.png",
            "reason": "01a.png: expected a whole PNG image, got a cut one",
            "code": "unsupported-image",
        },
        {
            "image": "01b.png",
            "reason": "01b.png: expected a PNG, TIFF, BMP, JPEG, DICOM or NIfTI image, got an empty file",
            "code": "unsupported-image",
        },
    ]
    assert len(check_release(source, tmp_path / "out", owner, tmp_path / "r")) == 4
    statement = open_release(tmp_path / "out", owner.signing.public).statement
    assert statement.counts == {"inputs": 6, "skipped": 0, "failed": 2}


def test_nothing_but_broken_images(tmp_path: Path, owner: Owner) -> None:
    source = tmp_path / "in"
    source.mkdir()
    (source / "a.png").write_bytes(b"no picture")
    result = protect(source, tmp_path / "out", owner)
    assert (result.exit_code, result.json["marked"]) == (1, 0)
    assert not (tmp_path / "out").exists()
    (source / "a.png").write_bytes(picture())
    assert protect(source, tmp_path / "out", owner).json["marked"] == 1


def test_labels_count_and_may_be_missing(tmp_path: Path, owner: Owner) -> None:
    source = fill(tmp_path / "in", 6)
    model = LinearClassifier(size=24)
    answers = {
        path.name: int(
            model.logits(model.canvas(viewed(read_image(path.read_bytes(), name="o")))[None]).argmax()
        )
        for path in sorted(source.iterdir())
    }
    rows = {name: k if i % 2 else (k + 1) % 3 for i, (name, k) in enumerate(answers.items()) if i < 4}
    (tmp_path / "l.csv").write_text("image,grade\n" + "".join(f"{n},class{k}\n" for n, k in rows.items()))
    labels = load_labels(tmp_path / "l.csv")
    classes = (class_indices(labels, model.classes).indices,)
    result = protect(source, tmp_path / "out", owner, classifiers=[model], labels=labels, classes=classes)
    assert (result.json["labelled"], result.json["clean_correct"]) == (
        4,
        4,
    )  # two of four, and two unlabelled
    assert result.json["fooled"] <= 4


def test_several_models_count_each(tmp_path: Path, owner: Owner) -> None:
    source = fill(tmp_path / "in", 3)
    models = [LinearClassifier(size=24), LinearClassifier(size=16, seed=5, channels=1, gradients=False)]
    result = protect(
        source,
        tmp_path / "out",
        owner,
        classifiers=models,
        settings=Settings(preset="strong", budget=30, seed=1),
    )
    assert [one["name"] for one in result.json["models"]] == ["linear0", "linear5"]
    assert [one["clean_correct"] for one in result.json["models"]] == [3, 3]
    check_release(source, tmp_path / "out", owner, tmp_path / "r")


class _Picky(LinearClassifier):
    """Fails on batches that hold a white picture."""

    def logits(self, canvases: Any) -> Any:
        if (canvases.mean(axis=(1, 2, 3)) > 250).any():
            raise ModelError("picky: it fails on white")
        return super().logits(canvases)

    def gradients(self, canvases: Any, labels: Any) -> Gradients:
        self.logits(canvases)
        return super().gradients(canvases, labels)


def test_a_model_that_fails_on_one_image_costs_only_that_one(tmp_path: Path, owner: Owner) -> None:
    source = fill(tmp_path / "in", 5)
    white = np.full((48, 48, 3), 255, np.uint8)
    from PIL import Image as Pillow

    Pillow.fromarray(white).save(source / "02b.png")
    result = protect(source, tmp_path / "out", owner, classifiers=[_Picky(size=24)])
    assert result.json["failed"] == [
        {"image": "02b.png", "reason": "picky: it fails on white", "code": "model"}
    ]
    assert len(check_release(source, tmp_path / "out", owner, tmp_path / "r")) == 5


# ------------------------------------------------------------------------- a writer that does not keep pixels


def test_a_writer_that_changes_pixels_is_noticed(
    tmp_path: Path, owner: Owner, monkeypatch: pytest.MonkeyPatch
) -> None:
    from medlocker.formats import _losslessstills

    honest = encode_image

    def broken(image: Any, pixels: Any) -> bytes:
        changed = pixels.copy()
        changed[0, 0] ^= 1
        return honest(image, changed)

    monkeypatch.setattr(_losslessstills, "encode_image", broken)
    source = fill(tmp_path / "in", 2)
    result = protect(source, tmp_path / "out", owner)
    assert [one["reason"] for one in result.json["failed"]] == [
        "this kind of file did not keep the marked pixels"
    ] * 2
    assert images_of(tmp_path / "out") == {}


def test_fooling_is_judged_on_the_file(tmp_path: Path, owner: Owner, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that reads back as the original fools nobody, whatever the search believed."""
    from medlocker.formats import MarkedFile
    from medlocker.protect import _attempt

    source = fill(tmp_path / "in", 2)
    assert (
        protect(source, tmp_path / "a", owner, settings=Settings(preset="strong", budget=30, seed=1)).json[
            "fooled"
        ]
        > 0
    )
    unchanged = lambda image, marks, **_: MarkedFile(image.source, b"", "pixels-v1", None)  # noqa: E731
    monkeypatch.setattr(_attempt, "mark_file", unchanged)
    result = protect(source, tmp_path / "b", owner, settings=Settings(preset="strong", budget=30, seed=1))
    assert (result.json["marked"], result.json["fooled"]) == (2, 0)


# ------------------------------------------------------------------------------------- where outputs may go


def test_outputs_that_are_refused(tmp_path: Path, owner: Owner) -> None:
    source = fill(tmp_path / "in", 1)
    (tmp_path / "file").write_text("x")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "note.txt").write_text("x")
    (tmp_path / "link").symlink_to(source)
    expected = {
        source: "the output in lies inside the input folder",
        source / "out": "the output out lies inside the input folder",
        tmp_path / "link" / "out": "the output out lies inside the input folder",
        tmp_path / "in" / ".." / "in" / "x": "the output x lies inside the input folder",
        tmp_path: f"an input lies inside the output {tmp_path.name}",
        tmp_path / "file": "the output file is a file",
        tmp_path / "full": "the output folder full is not empty",
    }
    for out, message in expected.items():
        with pytest.raises(OutputExistsError) as caught:
            protect(source, out, owner)
        assert str(caught.value) == message
    assert sorted(path.name for path in source.rglob("*")) == ["00.png"]
    assert [path.name for path in (tmp_path / "full").iterdir()] == ["note.txt"]


def test_a_finished_release_is_never_changed(tmp_path: Path, owner: Owner) -> None:
    source = fill(tmp_path / "in", 1)
    out = tmp_path / "out"
    protect(source, out, owner)
    before = {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}
    for leftover in (False, True):
        if leftover:  # killed while the journal was being removed
            (out / FOLDER).mkdir()
            (out / FOLDER / "journal.blobs").write_text("{}\n")
        with pytest.raises(OutputExistsError, match=r"^out is a finished release$"):
            protect(source, out, owner)
        assert {path: path.read_bytes() for path in out.rglob("*") if path.is_file()} == before
    check_release(source, out, owner, tmp_path / "r")


def test_a_single_file_may_lie_beside_its_output(tmp_path: Path, owner: Owner) -> None:
    source = fill(tmp_path / "in", 2)
    protect(source / "00.png", source / "out", owner)
    assert list(check_release(source / "00.png", source / "out", owner, tmp_path / "r")) == ["00.png"]
    (source / "list.txt").write_text("00.png\n01.png\n")
    protect(source / "list.txt", source / "out2", owner)
    assert sorted(images_of(source / "out2")) == ["00.png", "01.png"]


# ----------------------------------------------------------------------------------------- when writing fails


def failing_replace(monkeypatch: pytest.MonkeyPatch, after: int) -> Callable[[], None]:
    """Let os.replace into images/ fail like a full disk after some calls; returns what ends it."""
    real, lock, calls = os.replace, threading.Lock(), [0]

    def replace(first: Any, second: Any, **options: Any) -> None:
        with lock:
            if "images" in Path(second).parts and not Path(second).name.startswith(".medlocker-tmp"):
                calls[0] += 1
                if calls[0] > after:
                    raise OSError(28, "No space left on device")
        real(first, second, **options)

    monkeypatch.setattr(os, "replace", replace)
    return lambda: monkeypatch.setattr(os, "replace", real)


def test_a_full_disk_ends_the_run_and_it_can_be_resumed(
    tmp_path: Path, owner: Owner, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = fill(tmp_path / "in", 6)
    protect(source, tmp_path / "whole", owner)
    heal = failing_replace(monkeypatch, after=2)
    with pytest.raises(WriteError, match=r"^cannot write 0\d\.png: no space left on device$"):
        protect(source, tmp_path / "out", owner)
    out = tmp_path / "out"
    assert not (out / "certificate" / "statement.dsse.json").exists()
    assert not list(out.rglob(".medlocker-tmp*"))
    heal()
    result = protect(source, out, owner)
    assert result.json["marked"] == 6
    assert check_release(source, out, owner, tmp_path / "r") == images_of(tmp_path / "whole")


def test_another_run_is_not_continued(tmp_path: Path, owner: Owner, monkeypatch: pytest.MonkeyPatch) -> None:
    source, out = fill(tmp_path / "in", 3), tmp_path / "out"
    (tmp_path / "l.csv").write_text("image,a,b\n00.png,0,1\n01.png,0,1\n")
    (tmp_path / "boxes.csv").write_text("image,region,x,y,width,height\n00.png,a,0,0,5,5\n")
    heal = failing_replace(monkeypatch, after=1)
    with pytest.raises(WriteError):
        protect(source, out, owner)
    heal()
    labels = load_labels(tmp_path / "l.csv", column="a")
    regions = load_regions(tmp_path / "boxes.csv")
    numbers = ({"0": 0, "1": 1},)
    changes: list[dict[str, Any]] = [
        {"settings": Settings(preset="strong", budget=7, seed=1)},
        {"settings": Settings(preset="strong", budget=6, seed=2)},
        {"classifiers": [LinearClassifier(size=24, seed=1)]},
        {"labels": labels, "classes": numbers},
        {"regions": regions},
    ]
    for change in changes:
        with pytest.raises(InputError) as caught:
            protect(source, out, owner, **change)
        assert str(caught.value) == "out holds an unfinished run with other inputs or options"
        assert caught.value.hint == "repeat the first command exactly to finish it, or choose another --out"
    fill(source, 1, first=7)
    with pytest.raises(InputError, match=r"^out holds an unfinished run with other inputs or options$"):
        protect(source, out, owner)
    (source / "07.png").unlink()
    protect(source, out, owner)
    check_release(source, out, owner, tmp_path / "r")


def test_labels_and_regions_belong_to_the_run(tmp_path: Path, owner: Owner) -> None:
    source = fill(tmp_path / "in", 1)
    (tmp_path / "l.csv").write_text("image,a,b\n00.png,0,1\n")
    (tmp_path / "boxes.csv").write_text("image,region,x,y,width,height\n00.png,a,0,0,5,5\n")
    a, b = (load_labels(tmp_path / "l.csv", column=column) for column in "ab")
    narrow, wide = (load_regions(tmp_path / "boxes.csv", margin_px=margin) for margin in (0, 3))
    sources = (tmp_path / "l.csv", tmp_path / "boxes.csv")
    runs = [
        make_run(source, tmp_path / "out", owner, labels=labels, regions=regions, sources=sources)
        for labels, regions in ((a, narrow), (b, narrow), (a, wide))
    ]
    assert len({run.fingerprint() for run in runs}) == 3
    same = make_run(
        source, tmp_path / "out", owner, labels=a, regions=narrow, sources=sources, workers=7, batch=2
    )
    assert same.fingerprint() == runs[0].fingerprint()


def test_what_finds_regions_belongs_to_the_run(tmp_path: Path, owner: Owner) -> None:
    source = fill(tmp_path / "in", 1)
    weights = make_segmenter(tmp_path / "a.onnx"), make_segmenter(tmp_path / "b.onnx", bias=-20.0)
    finders: list[Finder | None] = [load_segmenter(path) for path in weights]
    finders.append(load_segmenter(make_segmenter(tmp_path / "a.onnx", card={"margin_px": 3})))
    finders += [CandidateFinder("fundus"), CandidateFinder("auto"), None]
    runs = [make_run(source, tmp_path / "out", owner, finder=finder) for finder in finders]
    assert len({run.fingerprint() for run in runs}) == len(finders)
    again = make_run(source, tmp_path / "out", owner, finder=load_segmenter(weights[1]))
    assert again.fingerprint() == runs[1].fingerprint()


def test_two_runs_do_not_share_an_output(tmp_path: Path, owner: Owner) -> None:
    source, out = fill(tmp_path / "in", 2), tmp_path / "out"

    def intrude(outcome: Outcome) -> None:
        with pytest.raises(InputError, match=r"^another run is writing to out$"):
            protect(source, out, owner)

    run_release(make_run(source, out, owner), progress=intrude)
    check_release(source, out, owner, tmp_path / "r")


def test_an_output_inside_another_release_is_refused(tmp_path: Path, owner: Owner) -> None:
    protect(fill(tmp_path / "in", 1), tmp_path / "first", owner)
    inside = tmp_path / "first" / "images" / "second"
    with pytest.raises(OutputExistsError, match="lies inside the release first, which must not change"):
        protect(tmp_path / "in", inside, owner)
    assert not inside.exists()
