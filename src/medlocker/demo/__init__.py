"""Synthetic fundus photographs, a built-in classifier of them, and the story the ``demo`` command tells."""

from medlocker.demo._page import write_page
from medlocker.demo._sheet import write_sheet
from medlocker.demo._story import Story, tell
from medlocker.demo.lesions import GRADES
from medlocker.demo.model import builtin_model
from medlocker.demo.paint import Synthetic, synthesise
from medlocker.demo.samples import SampleSet, write_samples

__all__ = [
    "GRADES",
    "SampleSet",
    "Story",
    "Synthetic",
    "builtin_model",
    "synthesise",
    "tell",
    "write_page",
    "write_samples",
    "write_sheet",
]
