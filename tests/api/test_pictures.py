"""Marks for pictures in memory."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image as Pillow

import medlocker as ml
from medlocker.certificates import Owner
from medlocker.protect import Settings
from medlocker.search import Proposal, Search
from medlocker.testing import LinearClassifier
from pictures import smooth
from runs import protect

BOX = ml.Box(30, 20, 25, 15)
STYLES = [ml.Veil(), ml.Marks(budget=12), ml.Marks(preset="paper", search="random", budget=8)]


def picture(*, channels: int = 3, bits: int = 8, seed: int = 0) -> NDArray[Any]:
    """(80, 112, channels), or (80, 112) for 0 channels."""
    values = smooth(80, 112, channels or 1, seed=seed) * ((1 << bits) - 1)
    pixels = np.round(values).astype(np.uint8 if bits == 8 else np.uint16)
    return pixels if channels else pixels[..., 0]


@pytest.mark.parametrize("style", STYLES, ids=["veil", "strong", "paper"])
@pytest.mark.parametrize(("channels", "bits"), [(3, 8), (1, 8), (0, 16), (3, 16)])
def test_marks_keep_out_and_come_off_bit_for_bit(style: Any, channels: int, bits: int) -> None:
    array = picture(channels=channels, bits=bits)
    before = array.copy()
    found = style(LinearClassifier(), array, keep_out=[BOX], seed=0)
    marked = found.apply(array)
    assert np.array_equal(array, before)
    assert (marked.shape, marked.dtype) == (array.shape, array.dtype)
    inside = slice(BOX.y, BOX.bottom), slice(BOX.x, BOX.right)
    assert np.array_equal(marked[inside], array[inside])
    assert not np.array_equal(marked, array)
    assert np.array_equal(found.undo(marked), array)
    assert found.evaluations >= 2
    assert len(found.parameters) == len(found.marks) >= 1


def test_a_veil_is_that_of_the_command_with_the_same_seed(tmp_path: Path, owner: Owner) -> None:
    array = picture()
    (tmp_path / "in").mkdir()
    Pillow.fromarray(array).save(tmp_path / "in" / "eye.png")
    protect(tmp_path / "in", tmp_path / "out", owner, settings=Settings(preset="veil", seed=7))
    found = ml.Veil()(LinearClassifier(size=24), array, seed=7)
    with Pillow.open(tmp_path / "out" / "images" / "eye.png") as written:
        assert np.array_equal(found.apply(array), np.asarray(written))


def test_tensors_have_their_channels_first() -> None:
    array = picture()
    tensor = torch.from_numpy(array.transpose(2, 0, 1).copy())
    found = ml.Veil()(None, tensor, seed=3)
    marked = found.apply(tensor)
    assert np.array_equal(marked.numpy().transpose(1, 2, 0), ml.Veil()(None, array, seed=3).apply(array))
    assert torch.equal(found.undo(marked), tensor)
    # each in its own form
    assert np.array_equal(found.apply(array), marked.numpy().transpose(1, 2, 0))


def test_several_pictures_get_what_each_gets_alone() -> None:
    arrays = np.stack([picture(seed=k) for k in range(3)])
    model = LinearClassifier()
    together = ml.Veil(budget=3).each(model, arrays, labels=[0, "class1", None], seed=5)
    for array, label, found in zip(arrays, (0, 1, None), together, strict=True):
        alone = ml.Veil(budget=3)(model, array, label=label, seed=5)
        assert found.parameters == alone.parameters
        assert found.fooled_by_model == alone.fooled_by_model
    assert len({str(found.parameters) for found in together}) == 3
    assert ml.Veil().each(None, []) == []


def test_without_a_seed_no_two_veils_are_alike() -> None:
    array = picture()
    assert ml.Veil()(None, array).parameters != ml.Veil()(None, array).parameters


def test_fooled_means_that_every_model_asked_is_wrong() -> None:
    array = picture()
    models = [LinearClassifier(seed=k) for k in range(3)]
    found = ml.Veil()(models, array, label=0, seed=0)
    marked = found.apply(array)
    answers = [int(model.logits(model.canvas(marked)[None])[0].argmax()) for model in models]
    assert found.fooled_by_model == tuple(k != 0 for k in answers)
    assert found.fooled == all(found.fooled_by_model)
    assert not ml.Veil()(None, array, seed=0).fooled


def test_what_was_found_can_be_pickled() -> None:
    array = picture()
    found = pickle.loads(pickle.dumps(ml.Veil()(None, array, seed=0)))
    assert np.array_equal(found.undo(found.apply(array)), array)


def test_another_picture_does_not_come_off() -> None:
    array, other = picture(), picture(seed=1)
    found = ml.Veil()(None, array, seed=0)
    changed = found.apply(array)
    changed[0, 0, 0] ^= 1
    for foreign in (array, found.apply(other), changed):
        with pytest.raises(ml.errors.WrongImageError, match="as apply returned it, got another one"):
            found.undo(foreign)


def test_logos_are_pixels_or_files(tmp_path: Path) -> None:
    pixels = np.zeros((20, 30, 4), np.uint8)
    pixels[..., 0] = pixels[..., 3] = 255
    Pillow.fromarray(pixels).save(tmp_path / "logo.png")
    array = picture()
    one, two = (ml.Veil()(None, array, logo=logo, seed=0) for logo in (pixels, tmp_path / "logo.png"))
    assert np.array_equal(one.apply(array), two.apply(array))
    assert not np.array_equal(one.apply(array), ml.Veil()(None, array, seed=0).apply(array))


class Corner(Search):
    """A user's own search: the first free place."""

    name = "corner"

    def steps(self, problem: Any, rng: np.random.Generator) -> Any:
        x, y = problem.free[0]
        yield Proposal([(problem.mark(x, y),)])


