from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from train_samples import BACKBONE, OPTIONS, Photographs, photograph

from medlocker.classifiers import OnnxClassifier, has_gradients, load_classifier
from medlocker.classifiers.pytorch import TorchClassifier
from medlocker.errors import InputError, ModelError, OutputExistsError
from medlocker.formats import read_image
from medlocker.images import viewed
from medlocker.labels import Labels, load_labels
from medlocker.train import TrainObserver, TrainOptions, TrainResult, measure, train_classifier

FILES = [
    "confusion-matrix.png",
    "learning-curve.png",
    "model.card.json",
    "model.onnx",
    "model.safetensors",
    "training.json",
]


def train(photographs: Photographs, out: Path, **changes: Any) -> TrainResult:
    arguments: dict[str, Any] = {
        "backbone": BACKBONE,
        "weights": "none",
        "options": replace(OPTIONS, epochs=1),
    }
    return train_classifier(
        photographs.folder, load_labels(photographs.labels), out=out, **(arguments | changes)
    )


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_writes_one_folder_with_everything(surrogate: TrainResult) -> None:
    assert sorted(path.name for path in surrogate.out.iterdir()) == FILES
    assert [path.name for path in surrogate.out.parent.iterdir()] == [surrogate.out.name]
    for name in ("learning-curve.png", "confusion-matrix.png"):
        with Image.open(surrogate.out / name) as picture:
            assert min(picture.size) > 200


def test_one_card_serves_both_files(surrogate: TrainResult) -> None:
    card = json.loads((surrogate.out / "model.card.json").read_text())
    assert card["input"]["height"] == card["input"]["width"] == 64
    assert card["input"]["resize"] == "stretch"
    assert (card["classes"], card["output"], card["architecture"]) == (["no", "yes"], "logits", BACKBONE)
    assert card["sha256"] == digest(surrogate.out / "model.onnx")
    assert card["weights_sha256"] == digest(surrogate.out / "model.safetensors")
    assert card["metrics"]["validation"]["n"] == 8


def test_onnx_and_torch_answer_alike(
    surrogate: TrainResult, photographs: Photographs, monkeypatch: pytest.MonkeyPatch
) -> None:
    both = load_classifier(surrogate.out)
    assert has_gradients(both)
    by_torch = load_classifier(surrogate.out / "model.safetensors")
    monkeypatch.setattr("medlocker.classifiers._load._has_torch", lambda: False)
    by_onnx = load_classifier(surrogate.out)
    assert isinstance(by_torch, TorchClassifier)
    assert isinstance(by_onnx, OnnxClassifier)
    assert both.name == by_onnx.name == surrogate.out.name
    assert by_torch.classes == by_onnx.classes == ("no", "yes")
    path = photographs.folder / "p05.png"
    canvas = by_torch.canvas(viewed(read_image(path.read_bytes(), name=path.name)))
    for count in (1, 3):  # the batch is free
        images = np.repeat(canvas[None], count, axis=0)
        np.testing.assert_allclose(by_torch.logits(images), by_onnx.logits(images), atol=1e-3)
    assert surrogate.written.onnx_difference < 1e-3


def test_validation_images_are_seen_as_a_user_of_the_model_sees_them(
    surrogate: TrainResult, photographs: Photographs
) -> None:
    report = json.loads((surrogate.out / "training.json").read_text())
    model, labels = load_classifier(surrogate.out), load_labels(photographs.labels)
    names = report["split"]["validation"]
    colors = [viewed(read_image((photographs.folder / n).read_bytes(), name=n)) for n in names]
    logits = model.logits(np.stack([model.canvas(c) for c in colors]))
    truth = np.array([model.classes.index(labels.rows[n]) for n in names])
    again = measure(logits, truth)
    assert again.confusion.tolist() == report["validation"]["confusion"]
    assert again.loss == pytest.approx(surrogate.metrics.loss, rel=1e-3)


def test_reports_split_history_and_options(surrogate: TrainResult) -> None:
    report = json.loads((surrogate.out / "training.json").read_text())
    train_names, validation = set(report["split"]["train"]), set(report["split"]["validation"])
    excluded = {"p00.png", "p01.png", "more/p39.png"}
    assert set(report["split"]["excluded"]) == excluded
    assert report["excluded_unknown"] == ["stranger.png"]
    assert (len(train_names), len(validation)) == (29, 8)
    assert not train_names & validation
    assert not (train_names | validation) & excluded
    assert [row["epoch"] for row in report["history"]] == [1, 2]
    assert report["options"]["seed"] == 3
    assert report["criterion"] == surrogate.criterion == "balanced_accuracy"


@pytest.mark.usefixtures("no_export")
def test_the_same_seed_gives_the_same_history(photographs: Photographs, tmp_path: Path) -> None:
    losses = [
        train(photographs, tmp_path / name, options=replace(OPTIONS, epochs=1, seed=seed)).history[0][
            "train_loss"
        ]
        for name, seed in (("a", 5), ("b", 5), ("c", 6))
    ]
    assert losses[0] == pytest.approx(losses[1], rel=1e-4)
    assert losses[0] != pytest.approx(losses[2], rel=1e-4)


