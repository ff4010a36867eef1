from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import torch
from numpy.typing import NDArray
from torch import nn

from medlocker.classifiers import Card, Classifier, InputSpec, load_classifier
from medlocker.classifiers.architectures import build, canonical_architecture
from medlocker.classifiers.pytorch import TorchClassifier
from medlocker.errors import MissingExtraError, ModelError

SIDE = 32
SPEC: dict[str, Any] = {"height": SIDE, "width": SIDE, "mean": [0.5, 0.4, 0.3], "std": [0.2, 0.3, 0.4]}


def canvases(count: int, *, channels: int = 3, seed: int = 0) -> NDArray[np.float32]:
    rng = np.random.default_rng(seed)
    return rng.uniform(0, 255, (count, SIDE, SIDE, channels)).astype(np.float32)


class Smooth(nn.Module):
    """Differentiable everywhere, so that finite differences can be trusted."""

    def __init__(self, channels: int = 3, *, softmax: bool = False) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, 6, 5, stride=3)
        self.head = nn.Linear(6 * 10 * 10, 4)
        self.softmax = softmax

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        z: torch.Tensor = 6 * self.head(torch.tanh(self.conv(x)).flatten(1))
        return z.softmax(dim=1) if self.softmax else z


def smooth(*, channels: int = 3, softmax: bool = False) -> TorchClassifier:
    torch.manual_seed(1)
    spec = InputSpec(SIDE, SIDE, channels=channels, mean=(0.5,) * channels, std=(0.25,) * channels)
    card = Card(spec, output="probabilities" if softmax else "logits")
    return TorchClassifier(
        Smooth(channels, softmax=softmax), card=card, name="smooth", fingerprint="", classes=tuple("abcd")
    )


@pytest.mark.parametrize("softmax", [False, True])
@pytest.mark.parametrize("channels", [1, 3])
def test_gradients_equal_finite_differences(channels: int, softmax: bool) -> None:
    model = smooth(channels=channels, softmax=softmax)
    images = canvases(3, channels=channels)
    labels = [0, 2, 3]
    found = model.gradients(images, labels)
    assert found.canvas.shape == images.shape
    assert found.canvas.dtype == np.float32
    np.testing.assert_allclose(found.logits, model.logits(images), rtol=1e-5, atol=1e-5)
    rng = np.random.default_rng(2)
    for _ in range(5):
        direction = rng.choice([-1, 1], images.shape).astype(np.float32) * np.sign(found.canvas)
        # along the gradient's own signs at random pixels, so that the change is far above rounding
        direction *= rng.random(images.shape) < 0.5
        ahead, behind = (margins(model.logits(images + s * direction), labels) for s in (0.5, -0.5))
        slope = (found.canvas * direction).sum(axis=(1, 2, 3))
        np.testing.assert_allclose(ahead - behind, slope, rtol=0.02, atol=2e-3)


def margins(logits: NDArray[np.float32], labels: list[int]) -> NDArray[np.float32]:
    rest = logits.copy()
    rest[np.arange(len(labels)), labels] = -np.inf
    out: NDArray[np.float32] = rest.max(axis=1) - logits[np.arange(len(labels)), labels]
    return out


def test_batches_of_any_size_answer_alike() -> None:
    model = smooth()
    images = canvases(70)
    whole = model.gradients(images, [k % 4 for k in range(70)])
    for i in (0, 31, 32, 69):
        one = model.gradients(images[i : i + 1], [i % 4])
        np.testing.assert_allclose(one.canvas[0], whole.canvas[i], rtol=1e-4, atol=1e-6)
        np.testing.assert_allclose(model.logits(images[i : i + 1])[0], whole.logits[i], rtol=1e-4, atol=1e-5)
    assert model.logits(images[:0]).shape == (0, 4)
    assert isinstance(model, Classifier)
    assert model.has_gradients


@pytest.mark.parametrize(
    ("shape", "labels", "message"),
    [
        ((1, 8, 8, 3), [0], "smooth: expected canvases of (32, 32, 3), got (8, 8, 3)"),
        ((2, SIDE, SIDE, 3), [0], "smooth: expected 2 labels, got 1"),
        ((1, SIDE, SIDE, 3), [4], "smooth: expected labels from 0 to 3"),
    ],
)
def test_gradients_refuse_what_does_not_fit(shape: tuple[int, ...], labels: list[int], message: str) -> None:
    with pytest.raises(ModelError) as caught:
        smooth().gradients(np.zeros(shape, np.float32), labels)
    assert str(caught.value) == message