def test_a_search_of_the_users_own_is_taken() -> None:
    array = picture()
    found = ml.Marks(preset="paper", search=Corner(budget=1))(LinearClassifier(), array, seed=0)
    assert (found.parameters[0]["x"], found.parameters[0]["y"]) == (0, 0)
    assert found.evaluations == 3


def test_torch_networks_are_wrapped_and_left_as_they_are() -> None:
    torch.manual_seed(0)
    network = torch.nn.Sequential(
        torch.nn.Dropout(), torch.nn.Flatten(), torch.nn.Linear(3 * 16 * 16, 2)
    ).double()
    model = ml.TorchModel(
        network, size=16, mean=[0.5, 0.4, 0.3], std=[0.2, 0.2, 0.1], range=(0, 1), classes=["well", "ill"]
    )
    assert network.training
    assert network[2].weight.dtype == torch.float64
    assert network[2].weight.requires_grad
    canvas = model.canvas(picture())
    scaled = (canvas / 255 - [0.5, 0.4, 0.3]) / [0.2, 0.2, 0.1]
    expected = network.eval()(torch.from_numpy(scaled.transpose(2, 0, 1)[None])).detach().numpy()
    assert np.allclose(model.logits(canvas[None]), expected, atol=1e-4)
    assert ml.Marks(budget=12)(model, picture(), label="ill", seed=0).evaluations > 2


NETWORK = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(3 * 16 * 16, 2))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: ml.Marks(search="nothing"), "expected a search of auto, random"),
        (lambda: ml.Marks(search=3), "search int: expected a subclass of"),  # type: ignore[arg-type]
        (lambda: ml.Marks(search=Corner(budget=1), budget=2), "expected no budget beside"),
        (lambda: ml.Marks(preset="veil"), "preset: expected strong or paper, got 'veil'"),  # type: ignore[arg-type]
        (lambda: ml.Marks(against=["x"]), "expected an attack of jpeg"),
        (lambda: ml.Veil(aim="x"), "aim: expected same, key or wrong"),  # type: ignore[arg-type]
        (lambda: ml.Veil(opacity=3), "expected opacity"),
        (lambda: ml.Marks()(None, picture()), "expected at least one model"),
        (lambda: ml.Veil()(NETWORK, picture()), "expected a model, got Sequential"),  # type: ignore[arg-type]
        (lambda: ml.Veil()(None, picture() / 2), "expected samples of type uint8 or uint16, got float64"),
        (lambda: ml.Veil()(None, [[1, 2]]), "expected a numpy array or a torch tensor, got list"),
        (lambda: ml.Veil()(None, picture(channels=2)), r"expected a picture of shape \(H, W\), \(H, W, 1\)"),
        (lambda: ml.Veil()(None, torch.zeros(8, 8, 3, dtype=torch.uint8)), r"\(3, H, W\), got \(8, 8, 3\)"),
        (lambda: ml.Veil()(LinearClassifier(), picture(), label="x"), "label: expected a class of linear0"),
        (
            lambda: ml.Veil()(LinearClassifier(), picture(), label=9),
            "label: expected 0 to 2 for linear0, got 9",
        ),
        (lambda: ml.Veil()(None, picture(), logo=3), "logo: expected pixels or a path, got int"),  # type: ignore[arg-type]
        (lambda: ml.Veil()(None, picture()[:8]), "too few for a veil"),
        (lambda: ml.Veil()(None, picture(), keep_out=[ml.Box(500, 0, 3, 3)]), "expected a region inside"),
        (
            lambda: ml.Veil().each(None, [picture()], keep_out=[[], []]),
            "one entry for each of 1 pictures, got 2",
        ),
        (
            lambda: ml.Veil()(None, picture(), seed=0).apply(picture()[1:]),
            "expected a picture of 80 x 112 x 3 uint8",
        ),
        (
            lambda: ml.TorchModel(NETWORK, size=16, classes=["a"]),
            "expected a network of 1 classes, got one of 2",
        ),
        (lambda: ml.TorchModel(NETWORK, size=17), "the network fails"),
        (lambda: ml.TorchModel(lambda x: x, size=16), "expected a torch.nn.Module"),  # type: ignore[arg-type]
        (lambda: ml.load_model("nowhere.xyz"), "expected .onnx"),
    ],
)
def test_what_cannot_be_used_is_refused_in_a_sentence(call: Any, message: str) -> None:
    with pytest.raises(ml.errors.MedlockerError, match=message):
        call()


@pytest.mark.parametrize("given", [ml.Box(1, 2, 3, 4), [(1, 2, 3, 4)], "abc", [None], [ml.Box("1", 2, 3, 4)]])  # type: ignore[arg-type]
def test_what_is_kept_out_are_boxes(given: Any) -> None:
    with pytest.raises(ml.errors.InputError, match=r"^keep out"):
        ml.Veil()(None, np.full((64, 64, 3), 120, np.uint8), keep_out=given, seed=0)
