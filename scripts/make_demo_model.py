"""Train the built-in demonstration classifier on synthetic fundus images and export it as ONNX.

Run it from the project's root; it takes about ten minutes on two cores and needs the ``torch`` extra::

    python scripts/make_demo_model.py

It writes ``fundus-demo.onnx`` and ``fundus-demo.card.json`` into ``src/medlocker/demo/data``. Everything is
seeded; the weights may still differ in their last digits on another machine or with another torch.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import math
import time
import warnings
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from medlocker.classifiers import load_onnx, resize_canvas
from medlocker.demo.lesions import GRADES
from medlocker.demo.paint import Synthetic, synthesise
from medlocker.logo import Logo, blend, builtin_logo, render, weights

SIDE_PX = 160
IMAGE_SIDE_PX = 512
MEAN = (0.485, 0.300, 0.160)
STD = (0.300, 0.200, 0.130)
TRAIN_SEED, TEST_SEED, LOGO_SEED = 1_000_000, 2_000_000, 3_000_000
OUT = Path(__file__).resolve().parent.parent / "src" / "medlocker" / "demo" / "data"


@dataclass(frozen=True)
class Settings:
    """What may be tuned.

    Args:
        images: Training images, equally many per grade.
        epochs: Passes over them for the features.
        reading_epochs: Passes over them for the reading layer.
        stickers: Share of training images with random stickers.
        seed: Of weights and augmentation.
    """

    images: int = 3600
    epochs: int = 8
    reading_epochs: int = 12
    stickers: float = 0.2
    seed: int = 7


class Block(nn.Sequential):
    """A 3 x 3 convolution, normalised and rectified."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__(
            nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False),
            nn.BatchNorm2d(outputs),
            nn.ReLU(inplace=True),
        )


class DemoNet(nn.Module):
    """A small network: (N, 3, 160, 160) to (N, 3) logits.

    Plain convolutions: separable ones need fewer multiplications but train several times slower on a CPU.
    The reading layer sees contrast-normalised features with their places, as the fully connected layers of
    older networks do; such a layer is accurate and, like theirs, easily disturbed by what it never saw.
    """

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(
            Block(3, 16, 2),
            Block(16, 32, 2),
            Block(32, 32, 1),
            Block(32, 64, 2),
            Block(64, 64, 1),
            Block(64, 96, 2),
        )
        self.pooled = nn.Linear(96, len(GRADES))
        self.reading = reading_layer()

    def forward(self, images: Tensor) -> Tensor:
        """Classify normalised images."""
        return self.reading(self.features(images))  # type: ignore[no-any-return]

    def forward_pooled(self, images: Tensor) -> Tensor:
        """Classify by the features' averages, with which the features are trained."""
        return self.pooled(self.features(images).mean(dim=(2, 3)))  # type: ignore[no-any-return]


