"""Train a lesion segmenter on photographs with masks, and choose its boxes by recall."""

from __future__ import annotations

import json
from collections.abc import Collection
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from medlocker.errors import InputError
from medlocker.files import replacing_folder
from medlocker.regions import Regions, Segmenter, load_segmenter
from medlocker.regions.segmentercard import TASK
from medlocker.train._classifier import device_of, refuse_inside
from medlocker.train._pixels import PixelStore
from medlocker.train._samples import stratified
from medlocker.train._segmenter_data import (
    CropSampler,
    MaskedFolder,
    Picture,
    PictureReader,
    find_pictures,
    usual_side,
)
from medlocker.train._segmenter_loop import SegmenterLoop, fit_segmenter
from medlocker.train._segmenter_network import (
    DEFAULT_ARCHITECTURE,
    DEFAULT_ENCODER,
    SegmentationNetwork,
    make_network,
    with_sigmoid,
)
from medlocker.train._segmenter_plots import findings_picture
from medlocker.train._watch import TrainingWatch, check_rules
from medlocker.train.backbone import Weights
from medlocker.train.export import check_output, write_card, write_weights
from medlocker.train.segmenter_choice import Choice, choose, truth_of

_SIZE_STEP = 32
_TILES_PER_CROP = 2
"""A user's tiles are larger than training crops: less of them is overlap."""
_LICENCE_NOTE = (
    "the licence of the training images and masks is not known to this program: "
    "whoever passes this model on states it here"
)


@dataclass(frozen=True)
class SegmenterOptions:
    """How to train a segmenter.

    Args:
        epochs: Passes; each draws ``crops`` crops for every photograph.
        size: Side of a training crop, pixels, a multiple of 32.
        side_px: Shorter side that photographs are resized to; None: the usual one of the first, at most 1024.
        crops: Crops drawn for each photograph in an epoch.
        batch_size: Crops per step.
        lr: Highest learning rate of AdamW.
        recall: Share of the validation photographs' lesions that boxes must hold.
        validation: Share of the photographs kept to choose threshold and margin on.
        seed: Of split, crops and augmentation.
        device: torch's name, or ``"auto"``: a GPU if there is one.

    Raises:
        InputError: If a value is out of range.
    """

    epochs: int = 20
    size: int = 256
    side_px: int | None = None
    crops: int = 8
    batch_size: int = 4
    lr: float = 1e-3
    recall: float = 0.95
    validation: float = 0.2
    seed: int = 0
    device: str = "auto"

    def __post_init__(self) -> None:
        check_rules(
            (
                ("epochs", self.epochs >= 1, "at least 1", self.epochs),
                (
                    "size",
                    64 <= self.size <= 1024 and self.size % _SIZE_STEP == 0,
                    f"a multiple of {_SIZE_STEP} from 64 to 1024",
                    self.size,
                ),
                (
                    "side",
                    self.side_px is None or 64 <= self.side_px <= 4096,
                    "from 64 to 4096 pixels",
                    self.side_px,
                ),
                ("crops", self.crops >= 1, "at least 1", self.crops),
                ("batch size", self.batch_size >= 2, "at least 2", self.batch_size),
                ("learning rate", 0 < self.lr <= 1, "above 0 and at most 1", self.lr),
                ("recall", 0 < self.recall <= 1, "a share above 0 and at most 1", self.recall),
                (
                    "validation",
                    0 < self.validation <= 0.9,
                    "a share above 0 and at most 0.9",
                    self.validation,
                ),
                ("seed", 0 <= self.seed < 2**63, "from 0 to 2^63 - 1", self.seed),
            )
        )


class SegmenterObserver(TrainingWatch):
    """What a caller may want to see; every method does nothing here."""

    def found(self, found: MaskedFolder) -> None:
        """Images and masks were compared."""

    def network(self, network: SegmentationNetwork) -> None:
        """The network is there."""

    def choosing(self) -> None:
        """Training is over, threshold and margin are chosen and files written."""


