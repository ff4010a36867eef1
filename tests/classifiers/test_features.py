"""Feature extractors through every adapter: features first, clusters of given images as classes after."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch
from numpy.typing import NDArray
from torch import nn

from medlocker.classifiers import (
    Card,
    Classifier,
    InputSpec,
    has_gradients,
    is_feature_extractor,
    load_classifier,
    prototypes_of,
    with_gradients,
    with_prototypes,
)
from medlocker.classifiers._featurenetwork import FeatureNetwork, feature_count
from medlocker.classifiers._paired import PairedClassifier
from medlocker.classifiers._pooling import pooled
from medlocker.classifiers.architectures import build
from medlocker.classifiers.pytorch import TorchClassifier
from medlocker.errors import ModelError
from onnx_models import Tiny, make_onnx, make_segmenter, weights_for

SIDE = 32
SPEC = InputSpec(SIDE, SIDE, mean=(0.5,) * 3, std=(0.25,) * 3)


def canvases(count: int, *, side: int = SIDE, seed: int = 0) -> NDArray[np.float32]:
    rng = np.random.default_rng(seed)
    return rng.uniform(0, 255, (count, side, side, 3)).astype(np.float32)


class Smooth(nn.Module):
    """Answers maps; differentiable everywhere, so that finite differences can be trusted."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 6, 5, stride=3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        maps: torch.Tensor = torch.tanh(self.conv(x))
        return maps


def smooth() -> TorchClassifier:
    torch.manual_seed(1)
    card = Card(SPEC, output="features")
    classes = tuple(map(str, range(6)))
    return TorchClassifier(FeatureNetwork(Smooth()), card=card, name="s", fingerprint="f", classes=classes)


def tiny(folder: Path, *, side: int = 8, batch: int | str = "N", classes: int = 5) -> Tiny:
    """An ONNX extractor of five numbers."""
    weights = weights_for(height=side, width=side, classes=classes)
    made = make_onnx(folder / "tiny.onnx", weights=weights, layout="NCHW", batch=batch)
    made.write_card(input={"layout": "NCHW"}, output="features", classes=[])
    return made


def margins(logits: NDArray[np.float32], labels: list[int]) -> NDArray[np.float32]:
    rows = np.arange(len(labels))
    rest = logits.copy()
    rest[rows, labels] = -np.inf
    return np.asarray(rest.max(axis=1) - logits[rows, labels])


def test_gradients_equal_finite_differences() -> None:
    model = with_prototypes(smooth(), canvases(12))
    assert model.classes == ("cluster 0", "cluster 1", "cluster 2")
    assert has_gradients(model)
    images, labels = canvases(3, seed=9), [0, 1, 2]
    found = model.gradients(images, labels)
    np.testing.assert_allclose(found.logits, model.logits(images), atol=1e-4)
    for step in (0.5, 1.0):
        move = np.sign(found.canvas) * step
        ahead, behind = (
            margins(model.logits((images + s * move).astype(np.float32)), labels) for s in (0.5, -0.5)
        )
        slope = (found.canvas * move).sum(axis=(1, 2, 3))
        assert (slope > 0).all()
        np.testing.assert_allclose(ahead - behind, slope, rtol=0.02)


def test_following_the_gradient_changes_the_cluster() -> None:
    images = canvases(12)
    model = with_prototypes(smooth(), images)
    assert has_gradients(model)
    own = model.logits(images).argmax(axis=1)
    moved = images.copy()
    for _ in range(60):
        moved = np.clip(moved + 2 * np.sign(model.gradients(moved, own.tolist()).canvas), 0, 255)
    assert (model.logits(moved).argmax(axis=1) != own).all()


def test_torch_and_numpy_heads_agree() -> None:
    plain = smooth()
    model = with_prototypes(plain, canvases(20))
    found = prototypes_of(model)
    assert found is not None
    others = canvases(4, seed=3)
    np.testing.assert_allclose(model.logits(others), found.logits(plain.logits(others)), atol=1e-3)
    assert is_feature_extractor(plain)  # a copy was made
    assert not is_feature_extractor(model)


def test_prototypes_are_the_same_again_and_depend_on_images_and_model() -> None:
    def digest(model: Classifier, images: NDArray[np.float32], *, batch: int = 16) -> str:
        found = prototypes_of(with_prototypes(model, images, batch=batch))
        assert found is not None
        return found.digest

    images = canvases(12)
    first = digest(smooth(), images)
    assert len(first) == 64
    assert digest(smooth(), images, batch=5) == first
    assert digest(smooth(), images + np.float32(0.01)) != first  # the same clusters of other images
    other = smooth()
    other.fingerprint = "g"
    assert digest(other, images) != first


def test_classifiers_are_left_as_they_are() -> None:
    model = smooth()
    model.card = replace(model.card, output="logits")
    assert with_prototypes(model, iter(())) is model
    assert prototypes_of(model) is None


def test_one_image_is_set_against_its_blur() -> None:
    image = canvases(1)
    model = with_prototypes(smooth(), image)
    assert model.classes == ("cluster 0", "cluster 1")
    assert model.logits(image).argmax() == 0
    assert model.logits(np.full_like(image, image.mean())).argmax() == 1
    assert model.notes == (
        "model s: a feature extractor of 6 numbers; its classes are one image against its blur",
    )


def test_no_or_equal_images() -> None:
    with pytest.raises(ModelError, match="model s: expected images to make clusters of, got none"):
        with_prototypes(smooth(), [])
    with pytest.raises(ModelError, match="model s: its embeddings of 9 images are all alike"):
        with_prototypes(smooth(), np.repeat(canvases(1), 9, axis=0))