def test_nan_is_an_error() -> None:
    model = smooth()
    images = canvases(2)
    images[1, 0, 0, 0] = np.nan
    with pytest.raises(ModelError, match=r"^smooth: the model answers NaN or infinity$"):
        model.logits(images)
    with pytest.raises(ModelError, match=r"^smooth: the gradient is NaN or infinite$"):
        model.gradients(images, [0, 0])


class Saved:
    """A tiny network of timm on disk."""

    def __init__(self, folder: Path) -> None:
        torch.manual_seed(0)
        self.folder = folder
        self.network = build("mobilenetv3_small_050", outputs=3, channels=3, height=SIDE, width=SIDE).eval()
        for module in self.network.modules():
            if isinstance(module, nn.BatchNorm2d):  # fresh statistics would make every answer the same
                nn.init.normal_(module.running_mean, 0, 0.1) if module.running_mean is not None else None
        self.state = {name: tensor.clone() for name, tensor in self.network.state_dict().items()}
        self.card: dict[str, Any] = {
            "input": SPEC,
            "classes": ["a", "b", "c"],
            "output": "logits",
            "architecture": "mobilenetv3_small_050",
        }

    def write(self, name: str = "net.safetensors") -> Path:
        path = self.folder / name
        (self.folder / f"{path.stem}.card.json").write_text(json.dumps(self.card))
        if path.suffix == ".safetensors":
            safetensors.torch.save_file(self.state, path)
        else:
            torch.save(self.state, path)
        return path


@pytest.fixture
def saved(tmp_path: Path) -> Saved:
    return Saved(tmp_path)


@pytest.mark.parametrize("name", ["net.safetensors", "net.pt", "net.pth"])
def test_loads_weights_beside_their_card(saved: Saved, name: str) -> None:
    path = saved.write(name)
    model = load_classifier(path)
    images = canvases(3)
    inputs = (images / 255 - np.array(SPEC["mean"], np.float32)) / np.array(SPEC["std"], np.float32)
    with torch.inference_mode():
        expected = saved.network(torch.from_numpy(inputs).permute(0, 3, 1, 2)).numpy()
    np.testing.assert_allclose(model.logits(images), expected, rtol=1e-3, atol=1e-4)
    assert (model.name, model.classes, model.notes) == ("net", ("a", "b", "c"), ())
    assert model.fingerprint == hashlib.sha256(path.read_bytes()).hexdigest()


def test_unwraps_training_checkpoints(saved: Saved) -> None:
    path = saved.write("net.pt")
    expected = load_classifier(path).logits(canvases(2))
    torch.save({"state_dict": {f"module.{k}": v for k, v in saved.state.items()}, "epoch": 3}, path)
    np.testing.assert_array_equal(load_classifier(path).logits(canvases(2)), expected)


def test_counts_the_classes_of_the_weights(saved: Saved) -> None:
    del saved.card["classes"], saved.card["output"]
    model = load_classifier(saved.write())
    assert model.classes == ("0", "1", "2")
    assert model.notes == ("model net: its card does not say what it answers, logits are assumed",)


def test_a_folder_opens_with_torch_or_without(saved: Saved, monkeypatch: pytest.MonkeyPatch) -> None:
    path = saved.write("model.safetensors")
    assert load_classifier(saved.folder).name == saved.folder.name
    monkeypatch.setattr("medlocker.classifiers._load._has_torch", lambda: False)
    with pytest.raises(MissingExtraError, match=r"^this needs the library torch, which is not installed$"):
        load_classifier(path)


def test_classifiers_do_not_import_torch() -> None:
    code = "import medlocker.classifiers, sys; sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


class Bomb:
    """Runs a command when it is unpickled."""

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, ("touch bomb-went-off",)


