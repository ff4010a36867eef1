"""Pre-train a network on synthetic photographs: where which lesions lie, how many, and the grade.

Maps of lesions teach far more per photograph than a grade alone, so a few thousand photographs are enough.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.torch
import timm
import torch
from torch import Tensor, nn
from torch.nn import functional

from _synthetic import GRADES, KINDS, MAPS, Photographs
from medlocker._files import make_folder, write_atomic
from medlocker.classifiers._architectures import head_names
from medlocker.metrics import measure
from medlocker.train._augment import jitter_colors
from medlocker.train._backbone import IMAGENET_MEAN, IMAGENET_STD
from medlocker.train._loop import Cosine, parameter_groups

LICENCE = "Apache-2.0"
_CELLS = 16
"""A side of the maps that are learned: sharper than the last features, whose channels hold the rest."""
_REPORTED = 50
_NUMBERS = GRADES + len(KINDS) + 4


@dataclass(frozen=True)
class Settings:
    """How to pre-train.

    Args:
        views: Photographs shown, all passes together.
        size: Side of the input, pixels.
        batch_size: Views a step.
        lr: Highest learning rate of AdamW.
        seed: Of weights, order and views.
    """

    views: int = 16_000
    size: int = 160
    batch_size: int = 32
    lr: float = 1e-3
    seed: int = 0


class Student(nn.Module):
    """A backbone that answers numbers about the whole photograph and maps of what lies where."""

    def __init__(self, architecture: str, size: int) -> None:
        super().__init__()
        options: dict[str, Any] = {"img_size": size} if architecture.startswith(("vit_", "deit_")) else {}
        self.backbone: Any = timm.create_model(
            architecture, pretrained=False, num_classes=_NUMBERS, **options
        )
        probe = self._planes(torch.zeros(2, 3, size, size))
        self._zoom = -(-_CELLS // probe.shape[-1])
        self.maps = nn.Conv2d(probe.shape[1], len(MAPS) * self._zoom**2, 1)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Return (N, numbers) and (N, len(MAPS), cells, cells)."""
        features = self.backbone.forward_features(images)
        numbers = self.backbone.forward_head(features)
        return numbers, functional.pixel_shuffle(self.maps(self._as_planes(features)), self._zoom)

    def body(self) -> dict[str, Tensor]:
        """Return the backbone's tensors without its last layer."""
        heads = head_names(self.backbone)
        state = self.backbone.state_dict()
        return {name: tensor.detach().contiguous() for name, tensor in state.items() if name not in heads}

    def _planes(self, images: Tensor) -> Tensor:
        with torch.no_grad():
            return self._as_planes(self.backbone.forward_features(images))

    def _as_planes(self, features: Tensor) -> Tensor:
        """Return tokens as (N, C, h, w); class tokens are dropped."""
        if features.ndim == 4:
            return features
        tokens = features[:, getattr(self.backbone, "num_prefix_tokens", 0) :]
        side = round(tokens.shape[1] ** 0.5)
        return tokens.transpose(1, 2).reshape(len(tokens), -1, side, side)


def pretrain(
    architecture: str,
    photographs: Photographs,
    judged_on: Photographs,
    settings: Settings,
    *,
    out: Path,
    seconds: float,
    say: Callable[[str], None],
) -> dict[str, Any] | None:
    """Pre-train, write ``ARCHITECTURE.safetensors`` and ``ARCHITECTURE.json`` and return the latter.

    Args:
        architecture: timm's name.
        photographs: To learn from.
        judged_on: Others.
        settings: See there.
        out: Folder.
        seconds: Pause after so many; the next call with the same arguments goes on, as if it had not paused.
        say: Told of progress.

    Returns:
        None when paused.
    """
    make_folder(out)
    started = time.perf_counter()
    course = _Course(architecture, settings, out / f"{architecture}.paused.pt")
    course.student.train()
    while course.at < course.steps:
        if time.perf_counter() - started > seconds:
            course.pause()
            say(f"{architecture}: paused after step {course.at} of {course.steps}")
            return None
        course.step(photographs)
        if course.at % _REPORTED == 0:
            loss = np.mean(course.losses[-_REPORTED:])
            say(f"{architecture}: step {course.at} of {course.steps}, loss {loss:.3f}")
    report = {
        "architecture": architecture,
        "photographs": len(photographs),
        "views": course.steps * settings.batch_size,
        "size": settings.size,
        "loss": [float(np.mean(course.losses[k : k + _REPORTED])) for k in range(0, course.steps, _REPORTED)],
        "judged": _judge(course.student, judged_on, settings),
    }
    metadata = {"licence": LICENCE, "source": "pre-trained on this project's synthetic photographs"}
    data = safetensors.torch.save(course.student.body(), metadata=metadata)
    write_atomic(out / f"{architecture}.safetensors", data, overwrite=True)
    text = json.dumps(report, indent=1) + "\n"
    write_atomic(out / f"{architecture}.json", text.encode("utf-8"), overwrite=True)
    course.forget()
    return report


