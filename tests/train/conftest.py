"""Forty photographs on disk, and a surrogate trained on them once."""

from __future__ import annotations

import pytest
from PIL import Image
from train_samples import BACKBONE, OPTIONS, Photographs, photograph

from medlocker.labels import load_labels
from medlocker.train import TrainResult, train_classifier
from medlocker.train.export import Written


@pytest.fixture(scope="session")
def photographs(tmp_path_factory: pytest.TempPathFactory) -> Photographs:
    root = tmp_path_factory.mktemp("photographs")
    folder = root / "images"
    (folder / "more").mkdir(parents=True)
    rows = ["image,ill"]
    for i in range(40):
        name = f"more/p{i:02}.png" if i >= 30 else f"p{i:02}.png"
        Image.fromarray(photograph(i, ill=i % 2 == 1)).save(folder / name)
        rows.append(f"{name},{'yes' if i % 2 else 'no'}")
    labels = root / "labels.csv"
    labels.write_text("\n".join(rows) + "\n")
    return Photographs(folder, labels)


@pytest.fixture(scope="session")
def surrogate(photographs: Photographs, tmp_path_factory: pytest.TempPathFactory) -> TrainResult:
    out = tmp_path_factory.mktemp("trained") / "surrogate"
    held_out = ["p00.png", "p01", "more/p39.jpg", "stranger.png"]
    return train_classifier(
        photographs.folder,
        load_labels(photographs.labels),
        backbone=BACKBONE,
        out=out,
        weights="none",
        exclude=held_out,
        options=OPTIONS,
    )


@pytest.fixture
def no_export(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave out writing the model, which takes torch several seconds."""
    monkeypatch.setattr("medlocker.train._classifier.write_model", lambda *_, **__: Written("", "", 0.0))
