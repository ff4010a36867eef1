"""Synthetic fundus photographs, a built-in classifier of them, and the story the ``demo`` command tells."""

from medlocker.demo.lesions import GRADES
from medlocker.demo.model import builtin_model
from medlocker.demo.paint import Synthetic, synthesise
from medlocker.demo.samples import SampleSet, write_samples

__all__ = ["GRADES", "SampleSet", "Synthetic", "builtin_model", "synthesise", "write_samples"]
