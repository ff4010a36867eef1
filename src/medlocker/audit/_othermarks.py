"""Marks of the same kind as an image's own, but drawn anew: what the model is asked about for comparison."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from medlocker.geometry import Box
from medlocker.logo import Logo, render
from medlocker.mark import Mark
from medlocker.placements import FreePlacements
from medlocker.veil import AnyMark, Veil
from medlocker.veilstyle import redraw


def others_seed(own: Sequence[AnyMark], seed: int) -> list[int]:
    """Return what the randomness of the others comes from: equal for images that carry the same marks."""
    text = json.dumps([mark.to_json() for mark in own], sort_keys=True)
    return [seed, *hashlib.sha256(text.encode("ascii")).digest()]


def draw_others(
    own: Sequence[AnyMark],
    *,
    size: tuple[int, int],
    logo: Logo,
    keep_out: Sequence[Box],
    textures: Sequence[str],
    rng: np.random.Generator,
) -> tuple[AnyMark, ...]:
    """Draw one list of marks like the own ones.

    A veil keeps everything but what its key decides: where it lies and how its copies look. A single mark
    keeps size, opacity and turn; place, key, and a searched texture are others.

    Args:
        own: The image's own marks.
        size: Width and height of the image, pixels.
        keep_out: What single marks must not touch; veils carry theirs.
        textures: Searched textures of other images' marks.
        rng: Source of randomness.

    Raises:
        NoRoomError: If there is no other place for a single mark.
    """
    drawn: list[AnyMark] = []
    taken: list[Box] = []
    for mark in own:
        if isinstance(mark, Veil):
            drawn.append(redraw(mark, key=rng.bytes(len(mark.key) // 2)))
            continue
        other, box = _moved(mark, size, logo, [*keep_out, *taken], textures, rng)
        drawn.append(other)
        taken.append(box)
    return tuple(drawn)


def _moved(
    mark: Mark,
    size: tuple[int, int],
    logo: Logo,
    boxes: Sequence[Box],
    textures: Sequence[str],
    rng: np.random.Generator,
) -> tuple[Mark, Box]:
    key = rng.bytes(len(mark.key) // 2).hex()
    overlay = textures[int(rng.integers(len(textures)))] if mark.overlay and textures else mark.overlay
    other = replace(mark, key=key, overlay=overlay)
    support = render(logo, mark.size_px, rotation=mark.rotation, hardening=other.hardening).support
    places = FreePlacements(image=size, support=support, boxes=boxes)
    x, y = places.sample(rng, 1)[0].tolist()
    return replace(other, x=x, y=y), Box(x, y, support.shape[1], support.shape[0])
