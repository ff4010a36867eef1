"""A compact fingerprint of a picture: where its strongest corners and blobs lie, and 128 bits about each.

Points and descriptors are those of SIFT (Lowe 2004), of which only is kept whether each of the 128 values
lies above their median. Two pictures are the same if many points that look alike lie alike too: by one shift,
turn and scale. So a crop, a border, a turn, another size or compression costs some of the points and no more.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from medlocker.attacks import as_bytes
from medlocker.errors import InputError

POINTS = 100
SIDE_PX = 512
LEAST_MATCHES = 8
"""Of two pictures that are the same; others came to 5 at most in 100,000 comparisons."""
_QUERY_SIDES, _QUERY_POINTS = (512, 1024), 500
"""A found picture may show more than the image, or a part of it: it is looked at in two sizes."""
_SMOOTH_PX = 1.5
_CLEARER = 0.9
"""The nearest point must be nearer than this share of the second nearest."""
_APART_PX = 4.0
_SCALES = (0.05, 20.0)
_POINT_BYTES, _BITS_BYTES = 4, 16
_SMALLEST_SIDE_PX = 32


@dataclass(frozen=True, eq=False)
class Fingerprint:
    """Points of a picture and what they look like.

    Args:
        points: (K, 2) float32, x and y in pixels of the picture with a longer side of 512 (or as asked).
        bits: (K, 16) uint8, 128 bits about each.
        mirrored: Whether the picture was looked at in a mirror.
        scale: Pixels of the picture as it was given / pixels of ``points``.
    """

    points: NDArray[np.float32]
    bits: NDArray[np.uint8]
    mirrored: bool = False
    scale: float = 1.0

    def to_bytes(self) -> bytes:
        """Return 20 bytes for each point."""
        places = np.round(self.points * 64).clip(0, 65535).astype("<u2")
        return places.tobytes() + self.bits.tobytes()

    @classmethod
    def from_bytes(cls, data: bytes) -> Fingerprint:
        """Read what :meth:`to_bytes` wrote.

        Raises:
            InputError: If it has another length.
        """
        count, rest = divmod(len(data), _POINT_BYTES + _BITS_BYTES)
        if rest:
            raise InputError("fingerprint: expected 20 bytes for each point")
        places = np.frombuffer(data, "<u2", 2 * count).reshape(count, 2)
        bits = np.frombuffer(data, np.uint8, offset=_POINT_BYTES * count).reshape(count, _BITS_BYTES)
        return cls((places / 64).astype(np.float32), bits)

    @property
    def words(self) -> NDArray[np.uint16]:
        """(K, 2) numbers of 14 bits that points which look alike often share: to sort out what is far off."""
        bits = self.bits.astype(np.uint16)
        return np.stack([bits[:, 0] << 6 | bits[:, 5] >> 2, bits[:, 9] << 6 | bits[:, 13] >> 2], axis=1)


@dataclass(frozen=True, eq=False)
class Likeness:
    """How alike two pictures are.

    Args:
        matches: How many points look alike and lie alike.
        transform: (2, 3) float64, from pixels of the known picture's fingerprint to those of the found one's.
        query: The fingerprint of the found picture that it is about.
    """

    matches: int
    transform: NDArray[np.float64] = field(repr=False)
    query: Fingerprint = field(repr=False)

    @property
    def is_same(self) -> bool:
        """Whether one picture was made of the other."""
        return self.matches >= LEAST_MATCHES


def fingerprint_of(
    colors: NDArray[Any],
    *,
    points: int = POINTS,
    side_px: int = SIDE_PX,
    mirrored: bool = False,
    smooth_px: float = 0.0,
) -> Fingerprint:
    """Return the fingerprint of a picture.

    Args:
        colors: (H, W, 3) uint8 or uint16.
        points: How many at most.
        side_px: Longer side at which it is looked at; a smaller picture is enlarged.
        mirrored: Look at it in a mirror.
        smooth_px: Deviation of a Gaussian applied at that size: a print's dots vanish.
    """
    grey = cv2.cvtColor(np.ascontiguousarray(as_bytes(colors)), cv2.COLOR_RGB2GRAY)
    if mirrored:
        grey = np.ascontiguousarray(grey[:, ::-1])
    longer = max(grey.shape)
    if min(grey.shape) < 2:
        return Fingerprint(np.zeros((0, 2), np.float32), np.zeros((0, _BITS_BYTES), np.uint8))
    scale = side_px / longer
    shape = tuple(max(round(side * scale), 1) for side in grey.shape[::-1])
    grey = cv2.resize(grey, shape, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC)
    if smooth_px:
        grey = cv2.GaussianBlur(grey, (0, 0), smooth_px)
    grey = cv2.createCLAHE(2.0, (8, 8)).apply(grey)
    sift: Any = cv2.SIFT.create(points, contrastThreshold=0.01)
    found, values = sift.detectAndCompute(grey, None)
    if values is None or not len(found):
        return Fingerprint(np.zeros((0, 2), np.float32), np.zeros((0, _BITS_BYTES), np.uint8))
    places = np.array([point.pt for point in found], np.float32)[:points]
    bits = np.packbits(values > np.median(values, axis=1, keepdims=True), axis=1)[:points]
    return Fingerprint(places, bits, mirrored, 1 / scale)


def query_of(colors: NDArray[Any]) -> tuple[Fingerprint, ...]:
    """Return the fingerprints of a found picture: in two sizes, smoothed as prints need it, and in a mirror.

    Args:
        colors: (H, W, 3) uint8 or uint16.

    Raises:
        InputError: If it is smaller than 32 pixels.
    """
    if min(colors.shape[:2]) < _SMALLEST_SIDE_PX:
        raise InputError(f"expected a picture of at least {_SMALLEST_SIDE_PX} pixels a side")
    # enlarging shows nothing more
    sides = {min(side, max(*colors.shape[:2], SIDE_PX)) for side in _QUERY_SIDES}
    looks = [(side, 0.0) for side in sorted(sides)] + [(SIDE_PX, _SMOOTH_PX)]
    return tuple(
        fingerprint_of(colors, points=_QUERY_POINTS, side_px=side, mirrored=mirrored, smooth_px=smooth_px)
        for mirrored in (False, True)
        for side, smooth_px in looks
    )


def compare(queries: Sequence[Fingerprint], known: Fingerprint) -> Likeness:
    """Tell how alike a found picture is to a known one.

    Args:
        queries: From :func:`query_of`; at least one.
        known: From :func:`fingerprint_of`.

    Returns:
        The best of all.
    """
    return max((_compare(query, known) for query in queries), key=lambda one: one.matches)


def _compare(query: Fingerprint, known: Fingerprint) -> Likeness:
    nothing = Likeness(0, np.eye(2, 3), query)
    if len(query.points) < LEAST_MATCHES or len(known.points) < LEAST_MATCHES:
        return nothing
    pairs = cv2.BFMatcher(cv2.NORM_HAMMING).knnMatch(known.bits, query.bits, k=2)
    clear = sorted(
        (pair[0] for pair in pairs if pair[0].distance < _CLEARER * pair[1].distance),
        key=lambda match: match.distance,
    )
    best = {match.trainIdx: match for match in reversed(clear)}  # each point of the found picture once
    if len(best) < LEAST_MATCHES:
        return nothing
    source = known.points[[match.queryIdx for match in best.values()]]
    target = query.points[[match.trainIdx for match in best.values()]]
    cv2.setRNGSeed(0)
    transform, inside = cv2.estimateAffinePartial2D(
        source, target, ransacReprojThreshold=_APART_PX, maxIters=1000
    )
    if transform is None or not _SCALES[0] < np.hypot(transform[0, 0], transform[0, 1]) < _SCALES[1]:
        return nothing
    kept = inside.ravel().astype(bool)
    # many points in one place are one piece of evidence
    places = {(round(x / _APART_PX), round(y / _APART_PX)) for x, y in source[kept].tolist()}
    return Likeness(len(places), np.asarray(transform, np.float64), query)
