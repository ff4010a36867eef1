"""Attacks 6 and 7: the logo and this program are known, the key is not."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import ClassVar

import cv2
import numpy as np

from medlocker.attacks import Bytes, Mask, Window, around, widened, windows_of
from medlocker.evaluate.removal._colors import denoise, weigh_colors
from medlocker.evaluate.removal._evidence import AttackInfo, Evidence
from medlocker.evaluate.removal._invert import Inverted, gradient_magnitude, invert_best
from medlocker.evaluate.removal._locate import MarkGuess, locate, sharpen, window_of
from medlocker.evaluate.removal._pose import ONE_TURN, PoseGuess, likeliest_poses
from medlocker.evaluate.removal._warp import fit_warp
from medlocker.logo import Logo

STANDARD_WARP, STANDARD_TEXTURE = 1 / 56, 24
"""What `--harden` does: an attacker reads it in this program. A test compares them with the program's."""

_MOST_MARKS = 6
_MOST_IN_ONE = 3
_WIDER_PX = 2
_OFF_PX = 3
_SMALLEST_PX = 8
_GHOST = 1.33
_SURE = 1.1
_LARGE_PX = 40
_TURNS = 5
_ROUGH = 2.0


@dataclass(frozen=True, eq=False)
class FoundMark:
    """One mark that was found and inverted.

    Args:
        window: Part of the image that the rest refers to.
        inverted: In coordinates of that part.
        texture: Deviation of the keyed texture that explains it best, grey levels.
    """

    window: Window
    inverted: Inverted
    texture: int = 0


class Finder(threading.local):
    """Finds known logos; remembers each thread's last image, from whose marks several attacks start."""

    def __init__(self) -> None:
        self._last: tuple[Evidence, list[FoundMark]] | None = None

    def __call__(self, evidence: Evidence) -> list[FoundMark]:
        """Return all marks of an image, none if the logo is not known."""
        if self._last is None or self._last[0] is not evidence:
            self._last = (evidence, list(_marks(evidence, _MOST_MARKS)))
        return self._last[1]

    def largest(self, evidence: Evidence) -> FoundMark | None:
        """Return the largest mark of a part of an image; pieces of others are left alone."""
        return next(_marks(evidence, 1), None)


