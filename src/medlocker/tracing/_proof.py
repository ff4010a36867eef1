"""Is the owner's mark in a found picture? The sealed mark against what is there beyond the original."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from medlocker.tracing._fingerprint import SIDE_PX, Likeness

_OUTSIDE = float("nan")
_SHIFTS = 200
_LEAST_SHIFT_PX = 12
_SMOOTH_PX = 12.0
CERTAIN = 6.0
"""Deviations above chance from which the mark counts as found."""
LEAST_CORRELATION = 0.2
"""Found pictures with the mark came to 0.45 and more, edited originals without it to 0.08 at most."""
_LEAST_PIXELS = 2000
_LEAST_BACKGROUND = 0.5
"""Right images had 0.79 and more, others laid onto the found picture by the same logo 0.35 at most."""
_STRUCTURE_PX = (1.5, 6.0)
"""Finer are a print's dots, coarser what all images of a kind share."""
_UNMARKED = 0.01
_EDGE_PX = 9


@dataclass(frozen=True)
class MarkEvidence:
    """How sure it is that a found picture carries the sealed mark.

    Args:
        correlation: Of the mark with what the found picture has beyond the original, -1 to 1.
        deviations: By how many standard deviations that is above what the mark reaches at other places.
        seen: Share of the marked image that the found picture shows, 0 to 1.
        background: Correlation of the found picture's fine structures, such as vessels, with the original's
            where no mark lies (anywhere under a veil), -1 to 1.
    """

    correlation: float
    deviations: float
    seen: float
    background: float

    @property
    def is_certain(self) -> bool:
        """Whether neither chance nor another rendering of the unmarked original explains it."""
        return self.deviations >= CERTAIN and self.correlation >= LEAST_CORRELATION

    @property
    def is_other_image(self) -> bool:
        """Whether the picture beside the mark is another: only the logo is the same."""
        return self.background < _LEAST_BACKGROUND


def mark_evidence(
    found: NDArray[Any], original: NDArray[Any], marked: NDArray[Any], likeness: Likeness
) -> MarkEvidence | None:
    """Look for the mark.

    Args:
        found: (H, W, 3) uint8 or uint16.
        original: (h, w, 3) uint8 or uint16, as restoring gives it.
        marked: The same with its mark.
        likeness: Of the found picture to the marked one.

    Returns:
        None if too little of the image is seen.
    """
    scale = SIDE_PX / max(marked.shape[:2])
    size = tuple(max(round(side * scale), 1) for side in marked.shape[1::-1])
    clean, with_mark = (_grey(colors, size) for colors in (original, marked))
    straight = _aligned(found, likeness, size)
    seen = np.isfinite(straight)
    if seen.sum() < _LEAST_PIXELS:
        return None
    straight = np.where(seen, straight, clean)
    mark = _fine(with_mark - clean) * seen
    straight = _as_bright(straight, clean, seen)
    rest = _fine(straight - clean) * seen
    here = _correlation(rest, mark)
    rng = np.random.default_rng(0)
    elsewhere = []
    for _ in range(_SHIFTS):
        shift = [_far(rng, side) for side in mark.shape]
        elsewhere.append(_correlation(rest, np.roll(mark, shift, axis=(0, 1)) * seen))
    spread = max(float(np.std(elsewhere)), 1e-6)
    return MarkEvidence(
        correlation=round(here, 4),
        deviations=round((here - float(np.mean(elsewhere))) / spread, 2),
        seen=round(float(seen.mean()), 4),
        background=round(_background(straight, clean, with_mark, seen), 4),
    )


def _grey(colors: NDArray[Any], size: tuple[int, ...]) -> NDArray[np.float32]:
    small = cv2.resize(_unit(colors), size, interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.cvtColor(small, cv2.COLOR_RGB2GRAY), np.float32)


def _unit(colors: NDArray[Any]) -> NDArray[np.float32]:
    return np.ascontiguousarray(colors, np.float32) / np.float32(np.iinfo(colors.dtype).max)


def _aligned(found: NDArray[Any], likeness: Likeness, size: tuple[int, ...]) -> NDArray[np.float32]:
    """Return the found picture where the marked one lies, NaN where it does not reach."""
    query = likeness.query
    grey = cv2.cvtColor(_unit(found), cv2.COLOR_RGB2GRAY)
    if query.mirrored:
        grey = np.ascontiguousarray(grey[:, ::-1])
    shape = tuple(max(round(side / query.scale), 1) for side in grey.shape[::-1])
    grey = cv2.resize(grey, shape, interpolation=cv2.INTER_AREA)
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    straight = cv2.warpAffine(
        grey, likeness.transform, size, flags=flags, borderMode=cv2.BORDER_CONSTANT, borderValue=_OUTSIDE
    )
    return np.asarray(straight, np.float32)


def _far(rng: np.random.Generator, side: int) -> int:
    """Return a shift that does not leave a mark where it was."""
    return int(rng.integers(_LEAST_SHIFT_PX, max(side - _LEAST_SHIFT_PX, _LEAST_SHIFT_PX + 1)))


def _as_bright(
    found: NDArray[np.float32], clean: NDArray[np.float32], seen: NDArray[np.bool_]
) -> NDArray[np.float32]:
    """Bring the found picture to the original's brightness curve: gamma and contrast are undone by ranks."""
    places = np.linspace(0, 1, 33)
    source, target = np.quantile(found[seen], places), np.quantile(clean[seen], places)
    keep = np.concatenate([[True], np.diff(source) > 1e-6])
    return np.asarray(np.interp(found, source[keep], target[keep]), np.float32)


def _background(
    straight: NDArray[np.float32],
    clean: NDArray[np.float32],
    with_mark: NDArray[np.float32],
    seen: NDArray[np.bool_],
) -> float:
    near = np.ones((_EDGE_PX, _EDGE_PX), np.uint8)
    marked = (np.abs(with_mark - clean) > _UNMARKED).astype(np.uint8)
    beside = seen & (cv2.dilate(marked, near) == 0)
    where = beside if beside.sum() >= _LEAST_PIXELS else seen
    return _correlation(_structure(straight) * where, _structure(clean) * where)


def _structure(picture: NDArray[np.float32]) -> NDArray[np.float32]:
    fine, coarse = (cv2.GaussianBlur(picture, (0, 0), deviation) for deviation in _STRUCTURE_PX)
    return np.asarray(fine - coarse, np.float32)


def _fine(picture: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.asarray(picture - cv2.GaussianBlur(picture, (0, 0), _SMOOTH_PX), np.float32)


def _correlation(a: NDArray[np.float32], b: NDArray[np.float32]) -> float:
    power = float((a * a).sum()) * float((b * b).sum())
    return float((a * b).sum()) / power**0.5 if power > 0 else 0.0
