"""What anybody does to a picture before classifying it, on purpose or not."""

from __future__ import annotations

import cv2
import numpy as np

from medlocker.attacks._pictures import Bytes


def jpeg(pixels: Bytes, quality: int) -> Bytes:
    """Write and read as JPEG with halved chroma, as most programs do."""
    _, data = cv2.imencode(".jpg", pixels[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])
    return np.ascontiguousarray(np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR), dtype=np.uint8)[..., ::-1])


def downscale_and_upscale(pixels: Bytes, scale: float) -> Bytes:
    """Shrink and enlarge again."""
    height, width = pixels.shape[:2]
    size = (max(round(width * scale), 1), max(round(height * scale), 1))
    small = cv2.resize(pixels, size, interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.resize(small, (width, height), interpolation=cv2.INTER_LINEAR), dtype=np.uint8)


def crop_middle(pixels: Bytes, share: float) -> Bytes:
    """Cut the middle out and enlarge it to the old size."""
    height, width = pixels.shape[:2]
    h, w = max(round(height * share), 1), max(round(width * share), 1)
    top, left = (height - h) // 2, (width - w) // 2
    part = pixels[top : top + h, left : left + w]
    return np.asarray(cv2.resize(part, (width, height), interpolation=cv2.INTER_LINEAR), dtype=np.uint8)


def median(pixels: Bytes, side: int) -> Bytes:
    """Take the median of squares of ``side`` pixels."""
    return np.asarray(cv2.medianBlur(pixels, side), dtype=np.uint8)


def gaussian(pixels: Bytes, sigma: float) -> Bytes:
    """Blur; sigma in pixels."""
    return np.asarray(cv2.GaussianBlur(pixels, (0, 0), sigma), dtype=np.uint8)


def mirror(pixels: Bytes) -> Bytes:
    """Exchange left and right."""
    return np.ascontiguousarray(pixels[:, ::-1])
