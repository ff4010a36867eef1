"""From the options that say what marks keep out of, to regions and finders: `protect` and `prepare` alike."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from medlocker.classifiers import Classifier
from medlocker.errors import InputError
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

    Raises:
        InputError: If candidates are asked for beside something better.
    """

    regions: Path | None = None
    margin_px: int = 0
    segmenter: Path | None = None
    lesions: Lesions | None = None
    anatomy: bool = False

    def __post_init__(self) -> None:
        if self.lesions is None or self.lesions == "none":
            return
        if self.segmenter or (self.regions and is_own_finder(self.lesions)):
            raise InputError(
                f"--lesions {self.lesions} cannot be used with --regions or --segmenter",
                hint="leave --lesions out: given regions or a segmenter are better",
            )

    def candidates(self, preset: Preset) -> Lesions:
        """Return which candidates are looked for."""
        if self.lesions is not None and not is_own_finder(self.lesions):
            return self.lesions  # a finder of the user's own, which may look for more than what is given
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
        return load_regions(self.regions.absolute(), margin_px=self.margin_px, images=places).among(names)

    def finder(self, preset: Preset, classifiers: Sequence[Classifier]) -> Finder | None:
        """Return what finds more, None if nothing does."""
        known = load_segmenter(self.segmenter) if self.segmenter else None
        found: Finder | None = known or make_finder(self.candidates(preset), classifiers)
        return WithAnatomy(found) if self.anatomy else found