def test_never_runs_code_from_a_file(saved: Saved, monkeypatch: pytest.MonkeyPatch) -> None:
    path = saved.write("net.pt")
    torch.save({"weight": Bomb()}, path)
    monkeypatch.chdir(saved.folder)
    with pytest.raises(ModelError) as caught:
        load_classifier(path)
    assert str(caught.value) == ("weights net.pt: expected a plain state dict, got a file that contains code")
    assert not Path("bomb-went-off").exists()


def _drop(saved: Saved) -> None:
    del saved.state["conv_stem.weight"]


def _add(saved: Saved) -> None:
    saved.state["stranger"] = torch.zeros(1)


def _reshape(saved: Saved) -> None:
    saved.state["classifier.bias"] = torch.zeros(4)


def _poison(saved: Saved) -> None:
    saved.state["classifier.bias"] = torch.tensor([0, torch.nan, 0])


def _unnamed(saved: Saved) -> None:
    del saved.card["architecture"]


def _unknown(saved: Saved) -> None:
    saved.card["architecture"] = "resnet_of_mine"


def _remote(saved: Saved) -> None:
    saved.card["architecture"] = "hf-hub:somebody/something"


def _changed(saved: Saved) -> None:
    saved.card["weights_sha256"] = "0" * 64


def _other(saved: Saved) -> None:
    saved.card["sha256"] = "0" * 64


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (_drop, "model net.safetensors: 1 tensors of the architecture are missing, first conv_stem.weight"),
        (_add, "model net.safetensors: 1 tensors are not of the architecture, first 'stranger'"),
        (_reshape, "model net.safetensors: expected classifier.bias of (3,), got (4,)"),
        (_poison, "model net.safetensors: classifier.bias holds NaN or infinity"),
        (
            _unnamed,
            'model card net.card.json: expected "architecture" with a name of timm or torchvision',
        ),
        (_unknown, "expected an architecture of timm or torchvision, got 'resnet_of_mine'"),
        (_remote, "expected an architecture of timm or torchvision, got 'hf-hub:somebody/something'"),
        (_changed, "model net.safetensors: its sha256 is not the one in net.card.json"),
        (_other, "model net.safetensors: its sha256 is not the one in net.card.json"),
    ],
)
def test_refuses_weights_that_do_not_fit(saved: Saved, spoil: Any, message: str) -> None:
    spoil(saved)
    with pytest.raises(ModelError) as caught:
        load_classifier(saved.write())
    assert str(caught.value) == message


@pytest.mark.parametrize("name", ["net.safetensors", "net.pt"])
@pytest.mark.parametrize("data", [b"", b"nonsense", b"\xff" * 64])
def test_refuses_damaged_files(saved: Saved, name: str, data: bytes) -> None:
    path = saved.write(name)
    path.write_bytes(data)
    with pytest.raises(ModelError, match=f"^weights {name}: "):
        load_classifier(path)


def test_what_begins_as_no_weights_do_is_refused_before_torch_is_imported(
    saved: Saved, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = saved.write("net.pt")
    path.write_bytes(b"abc")
    monkeypatch.setitem(sys.modules, "medlocker.classifiers.pytorch", None)
    with pytest.raises(ModelError, match=r"^weights net\.pt: it is damaged or no weights file$"):
        load_classifier(path)


def test_refuses_other_values_than_tensors(saved: Saved) -> None:
    path = saved.write("net.pt")
    torch.save([1, 2], path)
    with pytest.raises(ModelError, match=r"^weights net\.pt: expected a state dict of tensors$"):
        load_classifier(path)


def test_needs_a_card(saved: Saved) -> None:
    path = saved.write()
    (saved.folder / "net.card.json").unlink()
    with pytest.raises(ModelError, match=r"^model net\.safetensors: expected a card net\.card\.json"):
        load_classifier(path)


def test_falls_back_to_torchvision() -> None:
    assert canonical_architecture("resnet18") == "resnet18"
    assert canonical_architecture("mobilenet_v3_large") == "torchvision/mobilenet_v3_large"
    assert canonical_architecture("torchvision/resnet18") == "torchvision/resnet18"


def test_a_transformer_takes_another_size() -> None:
    network = build("vit_tiny_patch16_224", outputs=2, channels=3, height=64, width=64).eval()
    with torch.inference_mode():
        assert network(torch.zeros(1, 3, 64, 64)).shape == (1, 2)
