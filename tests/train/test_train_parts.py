from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import timm
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from train_samples import photograph

from medlocker.classifiers import InputSpec, resize_canvas
from medlocker.classifiers.architectures import build, head_names
from medlocker.errors import InputError, ModelError
from medlocker.labels import Labels
from medlocker.metrics import choose_criterion
from medlocker.train import measure, read_names
from medlocker.train._pixels import PixelStore
from medlocker.train._samples import find_samples, stratified
from medlocker.train.augment import augment
from medlocker.train.backbone import make_backbone, suggested_size
from medlocker.train.loop import _class_weights, _slices
from medlocker.train.steps import one_cycle

NETWORK = "mobilenetv3_small_050"


# metrics


def test_metrics_of_a_worked_example() -> None:
    # answers 0 0 1 1 2 for labels 0 1 1 2 2
    logits = np.eye(3, dtype=np.float32)[[0, 0, 1, 1, 2]] * 4
    found = measure(logits, np.array([0, 1, 1, 2, 2]))
    assert found.confusion.tolist() == [[1, 0, 0], [1, 1, 0], [0, 1, 1]]
    assert found.accuracy == pytest.approx(3 / 5)
    assert found.balanced_accuracy == pytest.approx((1 + 0.5 + 0.5) / 3)
    # weighted disagreement observed 2, expected by chance (2*1 + 1*0 + ...) = 6.4 / 5 * 5
    rows, columns = np.array([1, 2, 2]), np.array([2, 2, 1])
    weights = (np.arange(3)[:, None] - np.arange(3)) ** 2
    assert found.qwk == pytest.approx(1 - 2 / ((weights * np.outer(rows, columns)).sum() / 5))
    assert found.auc is None


@pytest.mark.parametrize(
    ("scores", "labels", "auc"),
    [([1, 2, 3, 4], [0, 0, 1, 1], 1.0), ([4, 1, 3, 2], [1, 0, 0, 1], 0.75), ([1, 1, 1], [0, 1, 1], 0.5)],
)
def test_auc(scores: list[float], labels: list[int], auc: float) -> None:
    logits = np.stack([np.zeros(len(scores)), scores], axis=1).astype(np.float32)
    assert measure(logits, np.array(labels)).auc == auc


def test_auc_needs_both_classes() -> None:
    assert measure(np.zeros((2, 2), np.float32), np.array([1, 1])).auc is None


def test_the_criterion_follows_the_classes() -> None:
    assert choose_criterion(("0", "1")) == "balanced_accuracy"
    assert choose_criterion(("0", "1", "2")) == "qwk"
    assert choose_criterion(("glioma", "meningioma", "none")) == "balanced_accuracy"


# samples


@given(st.lists(st.integers(0, 3), min_size=1, max_size=80), st.floats(0.05, 0.9), st.integers(0, 99))
def test_a_stratified_choice_has_the_same_share_of_every_class(
    labels: list[int], share: float, seed: int
) -> None:
    chosen = stratified(labels, share, seed=seed)
    assert chosen == sorted(set(chosen)) == stratified(labels, share, seed=seed)
    for label in set(labels):
        got = sum(labels[i] == label for i in chosen)
        assert got == max(1, round(share * labels.count(label)))


def test_finds_images_in_folders_but_not_hidden_ones_or_links_out(tmp_path: Path) -> None:
    root = tmp_path / "images"
    for name in ("a.png", "d/b.JPG", "d/.hidden.png", ".git/c.png", "table.csv"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b"x")
    (tmp_path / "outside.png").write_bytes(b"x")
    (root / "link.png").symlink_to(tmp_path / "outside.png")
    rows = dict.fromkeys(("a", "x"), "0") | dict.fromkeys(("b", "c", "hidden", "link"), "1")
    with pytest.raises(InputError, match=r"expected at least two images of every class, got 1 of '0'"):
        find_samples(root, Labels("l.csv", "c", rows, ""))
    for name in ("x.png", "e/y.png"):
        (root / name).parent.mkdir(exist_ok=True)
        (root / name).write_bytes(b"x")
    found = find_samples(root, Labels("l.csv", "c", rows | {"y": "1"}, ""), exclude=())
    assert [s.name for s in found.samples] == ["a.png", "d/b.JPG", "e/y.png", "x.png"]
    assert [s.label for s in found.samples] == [0, 1, 1, 0]
    assert found.unknown == ("c", "hidden", "link")


