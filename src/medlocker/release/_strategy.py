"""From the name of a search to the search."""

from __future__ import annotations

from collections.abc import Sequence

from medlocker.classifiers import Classifier
from medlocker.errors import ModelError
from medlocker.protect import Settings
from medlocker.search import (
    BheSearch,
    EvolutionSearch,
    GradientSearch,
    RandomSearch,
    ScreenedSearch,
    Search,
)

_SEARCHES: dict[str, type[Search]] = {
    search.name: search
    for search in (RandomSearch, EvolutionSearch, BheSearch, ScreenedSearch, GradientSearch)
}


def make_search(settings: Settings, classifiers: Sequence[Classifier]) -> Search:
    """Build the strategy; ``auto`` takes ``gradient`` where every model offers gradients, else ``screened``.

    Raises:
        ModelError: If the strategy needs gradients that a model does not offer.
    """
    without = [model.name for model in classifiers if not model.has_gradients]
    name = settings.search
    if name == "auto":
        name = "screened" if without else "gradient"
    kind = _SEARCHES[name]
    if kind.needs_gradients and without:
        raise ModelError(
            f"the search {name} needs gradients, which {without[0]} does not offer",
            hint="use --search auto, or a model made by `medlocker train classifier` with the torch extra",
        )
    return kind(budget=settings.budget, margin=settings.margin)
