"""What neighbouring images give away of each other under one veil for all, and under one for each.

    python benchmarks/veil_series.py

A series here: the 24 slices of a magnetic resonance volume and the same volume a moment later (nibabel's
``example4d``), and the 30 frames of an ultrasound loop (pydicom's ``examples_ybr_color``). Three attackers:
one averages an image with its neighbours; one takes off what all images of the series have in common; one has
two images that show the same. PSNR of the veiled pixels against the original, median and the middle 80 % of
the images; the control does the same to images without veils.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import cv2
import nibabel
import numpy as np
from numpy.typing import NDArray
from pydicom import dcmread
from pydicom.data import get_testdata_file

from _idrid import LOGO
from _tables import table
from medlocker.images import Image
from medlocker.marking import mark_pixels
from medlocker.veilstyle import DEFAULT_STYLE

Pixels = NDArray[np.uint8]
Restore = Callable[[Sequence[Pixels]], list[NDArray[np.float32]]]


def mri() -> tuple[list[Pixels], list[Pixels]]:
    path = Path(nibabel.__file__).parent / "tests" / "data" / "example4d.nii.gz"
    volume = np.asarray(nibabel.load(path).dataobj, np.float32)  # type: ignore[attr-defined]
    scaled = np.clip(volume / np.percentile(volume, 99.5) * 255, 0, 255).astype(np.uint8)
    first, second = ([_colored(scaled[:, :, k, t]) for k in range(scaled.shape[2])] for t in (0, 1))
    return first, second


def ultrasound() -> list[Pixels]:
    path = get_testdata_file("examples_ybr_color.dcm")
    return [_colored(frame[..., 0]) for frame in dcmread(str(path)).pixel_array]


def _colored(grey: NDArray[np.uint8]) -> Pixels:
    return np.repeat(np.ascontiguousarray(grey)[..., None], 3, axis=2)


def veiled(images: Sequence[Pixels], *, shared: bool, first_key: int = 0) -> list[Pixels]:
    """Veil images, all by one key or each by its own."""
    found = []
    for number, pixels in enumerate(images):
        key = bytes([first_key, 0 if shared else number + 1]) * 8
        veil = DEFAULT_STYLE.draw(LOGO, width=pixels.shape[1], height=pixels.shape[0], key=key)
        image = Image(pixels, "rgb", "png", b"")
        found.append(np.asarray(mark_pixels(image, [veil], logo=LOGO).pixels))
    return found


def neighbours(images: Sequence[Pixels]) -> list[NDArray[np.float32]]:
    """Average each image with the two before and the two after it."""
    stack = np.stack(images).astype(np.float32)
    return [stack[max(k - 2, 0) : k + 3].mean(axis=0) for k in range(len(stack))]


def common(images: Sequence[Pixels]) -> list[NDArray[np.float32]]:
    """Take off the fine structure that the images of a series have in common."""
    stack = np.stack(images).astype(np.float32)
    fine = stack - np.stack([cv2.GaussianBlur(one, (0, 0), 8) for one in stack])
    return list(stack - np.median(fine, axis=0))


def psnr(restored: NDArray[np.float32], clean: Pixels, mask: NDArray[np.bool_]) -> float:
    error = float(np.square(restored[mask] - clean[mask]).mean())
    return float(10 * np.log10(255**2 / max(error, 1e-6)))


def told(
    made: Sequence[NDArray[np.float32]], clean: Sequence[Pixels], masks: Sequence[NDArray[np.bool_]]
) -> str:
    values = [psnr(*three) for three in zip(made, clean, masks, strict=True) if three[2].any()]
    return f"{np.median(values):.1f} ({np.percentile(values, 10):.1f} to {np.percentile(values, 90):.1f})"


def main() -> None:
    slices, later = mri()
    rows = []
    for name, images in (("MR, 24 slices", slices), ("ultrasound, 30 frames", ultrasound())):
        for shared in (True, False):
            veils = veiled(images, shared=shared)
            masks = [(a != b).any(axis=2) for a, b in zip(images, veils, strict=True)]
            rows.append(
                [
                    name,
                    "one for all" if shared else "one for each",
                    told([one.astype(np.float32) for one in veils], images, masks),
                    *(told(attack(veils), images, masks) for attack in (neighbours, common)),
                    *(told(attack(images), images, masks) for attack in (neighbours, common)),
                ]
            )
    head = ["series", "veils", "as it is", "neighbours averaged", "common structure taken off"]
    print(table([*head, "control: neighbours", "control: common"], rows))
    rows = []
    for shared in (True, False):
        first, second = (
            veiled(images, shared=shared, first_key=k * (not shared))
            for k, images in enumerate((slices, later))
        )
        masks = [(a != b).any(axis=2) for a, b in zip(slices, first, strict=True)]
        both = [(a.astype(np.float32) + b) / np.float32(2) for a, b in zip(first, second, strict=True)]
        plain = [(a.astype(np.float32) + b) / np.float32(2) for a, b in zip(slices, later, strict=True)]
        rows.append(
            [
                "one for both" if shared else "one for each",
                told([one.astype(np.float32) for one in first], slices, masks),
                told(both, slices, masks),
                told(plain, slices, masks),
            ]
        )
    print()
    print(table(["two volumes of one head, veils", "as it is", "the two averaged", "control"], rows))


if __name__ == "__main__":
    main()
