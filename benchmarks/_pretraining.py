"""Pre-train a network on pieces of synthetic photographs: what lies where in each of them.

Maps teach far more per piece than one grade does, and pieces at full sharpness cost far less than whole
photographs: a network sees many lesions in few minutes, as large as they are on what it is for.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import safetensors.torch
import timm
import torch
from torch import Tensor, nn
from torch.nn import functional

from _synthetic import MAPS, SIDE_PX, Photographs
from medlocker.classifiers.architectures import head_names
from medlocker.files import make_folder, write_atomic
from medlocker.train.augment import jitter_colors
from medlocker.train.backbone import IMAGENET_MEAN, IMAGENET_STD
from medlocker.train.steps import one_cycle, parameter_groups

LICENCE = "Apache-2.0"
_CELLS = 16
"""A side of the maps that are learned: sharper than the features, whose channels hold the rest."""
_LEVELS = 2
"""So many last levels of features learn maps: the earlier one learns fast what the last one builds on."""
_ZOOMS = (0.8, 1.25)
_REPORTED = 20
_JUDGED_PIECES = 512


@dataclass(frozen=True)
class Settings:
    """How to pre-train.

    Args:
        steps: Of the optimizer.
        size: Side of the pieces, pixels of a photograph of SIDE_PX.
        batch_size: Pieces a step.
        lr: Highest learning rate of AdamW.
        seed: Of weights, order and pieces.
    """

    steps: int = 2000
    size: int = 128
    batch_size: int = 16
    lr: float = 1e-3
    seed: int = 0


class Student(nn.Module):
    """A backbone that answers, for all kinds of a map, how much of a piece each covers, and where."""

    def __init__(self, architecture: str, size: int) -> None:
        super().__init__()
        self.backbone: Any = timm.create_model(architecture, pretrained=False, num_classes=len(MAPS))
        with torch.no_grad():
            probes = self._features(torch.zeros(2, 3, size, size))[1]
        self._zooms = [-(-_CELLS // probe.shape[-1]) for probe in probes]
        self.maps = nn.ModuleList(
            nn.Conv2d(probe.shape[1], len(MAPS) * zoom**2, 1)
            for probe, zoom in zip(probes, self._zooms, strict=True)
        )

    def forward(self, images: Tensor) -> list[Tensor]:
        """Return logits: (N, len(MAPS)) of the whole, (N, len(MAPS), cells, cells) of each level."""
        last, levels = self._features(images)
        drawn = [
            functional.pixel_shuffle(head(level), zoom)
            for head, level, zoom in zip(self.maps, levels, self._zooms, strict=True)
        ]
        # most cells are empty: begin there
        return [answer - 3 for answer in (self.backbone.forward_head(last), *drawn)]

    def body(self) -> dict[str, Tensor]:
        """Return the backbone's tensors without its last layer."""
        heads = head_names(self.backbone)
        state = self.backbone.state_dict()
        return {name: tensor.detach().contiguous() for name, tensor in state.items() if name not in heads}

    def _features(self, images: Tensor) -> tuple[Tensor, list[Tensor]]:
        last, levels = self.backbone.forward_intermediates(images, indices=_LEVELS)
        return last, levels


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
    while course.at < settings.steps:
        if time.perf_counter() - started > seconds:
            course.pause()
            say(f"{architecture}: paused after step {course.at} of {settings.steps}")
            return None
        course.step(photographs)
        if course.at % _REPORTED == 0:
            say(f"{architecture}: step {course.at} of {settings.steps}, {course.recent()}")
    report = {
        "architecture": architecture,
        "photographs": len(photographs),
        "pieces": settings.steps * settings.batch_size,
        "size": settings.size,
        "losses": [course.recent(k) for k in range(_REPORTED, settings.steps + 1, _REPORTED)],
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
        self.at = 0
        self.losses: list[list[float]] = []
        self._settings, self._file = settings, file
        self._optimizer = torch.optim.AdamW(parameter_groups(self.student), lr=settings.lr)
        warm_up = max(1, settings.steps // 20)
        self._schedule = one_cycle(self._optimizer, lr=settings.lr, steps=settings.steps, warm_up=warm_up)
        if file.is_file():
            state = torch.load(file, weights_only=True)
            self.student.load_state_dict(state["student"])
            self._optimizer.load_state_dict(state["optimizer"])
            self._schedule.load_state_dict(state["schedule"])
            self.at, self.losses = state["at"], state["losses"]

    def step(self, photographs: Photographs) -> None:
        """Learn from one batch."""
        settings = self._settings
        generator = torch.Generator().manual_seed((settings.seed << 32) + self.at)
        images, cells = _pieces(photographs, settings, generator)
        with torch.autocast("cpu", torch.bfloat16):
            answers = self.student(images)
        losses = [_loss(answer.float(), cells) for answer in answers]
        self._optimizer.zero_grad(set_to_none=True)
        torch.stack(losses).sum().backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(self.student.parameters(), 5.0)
        self._optimizer.step()
        self._schedule.step()
        self.losses.append([float(loss.detach()) for loss in losses])
        self.at += 1

    def recent(self, at: int | None = None) -> list[float]:
        """Return the last losses, averaged: of the whole, and of each level's maps; 1 is not to look."""
        losses = torch.tensor(self.losses[:at][-_REPORTED:])
        return [round(float(loss), 3) for loss in losses.mean(dim=0)]

    def pause(self) -> None:
        """Keep everything for another time."""
        state = {
            "student": self.student.state_dict(),
            "optimizer": self._optimizer.state_dict(),
            "schedule": self._schedule.state_dict(),
            "at": self.at,
            "losses": self.losses,
        }
        torch.save(state, self._file)

    def forget(self) -> None:
        """Remove what :meth:`pause` kept."""
        self._file.unlink(missing_ok=True)


def _pieces(
    photographs: Photographs, settings: Settings, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Cut pieces out of photographs, flipped, zoomed, recoloured; return them normalised, and their maps."""

    def uniform(low: float, high: float) -> Tensor:
        return torch.rand(settings.batch_size, 2, generator=generator) * (high - low) + low

    count, size = settings.batch_size, settings.size
    chosen = torch.randperm(len(photographs), generator=generator)[:count].sort().values.numpy()
    images = torch.from_numpy(photographs.images[chosen]).permute(0, 3, 1, 2).float()
    maps = torch.from_numpy(photographs.maps[chosen]).float() / 255
    zoom = (size / SIDE_PX * uniform(*_ZOOMS)).clamp_(max=1)
    theta = torch.zeros(count, 2, 3)
    theta[:, :, :2] = torch.diag_embed(zoom * uniform(-1, 1).sign_())
    theta[:, :, 2] = (1 - zoom) * uniform(-1, 1)
    grid = functional.affine_grid(theta, [count, 3, size, size], align_corners=False)
    images = functional.grid_sample(images, grid, align_corners=False)
    # read more finely than learned, then averaged: no small lesion falls between two samples
    fine = functional.affine_grid(theta, [count, 1, 3 * _CELLS, 3 * _CELLS], align_corners=False)
    maps = functional.grid_sample(maps, fine, padding_mode="border", align_corners=False)
    # the root makes a dot that covers a hundredth of a cell a tenth, so that it is worth finding
    cells = functional.avg_pool2d(maps, 3).clamp_(0, 1).sqrt_()
    images = jitter_colors(images.contiguous(memory_format=torch.channels_last), generator=generator)
    mean, std = (torch.tensor(v).view(1, 3, 1, 1) * 255 for v in (IMAGENET_MEAN, IMAGENET_STD))
    return (images - mean) / std, cells


def _loss(answer: Tensor, cells: Tensor) -> Tensor:
    """Return the cross-entropy in units of what is lost without looking: each kind weighs the same."""
    wanted = cells.mean(dim=(2, 3)) if answer.ndim == 2 else cells
    wanted = wanted if answer.ndim == 2 else functional.adaptive_avg_pool2d(wanted, answer.shape[-1])
    rate = wanted.transpose(0, 1).flatten(1).mean(dim=1).clamp_(0.01, 0.5)
    blind = functional.binary_cross_entropy(rate, rate, reduction="none")
    losses = functional.binary_cross_entropy_with_logits(answer, wanted, reduction="none")
    return (losses.transpose(0, 1).flatten(1).mean(dim=1) / blind).mean()


def _judge(student: Student, photographs: Photographs, settings: Settings) -> dict[str, float]:
    """Return how well the last maps agree (correlation) with the truth, by kind, on other photographs."""
    student.eval()
    found, truth = [], []
    with torch.inference_mode():
        for number in range(_JUDGED_PIECES // settings.batch_size):
            images, cells = _pieces(photographs, settings, torch.Generator().manual_seed(number))
            maps = student(images)[-1].sigmoid()
            found.append(maps)
            truth.append(functional.adaptive_avg_pool2d(cells, maps.shape[-1]))
    told, right = torch.cat(found), torch.cat(truth)
    pairs = [torch.stack([told[:, k].flatten(), right[:, k].flatten()]) for k in range(len(MAPS))]
    return {name: float(torch.corrcoef(pair)[0, 1]) for name, pair in zip(MAPS, pairs, strict=True)}
