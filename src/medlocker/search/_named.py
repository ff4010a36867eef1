"""Searches by name: ours, and the user's own."""

from __future__ import annotations

from typing import TypeAlias

from medlocker.errors import InputError, MedlockerError
from medlocker.plugins import Registry, raised, type_name
from medlocker.search._base import Search
from medlocker.search._bhe import BheSearch
from medlocker.search._evolution import EvolutionSearch
from medlocker.search._guided import GradientSearch, ScreenedSearch
from medlocker.search._random import RandomSearch
from medlocker.search._square import SquareSearch
from medlocker.search._texture import TextureSearch

AnySearch: TypeAlias = str | Search | type[Search]
"""A name; or a search; or its class, which is given ``budget`` and ``margin``."""

AUTO = "auto"
_OWN: tuple[type[Search], ...] = (
    RandomSearch,
    EvolutionSearch,
    BheSearch,
    ScreenedSearch,
    GradientSearch,
    TextureSearch,
    SquareSearch,
)
_SEARCHES: Registry[Search] = Registry(
    "a search",
    "medlocker.searches",
    {AUTO: AUTO, **{search.name: search for search in _OWN}},
    ("name", "needs_gradients", "steps", "run"),
    "docs/how-to/search.md",
)


def known_search(named: AnySearch) -> AnySearch:
    """Return one of our names as it is, else the search or the class that a name leads to.

    Raises:
        InputError: If there is no such search.
    """
    found = _SEARCHES.load(named) if isinstance(named, str) else named
    if isinstance(named, str) and named in _SEARCHES.own:
        return named
    if not (issubclass(found, Search) if isinstance(found, type) else isinstance(found, Search)):
        called = named if isinstance(named, str) else type_name(found)
        raise InputError(
            f"search {called}: expected a subclass of medlocker.search.Search, got {type_name(found)}",
            hint=f"{_SEARCHES.guide} has an example",
        )
    if not isinstance(getattr(found, "name", None), str):
        raise InputError(f'search {type_name(found)}: expected a name, as in: name = "spiral"')
    if found.name in _SEARCHES.own and found is not _SEARCHES.own[found.name] and type(found) not in _OWN:
        raise InputError(f"search {found.name}: expected another name, this one is medlocker's own")
    return found


def make_one(named: AnySearch, *, budget: int, margin: float) -> Search:
    """Make a search.

    Args:
        named: As in :func:`known_search`; not ``auto``, which depends on the models.
        budget: See :class:`Search`; a search that was made already keeps its own.
        margin: See :class:`Search`.

    Raises:
        InputError: If there is no such search, or it cannot be made.
    """
    found = known_search(named)
    kind = _SEARCHES.own[found] if isinstance(found, str) else found
    if isinstance(kind, Search):
        return kind
    try:
        made: Search = kind(budget=budget, margin=margin)
    except MedlockerError:
        raise
    except Exception as error:  # it may be anybody's code
        raise InputError(f"search {kind.name}: cannot be made: {raised(error)}") from error
    return made


def search_name(search: AnySearch) -> str:
    """Return the name of a search that is known already."""
    return search if isinstance(search, str) else search.name
