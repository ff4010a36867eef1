"""What many images under one mark have in common: its colours and its coverage.

After Dekel, Rubinstein, Liu and Freeman, "On the effectiveness of visible watermarks" (CVPR 2017). The mark
J = (1 - c a) I + c a W has the same coverage a and colour W in all images and an opacity c of each. As there,
the median of the images' gradients finds it, and W, a, c and each I are refined in turns. Other than there,
low frequencies do not come from a Poisson equation with a zero edge but from what the surroundings foretell
of each I, averaged over the images; and a keeps one level where the data do not contradict.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from medlocker.attacks import Bytes, Floats, Mask, smoothest, widened
from medlocker.evaluate.removal._align import colour_slopes
from medlocker.evaluate.removal._invert import BlendFit

REACH_PX = 4
_ROUNDS = 4
_EDGE_PX = 3
_FILL_REACH_PX = 24
_LEAST = 3


@dataclass(frozen=True, eq=False)
class Sample:
    """One mark in the middle of its surroundings: (h, w, 3) uint8, and where it is, a little too wide."""

    pixels: Bytes
    mask: Mask


@dataclass(frozen=True, eq=False)
class Matte:
    """A mark learned from many images, in the frame of the samples.

    Args:
        color: (h, w, 3) float32, 0..255.
        coverage: (h, w, 1) float32, 0..1.
        ground: (3,) float32, the mean colour under it.
    """

    color: Floats
    coverage: Floats
    ground: Floats
    images: int

    @property
    def typical(self) -> Floats:
        """(h, w, 3), the mark at a middling opacity on its mean ground."""
        weight = np.float32(0.6) * self.coverage
        return np.asarray(weight * self.color + (1 - weight) * self.ground, dtype=np.float32)


def learn_matte(samples: Sequence[Sample]) -> Matte | None:
    """Learn a mark from images that show it.

    Args:
        samples: All of one shape, the mark at about the same place in each.

    Returns:
        The mark, None if there are fewer than three samples.
    """
    if len(samples) < _LEAST:
        return None
    images, masks, slopes = _aligned(samples)
    inside = masks.mean(axis=0) > 0.5
    fills = np.stack(
        [smoothest(image, mask | inside, order=1) for image, mask in zip(images, masks, strict=True)]
    )
    trust = _trust(images, inside)
    relative = _relative_opacities(images, slopes, inside)
    premultiplied, share = _regressed(images, fills, relative, trust)
    framed = cv2.distanceTransform(np.pad(inside, 1).astype(np.uint8), cv2.DIST_L2, 3)
    depth = np.asarray(framed[1:-1, 1:-1], dtype=np.float32)
    level = _level(share, depth)
    coverage = _tidied(share / level, depth)
    opacities = np.clip(relative * level, 0.05, 0.98)
    premultiplied = premultiplied / level
    under = fills
    for k in range(_ROUNDS):
        color = straight(premultiplied, coverage)
        opacities = np.array([best_opacity(image, color, coverage) for image in images])
        if k >= _ROUNDS // 2:
            under = _refined(images, fills, color, coverage, opacities)
        premultiplied = averaged(images, under, coverage, opacities, trust)
    ground = np.asarray(fills[:, inside].mean(axis=(0, 1)), dtype=np.float32)
    return Matte(straight(premultiplied, coverage), coverage, ground, len(images))


def shift_to(image: Floats | Bytes, slopes: Floats, inside: Mask) -> tuple[int, int]:
    """Return the (dy, dx) by which an image must be rolled so that its gradients fit best."""
    reach = REACH_PX
    own = np.clip(colour_slopes(image), -80, 80)
    template = slopes * inside[..., None]
    template = template[reach:-reach, reach:-reach]
    score = sum(
        cv2.matchTemplate(own[..., c], np.ascontiguousarray(template[..., c]), cv2.TM_CCORR) for c in range(6)
    )
    _, _, _, (x, y) = cv2.minMaxLoc(np.asarray(score))
    return reach - y, reach - x


def rolled(image: Floats | Bytes | Mask, shift: tuple[int, int]) -> Floats:
    """Move an image by whole pixels, its edge repeated."""
    reach = REACH_PX
    widths = ((reach, reach), (reach, reach), (0, 0))[: image.ndim]
    padded = np.pad(image, widths, mode="edge")
    top, left = reach - shift[0], reach - shift[1]
    return np.asarray(padded[top : top + image.shape[0], left : left + image.shape[1]])


def _aligned(samples: Sequence[Sample]) -> tuple[Floats, Mask, Floats]:
    """Return images, masks and the median of gradients, images moved so that their marks coincide."""
    images, masks = [sample.pixels for sample in samples], [sample.mask for sample in samples]
    middle = widened(np.mean(masks, axis=0) > 0.5, 2)
    shifts = [(0, 0)] * len(images)
    slopes = np.zeros(0, np.float32)
    for _ in range(3):
        moved = np.stack([rolled(image, s) for image, s in zip(images, shifts, strict=True)])
        slopes = np.median(np.stack([colour_slopes(image) for image in moved]), axis=0)
        shifts = [shift_to(image, slopes, middle) for image in images]
    moved = np.stack([rolled(image, s) for image, s in zip(images, shifts, strict=True)]).astype(np.float32)
    moved_masks = np.stack([rolled(mask, s) for mask, s in zip(masks, shifts, strict=True)]).astype(np.bool_)
    return moved, moved_masks, slopes.astype(np.float32)


def _trust(images: Floats, inside: Mask) -> Floats:
    """Return (K,) weights: how far the surroundings of each image can be continued."""
    ring = widened(inside, 8) & ~inside
    spread = images[:, ring].std(axis=(1, 2)) if ring.any() else np.ones(len(images))
    return np.asarray(1 / (spread + 6.0) ** 2, dtype=np.float32)


def _relative_opacities(images: Floats, slopes: Floats, inside: Mask) -> Floats:
    """Return (K,) opacities up to a common factor, their median 1: how strong the typical gradients are."""
    template = slopes * inside[..., None]
    size = float((template**2).sum()) + 1e-6
    found = np.array([float((np.clip(colour_slopes(i), -255, 255) * template).sum()) / size for i in images])
    found = np.clip(found, 0.2, 4)
    return np.asarray(found / np.median(found), dtype=np.float32)


def _regressed(images: Floats, under: Floats, relative: Floats, trust: Floats) -> tuple[Floats, Floats]:
    """Return premultiplied colour (h, w, 3) and coverage (h, w), both times the common factor.

    Per pixel, (J - I) / r = P - s I over images and channels: the slope is the coverage.
    """
    r = relative[:, None, None, None]
    weight = (trust * relative**2)[:, None, None, None]
    weight = weight / weight.sum()
    change = (images - under) / r
    mean_change, mean_under = (weight * change).sum(axis=0), (weight * under).sum(axis=0)
    both = (weight * (change - mean_change) * (under - mean_under)).sum(axis=(0, 3))
    own = (weight * (under - mean_under) ** 2).sum(axis=(0, 3))
    share = np.clip(-both / (own + 20.0), 0, 1).astype(np.float32)
    return mean_change + share[..., None] * mean_under, share


def _level(share: Floats, depth: Floats) -> float:
    """Return the coverage that most of the mark has: near its edge, where the fillings are right."""
    band = (depth > _EDGE_PX + 1) & (depth < _FILL_REACH_PX)
    values = share[band] if band.any() else share[depth > 0]
    values = values[values > 0.5 * np.quantile(values, 0.9)] if len(values) else np.ones(1, np.float32)
    return float(np.clip(np.median(values), 0.05, 0.98))


def _tidied(coverage: Floats, depth: Floats) -> Floats:
    """Return (h, w, 1) coverage in 0..1: as measured at the edge, one level inside unless clearly other."""
    smooth = cv2.GaussianBlur(coverage, (0, 0), 3)
    doubt = 0.3 + depth / 60
    off = np.sign(smooth - 1) * np.maximum(np.abs(smooth - 1) - doubt, 0)
    deep = np.clip((depth - _EDGE_PX) / 2, 0, 1)
    values = deep * (1 + off) + (1 - deep) * coverage
    return np.asarray(np.clip(values, 0, 1) * (depth > 0), dtype=np.float32)[..., None]


def straight(premultiplied: Floats, coverage: Floats) -> Floats:
    """Return the mark's colours, 0 where it covers nothing."""
    color = np.clip(premultiplied / np.maximum(coverage, 0.02), 0, 255)
    return np.asarray(color * (coverage > 0.02), dtype=np.float32)


