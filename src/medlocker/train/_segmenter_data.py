"""Photographs with masks for training a segmenter, all at one scale, and random crops of them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from medlocker.errors import InputError
from medlocker.files import read_limited
from medlocker.formats import read_image
from medlocker.images import LIMITS, viewed
from medlocker.regions import MaskFolder, Regions
from medlocker.regions.scale import mask_to_scale, scale_for, to_scale
from medlocker.train._pixels import PixelStore
from medlocker.train._samples import names_left_out, walk_images

MAX_KINDS = 8
"""Kinds of lesions: one bit each."""

_WORKERS = 4
_SIDE_SAMPLE = 5
_MAX_SIDE_PX = 1024
_ZOOM = (0.85, 1.2)
_JITTER = 0.35
"""How far a lesion lies from the middle of its crop at most, as a share of the crop."""


@dataclass(frozen=True, eq=False)
class Picture:
    """One photograph at the training scale.

    Args:
        name: Path inside the folder, forward slashes.
        layers: (h, w, 4) uint8: red, green, blue, and one bit for each kind of lesion.
        has_lesions: Whether any bit is set.
    """

    name: str
    layers: NDArray[np.uint8]
    has_lesions: bool


@dataclass(frozen=True)
class MaskedFolder:
    """What a folder of images and a folder of masks have in common.

    Args:
        files: Name and path of every image with masks that is not left out, sorted by name.
        without_mask: Images without any mask: not used, for so its lesions are not known.
        without_image: Masks without an image.
        excluded: Images left out on demand.
        unmatched: Names on the list of exclusions that no image has.
    """

    files: tuple[tuple[str, Path], ...]
    without_mask: tuple[str, ...]
    without_image: tuple[str, ...]
    excluded: tuple[str, ...]
    unmatched: tuple[str, ...]


def find_pictures(
    folder: Path, masks: Regions, *, exclude: Collection[str] = ()
) -> tuple[MaskedFolder, Regions]:
    """Compare images and masks; also returns the masks with their owners settled.

    Raises:
        InputError: If the masks are no folder of masks, lie among the images, or fit fewer than two of them.
    """
    if not isinstance(masks.source, MaskFolder):
        raise InputError("masks: expected a folder of mask pictures, got boxes")
    if not folder.is_dir():
        raise InputError(f"images {folder.name}: no such folder", subject=folder.name)
    if masks.source.root.resolve().is_relative_to(folder.resolve()):
        raise InputError(
            f"masks {masks.source.root.name}: expected a folder outside of the images",
            subject=masks.source.root.name,
        )
    files = dict(walk_images(folder))
    if not files:
        raise InputError(f"images {folder.name}: expected images, found none", subject=folder.name)
    names = sorted(files)
    left_out, unmatched = names_left_out(names, exclude)
    without = set(masks.missing(names))
    used = tuple((name, files[name]) for name in names if name not in without | left_out)
    if len(used) < 2:
        raise InputError(
            f"images {folder.name}: expected at least two with masks, got {len(used)} of {len(names)}",
            subject=folder.name,
            hint="masks are called like their image, in a folder per lesion type or with its name at the end",
        )
    found = MaskedFolder(
        files=used,
        without_mask=tuple(name for name in names if name in without and name not in left_out),
        without_image=masks.unknown(names),
        excluded=tuple(name for name in names if name in left_out),
        unmatched=unmatched,
    )
    return found, masks.among(names)


def usual_side(files: Sequence[tuple[str, Path]]) -> int:
    """Return the usual shorter side of images, from the first few, at most 1024 pixels."""
    sides = []
    for name, path in files[:_SIDE_SAMPLE]:
        try:
            image = read_image(read_limited(path, max_bytes=LIMITS.max_file_bytes, what="image"), name=name)
        except InputError:
            continue
        sides.append(min(image.height, image.width))
    return min(int(np.median(sides)) if sides else _MAX_SIDE_PX, _MAX_SIDE_PX)


class PictureReader:
    """Reads photographs and their masks at one scale.

    Args:
        masks: Of :func:`find_pictures`.
        side_px: Shorter side at which all are kept.
        store: Keeps the pixels.
    """

    def __init__(self, masks: Regions, *, side_px: int, store: PixelStore) -> None:
        self._masks = masks
        self._side_px = side_px
        self._store = store
        self.kinds: list[str] = []

    def read(
        self, files: Sequence[tuple[str, Path]], *, on_image: Callable[[], None]
    ) -> tuple[list[Picture], dict[str, str]]:
        """Return what can be read, and the reasons of images that cannot, by name.

        Raises:
            InputError: If a mask cannot be read or is of another size: lesions would be taken for healthy.
        """
        pictures: list[Picture] = []
        failed: dict[str, str] = {}
        with ThreadPoolExecutor(_WORKERS) as pool:
            # in small groups: a full-size image waits for nothing but its turn
            for start in range(0, len(files), _WORKERS):
                group = files[start : start + _WORKERS]
                for (name, _), read in zip(group, pool.map(self._load, group), strict=True):
                    if isinstance(read, str):
                        failed[name] = read
                    else:
                        pictures.append(self._stored(name, *read))
                    on_image()
        return pictures, failed

    def _load(self, file: tuple[str, Path]) -> str | tuple[NDArray[np.uint8], dict[str, NDArray[np.bool_]]]:
        name, path = file
        try:
            image = read_image(read_limited(path, max_bytes=LIMITS.max_file_bytes, what="image"), name=name)
        except InputError as error:
            return str(error)
        scale = scale_for(image.height, image.width, side_px=self._side_px)
        masks = self._masks.masks_for(name, width=image.width, height=image.height)
        return to_scale(viewed(image), scale), {
            kind: mask_to_scale(mask, scale) for kind, mask in masks.items()
        }

    def _stored(self, name: str, pixels: NDArray[np.uint8], masks: dict[str, NDArray[np.bool_]]) -> Picture:
        layers = self._store.empty((*pixels.shape[:2], 4))
        layers[..., :3] = pixels
        for kind in sorted(masks):
            if kind not in self.kinds:
                self.kinds.append(kind)
            if len(self.kinds) > MAX_KINDS:
                raise InputError(
                    f"masks: expected at most {MAX_KINDS} kinds of lesions, got {', '.join(self.kinds):.200}"
                )
            layers[..., 3] |= masks[kind].view(np.uint8) << self.kinds.index(kind)
        return Picture(name, layers, bool(layers[..., 3].any()))


class CropSampler:
    """Draws crops, most of them around a lesion, every kind of lesion equally often.

    Args:
        pictures: At least one with a lesion.
        size: Side of a crop, pixels.
        lesion_share: Share of crops around a lesion.
    """

    def __init__(
        self,
        pictures: Sequence[Picture],
        *,
        size: int,
        rng: np.random.Generator,
        lesion_share: float = 0.75,
    ) -> None:
        self._pictures = pictures
        self._size = size
        self._rng = rng
        self._lesion_share = lesion_share
        self._centres: dict[int, list[tuple[int, NDArray[np.float64]]]] = {}
        for at, picture in enumerate(pictures):
            for bit in range(MAX_KINDS):
                marked = (picture.layers[..., 3] >> bit) & 1
                if marked.any():
                    centres = cv2.connectedComponentsWithStats(marked, connectivity=8)[3][1:]
                    self._centres.setdefault(bit, []).append((at, np.asarray(centres, np.float64)))

    def draw(self, count: int) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
        """Return (count, 3, size, size) uint8 crops and (count, 1, size, size) float32 masks of 0 and 1."""
        images = np.empty((count, 3, self._size, self._size), np.uint8)
        masks = np.empty((count, 1, self._size, self._size), np.float32)
        for i in range(count):
            crop = self._crop(*self._place())
            images[i] = crop[..., :3].transpose(2, 0, 1)
            masks[i, 0] = crop[..., 3] != 0
        return images, masks

    def _place(self) -> tuple[NDArray[np.uint8], float, float]:
        """Return a picture and the middle of a crop, (x, y)."""
        rng = self._rng
        if self._centres and rng.random() < self._lesion_share:
            bit = sorted(self._centres)[rng.integers(len(self._centres))]
            at, centres = self._centres[bit][rng.integers(len(self._centres[bit]))]
            x, y = centres[rng.integers(len(centres))] + rng.uniform(-_JITTER, _JITTER, 2) * self._size
            return self._pictures[at].layers, float(x), float(y)
        layers = self._pictures[int(rng.integers(len(self._pictures)))].layers
        return layers, rng.uniform(0, layers.shape[1]), rng.uniform(0, layers.shape[0])

    def _crop(self, layers: NDArray[np.uint8], x: float, y: float) -> NDArray[np.uint8]:
        """Cut, zoom, mirror and turn."""
        zoom = self._rng.uniform(*_ZOOM) if self._rng.random() < 0.5 else 1.0
        side = round(self._size * zoom)
        height, width = layers.shape[:2]
        left = int(np.clip(round(x - side / 2), 0, max(width - side, 0)))
        top = int(np.clip(round(y - side / 2), 0, max(height - side, 0)))
        crop = np.ascontiguousarray(layers[top : top + side, left : left + side])
        if crop.shape[:2] != (side, side):
            crop = np.pad(crop, ((0, side - crop.shape[0]), (0, side - crop.shape[1]), (0, 0)))
        if side != self._size:
            shape = (self._size, self._size)
            colors = cv2.resize(crop[..., :3], shape, interpolation=cv2.INTER_LINEAR)
            bits = cv2.resize(crop[..., 3], shape, interpolation=cv2.INTER_NEAREST)
            crop = np.dstack([colors, bits])
        if self._rng.random() < 0.5:
            crop = crop[:, ::-1]
        return np.rot90(crop, int(self._rng.integers(4)))
