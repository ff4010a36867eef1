"""Attacks 11 and 12: asking the classifier about many partly hidden or cut versions of an image."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import cv2
import numpy as np
from numpy.typing import NDArray

from medlocker.attacks import Floats, smoothest, windows_of
from medlocker.evaluate.removal._evidence import WHOLE_PX, AttackInfo, ClassifierView

_SIDE_MASKS = 4
_CROPS = (0.9, 0.75)


@dataclass(frozen=True)
class DoubleMasking:
    """PatchCleanser (Xiang, Mahloujifar and Mittal, USENIX Security 2022) without knowing where the mark is.

    Masks of one colour, one of which surely covers a mark of the known size, are laid over the image one at
    a time. If all answers agree, that is the answer. If not, an answer of the minority wins if its mask,
    together with each of the other masks, always gives the same answer again; else the majority wins.
    """

    facts: ClassVar[AttackInfo] = AttackInfo(
        11,
        "how large the mark is",
        ("double masking",),
        control="transform",
        longest_px=WHOLE_PX,
        comparable=False,
        on="marks",
    )

    def vote(self, view: ClassifierView) -> dict[str, int]:
        """Return the defended answer."""
        masks = covering_masks(view.mask)
        # the image's own mean disturbs less than grey does
        hidden = view.canvas.mean(axis=(0, 1))
        shown = np.where(masks[..., None], hidden, view.canvas[None]).astype(np.float32)
        first = view.classify(shown).argmax(axis=1)
        majority = _most_common(first)
        for i in np.flatnonzero(first != majority):
            both = np.where(masks[i][None, ..., None], hidden, shown)
            others = np.arange(len(masks)) != i
            second = view.classify(both[others].astype(np.float32)).argmax(axis=1)
            if (second == first[i]).all():
                return {"double masking": int(first[i])}
        return {"double masking": majority}


@dataclass(frozen=True)
class MaskedMajority:
    """Fills the mark in and lets masked copies of the rest vote: what a fill invents is outvoted."""

    facts: ClassVar[AttackInfo] = AttackInfo(
        11,
        "where the mark is",
        ("masked majority",),
        control="same",
        longest_px=WHOLE_PX,
        comparable=False,
        on="marks",
    )

    def vote(self, view: ClassifierView) -> dict[str, int]:
        """Return the majority over copies with further parts filled in."""
        filled = smoothest(view.canvas, view.mask, order=1)
        copies = [filled]
        mean = filled.mean(axis=(0, 1))
        for mask in _grid(view.mask.shape, 3):
            copies.append(np.where(mask[..., None], mean, filled).astype(np.float32))
        return {"masked majority": _majority(view, copies)}


@dataclass(frozen=True)
class CropVote:
    """Lets crops vote: one that leaves the mark out answers rightly."""

    facts: ClassVar[AttackInfo] = AttackInfo(
        12, "nothing", ("vote over crops",), control="transform", longest_px=WHOLE_PX, comparable=False
    )

    def vote(self, view: ClassifierView) -> dict[str, int]:
        """Return the majority over nine crops of each size."""
        return {"vote over crops": _majority(view, [view.canvas, *_crops(view.canvas)])}


def covering_masks(mark: NDArray[np.bool_], side_masks: int = _SIDE_MASKS) -> NDArray[np.bool_]:
    """Return (N, h, w) square masks of which one covers any place of the largest separate mark.

    Along a side of n pixels, a mark of p, k masks: steps of ceil((n - p + 1) / k), masks of p + step - 1.
    """
    height, width = mark.shape
    windows = windows_of(mark)
    rows, cols = windows[0] if windows else (slice(0, 1), slice(0, 1))
    masks = np.zeros((side_masks, side_masks, height, width), np.bool_)
    tall, wide = rows.stop - rows.start, cols.stop - cols.start
    for i, (top, bottom) in enumerate(_spans(height, tall, side_masks)):
        for j, (left, right) in enumerate(_spans(width, wide, side_masks)):
            masks[i, j, top:bottom, left:right] = True
    return masks.reshape(-1, height, width)


def _spans(n: int, p: int, k: int) -> list[tuple[int, int]]:
    step = max(-(-(n - p + 1) // k), 1)
    side = min(p + step - 1, n)
    return [(min(i * step, n - side), min(i * step, n - side) + side) for i in range(k)]


def _grid(shape: tuple[int, ...], cells: int) -> Iterator[NDArray[np.bool_]]:
    """Yield masks of the cells of a grid."""
    for i in range(cells):
        for j in range(cells):
            mask = np.zeros(shape[:2], np.bool_)
            rows = slice(i * shape[0] // cells, (i + 1) * shape[0] // cells)
            cols = slice(j * shape[1] // cells, (j + 1) * shape[1] // cells)
            mask[rows, cols] = True
            yield mask


def _crops(canvas: Floats) -> Iterator[Floats]:
    height, width, channels = canvas.shape
    for share in _CROPS:
        h, w = max(round(height * share), 1), max(round(width * share), 1)
        for top in (0, (height - h) // 2, height - h):
            for left in (0, (width - w) // 2, width - w):
                part = canvas[top : top + h, left : left + w]
                large = cv2.resize(part, (width, height), interpolation=cv2.INTER_LINEAR)
                yield np.asarray(large, dtype=np.float32).reshape(height, width, channels)


def _majority(view: ClassifierView, canvases: list[Floats]) -> int:
    """Return the class most copies get; a tie goes to the larger sum of probabilities."""
    logits = view.classify(np.stack(canvases).astype(np.float32)).astype(np.float64)
    odds = np.exp(logits - logits.max(axis=1, keepdims=True))
    counts = np.bincount(logits.argmax(axis=1), minlength=logits.shape[1])
    return int((counts + (odds / odds.sum(axis=1, keepdims=True)).mean(axis=0) / 2).argmax())


def _most_common(answers: NDArray[np.int64]) -> int:
    return int(np.bincount(answers).argmax())


def vote_attacks() -> list[DoubleMasking | MaskedMajority | CropVote]:
    """Return attacks 11 and 12."""
    return [DoubleMasking(), MaskedMajority(), CropVote()]