def reading_layer() -> nn.Sequential:
    """Return the untrained reading layer: (N, 96, 10, 10) features to (N, 3) logits."""
    cells = (SIDE_PX // 16) ** 2
    return nn.Sequential(nn.InstanceNorm2d(96, eps=0.01), nn.Flatten(), nn.Linear(96 * cells, len(GRADES)))


def _canvas(seed_and_grade: tuple[int, int]) -> NDArray[np.uint8]:
    seed, grade = seed_and_grade
    cv2.setNumThreads(1)
    image = synthesise(seed, grade=GRADES[grade], width=IMAGE_SIDE_PX, height=IMAGE_SIDE_PX).image
    canvas = resize_canvas(image, height=SIDE_PX, width=SIDE_PX, channels=3, rule="stretch")
    return np.asarray(canvas.astype(np.uint8))


def make_set(count: int, seed: int) -> tuple[Tensor, Tensor]:
    """Paint (count, 3, 160, 160) uint8 canvases and their (count,) grades."""
    jobs = [(seed + i, i % len(GRADES)) for i in range(count)]
    with ProcessPoolExecutor(2) as pool:
        canvases = list(pool.map(_canvas, jobs, chunksize=20))
    images = torch.from_numpy(np.stack(canvases)).permute(0, 3, 1, 2).contiguous()
    return images, torch.tensor([grade for _, grade in jobs])


def normalise(images: Tensor) -> Tensor:
    """Bring 0..255 to the network's range."""
    mean, std = (torch.tensor(values).view(1, 3, 1, 1) for values in (MEAN, STD))
    return (images.float() / 255 - mean) / std


def _stickers(image: NDArray[np.float32], rng: np.random.Generator) -> None:
    """Lay one or two plain shapes over an (H, W, 3) canvas, so that not everything foreign is a lesion."""
    for _ in range(int(rng.integers(1, 3))):
        side = rng.uniform(0.08, 0.28) * SIDE_PX
        at = tuple(int(v) for v in rng.uniform(0, SIDE_PX, 2))
        opacity = float(rng.uniform(0.3, 1.0))
        layer = image.copy()
        for share in (1.0, *rng.uniform(0.2, 0.9, int(rng.integers(0, 4)))):
            color = tuple(float(v) for v in rng.uniform(0, 255, 3))
            axes = tuple(max(int(side * share * v / 2), 1) for v in rng.uniform(0.7, 1.0, 2))
            if rng.random() < 0.5:
                cv2.ellipse(layer, at, axes, float(rng.uniform(0, 180)), 0, 360, color, -1)
            else:
                corner = tuple(a - b for a, b in zip(at, axes, strict=True))
                cv2.rectangle(layer, corner, tuple(a + b for a, b in zip(at, axes, strict=True)), color, -1)
        image += (layer - image) * opacity


def augment(images: Tensor, rng: np.random.Generator, *, stickers: float) -> Tensor:
    """Flip, shift, recolour, and partly cover a (N, 3, H, W) uint8 batch; returns it normalised."""
    batch = images.permute(0, 2, 3, 1).numpy().astype(np.float32)
    for i in range(len(batch)):
        image = batch[i, :, :: int(rng.choice([-1, 1]))][:: int(rng.choice([-1, 1]))]
        image = np.roll(image, rng.integers(-4, 5, 2), axis=(0, 1))
        image = image * rng.normal(1.0, 0.06, 3).astype(np.float32) + np.float32(rng.normal(0.0, 4.0))
        if rng.random() < stickers:
            _stickers(image, rng)
        grain = np.float32(rng.uniform(0.0, 3.0))
        batch[i] = image + grain * rng.standard_normal(image.shape, dtype=np.float32)
    return normalise(torch.from_numpy(np.clip(batch, 0, 255, out=batch)).permute(0, 3, 1, 2))


def train(images: Tensor, grades: Tensor, settings: Settings) -> DemoNet:
    """Train features, then the reading layer on them; prints one line per epoch."""
    torch.manual_seed(settings.seed)
    rng = np.random.default_rng(settings.seed)
    net = DemoNet().to(memory_format=torch.channels_last)
    optimiser = torch.optim.AdamW(net.parameters(), lr=4e-3, weight_decay=0.02)
    batch = 48
    steps = settings.epochs * math.ceil(len(images) / batch)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, max_lr=4e-3, total_steps=steps, pct_start=0.2)
    loss_of = nn.CrossEntropyLoss(label_smoothing=0.05)
    for epoch in range(settings.epochs):
        net.train()
        start, total = time.perf_counter(), 0.0
        for chosen in torch.split(torch.from_numpy(rng.permutation(len(images))), batch):
            loss = loss_of(
                net.forward_pooled(augment(images[chosen], rng, stickers=settings.stickers)), grades[chosen]
            )
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()
            total += float(loss.detach()) * len(chosen)
        seconds = time.perf_counter() - start
        print(f"epoch {epoch + 1:2d}  loss {total / len(images):.3f}  {seconds:.0f} s", flush=True)
    net.eval()
    net.reading = train_reading(net.features, images, grades, settings)
    return net