def _marks(evidence: Evidence, most: int) -> Iterator[FoundMark]:
    if evidence.logo is None:
        return
    logo = as_rendered(evidence.logo, evidence.marked)
    turned: int | None = None
    for box in evidence.windows()[:most]:
        side = max(box[0].stop - box[0].start, box[1].stop - box[1].start)
        window = around(box, max(side // 3, 16))
        pixels, mask = evidence.marked[window], evidence.mask[window]
        for _ in range(_MOST_IN_ONE):  # marks that touch each other make one part of the mask
            inverted = _one(pixels, mask, logo, turned)
            if inverted is None:
                break
            turned = inverted.guess.rotation
            yield FoundMark(window, inverted)
            covered = np.zeros(mask.shape, np.bool_)
            covered[window_of(inverted.raster, inverted.guess)] = inverted.raster.support
            mask = cv2.erode((mask & ~widened(covered, 6)).astype(np.uint8), np.ones((3, 3), np.uint8)) > 0
            if mask.sum() < covered.sum() / 4:
                break
            pixels = inverted.restored


def _one(pixels: Bytes, mask: Mask, logo: Logo, turned: int | None) -> Inverted | None:
    """Find and invert the largest mark under a mask; None if there is no room for one.

    Args:
        pixels: A part of the image.
        mask: Where marks are in it.
        turned: The rotation where it is known: all marks of one image are turned alike.
    """
    parts = windows_of(mask)
    if not parts:
        return None
    rows, cols = parts[0]
    height, width = rows.stop - rows.start, cols.stop - cols.start
    turns = likeliest_poses(pixels, parts[0], logo, wider_px=_WIDER_PX, turned=turned)
    if not turns:  # the box is not the logo's: several marks that touch
        sizes_px = (max(min(height, width) // 3, _SMALLEST_PX), max(height, width, _SMALLEST_PX))
        guesses = locate(pixels, logo, sizes_px=sizes_px, rotation=turned or 0)
    else:
        sharp = [_sharpened(pixels, logo, turn) for turn in turns]
        guesses = [guess for score, guess in sorted(sharp, key=lambda one: -one[0]) if score > 0]
    guesses = [guess for guess in guesses if _fits(guess, logo, pixels)]
    if not guesses:
        return None
    found = invert_best(pixels, logo, guesses)
    return found if turned is not None else _turned(pixels, logo, found)


def _turned(pixels: Bytes, logo: Logo, start: Inverted) -> Inverted:
    """Try no turn, and turns by some degrees more and less, until none leaves fewer edges."""
    best = start
    tried = {_degrees(start)}
    for _ in range(_TURNS):
        if best.ghost() < _SURE and best.guess.size_px >= _LARGE_PX:
            break
        before = best
        for degrees in (0, *(_degrees(before) + step for step in (-1, 1, -2, 2))):
            if degrees % 360 not in tried:
                tried.add(degrees % 360)
                other = _at_turn(pixels, logo, before, degrees)
                best = min(best, other or best, key=lambda one: one.left)
        if best is before:
            break
    return best


def _at_turn(pixels: Bytes, logo: Logo, near: Inverted, degrees: int) -> Inverted | None:
    """Invert the same mark as if it were turned by so many degrees; None if that leaves the image."""
    rotation = round(degrees * ONE_TURN / 360) % ONE_TURN
    height, width = near.raster.coverage.shape
    guess = replace(near.guess, rotation=rotation)
    rows, cols = guess.raster(logo).coverage.shape
    x, y = guess.x + (width - cols) / 2, guess.y + (height - rows) / 2
    sizes_px = (max(guess.size_px - 1, 1), guess.size_px + 1)
    score, found = sharpen(pixels, logo, (x, y, float(guess.size_px)), sizes_px=sizes_px, rotation=rotation)
    return invert_best(pixels, logo, [found]) if score > 0 and _fits(found, logo, pixels) else None


def _degrees(inverted: Inverted) -> int:
    return round(inverted.guess.rotation * 360 / ONE_TURN) % 360


def _sharpened(pixels: Bytes, logo: Logo, turn: PoseGuess) -> tuple[float, MarkGuess]:
    low, high = (max(round(turn.size_px) + step, _SMALLEST_PX) for step in (-_OFF_PX, _OFF_PX))
    near = (turn.x, turn.y, turn.size_px)
    return sharpen(pixels, logo, near, sizes_px=(low, high), rotation=turn.rotation)


def _fits(guess: MarkGuess, logo: Logo, pixels: Bytes) -> bool:
    height, width = guess.raster(logo).coverage.shape
    inside = guess.y >= 0 and guess.x >= 0
    return inside and guess.y + height <= pixels.shape[0] and guess.x + width <= pixels.shape[1]


def as_rendered(logo: Logo, pixels: Bytes) -> Logo:
    """Return the logo in grey where the image is grey: so this program renders it."""
    if (pixels[..., 0] != pixels[..., 1]).any() or (pixels[..., 0] != pixels[..., 2]).any():
        return logo
    rgba = logo.rgba.copy()
    wide = rgba.astype(np.uint32)
    grey = (299 * wide[..., 0] + 587 * wide[..., 1] + 114 * wide[..., 2] + 500) // 1000
    rgba[..., :3] = grey[..., None]
    return replace(logo, rgba=rgba)


def pasted(marked: Bytes, found: list[FoundMark], make: Callable[[Bytes, FoundMark], Bytes]) -> Bytes:
    """Put what an attack makes of each mark into the image, one mark after the other."""
    result = marked.copy()
    for mark in found:
        part = result[mark.window]
        inside = np.zeros(part.shape[:2], np.bool_)
        inside[window_of(mark.inverted.raster, mark.inverted.guess)] = mark.inverted.raster.support
        made = make(np.ascontiguousarray(part), mark)
        part[inside] = made[inside]
    return result


def undone(part: Bytes, mark: FoundMark) -> Bytes:
    """Take the inverted mark, whatever was done meanwhile to others in the same part."""
    result = part.copy()
    window = window_of(mark.inverted.raster, mark.inverted.guess)
    result[window] = mark.inverted.restored[window]
    return result


def _smoothed(part: Bytes, mark: FoundMark) -> Bytes:
    return denoise(undone(part, mark), mark.inverted, "non-local means")


@dataclass(frozen=True, eq=False)
class KnownLogoAttack:
    """Finds the logo, estimates its opacity and undoes the blend.

    Args:
        finder: Shared with :class:`WarpAttack`.
    """

    finder: Finder
    facts: ClassVar[AttackInfo] = AttackInfo(
        6, "the logo and this program", ("logo inverted", "logo inverted, smoothed"), on="marks"
    )

    def restore(self, evidence: Evidence) -> dict[str, Bytes]:
        """Invert every mark that is found."""
        found = self.finder(evidence)
        return {
            "logo inverted": pasted(evidence.marked, found, undone),
            "logo inverted, smoothed": pasted(evidence.marked, found, _smoothed),
        }


@dataclass(frozen=True, eq=False)
class WarpAttack:
    """Also fits the keyed warp, knows how strong the keyed texture is, and smooths it.

    Args:
        finder: Shared with :class:`KnownLogoAttack`.
        warp: Largest keyed shift as a share of the logo's size.
        texture: Deviation of the keyed texture, grey levels.
    """

    finder: Finder
    warp: float = STANDARD_WARP
    texture: int = STANDARD_TEXTURE
    facts: ClassVar[AttackInfo] = AttackInfo(
        7,
        "the logo, this program and how marks are hardened",
        ("warp fitted", "warp fitted, smoothed", "warp fitted, colours weighed"),
        on="marks",
    )

    def restore(self, evidence: Evidence) -> dict[str, Bytes]:
        """Bend the logo to each mark that is found, and invert that."""
        found = self.finder(evidence)
        if evidence.logo is None:
            return dict.fromkeys(self.facts.variants, evidence.marked)
        logo = as_rendered(evidence.logo, evidence.marked)
        bent = [self._bent(evidence.marked[mark.window], logo, mark) for mark in found]
        return {
            "warp fitted": pasted(evidence.marked, bent, undone),
            "warp fitted, smoothed": pasted(evidence.marked, bent, _smoothed),
            "warp fitted, colours weighed": pasted(
                evidence.marked,
                bent,
                lambda part, mark: weigh_colors(part, mark.inverted, texture=mark.texture),
            ),
        }

    def _bent(self, part: Bytes, logo: Logo, mark: FoundMark) -> FoundMark:
        """Bend the logo if its ghost is seen; where none is, fitting would only add errors of its own."""
        best = mark.inverted
        if best.ghost() >= _GHOST:
            reach_px = max(self.warp * best.guess.size_px, 0.25)
            tried = [
                fit_warp(part, logo, best, reach_px=reach_px, texture=texture)
                for texture in dict.fromkeys((0, self.texture))
            ]
            best = min(tried, key=lambda one: one.left)
        return replace(mark, inverted=best, texture=self.texture if _is_rough(best) else 0)


def _is_rough(inverted: Inverted) -> bool:
    """Tell whether the restored mark is so much rougher than its surroundings that it had a texture."""
    window = window_of(inverted.raster, inverted.guess)
    slopes = gradient_magnitude(inverted.restored.astype(np.float32))
    inside = np.zeros(slopes.shape, np.bool_)
    inside[window] = inverted.raster.coverage == 255
    inside = cv2.erode(inside.astype(np.uint8), np.ones((5, 5), np.uint8)) > 0
    covered = np.zeros(slopes.shape, np.bool_)
    covered[window] = inverted.raster.support
    outside = ~widened(covered, 3)
    if not inside.any() or not outside.any():
        return False
    return bool(np.median(slopes[inside]) > _ROUGH * np.median(slopes[outside]) + _ROUGH)