def test_limit_keeps_every_class(tmp_path: Path) -> None:
    rows = {f"{i:03}": "rare" if i < 3 else "common" for i in range(60)}
    for name in rows:
        (tmp_path / f"{name}.png").write_bytes(b"x")
    found = find_samples(tmp_path, Labels("l.csv", "c", rows, ""), limit=20)
    counts = [sum(s.label == k for s in found.samples) for k in (0, 1)]
    assert counts == [19, 2]


def test_reads_a_list_of_names(tmp_path: Path) -> None:
    path = tmp_path / "list.txt"
    path.write_text("\ufeff# held out\na.png\n\n./d\\b.png\n", encoding="utf-8")
    assert read_names(path) == ("a.png", "d/b.png")
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(InputError, match=r"^list list\.txt: expected UTF-8 text, one name a line$"):
        read_names(path)


# pixels


@pytest.mark.parametrize("limit", [1 << 20, 0])
def test_pixels_are_the_canvas_of_the_classifier(tmp_path: Path, limit: int) -> None:
    paths = []
    for i in range(3):
        paths.append(tmp_path / f"{i}.png")
        Image.fromarray(photograph(i, ill=True)).save(paths[-1])
    paths.insert(1, tmp_path / "broken.png")
    paths[1].write_bytes(b"broken")
    seen: list[int] = []
    with PixelStore(max_memory_bytes=limit) as store:
        pixels = store.decode(paths, InputSpec(32, 32), side=32, on_image=lambda: seen.append(1))
        assert (store._folder is not None) == (limit == 0)
        assert pixels.failed == {
            1: "broken.png: expected a PNG, TIFF, BMP, JPEG, DICOM or NIfTI image, got something else"
        }
        assert len(seen) == 4
        for position, i in ((0, 0), (2, 1), (3, 2)):
            own = resize_canvas(photograph(i, ill=True), height=32, width=32, channels=3, rule="stretch")
            np.testing.assert_array_equal(pixels.canvases[position], own)


def test_augmentation_stays_near_the_image_and_follows_its_seed() -> None:
    batch = torch.from_numpy(np.stack([photograph(i, ill=True)[:60, :60] for i in range(4)]))
    one, same, other = (
        augment(batch, size=48, generator=torch.Generator().manual_seed(s)) for s in (1, 1, 2)
    )
    assert one.shape == (4, 3, 48, 48)
    assert torch.equal(one, same)
    assert not torch.equal(one, other)
    assert float(one.min()) >= 0
    assert float(one.max()) <= 255
    assert abs(float(one.mean()) - float(batch.float().mean())) < 30


# loop


def test_a_single_image_left_over_is_dropped() -> None:
    assert [(s.start, s.stop) for s in _slices(17, 8)] == [(0, 8), (8, 16)]
    assert [(s.start, s.stop) for s in _slices(18, 8)] == [(0, 8), (8, 16), (16, 18)]


def test_rare_classes_weigh_more() -> None:
    weights = _class_weights(np.array([0] * 90 + [1] * 10), None)
    assert float(weights[1] / weights[0]) == pytest.approx(3)
    assert float(weights[0] * 90 + weights[1] * 10) == pytest.approx(100)


def test_the_learning_rate_rises_then_falls() -> None:
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
    schedule = one_cycle(optimizer, lr=1.0, steps=20, warm_up=4)
    rates = []
    for _ in range(20):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    assert rates[:5] == sorted(rates[:5])
    assert max(rates) == pytest.approx(1.0)
    assert rates.index(max(rates)) == 4
    assert rates[4:] == sorted(rates[4:], reverse=True)
    assert (rates[0], rates[-1]) == pytest.approx((0.04, 0.01))


