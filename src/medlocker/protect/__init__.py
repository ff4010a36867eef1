"""The pipeline of one image, from the file to the marked file."""

from medlocker.options import LEAST_PSNR_DB, MAX_AREA, Aim, Placement, Preset
from medlocker.protect._donors import DecoySource
from medlocker.protect._keepout import (
    FINDER_NAMES,
    Lesions,
    find_placement_avoiding,
    finder_called,
    is_own_finder,
    make_finder,
    source_of,
)
from medlocker.protect._outcome import Job, Marked, Outcome
from medlocker.protect._placementspace import PlacementSpace, find_placement_space, pose_problem
from medlocker.protect._protector import Protector
from medlocker.protect._randomness import seeded
from medlocker.protect._series import Series, SharedMarks, marks_digest, series_error
from medlocker.protect._settings import DEFAULT_MARGIN, PAPER_BUDGET, STANDARD_HARDENING, Harden, Settings

__all__ = [
    "DEFAULT_MARGIN",
    "FINDER_NAMES",
    "LEAST_PSNR_DB",
    "MAX_AREA",
    "PAPER_BUDGET",
    "STANDARD_HARDENING",
    "Aim",
    "DecoySource",
    "Harden",
    "Job",
    "Lesions",
    "Marked",
    "Outcome",
    "Placement",
    "PlacementSpace",
    "Preset",
    "Protector",
    "Series",
    "Settings",
    "SharedMarks",
    "find_placement_avoiding",
    "find_placement_space",
    "finder_called",
    "is_own_finder",
    "make_finder",
    "marks_digest",
    "pose_problem",
    "seeded",
    "series_error",
    "source_of",
]
