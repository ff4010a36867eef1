"""The pipeline of one image, from the file to the marked file."""

from medlocker.protect._donors import Donors
from medlocker.protect._keepout import (
    FINDER_NAMES,
    Lesions,
    beside,
    finder_called,
    is_own_finder,
    make_finder,
    source_of,
)
from medlocker.protect._one import Protector
from medlocker.protect._outcome import Job, Marked, Outcome
from medlocker.protect._randomness import seeded
from medlocker.protect._room import Room, find_room, pose_problem
from medlocker.protect._series import Lead, Series, about_series, marks_digest
from medlocker.protect._settings import (
    DEFAULT_MARGIN,
    LEAST_PSNR_DB,
    MAX_AREA,
    PAPER_BUDGET,
    STANDARD_HARDENING,
    Aim,
    Harden,
    Placement,
    Preset,
    Settings,
)

__all__ = [
    "DEFAULT_MARGIN",
    "FINDER_NAMES",
    "LEAST_PSNR_DB",
    "MAX_AREA",
    "PAPER_BUDGET",
    "STANDARD_HARDENING",
    "Aim",
    "Donors",
    "Harden",
    "Job",
    "Lead",
    "Lesions",
    "Marked",
    "Outcome",
    "Placement",
    "Preset",
    "Protector",
    "Room",
    "Series",
    "Settings",
    "about_series",
    "beside",
    "find_room",
    "finder_called",
    "is_own_finder",
    "make_finder",
    "marks_digest",
    "pose_problem",
    "seeded",
    "source_of",
]