class _Course:
    """A run of training that can be paused: all that is random in a step comes from the step's number."""

    def __init__(self, architecture: str, settings: Settings, file: Path) -> None:
        torch.manual_seed(settings.seed)
        self.student = Student(architecture, settings.size).to(memory_format=torch.channels_last)
        self.steps = settings.views // settings.batch_size
        self.at = 0
        self.losses: list[float] = []
        self._settings, self._file = settings, file
        self._optimizer = torch.optim.AdamW(parameter_groups(self.student), lr=settings.lr)
        if file.is_file():
            state = torch.load(file, weights_only=True)
            self.student.load_state_dict(state["student"])
            self._optimizer.load_state_dict(state["optimizer"])
            self.at, self.losses = state["at"], state["losses"]
        self._schedule = Cosine(
            self._optimizer, lr=settings.lr, steps=self.steps, warm_up=max(1, self.steps // 20)
        )
        for _ in range(self.at):
            self._schedule.step()

    def step(self, photographs: Photographs) -> None:
        """Learn from one batch."""
        settings = self._settings
        generator = torch.Generator().manual_seed((settings.seed << 32) + self.at)
        chosen = torch.randperm(len(photographs), generator=generator)[: settings.batch_size].sort().values
        images, maps, places = _views(photographs, chosen.numpy(), settings.size, generator)
        self._schedule.step()
        with torch.autocast("cpu", torch.bfloat16):
            numbers, drawn = self.student(_normalised(images))
        loss = _loss(numbers.float(), drawn.float(), photographs, chosen.numpy(), maps, places)
        self._optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(self.student.parameters(), 5.0)
        self._optimizer.step()
        self.losses.append(float(loss.detach()))
        self.at += 1

    def pause(self) -> None:
        """Keep everything for another time."""
        state = {
            "student": self.student.state_dict(),
            "optimizer": self._optimizer.state_dict(),
            "at": self.at,
            "losses": self.losses,
        }
        torch.save(state, self._file)

    def forget(self) -> None:
        """Remove what :meth:`pause` kept."""
        self._file.unlink(missing_ok=True)


def _views(
    photographs: Photographs, chosen: Any, size: int, generator: torch.Generator
) -> tuple[Tensor, Tensor, Tensor]:
    """Return flipped, zoomed, shifted and recoloured views, their maps and places."""
    count = len(chosen)
    images = torch.from_numpy(np.array(photographs.images[chosen])).permute(0, 3, 1, 2).float()
    maps = torch.from_numpy(photographs.maps[chosen]).float() / 255
    flips = torch.rand(count, 2, generator=generator).sub_(0.5).sign_()
    zoom = torch.rand(count, 2, generator=generator) * 0.3 + 0.78
    shift = torch.rand(count, 2, generator=generator) * 0.16 - 0.08
    theta = torch.zeros(count, 2, 3)
    theta[:, 0, 0], theta[:, 1, 1], theta[:, :, 2] = zoom[:, 0] * flips[:, 0], zoom[:, 1] * flips[:, 1], shift
    grid = functional.affine_grid(theta, [count, 3, size, size], align_corners=False)
    seen = functional.grid_sample(images, grid, padding_mode="reflection", align_corners=False)
    # maps are read more finely than they are learned, then averaged: no small lesion falls between samples
    fine = functional.affine_grid(theta, [count, 1, 4 * _CELLS, 4 * _CELLS], align_corners=False)
    maps = functional.grid_sample(maps, fine, padding_mode="reflection", align_corners=False)
    places = torch.from_numpy(photographs.places[chosen]).view(count, 2, 2) * 2 - 1
    places = ((places - shift[:, None]) / (zoom * flips)[:, None]).flatten(1)
    return (
        jitter_colors(seen.contiguous(memory_format=torch.channels_last), generator=generator),
        maps,
        places,
    )


def _normalised(images: Tensor) -> Tensor:
    mean, std = (torch.tensor(v).view(1, 3, 1, 1) * 255 for v in (IMAGENET_MEAN, IMAGENET_STD))
    return (images - mean) / std


def _loss(
    numbers: Tensor, drawn: Tensor, photographs: Photographs, chosen: Any, maps: Tensor, places: Tensor
) -> Tensor:
    grade, counts, where = torch.split(numbers, [GRADES, len(KINDS), 4], dim=1)
    wanted = torch.log1p(torch.from_numpy(photographs.counts[chosen])) / 2
    # the root makes a dot that covers a twentieth of a cell a fifth, so that it is worth finding
    cells = functional.adaptive_avg_pool2d(maps, drawn.shape[-1]).clamp_(0, 1).sqrt_()
    of_maps = functional.binary_cross_entropy_with_logits(drawn, cells)
    of_grade = functional.cross_entropy(grade, torch.from_numpy(photographs.grades[chosen]))
    of_counts = functional.smooth_l1_loss(counts, wanted)
    return 8 * of_maps + of_grade + 2 * of_counts + functional.smooth_l1_loss(where, places)


def _judge(student: Student, photographs: Photographs, settings: Settings) -> dict[str, Any]:
    """Return how well grades and maps are told on other photographs."""
    student.eval()
    answers, found, truth = [], [], []
    with torch.inference_mode():
        for start in range(0, len(photographs), settings.batch_size):
            part = slice(start, start + settings.batch_size)
            images = torch.from_numpy(np.array(photographs.images[part])).permute(0, 3, 1, 2).float()
            images = functional.interpolate(images, (settings.size,) * 2, mode="area")
            numbers, drawn = student(_normalised(images))
            answers.append(numbers[:, :GRADES].numpy())
            maps = torch.from_numpy(np.array(photographs.maps[part])).float() / 255
            found.append(drawn.sigmoid())
            truth.append(functional.adaptive_avg_pool2d(maps, drawn.shape[-1]).sqrt())
    metrics = measure(np.concatenate(answers), np.asarray(photographs.grades))
    told, right = torch.cat(found), torch.cat(truth)
    likeness = {}
    for position, name in enumerate(MAPS):
        pair = torch.stack([told[:, position].flatten(), right[:, position].flatten()])
        likeness[name] = float(torch.corrcoef(pair)[0, 1])
    return {"n": metrics.n, "accuracy": metrics.accuracy, "qwk": metrics.qwk, "maps": likeness}