class Watch(TrainObserver):
    def __init__(self) -> None:
        self.skipped: list[tuple[str, str]] = []
        self.views = 0

    def unreadable(self, name: str, reason: str) -> None:
        self.skipped.append((name, reason))

    def trained(self, count: int) -> None:
        self.views += count


@pytest.mark.usefixtures("no_export")
def test_skips_and_names_unreadable_images_and_counts_strangers(tmp_path: Path) -> None:
    folder = tmp_path / "images"
    folder.mkdir()
    for i in range(8):
        Image.fromarray(photograph(i, ill=i % 2 == 1)).save(folder / f"p{i}.png")
    (folder / "p8.png").write_bytes(b"\x89PNG\r\n\x1a\n broken")
    (folder / "unlabelled.png").write_bytes(b"never read")
    (folder / "notes.txt").write_text("not an image")
    rows = {f"p{i}.png": str(i % 2) for i in range(9)} | {"gone.png": "1"}
    watch = Watch()
    result = train_classifier(
        folder,
        Labels("labels.csv", "ill", rows, ""),
        backbone=BACKBONE,
        out=tmp_path / "out",
        weights="none",
        options=replace(OPTIONS, epochs=1, size=32),
        observer=watch,
    )
    assert result.unreadable == ("p8.png",)
    assert [name for name, _ in watch.skipped] == ["p8.png"]
    assert (result.found.unlabelled, result.found.unknown) == (("unlabelled.png",), ("gone.png",))
    assert result.train_images + result.metrics.n == 8
    assert watch.views == result.train_images
    assert result.to_json()["unreadable"] == ["p8.png"]


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ({f"p{i:02}": "0" for i in range(9)}, "labels l.csv: expected at least two classes, got only 0"),
        (
            {"p00": "0", "p01": "1", "p02": "1"},
            "labels l.csv: expected at least two images of every class, got 1 of '0'",
        ),
        ({"other": "0"}, "labels l.csv: none of the 40 images in images can be used"),
    ],
)
def test_refuses_labels_that_teach_nothing(
    photographs: Photographs, tmp_path: Path, rows: dict[str, str], message: str
) -> None:
    with pytest.raises(InputError) as caught:
        train_classifier(
            photographs.folder,
            Labels("l.csv", "c", rows, ""),
            backbone=BACKBONE,
            out=tmp_path / "out",
            weights="none",
        )
    assert str(caught.value) == message
    assert list(tmp_path.iterdir()) == []


def test_refuses_an_output_that_exists(photographs: Photographs, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "thesis.txt").write_text("years of work")
    with pytest.raises(OutputExistsError, match=r"^out exists already$"):
        train(photographs, out)
    with pytest.raises(OutputExistsError, match=r"^out exists and is not a folder made by `train"):
        train(photographs, out, overwrite=True)
    assert (out / "thesis.txt").read_text() == "years of work"


@pytest.mark.usefixtures("no_export")
def test_overwrites_an_older_surrogate_only_when_done(
    photographs: Photographs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "model.card.json").write_text("old")

    def explode(*_: Any, **__: Any) -> None:
        raise ModelError("no")

    with monkeypatch.context() as patched:
        patched.setattr("medlocker.train._classifier.write_model", explode)
        with pytest.raises(ModelError):
            train(photographs, out, overwrite=True)
    assert (out / "model.card.json").read_text() == "old"
    assert list(tmp_path.iterdir()) == [out]
    train(photographs, out, overwrite=True)
    assert "training.json" in [path.name for path in out.iterdir()]
    assert not (out / "model.card.json").exists()
    assert list(tmp_path.iterdir()) == [out]


def test_refuses_an_output_among_the_images(photographs: Photographs) -> None:
    with pytest.raises(InputError, match=r"^output out: expected a folder outside of the images$"):
        train(photographs, photographs.folder / "out")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"epochs": 0}, "epochs: expected at least 1, got 0"),
        ({"batch_size": 1}, "batch size: expected at least 2, got 1"),
        ({"lr": 0.0}, "learning rate: expected above 0 and at most 1, got 0.0"),
        ({"lr": float("nan")}, "learning rate: expected above 0 and at most 1, got nan"),
        ({"validation": 1.0}, "validation: expected a share above 0 and at most 0.9, got 1.0"),
        ({"size": 8}, "size: expected from 32 to 1024, got 8"),
        ({"limit": 1}, "limit: expected at least 4, got 1"),
    ],
)
def test_refuses_options(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError) as caught:
        TrainOptions(**changes)
    assert str(caught.value) == message


def test_refuses_an_unknown_device(photographs: Photographs, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"^device: expected auto, cpu or one that torch has, got 'abacus'$"):
        train(photographs, tmp_path / "out", options=TrainOptions(device="abacus"))


def test_says_when_the_loss_is_nan(photographs: Photographs, tmp_path: Path) -> None:
    options = replace(OPTIONS, epochs=1)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("medlocker.train.loop._class_weights", _nan_weights)
        with pytest.raises(ModelError, match=r"^the training loss became NaN or infinite$"):
            train(photographs, tmp_path / "out", options=options)


def _nan_weights(*_: Any) -> Any:
    import torch

    return torch.full((2,), torch.nan)