def best_opacity(image: Floats, color: Floats, coverage: Floats) -> float:
    """Return the opacity that leaves fewest edges."""
    return BlendFit(image, color, coverage).best(0.02, 0.99, steps=14)[1]


def averaged(images: Floats, under: Floats, coverage: Floats, opacities: Floats, trust: Floats) -> Floats:
    """Return the premultiplied colour (h, w, 3) that explains the images best, given what is under it.

    An error of I enters by (1 - c a) / c: strongly marked images tell most.
    """
    c = opacities[:, None, None, None].astype(np.float32)
    rest = 1 - c * coverage[None]
    weight = trust[:, None, None, None] * (c / (rest + 0.05)) ** 2
    told = (images - rest * under) / c
    first = (weight * told).sum(axis=0) / weight.sum(axis=0)
    doubt = np.maximum(np.abs(told - first) / 12, 1)  # Huber
    weight = weight / doubt
    return np.asarray((weight * told).sum(axis=0) / weight.sum(axis=0), dtype=np.float32)


def _refined(images: Floats, fills: Floats, color: Floats, coverage: Floats, opacities: Floats) -> Floats:
    """Return better estimates of what is under the mark: the inversion, smoothed, where it is worth more."""
    better = np.empty_like(fills)
    for k, image in enumerate(images):
        weight = np.float32(opacities[k]) * coverage
        inverted = np.clip((image - weight * color) / (1 - weight), 0, 255)
        detail = inverted - cv2.GaussianBlur(inverted, (0, 0), 6)
        # fine detail from the inversion, without what looks like the mark's own grain; the rest from outside
        detail = cv2.medianBlur(np.ascontiguousarray(detail.astype(np.float32)), 3)
        better[k] = np.where(coverage > 0.02, fills[k] + 0.7 * detail, image)
    return better
