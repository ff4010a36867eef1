"""The options of a run that decide what the marks look like and how they are searched."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from medlocker.attacks import ATTACK_NAMES, AttackName
from medlocker.errors import InputError
from medlocker.logo import Hardening
from medlocker.mark import OPACITY_ONE

Preset = Literal["paper", "strong"]
SearchName = Literal["auto", "random", "evolution", "bhe", "screened", "gradient", "texture", "square"]
Placement = Literal["series", "image"]

PAPER_BUDGET = 128
STRONG_BUDGET = 56
"""For each model: with the looks at the original and at the written file it stays below 60."""
MAX_BUDGET = 10**6
DEFAULT_MARGIN = 0.2
STRONG_MARGIN = 3.0
STRONG_LEVELS = 32
STRONG_MARKS = 3
STRONG_ROTATION = 15
MAX_AREA = 0.12
SMALLEST_LOGO_PX = 8


@dataclass(frozen=True)
class Harden:
    """Keyed changes of the logo against somebody who knows the logo and this program.

    Args:
        warp: Largest shift of a logo pixel, as a share of the logo's size, 0 to 0.2.
        texture: Standard deviation of a keyed texture in each colour channel, grey levels of 255, 0 to 100.
        opaque: Share of fully opaque strokes, 0 to 1.

    Raises:
        InputError: If a value is out of range.
    """

    warp: float = 0.0
    texture: int = 0
    opaque: float = 0.0

    def __post_init__(self) -> None:
        if not 0 <= self.warp <= 0.2:
            raise InputError(f"expected a warp of 0 to 0.2 of the logo's size, got {self.warp:g}")
        if not 0 <= self.texture <= 100:
            raise InputError(f"expected a texture of 0 to 100 grey levels, got {self.texture}")
        if not 0 <= self.opaque <= 1:
            raise InputError(f"expected a share of opaque strokes of 0 to 1, got {self.opaque:g}")

    def for_size(self, size_px: int, key: bytes) -> Hardening | None:
        """Return the changes of a logo of a given size, None if all are off."""
        found = Hardening(
            key,
            warp_256=min(round(self.warp * size_px * 256), 65535),
            texture=self.texture,
            opaque_permille=round(self.opaque * 1000),
        )
        return found if found.warp_256 or found.texture or found.opaque_permille else None


STANDARD_HARDENING = Harden(warp=1 / 56, texture=24, opaque=0.0)
"""What `--harden` switches on: 1 px of warp at 56 px; docs/RESULTS.md tells what it withstands and costs."""


@dataclass(frozen=True)
class Settings:
    """Options of one run.

    Args:
        preset: ``paper``: position and opacity of one plain logo of fixed size; ``strong``: also a bounded
            texture on the logo's own pixels, up to three marks, and a rotation drawn for every image.
        size: Longer side of the logo / shorter side of the image, above 0, at most 1.
        min_size: Where regions leave no room, the logo shrinks down to this before the image is skipped.
        opacity: Lowest and highest, 0 to 1.
        search: Name of the strategy; ``auto`` takes gradients where the models offer them.
        budget: Most evaluations of one image's search; None takes the preset's, see :meth:`budget_for`.
        margin: Logits by which the search wants the wrong class to win; more survives other resizing code.
            None takes the preset's.
        levels: Bound of the texture, grey levels of 255; None takes the preset's.
        marks: Most separate marks on one image, 1 to 3; None takes the preset's.
        max_area: Marks after the first are put on only while all together cover at most this share of the
            image, above 0, at most 1.
        rotation: Marks are turned by up to this many degrees either way, 0 to 180, by chance but the same
            for all marks of an image; None takes the preset's.
        against: Attacks after which the written file shall mislead too; each adds the cost of the search once
            more.
        bear_shrinking: Images less than three times as fine as a model must mislead it after being halved and
            enlarged too; doubles the preset's budget.
        seed: Repeats the search exactly; None derives it from the release's secret.
        harden: Keyed changes of the logo, see :class:`Harden`.
        keep_original: Put the original file into its sealed record.
        placement: ``series``: all images of a series carry the marks of one of them; ``image``: each has its
            own, which is for series of unlike images.

    Raises:
        InputError: If a value is out of range.
    """

    preset: Preset = "strong"
    size: float = 0.25
    min_size: float = 0.125
    opacity: tuple[float, float] = (0.39, 0.8)
    search: SearchName = "auto"
    budget: int | None = None
    margin: float | None = None
    levels: int | None = None
    marks: int | None = None
    max_area: float = MAX_AREA
    rotation: int | None = None
    against: tuple[AttackName, ...] = ()
    bear_shrinking: bool = False
    seed: int | None = None
    harden: Harden = field(default_factory=lambda: Harden())
    keep_original: bool = False
    placement: Placement = "series"

    def __post_init__(self) -> None:
        if not 0 < self.size <= 1:
            raise InputError(f"expected a size above 0 and at most 1, got {self.size:g}")
        if not 0 < self.min_size <= 1:
            raise InputError(f"expected a smallest size above 0 and at most 1, got {self.min_size:g}")
        low, high = self.opacity
        if not 0 < low <= high <= 1:
            raise InputError(f"expected opacities above 0, at most 1, the lower first, got {low:g} {high:g}")
        if self.budget is not None and not 1 <= self.budget <= MAX_BUDGET:
            raise InputError(f"expected a budget of 1 to {MAX_BUDGET} evaluations, got {self.budget}")
        if self.margin is not None and not -100 <= self.margin <= 100:
            raise InputError(f"expected a margin of -100 to 100 logits, got {self.margin:g}")
        if self.levels is not None and not 0 <= self.levels <= 127:
            raise InputError(f"expected a texture of 0 to 127 grey levels, got {self.levels}")
        if self.marks is not None and not 1 <= self.marks <= 3:
            raise InputError(f"expected 1 to 3 marks, got {self.marks}")
        if not 0 < self.max_area <= 1:
            raise InputError(f"expected an area above 0 and at most 1, got {self.max_area:g}")
        if self.rotation is not None and not 0 <= self.rotation <= 180:
            raise InputError(f"expected a rotation of 0 to 180 degrees, got {self.rotation}")
        if strange := sorted(set(self.against) - set(ATTACK_NAMES)):
            raise InputError(f"expected attacks of {', '.join(ATTACK_NAMES)}, got {strange[0]!r:.40}")
        if len(set(self.against)) < len(self.against):
            raise InputError("expected every attack once")
        if self.seed is not None and not 0 <= self.seed < 1 << 64:
            raise InputError(f"expected a seed of 0 to 2**64 - 1, got {self.seed}")

    @property
    def wanted_margin(self) -> float:
        """Logits at which the search of one image stops."""
        if self.margin is not None:
            return self.margin
        return STRONG_MARGIN if self.preset == "strong" else DEFAULT_MARGIN

    def budget_for(self, models: int) -> int:
        """Return the most evaluations of one image's search with so many models."""
        if self.budget is not None:
            return self.budget
        budget = STRONG_BUDGET * models if self.preset == "strong" else PAPER_BUDGET
        return budget * (1 + len(set(self.against) | ({"resize"} if self.bear_shrinking else set())))

    @property
    def texture_levels(self) -> int:
        """Bound of the searched texture, grey levels."""
        if self.levels is not None:
            return self.levels
        return STRONG_LEVELS if self.preset == "strong" else 0

    @property
    def most_marks(self) -> int:
        """Most separate marks on one image."""
        if self.marks is not None:
            return self.marks
        return STRONG_MARKS if self.preset == "strong" else 1

    @property
    def most_rotation(self) -> int:
        """Degrees by which marks may be turned."""
        if self.rotation is not None:
            return self.rotation
        return STRONG_ROTATION if self.preset == "strong" else 0

    @property
    def wants_gradients(self) -> bool:
        """Whether the search is better, or only possible, with gradients."""
        return self.preset == "strong" or self.search in ("gradient", "texture")

    @property
    def opacity_range(self) -> tuple[int, int]:
        """Lowest and highest opacity as 16-bit weights."""
        return round(self.opacity[0] * OPACITY_ONE), round(self.opacity[1] * OPACITY_ONE)

    def sizes_px(self, height: int, width: int) -> list[int]:
        """Return the logo sizes to try on an image, largest first, each about a tenth smaller."""
        shorter = min(height, width)
        size = self.size
        sizes: list[int] = []
        while size > self.min_size or not sizes:
            sizes.append(max(round(size * shorter), 1))
            size *= 0.9
        if self.min_size < self.size:
            sizes.append(max(round(self.min_size * shorter), 1))
        return [px for px in dict.fromkeys(sizes) if px >= SMALLEST_LOGO_PX]

    def to_json(self) -> dict[str, Any]:
        """Return all options as a JSON-ready object."""
        return asdict(self)
