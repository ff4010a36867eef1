"""Attack 10: a compact network that learns to remove marks from pairs made with this very program.

Published removal networks come without weights and fail on marks they were not trained on; one that is
trained on the logo and the program in question is the fair worst case. Needs the extra ``torch``.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import cv2
import numpy as np

from medlocker.attacks import Bytes, Floats, Mask, Window, to_bytes, widened
from medlocker.evaluate.removal._evidence import Attack, Evidence, Facts
from medlocker.evaluate.removal._known import STANDARD_TEXTURE, STANDARD_WARP, as_seen
from medlocker.logo import Hardening, Logo, blend, render, weights

_VARIANT = "removal network"
_KNOWS = "the logo, this program and clean images of the same kind"
_SHARE = 0.7  # of the network's window that a mark takes


@dataclass(frozen=True)
class NetworkLearner:
    """Trains the network.

    Args:
        steps: Of training.
        side_px: Of the square windows it works on.
        width: Channels of its first layer; 24 make 0.43 million weights.
        batch: Windows in a step.
    """

    steps: int = 800
    side_px: int = 72
    width: int = 24
    batch: int = 8
    facts: ClassVar[Facts] = Facts(10, _KNOWS, (_VARIANT,), on="marks")

    def learn(self, crowd: Sequence[Evidence], *, public: Sequence[Bytes], seed: int) -> Attack:
        """Train on marks put on the public images; without a logo or images nothing is learned."""
        logo = next((one.logo for one in crowd if one.logo is not None), None)
        if logo is None or not public:
            return NetworkAttack(None, self.side_px)
        from medlocker.evaluate.removal._unet import train  # optional library

        pairs = _pairs(public, as_seen(logo, public[0]), self, np.random.default_rng([seed, 10]))
        return NetworkAttack(train(pairs, steps=self.steps, width=self.width, seed=seed), self.side_px)


@dataclass(frozen=True, eq=False)
class NetworkAttack:
    """Lets the network repaint each mark.

    Args:
        network: From (N, side, side, 4) float32 (colours and mask in 0..1) to colours, None for none.
        side_px: Of its windows.
    """

    network: Any
    side_px: int
    facts: ClassVar[Facts] = Facts(10, _KNOWS, (_VARIANT,), on="marks")

    def restore(self, evidence: Evidence) -> dict[str, Bytes]:
        """Scale each mark's surroundings to the network's window, and what it answers back."""
        result = evidence.marked.copy()
        for window in evidence.windows() if self.network is not None else ():
            part = _framed(window, result.shape[:2])
            mask = evidence.mask[part]
            small, small_mask = _fit(result[part], mask, self.side_px)
            answer = self.network(_inputs(small[None], small_mask[None]))[0]
            size = (mask.shape[1], mask.shape[0])
            large = cv2.resize(answer * np.float32(255), size, interpolation=cv2.INTER_CUBIC)
            result[part][mask] = to_bytes(large)[mask]
        return {_VARIANT: result}


def _framed(window: Window, shape: tuple[int, ...]) -> Window:
    """Return a square around a window of which it takes ``_SHARE``, moved into the image where it fits."""
    side = round(max(window[0].stop - window[0].start, window[1].stop - window[1].start) / _SHARE)
    spans = []
    for span, length in zip(window, shape, strict=False):
        start = min(max((span.start + span.stop - side) // 2, 0), max(length - side, 0))
        spans.append(slice(start, min(start + side, length)))
    return spans[0], spans[1]


def _fit(pixels: Bytes, mask: Mask, side: int) -> tuple[Bytes, Mask]:
    how = cv2.INTER_AREA if max(mask.shape) > side else cv2.INTER_LINEAR
    small = cv2.resize(pixels, (side, side), interpolation=how)
    small_mask = cv2.resize(mask.astype(np.float32), (side, side), interpolation=how)
    return np.asarray(small, dtype=np.uint8), np.asarray(small_mask > 0.2)


def _inputs(pixels: Bytes, masks: Mask) -> Floats:
    colors = pixels.astype(np.float32) / np.float32(255)
    return np.concatenate([colors, masks[..., None].astype(np.float32)], axis=3)


def _pairs(
    public: Sequence[Bytes], logo: Logo, options: NetworkLearner, rng: np.random.Generator
) -> Iterator[tuple[Floats, Floats]]:
    """Yield batches for ever: (N, side, side, 4) inputs and (N, side, side, 3) clean colours in 0..1."""
    side = options.side_px
    while True:
        clean = np.empty((options.batch, side, side, 3), np.uint8)
        marked, masks = np.empty_like(clean), np.zeros((options.batch, side, side), np.bool_)
        for i in range(options.batch):
            clean[i] = _window_of(public[int(rng.integers(len(public)))], side, rng)
            marked[i], masks[i] = _marked(clean[i], logo, rng)
        yield _inputs(marked, masks), clean.astype(np.float32) / np.float32(255)


def _window_of(picture: Bytes, side: int, rng: np.random.Generator) -> Bytes:
    """Cut a square of a fifth to half of the image's shorter side, turned at random."""
    shorter = min(picture.shape[:2])
    cut = int(np.clip(rng.uniform(0.2, 0.5) * shorter, min(24, shorter), shorter))
    top, left = (int(rng.integers(0, length - cut + 1)) for length in picture.shape[:2])
    how = cv2.INTER_AREA if cut > side else cv2.INTER_LINEAR
    part = cv2.resize(picture[top : top + cut, left : left + cut], (side, side), interpolation=how)
    return np.rot90(part[:, :: int(rng.choice([1, -1]))], int(rng.integers(4)))


def _marked(clean: Bytes, logo: Logo, rng: np.random.Generator) -> tuple[Bytes, Mask]:
    """Mark a window as this program would, half of the times hardened or textured."""
    side = clean.shape[0]
    size = round(side * _SHARE * rng.uniform(0.9, 1.02))
    hardening = None
    if rng.random() < 0.5:
        strength = rng.uniform(0, 1.5, 2)
        hardening = Hardening(
            rng.bytes(32),
            warp_256=round(STANDARD_WARP * size * 256 * strength[0]),
            texture=round(STANDARD_TEXTURE * strength[1]),
        )
    raster = render(logo, size, hardening=hardening)
    height, width = raster.coverage.shape
    top = int(np.clip((side - height) // 2 + rng.integers(-3, 4), 0, side - height))
    left = int(np.clip((side - width) // 2 + rng.integers(-3, 4), 0, side - width))
    window = (slice(top, top + height), slice(left, left + width))
    marked, mask = clean.copy(), np.zeros(clean.shape[:2], np.bool_)
    weight = weights(raster.coverage, round(rng.uniform(0.3, 0.97) * 65535))
    marked[window] = blend(marked[window], raster.color, weight)
    mask[window] = raster.support
    return marked, widened(mask, 1)
