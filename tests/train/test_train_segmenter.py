"""Training a segmenter: what comes out works in `protect`; what cannot be learned from is refused."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from medlocker.demo.samples import SampleSet, write_samples
from medlocker.errors import InputError, MissingExtraError, ModelError, OutputExistsError
from medlocker.geometry import Box
from medlocker.regions import load_regions, load_segmenter
from medlocker.regions.scale import covered, mask_to_scale, scale_for
from medlocker.train import SegmenterObserver, SegmenterOptions, SegmenterResult, train_segmenter
from medlocker.train._pixels import PixelStore
from medlocker.train._segmenter_data import CropSampler, Picture, PictureReader, find_pictures
from medlocker.train._segmenter_loop import recall_loss
from medlocker.train._segmenter_network import make_network
from medlocker.train.segmenter_choice import Score, choose, truth_of
from runs import Shell

ENCODER = "tu-mobilenetv3_small_050"
OPTIONS = SegmenterOptions(epochs=1, size=64, crops=1, batch_size=2, seed=3, device="cpu", validation=0.3)


@pytest.fixture(scope="module")
def samples(tmp_path_factory: pytest.TempPathFactory) -> SampleSet:
    """Six synthetic photographs with masks, one of them left out below."""
    return write_samples(tmp_path_factory.mktemp("eyes"), count=6, seed=1, width=96, height=96)


@pytest.fixture(scope="module")
def trained(samples: SampleSet, tmp_path_factory: pytest.TempPathFactory) -> SegmenterResult:
    return train_segmenter(
        samples.images,
        load_regions(samples.masks),
        out=tmp_path_factory.mktemp("trained") / "segmenter",
        encoder=ENCODER,
        weights="none",
        exclude=[samples.names[0], "stranger.png"],
        options=OPTIONS,
    )


def test_writes_one_folder_with_everything(trained: SegmenterResult, samples: SampleSet) -> None:
    assert sorted(path.name for path in trained.out.iterdir()) == [
        "findings.png",
        "model.card.json",
        "model.onnx",
        "model.safetensors",
        "training.json",
    ]
    card = json.loads((trained.out / "model.card.json").read_text())
    assert card["task"] == "segmentation"
    assert card["side_px"] == 96
    assert card["input"]["height"] == card["input"]["width"] == 128
    assert (card["threshold"], card["margin_px"]) == (
        trained.choice.setting.threshold,
        trained.choice.setting.margin_px,
    )
    assert card["kinds"] == ["mask"]
    assert "licence" in card["training_data_licence"]
    assert card["sha256"] == trained.sha256
    report = json.loads((trained.out / "training.json").read_text())
    assert report["split"]["excluded"] == [samples.names[0]]
    assert report["excluded_unknown"] == ["stranger.png"]
    assert not set(report["split"]["train"]) & set(report["split"]["validation"])
    assert len(report["split"]["train"]) + len(report["split"]["validation"]) == 5
    with Image.open(trained.out / "findings.png") as picture:
        assert picture.width > 600


def test_what_was_chosen_is_what_a_run_keeps_out(trained: SegmenterResult, samples: SampleSet) -> None:
    segmenter = load_segmenter(trained.out)
    report = json.loads((trained.out / "training.json").read_text())
    masks = load_regions(samples.masks).among(samples.names)
    score = Score()
    for name in report["split"]["validation"]:
        with Image.open(samples.images / name) as picture:
            boxes = segmenter.find(np.asarray(picture)).boxes
        truth = truth_of(masks.masks_for(name, width=96, height=96))
        score.add(truth, covered(boxes, height=96, width=96))
    assert score.to_json() == report["validation"]


def test_bad_input_is_refused_before_training(samples: SampleSet, tmp_path: Path) -> None:
    masks = load_regions(samples.masks)

    def train(**changes: Any) -> None:
        arguments: dict[str, Any] = {
            "folder": samples.images,
            "masks": masks,
            "out": tmp_path / "out",
            "encoder": ENCODER,
            "weights": "none",
            "options": OPTIONS,
        }
        arguments.update(changes)
        train_segmenter(arguments.pop("folder"), arguments.pop("masks"), **arguments)

    def changed_masks(change: Callable[[Path, Image.Image], None]) -> Any:
        folder = tmp_path / f"masks{len(list(tmp_path.iterdir()))}"
        folder.mkdir()
        for name in samples.names:
            with Image.open(samples.masks / name) as picture:
                change(folder / name, picture.copy())
        return load_regions(folder)

    table = tmp_path / "boxes.csv"
    table.write_text("image,region,x,y,width,height\na.png,a,0,0,5,5\n")
    with pytest.raises(InputError, match="masks: expected a folder of mask pictures, got boxes"):
        train(masks=load_regions(table))
    with pytest.raises(InputError, match="images nowhere: no such folder"):
        train(folder=tmp_path / "nowhere")
    small = changed_masks(lambda path, picture: picture.resize((95, 96)).save(path))
    with pytest.raises(InputError, match="expected a mask of 96 x 96 pixels, got 95 x 96"):
        train(masks=small)
    empty = changed_masks(lambda path, picture: Image.new("L", picture.size).save(path))
    with pytest.raises(InputError, match="masks: expected lesions in at least two readable images, got 0 of"):
        train(masks=empty)
    strange = changed_masks(lambda path, picture: picture.save(path.with_name("x" + path.name)))
    with pytest.raises(InputError, match="expected at least two with masks, got 0 of 6"):
        train(masks=strange)
    with pytest.raises(InputError, match="masks masks: expected a folder outside of the images"):
        train(folder=samples.images.parent)
    with pytest.raises(InputError, match="expected a folder outside of the images"):
        train(out=samples.images / "out")
    with pytest.raises(ModelError, match="architecture nonsense with encoder tu-mobilenetv3_small_050: it"):
        train(architecture="nonsense")
    with pytest.raises(ModelError, match=r"expected plain names, got 'unet' and 'tu-hf_hub:a/b'"):
        train(encoder="tu-hf_hub:a/b")
    with pytest.raises(ModelError, match=r"weights gone\.safetensors: no such file"):
        train(weights=tmp_path / "gone.safetensors")
    taken = tmp_path / "taken"
    taken.mkdir()
    (taken / "thesis.txt").touch()
    with pytest.raises(OutputExistsError, match="taken exists already"):
        train(out=taken)
    with pytest.raises(OutputExistsError, match="taken exists and is not a folder made by `train`"):
        train(out=taken, overwrite=True)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"size": 100}, "size: expected a multiple of 32 from 64 to 1024, got 100"),
        ({"recall": 0}, "recall: expected a share above 0 and at most 1, got 0"),
        ({"epochs": 0}, "epochs: expected at least 1, got 0"),
        ({"side_px": 10}, "side: expected from 64 to 4096 pixels, got 10"),
    ],
)
def test_options_out_of_range(options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        SegmenterOptions(**options)


def test_images_without_masks_and_masks_without_images_are_told(samples: SampleSet, tmp_path: Path) -> None:
    for name in samples.names[1:]:
        (tmp_path / name).write_bytes((samples.masks / name).read_bytes())
    (tmp_path / "other.png").write_bytes((samples.masks / samples.names[0]).read_bytes())
    found, _ = find_pictures(samples.images, load_regions(tmp_path))
    assert found.without_mask == (samples.names[0],)
    assert found.without_image == ("other.png",)
    assert len(found.files) == 5


def test_a_folder_for_each_kind_becomes_one_bit_each(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    for k in range(2):
        Image.new("RGB", (80, 64), (90, 60, 30)).save(tmp_path / "images" / f"e{k}.png")
    for kind, name, box in (
        ("EX", "e0_EX", (1, 2, 3, 4)),
        ("MA", "e0", (5, 6, 7, 8)),
        ("MA", "e1", (0, 0, 2, 2)),
    ):
        (tmp_path / "masks" / kind).mkdir(parents=True, exist_ok=True)
        mask = np.zeros((64, 80), np.uint8)
        mask[box[1] : box[3], box[0] : box[2]] = 1
        Image.fromarray(mask).save(tmp_path / "masks" / kind / f"{name}.png")
    found, masks = find_pictures(tmp_path / "images", load_regions(tmp_path / "masks"))
    with PixelStore() as store:
        reader = PictureReader(masks, side_px=64, store=store)
        pictures, failed = reader.read(found.files, on_image=lambda: None)
    assert not failed
    assert reader.kinds == ["EX", "MA"]
    assert pictures[0].layers[3, 2, 3] == 1
    assert pictures[0].layers[7, 6, 3] == 2
    assert pictures[1].layers[..., 3].sum() == 2 * 4


def test_an_unreadable_image_is_skipped_and_told(samples: SampleSet, tmp_path: Path) -> None:
    for name in samples.names:
        (tmp_path / name).write_bytes((samples.images / name).read_bytes())
    (tmp_path / samples.names[2]).write_bytes(b"no picture")
    told: list[str] = []

    class Stop(Exception):
        pass

    class Watch(SegmenterObserver):
        def unreadable(self, name: str, reason: str) -> None:
            told.append(name)

        def training(self, total: int) -> None:
            raise Stop

    with pytest.raises(Stop):
        train_segmenter(
            tmp_path,
            load_regions(samples.masks),
            out=tmp_path.parent / "unused",
            encoder=ENCODER,
            weights="none",
            options=OPTIONS,
            observer=Watch(),
        )
    assert told == [samples.names[2]]


def test_the_smallest_lesion_survives_shrinking() -> None:
    mask = np.zeros((400, 400), np.bool_)
    mask[201, 301] = True
    small = mask_to_scale(mask, scale_for(400, 400, side_px=100))
    assert small.sum() == 1
    assert small[50, 75]


def _picture(side: int = 200) -> Picture:
    layers = np.zeros((side, side, 4), np.uint8)
    layers[150:154, 160:165, 3] = 1
    layers[20:60, 20:60, 3] |= 2
    return Picture("a", layers, True)


def test_most_crops_hold_a_lesion_and_every_kind_equally_often() -> None:
    sampler = CropSampler([_picture()], size=32, rng=np.random.default_rng(0))
    _, masks = sampler.draw(200)
    areas = masks.sum(axis=(1, 2, 3))
    assert (areas > 0).mean() > 0.7
    small = ((areas > 0) & (areas <= 60)).sum()
    assert 40 < small < 110


def test_crops_of_pictures_smaller_than_a_crop() -> None:
    images, masks = CropSampler([_picture(170)], size=256, rng=np.random.default_rng(0)).draw(4)
    assert images.shape == (4, 3, 256, 256)
    assert masks.sum() > 0


def test_the_loss_fears_missed_pixels_more_than_false_ones() -> None:
    masks = torch.zeros(1, 1, 8, 8)
    masks[..., :4] = 1
    right = (masks * 2 - 1) * 3
    missed, false = right.clone(), right.clone()
    missed[..., 0, :2] = -3
    false[..., 0, 6:] = 3
    assert recall_loss(right, masks) < recall_loss(false, masks) < recall_loss(missed, masks)

    def overlap_loss(logits: torch.Tensor) -> torch.Tensor:
        crossed = nn.functional.binary_cross_entropy_with_logits(logits, masks, pos_weight=torch.tensor(3.0))
        return recall_loss(logits, masks) - crossed

    assert overlap_loss(right) < overlap_loss(false) < overlap_loss(missed)


def test_the_least_covering_setting_of_enough_recall_is_chosen() -> None:
    rng = np.random.default_rng(0)
    mask = np.zeros((100, 100), np.bool_)
    for k in range(9):
        mask[10 * k + 2 : 10 * k + 6, 50:54] = True
    heat = np.where(mask, 0.95, rng.uniform(0, 0.02, mask.shape)).astype(np.float32)
    heat[82:86, 50:54] = 0.25  # one lesion is seen less well
    for wanted, threshold in ((0.8, 0.9), (1.0, 0.2)):
        choice = choose([heat], [truth_of({"EX": mask})], recall=wanted)
        assert choice.reached
        assert choice.setting.threshold == threshold
        assert choice.setting.margin_px == 0
    recalls = [setting.recall for setting in choice.front]
    assert recalls == sorted(recalls)


def test_the_margin_grows_where_the_network_sees_only_the_middle() -> None:
    mask = np.zeros((100, 100), np.bool_)
    mask[40:50, 40:50] = True
    heat = np.zeros(mask.shape, np.float32)
    heat[43:47, 43:47] = 0.99
    choice = choose([heat], [truth_of({"HE": mask})], recall=0.95)
    assert choice.setting.margin_px == 3
    assert choice.score.kept_out == {"HE": 1}


def test_recall_that_needs_almost_the_whole_image_is_not_reached() -> None:
    mask = np.zeros((64, 64), np.bool_)
    mask[2:4, 2:4] = mask[60:62, 60:62] = True
    blind = np.where(mask, 0, 0.95).astype(np.float32)
    choice = choose([blind, mask.astype(np.float32)], [truth_of({"MA": mask})] * 2, recall=1.0)
    assert not choice.reached or choice.score.covered <= 0.6
    everything = choose([np.ones((64, 64), np.float32)], [truth_of({"MA": mask})], recall=1.0)
    assert everything.score.covered == 1


def test_a_lesion_is_kept_out_from_95_percent_of_its_pixels_on() -> None:
    mask = np.zeros((40, 40), np.bool_)
    mask[10:20, 10:20] = True
    for rows, kept in ((9.5, 1), (9, 0)):
        inside = np.zeros_like(mask)
        inside[10 : 10 + int(rows), 10:20] = True
        if rows % 1:
            inside[19, 10:15] = True
        score = Score()
        score.add(truth_of({"EX": mask}), inside)
        assert score.kept_out == {"EX": kept}
    assert truth_of({}).labels == {}
    assert covered([Box(0, 0, 1, 1)], height=2, width=2).sum() == 1


def test_weights_of_a_classifier_start_the_encoder(tmp_path: Path) -> None:
    import timm
    from safetensors.torch import save_file

    network: nn.Module = timm.create_model("mobilenetv3_small_050", pretrained=False)
    save_file(network.state_dict(), tmp_path / "w.safetensors", metadata={"licence": "MIT"})
    made = make_network("unet", encoder=ENCODER, weights=tmp_path / "w.safetensors")
    encoder: Any = made.network.encoder
    assert torch.equal(encoder.model.conv_stem.weight, network.state_dict()["conv_stem.weight"])
    assert (made.origin, made.licence) == ("w.safetensors", "MIT")
    with pytest.raises(ModelError, match=r"weights w\.safetensors: expected the \d+ tensors of the encoder"):
        make_network("unet", encoder="tu-mobilenetv2_100", weights=tmp_path / "w.safetensors")


def test_without_the_library_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "segmentation_models_pytorch", None)
    with pytest.raises(MissingExtraError) as missing:
        make_network("unet", encoder=ENCODER, weights="none")
    assert missing.value.hint.endswith("pip install '.[segment]'")


def test_the_command_says_what_was_reached(
    samples: SampleSet,
    trained: SegmenterResult,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def write(folder: Path, *_: Any, **__: Any) -> None:  # an export takes torch several seconds
        for name in ("model.onnx", "model.safetensors"):
            shutil.copy(trained.out / name, folder)

    monkeypatch.setattr("medlocker.train._segmenter.write_weights", write)
    shell = Shell(capfd, monkeypatch)
    arguments = ["train", "segmenter", samples.images, "--masks", samples.masks, "--out", "made"]
    arguments += ["--encoder", ENCODER, "--weights", "none", "--size", "64", "--epochs", "1"]
    answer = shell(*arguments, "--validation-split", "0.3", "--json", cwd=tmp_path)
    assert answer.code == 0
    assert answer.json["wanted_recall"] == 0.95
    assert answer.json["reached"] is False
    assert "not the wanted 95%: train longer or on more images" in answer.err
    again = shell(*arguments, cwd=tmp_path)
    assert again.code == 2
    assert "made exists already" in again.err
