"""A model that this project did not make: SqueezeNet as shipped inside the onnx package for its own tests."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx

from medlocker.classifiers import load_classifier

SQUEEZENET = Path(onnx.__file__).parent / "backend" / "test" / "data" / "light" / "light_squeezenet.onnx"


def test_a_foreign_model_opens_without_a_card_and_says_what_is_assumed() -> None:
    model = load_classifier(SQUEEZENET)
    assert (model.height, model.width, model.channels, len(model.classes)) == (224, 224, 3, 1000)
    assert model.notes == (
        "model light_squeezenet.onnx has no card: assumed RGB in 0..1 without mean and std, stretched to "
        "224 x 224 (NCHW)",
        "model light_squeezenet: its output looks like probabilities",
    )
    # its batch is fixed to one picture, its output (1, 1000, 1, 1): three pictures work all the same
    canvases = np.random.default_rng(0).uniform(0, 255, (3, 224, 224, 3)).astype(np.float32)
    logits = model.logits(canvases)
    assert logits.shape == (3, 1000)
    np.testing.assert_allclose(np.exp(logits).sum(axis=1), 1, atol=1e-3)