# backbones


def weights_of(*, seed: int = 0) -> dict[str, torch.Tensor]:
    torch.manual_seed(seed)
    return build(NETWORK, outputs=7, channels=3, height=64, width=64).state_dict()


def test_takes_all_but_the_head_from_a_file(tmp_path: Path) -> None:
    state, path = weights_of(), tmp_path / "w.safetensors"
    safetensors.torch.save_file(state, path, metadata={"licence": "CC0-1.0"})
    made = make_backbone(NETWORK, weights=path, outputs=2, size=64)
    own, head = made.network.state_dict(), head_names(made.network)
    assert head == {"classifier.weight", "classifier.bias"}
    assert own["classifier.weight"].shape == (2, 1024)
    assert all(torch.equal(own[name], state[name]) for name in own if name not in head)
    assert (made.origin, made.licence, made.notes) == ("w.safetensors", "CC0-1.0", ())


@pytest.mark.parametrize("headless", [True, False])
def test_matches_other_names_by_order_and_says_so(tmp_path: Path, headless: bool) -> None:
    state, path = weights_of(), tmp_path / "w.pt"
    renamed = {
        f"tensor{i}": t for i, (n, t) in enumerate(state.items()) if not headless or "classifier" not in n
    }
    torch.save(renamed, path)
    made = make_backbone(NETWORK, weights=path, outputs=2, size=64)
    own = made.network.state_dict()
    assert torch.equal(own["conv_stem.weight"], state["conv_stem.weight"])
    assert torch.equal(own["conv_head.bias"], state["conv_head.bias"])
    (note,) = made.notes
    assert note.startswith("weights w.pt: the names differ from the network's, so ")
    assert note.endswith(" tensors were matched by their order and shapes")


def test_does_not_guess_from_names_that_were_sorted(tmp_path: Path) -> None:
    path = tmp_path / "w.safetensors"
    safetensors.torch.save_file({f"t{i}": t for i, t in enumerate(weights_of().values())}, path)
    with pytest.raises(ModelError, match=r"^weights w\.safetensors: expected the \d+ tensors of the"):
        make_backbone(NETWORK, weights=path, outputs=2, size=64)


def test_refuses_weights_of_another_network(tmp_path: Path) -> None:
    path = tmp_path / "w.pt"
    torch.save(build("resnet10t", outputs=2, channels=3, height=64, width=64).state_dict(), path)
    with pytest.raises(ModelError) as caught:
        make_backbone(NETWORK, weights=path, outputs=2, size=64)
    assert (
        str(caught.value) == "weights w.pt: expected the 242 tensors of the network, got 86, 5 of these names"
    )
    assert caught.value.hint == "is it another architecture or another library's variant of it?"


def test_a_fresh_head_starts_undecided() -> None:
    made = make_backbone(NETWORK, weights="none", outputs=5, size=64)
    head = made.network.state_dict()["classifier.weight"]
    assert 0.005 < float(head.std()) < 0.02


def test_says_that_the_hub_cannot_be_reached(monkeypatch: pytest.MonkeyPatch) -> None:
    original = timm.create_model

    def fail(*names: Any, **options: Any) -> object:
        if options.get("pretrained"):
            raise OSError("no network")
        return original(*names, **options)

    monkeypatch.setattr("timm.create_model", fail)
    with pytest.raises(ModelError) as caught:
        make_backbone(NETWORK, weights="hub", outputs=2, size=64)
    assert str(caught.value) == f"weights of {NETWORK}: they cannot be fetched from the hub"
    assert "--weights none" in caught.value.hint


def test_inception_is_larger() -> None:
    assert suggested_size("inception_v3") == 299
    assert suggested_size("resnet18") == 224
