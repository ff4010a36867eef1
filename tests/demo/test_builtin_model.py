from __future__ import annotations

import hashlib

import numpy as np
import onnx
import onnxruntime

from medlocker.classifiers import card_path, load_card, load_onnx
from medlocker.demo import GRADES, builtin_model, synthesise


def test_the_card_belongs_to_the_model() -> None:
    card = load_card(card_path(builtin_model()))
    assert card.sha256 == hashlib.sha256(builtin_model().read_bytes()).hexdigest()
    assert card.classes == GRADES
    assert card.output == "logits"
    assert card.input.resize == "stretch"
    assert "synthetic" in card.extra["notes"]
    assert "not a diagnostic device" in card.extra["notes"]
    assert card.extra["measured"]["held_out_accuracy"] >= 0.85


def test_the_model_is_small_and_sound() -> None:
    assert builtin_model().stat().st_size < 1_000_000
    onnx.checker.check_model(onnx.load(str(builtin_model())))


def test_onnxruntime_runs_any_batch() -> None:
    session = onnxruntime.InferenceSession(str(builtin_model()), providers=["CPUExecutionProvider"])
    for count in (1, 5):
        (logits,) = session.run(None, {"image": np.zeros((count, 3, 160, 160), np.float32)})
        assert logits.shape == (count, 3)
        assert np.isfinite(logits).all()


def test_it_grades_fresh_images() -> None:
    model = load_onnx(builtin_model())
    assert model.notes == ()
    seeds = range(9_000_000, 9_000_030)
    canvases = [model.canvas(synthesise(seed, grade=GRADES[seed % 3]).image) for seed in seeds]
    answers = model.logits(np.stack(canvases)).argmax(axis=1)
    assert np.mean(answers == np.array([seed % 3 for seed in seeds])) > 0.8