def test_onnx_features(tmp_path: Path) -> None:
    made = tiny(tmp_path)
    model = load_classifier(made.path, features=True)
    images = canvases(16, side=8)
    np.testing.assert_allclose(model.logits(images), made.answers(images / 255), rtol=1e-4, atol=1e-4)
    clustered = with_prototypes(model, images)
    assert len(clustered.classes) == 4
    assert clustered.fingerprint == model.fingerprint
    assert clustered.notes[-1] == (
        "model tiny: a feature extractor of 5 numbers; its classes are 4 clusters of 16 images"
    )
    found = prototypes_of(clustered)
    assert found is not None
    np.testing.assert_array_equal(clustered.logits(images), found.logits(model.logits(images)))


def test_onnx_features_get_gradients(tmp_path: Path) -> None:
    path = tiny(tmp_path).path
    images = canvases(16, side=8)
    model = with_prototypes(with_gradients(load_classifier(path, features=True), path), images)
    assert isinstance(model, PairedClassifier)
    labels = model.logits(images).argmax(axis=1).tolist()
    found = model.gradients(images, labels)
    np.testing.assert_allclose(found.logits, model.logits(images), atol=1e-3)
    assert sum("feature extractor" in note for note in model.notes) == 1
    move = np.sign(found.canvas) * 0.02  # small: no other cluster comes up on the way
    ahead, behind = (
        margins(model.logits((images + s * move).astype(np.float32)), labels) for s in (0.5, -0.5)
    )
    slope = (found.canvas * move).sum(axis=(1, 2, 3))
    np.testing.assert_allclose(ahead - behind, slope, rtol=0.02, atol=1e-4)


def test_onnx_maps_are_averaged(tmp_path: Path) -> None:
    path = make_segmenter(
        tmp_path / "maps.onnx", tile=16, out_channels=2, card={"task": None, "output": "features"}
    )
    model = with_gradients(load_classifier(path, features=True), path)
    assert "model maps: its features of 2 x 16 x 16 are averaged" in model.notes
    images = canvases(3, side=16)
    maps = 1 / (1 + np.exp(-(0.2 * images[..., 0] - 30)))
    np.testing.assert_allclose(model.logits(images)[:, 0], maps.mean(axis=(1, 2)), atol=1e-4)
    assert has_gradients(model)


@pytest.mark.parametrize("torch_too", [False, True])
def test_pooling(torch_too: bool) -> None:
    rng = np.random.default_rng(0)
    maps, tokens, flat = (rng.random(shape).astype(np.float32) for shape in ((2, 3, 4, 5), (2, 6, 3), (2, 3)))
    give = torch.from_numpy if torch_too else np.asarray
    np.testing.assert_allclose(pooled(give(maps)), maps.mean(axis=(2, 3)), rtol=1e-6)
    np.testing.assert_allclose(pooled(give(maps), channels_last=True), maps.mean(axis=(1, 2)), rtol=1e-6)
    np.testing.assert_allclose(pooled(give(tokens)), tokens.mean(axis=1), rtol=1e-6)
    np.testing.assert_array_equal(pooled(give(flat)), flat)


def test_onnx_of_one_number(tmp_path: Path) -> None:
    path = tiny(tmp_path, classes=1).path
    with pytest.raises(ModelError, match="model tiny: expected an embedding of at least two numbers, got 1"):
        load_classifier(path, features=True)


def test_onnx_nan(tmp_path: Path) -> None:
    made = make_onnx(tmp_path / "nan.onnx", poison=True)
    made.write_card(output="features")
    with pytest.raises(ModelError, match="model nan: it answers NaN or infinity on a test picture"):
        load_classifier(made.path, features=True)


def test_only_those_who_ask_get_an_extractor(tmp_path: Path) -> None:
    path = tiny(tmp_path).path
    with pytest.raises(ModelError, match=r"model tiny\.onnx: expected a classifier, got a feature extractor"):
        load_classifier(path)


@pytest.mark.parametrize("architecture", ["test_resnet", "torchvision/mobilenet_v3_small"])
def test_weights_with_a_head_serve_without(tmp_path: Path, architecture: str) -> None:
    whole = build(architecture, outputs=7, channels=3, height=SIDE, width=SIDE).eval()
    path = tmp_path / "net.safetensors"
    safetensors.torch.save_file(whole.state_dict(), path)
    card = {
        "architecture": architecture,
        "input": {"height": SIDE, "width": SIDE},
        "output": "features",
        "classes": ["of", "another", "time"],
    }
    (tmp_path / "net.card.json").write_text(json.dumps(card))
    model = load_classifier(path, features=True)
    images = canvases(2)
    head = [module for module in whole.modules() if isinstance(module, nn.Linear)][-1]
    # the head on these features is the whole network
    answers = head(torch.from_numpy(model.logits(images)))
    inputs = torch.from_numpy(images / 255).permute(0, 3, 1, 2)
    np.testing.assert_allclose(answers.detach(), whole(inputs).detach(), atol=1e-4)
    assert len(model.classes) == head.in_features


def test_foreign_weights_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "net.safetensors"
    safetensors.torch.save_file({"stranger": torch.zeros(3)}, path)
    card = {"architecture": "test_resnet", "input": {"height": SIDE, "width": SIDE}, "output": "features"}
    (tmp_path / "net.card.json").write_text(json.dumps(card))
    with pytest.raises(ModelError, match=r"model net\.safetensors: \d+ tensors .* are missing"):
        load_classifier(path, features=True)


def test_torch_of_one_number() -> None:
    network = FeatureNetwork(nn.Sequential(nn.Flatten(), nn.Linear(3 * SIDE * SIDE, 1)))
    with pytest.raises(
        ModelError, match=r"model m: expected an embedding of at least two numbers, got \(1,\)"
    ):
        feature_count(network, SPEC, what="model m")
