"""What attackers on a veil get back: for the shipped style, a dense one, and one that is not hardened.

    MEDLOCKER_DATA=... python benchmarks/veil_removal.py --target DIR [--target DIR ...] [--limit N]
        [--styles default,dense,unhardened] [--attack ROW ...] [--side PX] [--jpeg] [--tune]

Held-out photographs, lesions and decoys kept out, stored without loss unless --jpeg is given (which softens
the veil, and so the best restoring as well: PNG is the worst case for the owner). --side shrinks the
photographs first. Rows: each attack on the veil and, as its control, on the clean photograph. PSNR of the
marked pixels against the photograph at the size that the attack works at; "true geometry": every copy's
place, turn, size and sign are given, its warp and texture are not, which no attacker has.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np

from _idrid import LOGO
from _tables import share, table
from medlocker.attacks import Mask, changed, shrink, shrink_mask, widened
from medlocker.classifiers import load_classifier
from medlocker.evaluate.removal import DENSE_STYLE, WHOLE_PX, Evidence, make_battery, psnr
from medlocker.evaluate.removal.copies import Copy
from medlocker.evaluate.removal.unveil import undone
from medlocker.formats import read_image
from medlocker.geometry import Box
from medlocker.logo import lattice_looks, lattice_places, rendered_size
from medlocker.protect import Settings
from medlocker.veilstyle import DEFAULT_STYLE, VeilStyle
from veil import Judge, Photograph, Pixels, drawn, photographs, veiled

STYLES = {
    "default": DEFAULT_STYLE,
    "dense": DENSE_STYLE,
    "unhardened": replace(
        DEFAULT_STYLE, turn=0.0, scale=0.0, warp=0.0, spread=0.0, texture=0, negatives=False, stamps=1
    ),
}
RESTORED_DB = 35.0


def stored(photo: Photograph, side: int | None, *, as_jpeg: bool) -> Photograph:
    """Return a photograph as it is published: shrunk, and without loss unless it stays a JPEG."""
    if side is None and as_jpeg:
        return photo
    pixels = np.asarray(photo.image.pixels)
    small = pixels if side is None else shrink(pixels, side)
    ratio = small.shape[1] / pixels.shape[1]
    suffix = ".jpg" if as_jpeg else ".png"
    data = cv2.imencode(suffix, np.ascontiguousarray(small[..., ::-1]))[1].tobytes()
    boxes = tuple(
        Box(
            int(box.x * ratio),
            int(box.y * ratio),
            max(int(box.width * ratio), 1),
            max(int(box.height * ratio), 1),
        )
        for box in photo.boxes
    )
    return replace(photo, image=read_image(data, name=f"photo{suffix}"), boxes=boxes)


def with_true_geometry(photo: Photograph, style: VeilStyle, evidence: Evidence) -> Pixels:
    """Undo a veil whose geometry is known: for research only."""
    settings = Settings(preset="veil", style=style)
    veil = drawn(photo, settings)
    height, width = evidence.mask.shape
    if veil.grain_px != 1:
        raise SystemExit("expected photographs that are veiled in single pixels; see --side")
    lattice = veil.lattice()
    looks = lattice_looks(lattice)
    copies = []
    for x, y, which in zip(
        *(part.tolist() for part in lattice_places(lattice, width=width, height=height)), strict=True
    ):
        look = looks[which]
        reach = max(rendered_size(LOGO, look.size, rotation=look.rotation))
        if -reach < x < width + reach and -reach < y < height + reach:
            copies.append(Copy(x, y, look.size, look.rotation, look.negative))
    return undone(evidence.marked, evidence.mask, LOGO, copies)


def attacked(
    photos: Sequence[Photograph], pictures: Sequence[Pixels], masks: Sequence[Mask], names: set[str]
) -> Iterator[tuple[str, list[Pixels], list[float]]]:
    """Yield each row's pictures and decibels; an attack that is not wanted is left out."""
    for attack in make_battery("standard").attacks:
        facts = attack.facts
        if not facts.applies_to(is_veil=True) or (names and not names & set(facts.variants)):
            continue
        made: dict[str, list[Pixels]] = {name: [] for name in facts.variants}
        decibels: dict[str, list[float]] = {name: [] for name in facts.variants}
        for photo, picture, mask in zip(photos, pictures, masks, strict=True):
            limit = facts.longest_px if facts.longest_px != WHOLE_PX else max(mask.shape)
            evidence = Evidence(picture, widened(mask, 2), LOGO).shrunk(limit)
            truth, there = shrink(np.asarray(photo.image.pixels), limit), shrink_mask(mask, limit)
            for name, one in attack.restore(evidence).items():
                made[name].append(one)
                if facts.comparable:
                    decibels[name].append(psnr(one, truth, there))
        yield from ((name, made[name], decibels[name]) for name in facts.variants)


def told(decibels: Sequence[float]) -> list[str]:
    """Return the median and the share that is restored."""
    if not decibels:
        return ["-", "-"]
    return [f"{np.median(decibels):.1f}", share(sum(one > RESTORED_DB for one in decibels), len(decibels))]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--target", type=Path, action="append", default=[])
    parser.add_argument("--limit", type=int, default=40)
    parser.add_argument("--styles", default=",".join(STYLES))
    parser.add_argument("--attack", action="append", default=[])
    parser.add_argument("--side", type=int)
    parser.add_argument("--jpeg", action="store_true")
    parser.add_argument("--tune", action="store_true")
    options = parser.parse_args()
    photos = [
        stored(photo, options.side, as_jpeg=options.jpeg)
        for photo in photographs("idrid", limit=options.limit, tune=options.tune)
    ]
    judge = Judge.of(photos, [load_classifier(path) for path in options.target], "idrid")
    for name in options.styles.split(","):
        style = STYLES[name]
        print(f"\n### {name}: {len(photos)} photographs\n")
        print(
            table(["attack", "PSNR, dB", "above 35 dB", *(path.name for path in options.target)], []),
            flush=True,
        )
        veils = [veiled(photo, Settings(preset="veil", style=style)) for photo in photos]
        clean = [np.asarray(photo.image.pixels) for photo in photos]
        masks = [changed(*pair) for pair in zip(clean, veils, strict=True)]
        for what, pictures in (("veil", veils), ("clean", clean)):
            for row, made, decibels in attacked(photos, pictures, masks, set(options.attack)):
                print(
                    "| " + " | ".join([f"{what}, {row}", *told(decibels), *judge.cells(made)]) + " |",
                    flush=True,
                )
        known = [
            with_true_geometry(photo, style, Evidence(marked, widened(mask, 2), LOGO))
            for photo, marked, mask in zip(photos, veils, masks, strict=True)
        ]
        decibels = [psnr(*three) for three in zip(known, clean, masks, strict=True)]
        print(
            "| " + " | ".join(["veil, true geometry", *told(decibels), *judge.cells(known)]) + " |",
            flush=True,
        )


if __name__ == "__main__":
    main()
