"""Synthetic fundus photographs, a built-in classifier of them, and the story the ``demo`` command tells."""

from medlocker.demo._contactsheet import write_sheet
from medlocker.demo._page import write_page
from medlocker.demo._run import DemoResult, run_demo
from medlocker.demo.lesions import GRADES
from medlocker.demo.model import builtin_model
from medlocker.demo.paint import Synthetic, synthesise
from medlocker.demo.samples import SampleSet, write_samples

__all__ = [
    "GRADES",
    "DemoResult",
    "SampleSet",
    "Synthetic",
    "builtin_model",
    "run_demo",
    "synthesise",
    "write_page",
    "write_samples",
    "write_sheet",
]