def train_reading(
    features_of: nn.Module, images: Tensor, grades: Tensor, settings: Settings
) -> nn.Sequential:
    """Train a reading layer on fixed features of images and their mirror images, without other changes."""
    torch.manual_seed(settings.seed)
    reading = reading_layer()
    with torch.no_grad():
        both = [part for view in (images, images.flip(3)) for part in torch.split(view, 48)]
        features = torch.cat([features_of(normalise(part)).half() for part in both])
    labels = grades.repeat(2)
    optimiser = torch.optim.AdamW(reading.parameters(), lr=5e-4, weight_decay=0.0)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, settings.reading_epochs)
    loss_of = nn.CrossEntropyLoss()
    for epoch in range(settings.reading_epochs):
        total = 0.0
        for chosen in torch.split(torch.randperm(len(features)), 96):
            loss = loss_of(reading(features[chosen].float()), labels[chosen])
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            total += float(loss.detach()) * len(chosen)
        schedule.step()
        print(f"reading {epoch + 1:2d}  loss {total / len(features):.3f}", flush=True)
    return reading.eval()


def export(net: DemoNet, path: Path) -> None:
    """Write the network as ONNX, opset 17, free batch axis."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter that needs no further package is the older one
        torch.onnx.export(
            net.to(memory_format=torch.contiguous_format),
            (torch.zeros(1, 3, SIDE_PX, SIDE_PX),),
            str(path),
            input_names=["image"],
            output_names=["logits"],
            dynamic_axes={"image": {0: "batch"}, "logits": {0: "batch"}},
            opset_version=17,
            dynamo=False,
        )


def write_card(onnx: Path, notes: str, measured: dict[str, float]) -> None:
    """Write the model card beside the model."""
    card = {
        "input": {
            "height": SIDE_PX,
            "width": SIDE_PX,
            "layout": "NCHW",
            "range": [0, 1],
            "mean": list(MEAN),
            "std": list(STD),
            "resize": "stretch",
        },
        "classes": list(GRADES),
        "output": "logits",
        "sha256": hashlib.sha256(onnx.read_bytes()).hexdigest(),
        "notes": notes,
        "measured": measured,
    }
    text = json.dumps(card, indent=2) + "\n"
    onnx.with_name(onnx.stem + ".card.json").write_text(text, encoding="utf-8")


def _boxes(mask: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Return (N, 4) left, top, right, bottom of every lesion."""
    count, _, stats, _ = cv2.connectedComponentsWithStats(mask, connectivity=8)
    found = stats[1:count, :4].astype(np.int64)
    found[:, 2:] += found[:, :2]
    return found


