"""The options of a run that decide what the marks look like and how they are searched."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, replace
from typing import Any, get_args

from medlocker.attacks import ATTACK_NAMES, Attack, attack_name, find_attack
from medlocker.errors import InputError
from medlocker.formats import Keep, check_keep
from medlocker.logo import Hardening
from medlocker.mark import OPACITY_ONE
from medlocker.options import LEAST_PSNR_DB, MAX_AREA, Aim, Placement, Preset, ProvenanceName
from medlocker.review import NewMark
from medlocker.search import AUTO, AnySearch, known_search, search_name
from medlocker.veilstyle import DEFAULT_STYLE, VeilStyle

PAPER_BUDGET = 128
STRONG_BUDGET = 56
"""For each model: with the looks at the original and at the written file it stays below 60."""
MAX_BUDGET = 10**6
DEFAULT_MARGIN = 0.2
STRONG_MARGIN = 3.0
STRONG_LEVELS = 32
STRONG_MARKS = 3
STRONG_ROTATION = 15
SMALLEST_LOGO_PX = 8
_LEAST_CHANGE = 1.0
"""Grey levels of 255 by which a veil changes black under white at least."""
SIZE, SMALLEST_SIZE = 0.25, 0.125
OPACITIES = (0.39, 0.8)


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
        preset: ``veil``: the logo as a translucent lattice over all that is free; ``paper``: position and
            opacity of one plain logo of fixed size; ``strong``: also a bounded texture on the logo's own
            pixels, up to three marks, and a rotation drawn for every image.
        size: Longer side of the logo / shorter side of the image, above 0, at most 1; of a veil, of one copy.
            None takes the preset's.
        min_size: Where regions leave no room, the logo shrinks down to this before the image is skipped.
        opacity: Lowest and highest, 0 to 1; None takes the preset's. A veil has the highest, and is lowered
            towards the lowest where ``legibility`` asks for it.
        search: A strategy: its name, or one of your own (a :class:`Search` or its class); ``auto`` takes
            gradients where the models offer them.
        budget: Most evaluations of one image's search; None takes the preset's, see :meth:`budget_for`.
        margin: Logits by which the search wants the wrong class to win; more survives other resizing code.
            None takes the preset's.
        levels: Bound of the texture, grey levels of 255; None takes the preset's.
        marks: Most separate marks on one image, 1 to 3; None takes the preset's.
        max_area: Marks after the first are put on only while all together cover at most this share of the
            image, above 0, at most 1.
        rotation: Marks are turned by up to this many degrees either way, 0 to 180, by chance but the same
            for all marks of an image; None takes the preset's.
        against: Attacks after which the written file shall mislead too, ours by their names, or your own;
            each adds the cost of the search once more.
        bear_shrinking: Images less than three times as fine as a model must mislead it after being halved and
            enlarged too; doubles the preset's budget.
        seed: Repeats the search exactly; None derives it from the release's secret.
        harden: Keyed changes of the logo, see :class:`Harden`.
        keep_original: Put the original file into its sealed record.
        keep_metadata: Names of :data:`medlocker.formats.KEEPABLE`, or ``all``: metadata that are passed on
            although they may hold an unmarked picture.
        provenance: Whether marked files say in their formats' own terms that they are marked, and by which
            release: ``standard``; ``c2pa``: with signed content credentials too; or ``none``.
        placement: ``series``: all images of a series carry the marks of one of them; ``image``: each has its
            own, which is for series of unlike images.
        aim: What a veil is chosen for if several are drawn (``budget``): all images shall get the ``same``
            answer, or one drawn by ``key`` for each, or one that is ``wrong``.
        aim_class: Index of the class for aim ``same``, in the order of each model; None draws it.
        legibility: Least PSNR of a veiled image, dB.
        decoys: Keep veils out of boxes drawn by chance too, so that holes do not tell where lesions are.

    Raises:
        InputError: If a value is out of range.
    """

    preset: Preset = "veil"
    size: float | None = None
    min_size: float | None = None
    opacity: tuple[float, float] | None = None
    search: AnySearch = AUTO
    budget: int | None = None
    margin: float | None = None
    levels: int | None = None
    marks: int | None = None
    max_area: float | None = None
    rotation: int | None = None
    against: tuple[str | Attack, ...] = ()
    bear_shrinking: bool = False
    seed: int | None = None
    harden: Harden = field(default_factory=lambda: Harden())
    keep_original: bool = False
    keep_metadata: tuple[str, ...] = ()
    provenance: ProvenanceName = "standard"
    placement: Placement = "series"
    style: VeilStyle = DEFAULT_STYLE
    aim: Aim = "same"
    aim_class: int | None = None
    legibility: float = LEAST_PSNR_DB
    decoys: bool = True

    def __post_init__(self) -> None:
        for name, given, known in (
            ("a preset", self.preset, get_args(Preset)),
            ("an aim", self.aim, get_args(Aim)),
            ("a placement", self.placement, get_args(Placement)),
        ):
            if given not in known:
                raise InputError(f"expected {name} of {', '.join(known)}, got {given!r:.40}")
        # names of the user's own are looked up once; ours stay names
        own = tuple(one if one in ATTACK_NAMES else find_attack(one) for one in self.against)
        object.__setattr__(self, "against", own)
        object.__setattr__(self, "search", known_search(self.search))
        if self.size is not None and not 0 < self.size <= 1:
            raise InputError(f"expected a size above 0 and at most 1, got {self.size:g}")
        if self.min_size is not None and not 0 < self.min_size <= 1:
            raise InputError(f"expected a smallest size above 0 and at most 1, got {self.min_size:g}")
        low, high = self.opacities
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
        if self.max_area is not None and not 0 < self.max_area <= 1:
            raise InputError(f"expected an area above 0 and at most 1, got {self.max_area:g}")
        if self.rotation is not None and not 0 <= self.rotation <= 180:
            raise InputError(f"expected a rotation of 0 to 180 degrees, got {self.rotation}")
        if len(set(self.against_names)) < len(self.against):
            raise InputError("expected no attack twice")
        if self.seed is not None and not 0 <= self.seed < 1 << 64:
            raise InputError(f"expected a seed of 0 to 2**64 - 1, got {self.seed}")
        if not 0 <= self.legibility <= 60:
            raise InputError(f"expected a smallest PSNR of 0 to 60 dB, got {self.legibility:g}")
        check_keep(self.keep_metadata)
        if self.provenance not in get_args(ProvenanceName):
            names = ", ".join(get_args(ProvenanceName))
            raise InputError(f"expected a provenance of {names}, got {self.provenance!r:.40}")
        if self.preset == "veil":
            self._check_veil()

    def _check_veil(self) -> None:
        """Refuse what has no meaning for a veil, instead of passing it over."""
        unfit = {
            "--max-area": (self.max_area is not None, "it covers the whole free area"),
            "--min-size": (self.min_size is not None, "it leaves regions free and does not shrink"),
            "--max-marks": (self.marks is not None, "it is one lattice"),
            "--max-rotation": (self.rotation is not None, "every copy is rotated at random"),
            "--texture-bound": (self.levels is not None, "its copies have no searched texture"),
            "--confidence": (self.margin is not None, "it is not optimised by margins"),
            "--robust-to": (bool(self.against), "it is not optimised against attacks"),
            "--robust-to-downscaling": (self.bear_shrinking, "it is not optimised against attacks"),
            "--search": (self.search not in (AUTO, "random"), "its parameters are random"),
            "--harden-opaque": (self.harden.opaque > 0, "it is translucent"),
        }
        for name, (given, why) in unfit.items():
            if given:
                raise InputError(
                    f"{name} cannot be used with --preset veil: {why}",
                    hint="leave the option out, or use --preset strong",
                )
        if self.opacities[1] * 255 < _LEAST_CHANGE:
            raise InputError(
                f"expected an opacity of at least {_LEAST_CHANGE / 255:.3f}, got {self.opacities[1]:g}: "
                "after rounding such a veil would change nothing"
            )
        _ = self.veil_style  # refuses a size that no lattice has

    def asked(self, new: NewMark) -> Settings:
        """Return the same for an image of which a review wants another mark.

        Raises:
            InputError: If the preset has no such mark.
        """
        opacity = self.opacity if new.opacity is None else (min(self.opacities[0], new.opacity), new.opacity)
        return replace(self, opacity=opacity, size=self.size if new.size is None else new.size)

    @property
    def keep(self) -> Keep:
        """What is passed on besides harmless metadata."""
        return check_keep(self.keep_metadata)

    @property
    def logo_size(self) -> float:
        """Longer side of the logo / shorter side of the image."""
        return SIZE if self.size is None else self.size

    @property
    def smallest_size(self) -> float:
        """The same where regions leave no room."""
        return min(SMALLEST_SIZE, self.logo_size) if self.min_size is None else self.min_size

    @property
    def opacities(self) -> tuple[float, float]:
        """Lowest and highest opacity, 0 to 1."""
        if self.opacity is not None:
            return self.opacity
        return (self.style.opacity / 2, self.style.opacity) if self.preset == "veil" else OPACITIES

    @property
    def area_limit(self) -> float:
        """Share of the image that several marks may cover together."""
        return MAX_AREA if self.max_area is None else self.max_area

    @property
    def veil_style(self) -> VeilStyle:
        """How veils look, with all options that change it."""
        style = self.style if self.size is None else self.style.with_tile(self.size)
        style = replace(style, opacity=self.opacities[1])
        if self.harden.warp:
            style = replace(style, warp=min(max(style.warp, 2 * self.harden.warp * style.fill), 0.3))
        if self.harden.texture:
            style = replace(style, texture=max(style.texture, self.harden.texture))
        return style

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
        if self.preset == "veil":
            return models
        budget = STRONG_BUDGET * models if self.preset == "strong" else PAPER_BUDGET
        return budget * (1 + len(set(self.against_names) | ({"resize"} if self.bear_shrinking else set())))

    def veils_for(self, models: int) -> int:
        """Return among how many veils each image's is chosen by the answers of so many models."""
        return max(self.budget_for(models) // models, 1) if models else 1

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
        if self.search == AUTO:
            return self.preset == "strong"
        if isinstance(self.search, str):
            return self.search in ("gradient", "texture")
        return self.search.needs_gradients

    @property
    def against_names(self) -> tuple[str, ...]:
        """The attacks by their names."""
        return tuple(map(attack_name, self.against))

    @property
    def opacity_range(self) -> tuple[int, int]:
        """Lowest and highest opacity as 16-bit weights."""
        return round(self.opacities[0] * OPACITY_ONE), round(self.opacities[1] * OPACITY_ONE)

    def sizes_px(self, height: int, width: int) -> list[int]:
        """Return the logo sizes to try on an image, largest first, each about a tenth smaller."""
        shorter = min(height, width)
        size = self.logo_size
        sizes: list[int] = []
        while size > self.smallest_size or not sizes:
            sizes.append(max(round(size * shorter), 1))
            size *= 0.9
        if self.smallest_size < self.logo_size:
            sizes.append(max(round(self.smallest_size * shorter), 1))
        return [px for px in dict.fromkeys(sizes) if px >= SMALLEST_LOGO_PX]

    def to_json(self) -> dict[str, Any]:
        """Return all options as a JSON-ready object; older runs, which go on, know not all of them."""
        value = asdict(replace(self, against=(), search=AUTO)) | {
            "against": self.against_names,
            "search": search_name(self.search),
        }
        if not self.keep_metadata:
            del value["keep_metadata"]
        if self.provenance == "standard":
            del value["provenance"]
        return value
