"""Attack 14: two differently marked versions of one image, merged."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from medlocker.attacks import Bytes, Mask, windows_of
from medlocker.errors import InputError, NoRoomError
from medlocker.evaluate.removal._evidence import AttackInfo, Evidence
from medlocker.geometry import Box
from medlocker.images import Image
from medlocker.logo import Logo, render
from medlocker.mark import OPACITY_ONE, Mark
from medlocker.marking import mark_pixels
from medlocker.placements import FreePlacements


@dataclass(frozen=True)
class DifferenceAttack:
    """Takes from a second version what the mark of the first hides.

    **Exact wherever the two marks do not overlap**: why no owner may ever publish two versions.
    """

    facts: ClassVar[AttackInfo] = AttackInfo(
        14, "another marked version of the same image", ("two versions merged",), combined=False, on="marks"
    )

    def restore(self, evidence: Evidence) -> dict[str, Bytes]:
        """Merge the two versions; without a second one nothing changes."""
        if evidence.second is None:
            return {"two versions merged": evidence.marked}
        merged = np.where(evidence.mask[..., None], evidence.second, evidence.marked)
        return {"two versions merged": np.asarray(merged, dtype=np.uint8)}


def another_version(clean: Bytes, mask: Mask, logo: Logo, rng: np.random.Generator) -> Bytes | None:
    """Mark an image a second time, elsewhere, as a careless owner would.

    Args:
        clean: (H, W, 3) uint8.
        mask: Where the first version is marked.
        rng: Chooses place and opacity.

    Returns:
        The second version, None if there is no room beside the first mark.
    """
    height, width = mask.shape
    windows = windows_of(mask)
    if not windows:
        return None
    rows, cols = windows[0]
    size = max(rows.stop - rows.start, cols.stop - cols.start)
    boxes = [Box(c.start, r.start, c.stop - c.start, r.stop - r.start) for r, c in windows]
    raster = render(logo, size)
    try:
        places = FreePlacements(image=(width, height), support=raster.support, boxes=boxes)
        x, y = (int(v) for v in places.sample(rng, 1)[0])
    except (NoRoomError, InputError):
        return None
    mark = Mark(x, y, size, round(float(rng.uniform(0.4, 0.8)) * OPACITY_ONE))
    return mark_pixels(Image(clean, "rgb", "png", b""), [mark], logo=logo).pixels
