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
    SquareSearch,
    TextureSearch,
)

_SEARCHES: dict[str, type[Search]] = {
    search.name: search
    for search in (
        RandomSearch,
        EvolutionSearch,
        BheSearch,
        ScreenedSearch,
        GradientSearch,
        TextureSearch,
        SquareSearch,
    )
}


def make_search(settings: Settings, classifiers: Sequence[Classifier]) -> Search:
    """Build the strategy.

    ``auto`` takes ``gradient`` where every model offers gradients, else ``screened``; for the preset
    ``strong`` it takes ``texture``, and without gradients ``square``: see :func:`way_taken`.

    Raises:
        ModelError: If the strategy needs gradients that a model does not offer.
    """
    without = [model.name for model in classifiers if not model.has_gradients]
    if settings.preset == "veil":  # drawn, not searched: the pipeline never asks this one
        return RandomSearch(budget=max(settings.budget_for(len(classifiers)), 1))
    name = settings.search
    if name == "auto":
        with_texture = settings.preset == "strong"
        if without:
            name = "square" if with_texture else "screened"
        else:
            name = "texture" if with_texture else "gradient"
    kind = _SEARCHES[name]
    if kind.needs_gradients and without:
        raise ModelError(
            f"the search {name} needs gradients, which {without[0]} does not offer",
            hint="use --search auto, or a model made by `medlocker train classifier` with the torch extra",
        )
    return kind(budget=settings.budget_for(len(classifiers)), margin=settings.wanted_margin)


def way_taken(settings: Settings, classifiers: Sequence[Classifier]) -> str:
    """Return a sentence for the user where the preset ``strong`` is weaker than it could be, else nothing."""
    without = [model.name for model in classifiers if not model.has_gradients]
    if settings.preset != "strong" or not without or settings.search != "auto":
        return ""
    return (
        f"preset strong without gradients of {without[0]}: textures are tried at random (search square), "
        "which is weaker; gradients need the torch extra and a model that torch can rebuild"
    )
