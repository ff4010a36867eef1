"""From a name to a search, an attack, a finder of regions or a classifier: ours, or the user's own.

A name is one of ours; or that of an entry point which an installed package declares; or
``package.module:name``. Ours come first, so that no package can take their place. Code is loaded when its
name is given and not before: listing the names loads nothing, and no name is ever taken from a release, a
model's folder or a certificate.
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import reduce
from importlib.metadata import EntryPoint, entry_points
from typing import Any, Generic, TypeVar, cast

from medlocker.errors import InputError, MedlockerError

T = TypeVar("T")
_PLACE = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*:[^\W\d]\w*(\.[^\W\d]\w*)*")


@dataclass(frozen=True, eq=False)
class Registry(Generic[T]):
    """All of one kind that has a name.

    Args:
        what: The kind in a sentence, with its article: ``an attack``.
        group: Of the entry points.
        own: Ours, by name: ready objects, or what makes them.
        needs: Attributes that an object of this kind has.
        guide: The page of the documentation that tells how to write one.
    """

    what: str
    group: str
    own: Mapping[str, Any]
    needs: tuple[str, ...]
    guide: str

    def names(self) -> tuple[str, ...]:
        """Return ours and those of installed packages; loads nothing."""
        return tuple(dict.fromkeys((*self.own, *sorted(self._installed()))))

    def is_name(self, text: str) -> bool:
        """Tell whether a text is a known name, or has the form ``package.module:name``; loads nothing."""
        return text in self.own or bool(_PLACE.fullmatch(text)) or text in self._installed()

    def find(self, named: str | T | type[T], **settings: Any) -> T:
        """Return the object that a name, a class or an object stands for.

        Args:
            named: A name; or an object; or a class or function that makes one.
            settings: What a class or function is called with.

        Raises:
            InputError: If there is no such name, what it names cannot be loaded, or is of another kind.
        """
        found = self.load(named) if isinstance(named, str) else named
        called = named if isinstance(named, str) else type_name(found)
        made = found
        if isinstance(found, type) or (callable(found) and self._missing(found)):
            try:
                made = found(**settings)
            except MedlockerError:
                raise
            except Exception as error:  # it may be anybody's code
                raise InputError(f"{self._kind} {called}: cannot be made: {raised(error)}") from error
        if self._missing(made):
            raise self._other(called, made)
        return cast(T, made)

    @property
    def _kind(self) -> str:
        return self.what.partition(" ")[2]

    def _missing(self, found: object) -> list[str]:
        return [name for name in self.needs if not hasattr(found, name)]

    def _other(self, called: str, found: object) -> InputError:
        lacks = ", ".join(self._missing(found))
        return InputError(
            f"{called}: expected {self.what}, got {type_name(found)} without {lacks}", hint=self._hint
        )

    @property
    def _hint(self) -> str:
        return f"{self.guide} tells how to write {self.what} of your own"

    def _installed(self) -> Mapping[str, EntryPoint]:
        return {found.name: found for found in entry_points(group=self.group)}

    def load(self, name: str) -> Any:
        """Return what a name leads to, as it is.

        Raises:
            InputError: If there is no such name, or what it names cannot be loaded.
        """
        if name in self.own:
            return self.own[name]
        installed = self._installed().get(name)
        if installed is None and not _PLACE.fullmatch(name):
            known = ", ".join(self.names())
            expected = f"{self.what} of {known}" if known else self.what
            raise InputError(
                f"expected {expected}, got {name!r:.80}", hint=f"or package.module:name; {self._hint}"
            )
        try:
            if installed is not None:
                return installed.load()
            module, _, path = name.partition(":")
            return reduce(getattr, path.split("."), importlib.import_module(module))
        except MedlockerError:
            raise
        except Exception as error:  # importing runs anybody's code
            raise InputError(
                f"{self._kind} {name}: cannot be loaded: {raised(error)}", hint=self._hint
            ) from error


def type_name(found: object) -> str:
    """Return how an object without a name is called in messages: by its class, or itself if it is one."""
    if isinstance(found, type):
        return found.__name__
    own = getattr(found, "__name__", None)  # of a function
    return own if isinstance(own, str) else type(found).__name__


def raised(error: Exception) -> str:
    """Return in one line what somebody's code raised."""
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text}"[:200] if text else type(error).__name__
