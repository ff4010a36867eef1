"""From the options that say what marks keep out of, to regions and finders: `protect` and `prepare` alike."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from medlocker.api.sayings import of_no_image, some
from medlocker.classifiers import Classifier
from medlocker.errors import InputError
from medlocker.options import MissingRegions
from medlocker.protect import Lesions, Preset, is_own_finder, make_finder
from medlocker.regions import Finder, Regions, WithAnatomy, load_regions, load_segmenter
from medlocker.release import Inputs


@dataclass(frozen=True)
class KeepOut:
    """What the user asked to keep clear.

    Args:
        regions: Known regions, or None.
        margin_px: By which they grow.
        segmenter: Folder or file of a lesion segmenter, or None.
        lesions: Which candidates, or a finder of the user's own; None leaves it to the preset.
        anatomy: Whether optic disc and macula are kept clear too.
        missing: What is done with images of which the regions say nothing: ``refuse`` to mark anything,
            ``none`` is kept out there, or ``candidates`` are; None leaves it to what else looks for lesions,
            and takes candidates where nothing does.

    Raises:
        InputError: If candidates are asked for beside something better.
    """

    regions: Path | None = None
    margin_px: int = 0
    segmenter: Path | None = None
    lesions: Lesions | None = None
    anatomy: bool = False
    missing: MissingRegions | None = None

    def __post_init__(self) -> None:
        if self.missing is not None and self.regions is None:
            raise InputError("--missing-regions requires --regions")
        if self.missing == "candidates" and self._looks_everywhere:
            raise InputError(
                "--missing-regions candidates cannot be used with --segmenter or --lesions",
                hint="leave it out: what they find is kept out of every image",
            )
        if self.lesions is None or self.lesions == "none":
            return
        if self.segmenter or (self.regions and is_own_finder(self.lesions)):
            raise InputError(
                f"--lesions {self.lesions} cannot be used with --regions or --segmenter",
                hint="leave --lesions out: given regions or a segmenter are better",
            )

    @property
    def unlisted(self) -> MissingRegions | None:
        """What is done with images of which the regions say nothing; None where others look at them."""
        if self.missing is not None or self.regions is None or self._looks_everywhere:
            return self.missing
        return "none" if self.lesions == "none" else "candidates"

    @property
    def _looks_everywhere(self) -> bool:
        """Whether lesions are looked for in every image, listed or not."""
        is_own = self.lesions is not None and not is_own_finder(self.lesions)
        return self.segmenter is not None or is_own

    def candidates(self, preset: Preset) -> Lesions:
        """Return which candidates are looked for."""
        if self.lesions is not None and not is_own_finder(self.lesions):
            return self.lesions  # a finder of the user's own, which may look for more than what is given
        if self.unlisted == "candidates":
            return "auto"
        if self.regions is not None or self.segmenter is not None:
            return "none"
        return self.lesions or ("none" if preset == "paper" else "auto")

    def known(self, inputs: Inputs) -> Regions | None:
        """Read the given regions of a data set, None if there are none."""
        if self.regions is None:
            return None
        names = [item.name for item in inputs.items]
        # absolute: they are read again on other machines
        places = {item.name: item.path.absolute() for item in inputs.items}
        found = load_regions(self.regions.absolute(), margin_px=self.margin_px, images=places).among(names)
        return replace(found, stand_in=self.unlisted == "candidates")

    def check(self, regions: Regions | None, names: Sequence[str]) -> None:
        """Refuse to mark images that the regions do not list, unless it was said what they are.

        Raises:
            InputError: If nothing in the regions belongs to an image, or an image is not listed.
        """
        missing = () if regions is None else regions.missing(names)
        if regions is None or not missing:
            return
        unknown = regions.unknown(names)
        if len(missing) == len(names) and unknown:
            raise of_no_image("regions", names, unknown, "or leave --regions out if no image has any")
        if self.unlisted == "refuse":
            raise InputError(
                f"regions: expected every image to be listed, got nothing of {some(missing)}",
                subject=missing[0],
                hint="choose --missing-regions none if those images have no lesions, or --missing-regions "
                "candidates to keep out what classical means find there; a row of empty cells or an empty "
                "mask lists an image too",
            )

    def finder(self, preset: Preset, classifiers: Sequence[Classifier]) -> Finder | None:
        """Return what finds more, None if nothing does."""
        known = load_segmenter(self.segmenter) if self.segmenter else None
        found: Finder | None = known or make_finder(self.candidates(preset), classifiers)
        return WithAnatomy(found) if self.anatomy else found