@dataclass(frozen=True, eq=False)
class SegmenterResult:
    """What was trained.

    Args:
        network: What was trained, and from which start.
        kinds: Kinds of lesions in the masks.
        choice: Threshold and margin, and what they do on the validation photographs.
        wanted: The recall that was asked for.
        train_images: How many photographs were learned from.
        unreadable: Names of images that were skipped.
        found: Images and masks compared.
        history: One row per epoch.
        sha256: Of the ONNX file.
    """

    out: Path
    network: SegmentationNetwork
    kinds: tuple[str, ...]
    choice: Choice
    wanted: float
    train_images: int
    unreadable: tuple[str, ...]
    found: MaskedFolder
    history: tuple[dict[str, Any], ...]
    sha256: str

    def to_json(self) -> dict[str, Any]:
        """Return what ``--json`` prints."""
        return {
            "out": str(self.out),
            "architecture": self.network.architecture,
            "encoder": self.network.encoder,
            "kinds": list(self.kinds),
            "train_images": self.train_images,
            "threshold": self.choice.setting.threshold,
            "margin_px": self.choice.setting.margin_px,
            "wanted_recall": self.wanted,
            "reached": self.choice.reached,
            "validation": self.choice.score.to_json(),
            "without_mask": len(self.found.without_mask),
            "masks_without_image": len(self.found.without_image),
            "excluded": len(self.found.excluded),
            "excluded_unknown": len(self.found.unmatched),
            "unreadable": list(self.unreadable),
            "sha256": self.sha256,
            "seconds": sum(row["seconds"] for row in self.history),
        }


def train_segmenter(
    folder: Path,
    masks: Regions,
    *,
    out: Path,
    architecture: str = DEFAULT_ARCHITECTURE,
    encoder: str = DEFAULT_ENCODER,
    weights: Weights = "hub",
    exclude: Collection[str] = (),
    options: SegmenterOptions | None = None,
    overwrite: bool = False,
    observer: SegmenterObserver | None = None,
) -> SegmenterResult:
    """Train a segmenter and write ``model.onnx``, ``model.safetensors``, ``model.card.json`` and reports.

    Every kind of lesion counts as lesion. Threshold and margin are chosen on photographs that were not
    trained on, with the written ONNX file, exactly as :func:`medlocker.regions.load_segmenter` runs it: the
    smallest covered share that keeps out the wanted share of lesions. A lesion counts as kept out if at
    least 95 % of its pixels lie inside of boxes.

    Args:
        masks: Of :func:`medlocker.regions.load_regions`, a folder of masks.
        out: New folder.
        architecture: Of segmentation-models-pytorch: ``unet``, ``fpn``, ...
        weights: Starting weights of the encoder: a state dict, ``"hub"`` or ``"none"``.
        exclude: Names of images to leave out, for instance those kept to judge on.
        overwrite: Replace a segmenter that exists.

    Raises:
        InputError: If images and masks give nothing to learn from, or a mask is of another size.
        MissingExtraError: If segmentation-models-pytorch is not installed.
        ModelError: If the network cannot be made, trained or exported.
        OutputExistsError: If ``out`` exists.
    """
    options = options or SegmenterOptions()
    watch = observer or SegmenterObserver()
    check_output(out, overwrite=overwrite)
    refuse_inside(out, folder)
    device = device_of(options.device)
    found, masks = find_pictures(folder, masks, exclude=exclude)
    watch.found(found)
    side_px = options.side_px or usual_side(found.files)
    with torch.random.fork_rng(), PixelStore() as store:
        torch.manual_seed(options.seed)  # fresh layers have no generator of their own
        base = make_network(architecture, encoder=encoder, weights=weights)
        watch.network(base)
        reader = PictureReader(masks, side_px=side_px, store=store)
        watch.reading(len(found.files))
        pictures, failed = reader.read(found.files, on_image=watch.read)
        for name, reason in failed.items():
            watch.unreadable(name, reason)
        train, validation = _split(pictures, options)
        loop = SegmenterLoop(
            epochs=options.epochs,
            steps=max(1, round(options.crops * len(train) / options.batch_size)),
            batch_size=options.batch_size,
            lr=options.lr,
            seed=options.seed,
            device=device,
            mean=base.mean,
            std=base.std,
        )
        watch.training(loop.epochs * loop.steps * loop.batch_size)
        samplers = [
            CropSampler(part, size=options.size, rng=np.random.default_rng([options.seed, k]))
            for k, part in enumerate((train, validation))
        ]
        history = fit_segmenter(
            base.network, samplers[0], samplers[1], loop, on_crops=watch.trained, on_epoch=watch.epoch
        )
        watch.choosing()
        with replacing_folder(out, check=lambda: check_output(out, overwrite=overwrite)) as temporary:
            card = _card(base, reader.kinds, side_px=side_px, size=options.size, images=len(train))
            segmenter = _written(temporary, base.network, card)
            choice = _choose(segmenter, validation, reader.kinds, recall=options.recall)
            digests = write_card(temporary, {**card, **_chosen(choice)})
            report = {
                **{key: card[key] for key in ("architecture", "encoder", "start", "kinds", "side_px")},
                "options": {**asdict(options), "side_px": side_px, "device": device},
                "choice": {**choice.setting.to_json(), "reached": choice.reached},
                "validation": choice.score.to_json(),
                "front": [setting.to_json() for setting in choice.front],
                "history": list(history),
                "split": {
                    "train": [picture.name for picture in train],
                    "validation": [picture.name for picture in validation],
                    "excluded": list(found.excluded),
                },
                "unreadable": sorted(failed),
                "without_mask": list(found.without_mask),
                "masks_without_image": list(found.without_image),
                "excluded_unknown": list(found.unmatched),
                "versions": {"torch": torch.__version__},
            }
            text = json.dumps(report, ensure_ascii=False, indent=1) + "\n"
            (temporary / "training.json").write_text(text, encoding="utf-8")
            sample = _sample(
                load_segmenter(temporary), validation, choice, wanted=options.recall, history=history
            )
            (temporary / "findings.png").write_bytes(sample)
    return SegmenterResult(
        out=out,
        network=base,
        kinds=tuple(reader.kinds),
        choice=choice,
        wanted=options.recall,
        train_images=len(train),
        unreadable=tuple(sorted(failed)),
        found=found,
        history=history,
        sha256=digests["sha256"],
    )


