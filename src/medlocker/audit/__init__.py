"""Was a model trained on a release? It would be surer with the images' own marks than with others."""

from medlocker.audit._permutation import Comparison, compare_with_others
from medlocker.audit._run import Answers, ask
from medlocker.audit._sample import Sample, choose
from medlocker.audit._views import Marker

__all__ = ["Answers", "Comparison", "Marker", "Sample", "ask", "choose", "compare_with_others"]
