"""Which search a run takes."""

from __future__ import annotations

from collections.abc import Sequence

from medlocker.classifiers import Classifier, without_gradients
from medlocker.errors import ModelError
from medlocker.protect import Settings
from medlocker.search import AUTO, AnySearch, Search, make_one


def make_search(settings: Settings, classifiers: Sequence[Classifier]) -> Search:
    """Build the strategy.

    ``auto`` takes ``gradient`` where every model offers gradients, else ``screened``; for the preset
    ``strong`` it takes ``texture``, and without gradients ``square``: see :func:`search_warning`.

    Raises:
        ModelError: If the strategy needs gradients that a model does not offer.
    """
    without = without_gradients(classifiers)
    if settings.preset == "veil":  # drawn, not searched: the pipeline never asks this one
        return make_one("random", budget=max(settings.budget_for(len(classifiers)), 1), margin=0.0)
    named: AnySearch = settings.search
    if named == AUTO:
        with_texture = settings.preset == "strong"
        if without:
            named = "square" if with_texture else "screened"
        else:
            named = "texture" if with_texture else "gradient"
    search = make_one(named, budget=settings.budget_for(len(classifiers)), margin=settings.wanted_margin)
    if search.needs_gradients and without:
        raise ModelError(
            f"the search {search.name} needs gradients, which {without[0]} does not offer",
            hint="use --search auto, or a model made by `medlocker train classifier` with the torch extra",
        )
    return search


def search_warning(settings: Settings, classifiers: Sequence[Classifier]) -> str:
    """Return a sentence for the user where the preset ``strong`` is weaker than it could be, else nothing."""
    without = without_gradients(classifiers)
    if settings.preset != "strong" or not without or settings.search != AUTO:
        return ""
    return (
        f"preset strong without gradients of {without[0]}: textures are tried at random (search square), "
        "which is weaker; gradients need the torch extra and a model that torch can rebuild"
    )
