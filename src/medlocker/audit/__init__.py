"""Was a model trained on the marked files of a release? It would be surer with their own marks than with others."""

from medlocker.audit._permutation import Comparison, compare_with_others
from medlocker.audit._run import LOOKS, Answers, ask
from medlocker.audit._sample import Sample, choose
from medlocker.audit._views import Marker

__all__ = ["LOOKS", "Answers", "Comparison", "Marker", "Sample", "ask", "choose", "compare_with_others"]