def _logo_canvases(
    sample: Synthetic, logo: Logo, rng: np.random.Generator, *, tries: int, opacity: float
) -> NDArray[np.float32]:
    """Put the logo on random places clear of lesions; (N, 160, 160, 3) in 0..255, N at most ``tries``."""
    height, width = sample.mask.shape
    raster = render(logo, min(height, width) // 4)
    h, w = raster.coverage.shape
    weight = weights(raster.coverage, round(opacity * 65535))
    boxes = _boxes(sample.mask)
    canvases = []
    for _ in range(tries * 100):
        x, y = int(rng.integers(0, width - w + 1)), int(rng.integers(0, height - h + 1))
        hits = (boxes[:, 0] < x + w) & (x < boxes[:, 2]) & (boxes[:, 1] < y + h) & (y < boxes[:, 3])
        if hits.any():
            continue
        marked = sample.image.copy()
        marked[y : y + h, x : x + w] = blend(marked[y : y + h, x : x + w], raster.color, weight)
        canvases.append(resize_canvas(marked, height=SIDE_PX, width=SIDE_PX, channels=3, rule="stretch"))
        if len(canvases) == tries:
            break
    return np.stack(canvases) if canvases else np.zeros((0, SIDE_PX, SIDE_PX, 3), np.float32)


def try_logo(
    onnx: Path, *, images: int = 90, tries: int = 64, opacity: float = 0.8, sizes: int = IMAGE_SIDE_PX
) -> dict[str, float]:
    """Measure how often the built-in logo, at random places, fools the model on images it gets right."""
    model, logo, rng = load_onnx(onnx), builtin_logo(), np.random.default_rng(LOGO_SEED)
    per_grade = {name: [0, 0, 0] for name in GRADES}
    placements = wrong_placements = 0
    for i in range(images):
        grade = i % len(GRADES)
        sample = synthesise(LOGO_SEED + i, grade=GRADES[grade], width=sizes, height=sizes)
        clean = model.logits(model.canvas(sample.image)[None])
        if int(clean.argmax()) != grade:
            continue
        canvases = _logo_canvases(sample, logo, rng, tries=tries, opacity=opacity)
        wrong = model.logits(canvases).argmax(axis=1) != grade
        placements += len(wrong)
        wrong_placements += int(wrong.sum())
        counts = per_grade[GRADES[grade]]
        counts[0] += 1
        counts[1] += bool(wrong[:1].any())
        counts[2] += bool(wrong.any())
    right, first, best = (sum(counts[k] for counts in per_grade.values()) for k in range(3))
    for name, counts in per_grade.items():
        print(f"  {name}: right {counts[0]}, fooled by the first {counts[1]}, by one of {tries} {counts[2]}")
    return {
        "logo_images": right,
        "logo_fooled_by_any_random_place": round(wrong_placements / max(placements, 1), 3),
        "logo_fooled_by_first_random_place": round(first / max(right, 1), 3),
        f"logo_fooled_by_best_of_{tries}": round(best / max(right, 1), 3),
    }


def accuracy(onnx: Path, images: Tensor, grades: Tensor) -> float:
    """Return the exported model's accuracy on uint8 canvases."""
    canvases = images.permute(0, 2, 3, 1).numpy().astype(np.float32)
    answers = load_onnx(onnx).logits(canvases).argmax(axis=1)
    for k, name in enumerate(GRADES):
        row = [int(((grades.numpy() == k) & (answers == j)).sum()) for j in range(len(GRADES))]
        print(f"  {name}: taken for {dict(zip(GRADES, row, strict=True))}")
    return float((answers == grades.numpy()).mean())


NOTES = (
    "Trained on synthetic images only, to demonstrate medlocker. It has never seen an eye and is not a "
    "diagnostic device: never use it on people."
)


def main() -> None:
    """Paint, train, export, measure."""
    parser = argparse.ArgumentParser(description="Train and export the built-in demonstration classifier.")
    parser.add_argument("--out", type=Path, default=OUT)
    parser.add_argument("--images", type=int, default=Settings.images)
    parser.add_argument("--epochs", type=int, default=Settings.epochs)
    chosen = parser.parse_args()
    settings = Settings(images=chosen.images, epochs=chosen.epochs)
    torch.set_num_threads(1)  # two threads that wait for each other are slower on a busy machine
    cv2.setNumThreads(1)
    test_images, test_grades = make_set(300, TEST_SEED)
    images, grades = make_set(settings.images, TRAIN_SEED)
    onnx = chosen.out / "fundus-demo.onnx"
    export(train(images, grades, settings), onnx)
    measured = {"held_out_images": len(test_images), "held_out_accuracy": 0.0}
    write_card(onnx, NOTES, measured)
    measured["held_out_accuracy"] = round(accuracy(onnx, test_images, test_grades), 4)
    measured.update(try_logo(onnx))
    write_card(onnx, NOTES, measured)
    print(json.dumps(measured, indent=2), f"{onnx.stat().st_size / 1e6:.2f} MB")


if __name__ == "__main__":
    main()