def _split(pictures: list[Picture], options: SegmenterOptions) -> tuple[list[Picture], list[Picture]]:
    """Keep some photographs with and some without lesions for validation."""
    lesions = sum(picture.has_lesions for picture in pictures)
    if lesions < 2:
        raise InputError(
            f"masks: expected lesions in at least two readable images, got {lesions} of {len(pictures)}",
            hint="what is not 0 in a mask is a lesion; one image is learned from and one chosen on",
        )
    has_lesions = [int(picture.has_lesions) for picture in pictures]
    chosen = set(stratified(has_lesions, options.validation, seed=options.seed))
    train = [picture for i, picture in enumerate(pictures) if i not in chosen]
    if not any(picture.has_lesions for picture in train):
        raise InputError("validation: expected a share that leaves images with lesions to learn from")
    return train, [picture for i, picture in enumerate(pictures) if i in chosen]


def _card(
    base: SegmentationNetwork, kinds: list[str], *, side_px: int, size: int, images: int
) -> dict[str, Any]:
    tile = _TILES_PER_CROP * size
    return {
        "task": TASK,
        "input": {
            "height": tile,
            "width": tile,
            "layout": "NCHW",
            "range": [0, 1],
            "mean": list(base.mean),
            "std": list(base.std),
        },
        "output": "probabilities",
        "side_px": side_px,
        "kinds": list(kinds),
        "architecture": base.architecture,
        "encoder": base.encoder,
        "start": {"weights": base.origin, "licence": base.licence},
        "train_images": images,
        "training_data_licence": _LICENCE_NOTE,
    }


def _chosen(choice: Choice) -> dict[str, Any]:
    return {
        "threshold": choice.setting.threshold,
        "margin_px": choice.setting.margin_px,
        "metrics": {"validation": choice.score.to_json()},
    }


def _written(folder: Path, network: nn.Module, card: dict[str, Any]) -> Segmenter:
    """Write the network and open it as a user would; the threshold is still a placeholder."""
    side = card["input"]["height"]
    name = f"{card['architecture']} with {card['encoder']}"
    final = with_sigmoid(network)
    write_weights(folder, final, height=side, width=side, name=name, output="probability")
    write_card(folder, {**card, "threshold": 0.5, "margin_px": 0})
    return load_segmenter(folder)


def _choose(segmenter: Segmenter, validation: list[Picture], kinds: list[str], *, recall: float) -> Choice:
    maps, truths = [], []
    for picture in validation:
        bits = picture.layers[..., 3]
        maps.append(segmenter.probabilities(np.ascontiguousarray(picture.layers[..., :3])))
        masks = {kind: (bits >> place) & 1 == 1 for place, kind in enumerate(kinds)}
        truths.append(truth_of({kind: mask for kind, mask in masks.items() if mask.any()}))
    return choose(maps, truths, recall=recall)


def _sample(
    segmenter: Segmenter,
    validation: list[Picture],
    choice: Choice,
    *,
    wanted: float,
    history: tuple[dict[str, Any], ...],
) -> bytes:
    """Draw the validation photograph with the median number of lesion pixels."""
    ordered = sorted(validation, key=lambda one: (np.count_nonzero(one.layers[..., 3]), one.name))
    layers = ordered[len(ordered) // 2].layers
    pixels = np.ascontiguousarray(layers[..., :3])
    boxes = segmenter.find(pixels).boxes
    return findings_picture(pixels, layers[..., 3] != 0, boxes, choice=choice, wanted=wanted, history=history)
