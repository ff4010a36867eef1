"""The pipeline of one image, from the file to the marked file."""

from medlocker.protect._keepout import Lesions, beside, make_finder, source_of
from medlocker.protect._one import Protector
from medlocker.protect._outcome import Job, Marked, Outcome
from medlocker.protect._settings import (
    DEFAULT_BUDGET,
    DEFAULT_MARGIN,
    STANDARD_HARDENING,
    Harden,
    Preset,
    SearchName,
    Settings,
)

__all__ = [
    "DEFAULT_BUDGET",
    "DEFAULT_MARGIN",
    "STANDARD_HARDENING",
    "Harden",
    "Job",
    "Lesions",
    "Marked",
    "Outcome",
    "Preset",
    "Protector",
    "SearchName",
    "Settings",
    "beside",
    "make_finder",
    "source_of",
]
