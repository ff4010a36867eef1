"""Single marks for pictures in memory."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from medlocker.api.choices import harden_of, one_of
from medlocker.api.searching import MarkStyle
from medlocker.arguments import checked_arguments
from medlocker.attacks import Attack
from medlocker.errors import InputError
from medlocker.protect import Harden, Settings
from medlocker.search import AnySearch, Search

MarksPreset = Literal["strong", "paper"]


class Marks(MarkStyle):
    """One logo or a few, at the places where they mislead the models most; at least one model is needed.

    Args:
        preset: ``strong``: up to three turned logos with a bounded texture; ``paper``: place and opacity of
            one plain logo.
        search: Name of the strategy, ``auto`` takes gradients where there are any; or a search of your own,
            a subclass of :class:`medlocker.search.Search`, an object of one, or ``package.module:Class``
        opacity: Lowest and highest, above 0, at most 1. None: 0.39 and 0.8.
        size: Longer side of a logo / shorter side of the picture. None: 0.25.
        min_size: Logos shrink down to this where little room is left. None: 0.125.
        budget: Most questions to the models for one picture, a backward pass counts two. None: by preset.
        confidence: Logits by which a wrong class shall win. None: 3, of ``paper`` 0.2.
        levels: Bound of the texture, grey levels of 255. None: 32, of ``paper`` 0.
        marks: Most logos, 1 to 3. None: 3, of ``paper`` 1.
        max_area: Share of the picture that several may cover together. None: 0.12.
        rotation: Degrees by which they may be turned by chance. None: 15, of ``paper`` 0.
        against: Attacks that they shall withstand: ``jpeg``, ``blur``, ``resize``, ``crop``, ``flip``,
            ``denoise``, ``inpaint``.
        harden: Warp and texture by key, or how strong: a :class:`Harden`.

    Raises:
        InputError: If a value is out of range, or a name unknown.

    >>> import numpy as np
    >>> from medlocker.testing import LinearClassifier
    >>> picture = np.full((64, 96), 90, np.uint8)
    >>> found = Marks(preset="paper", budget=20)(LinearClassifier(), picture, seed=0)
    >>> len(found.parameters), bool((found.undo(found.apply(picture)) == picture).all())
    (1, True)
    """

    @checked_arguments
    def __init__(
        self,
        *,
        preset: MarksPreset = "strong",
        search: AnySearch = "auto",
        opacity: tuple[float, float] | None = None,
        size: float | None = None,
        min_size: float | None = None,
        budget: int | None = None,
        confidence: float | None = None,
        levels: int | None = None,
        marks: int | None = None,
        max_area: float | None = None,
        rotation: int | None = None,
        against: Sequence[str | Attack] = (),
        harden: bool | Harden = False,
    ) -> None:
        if isinstance(search, Search) and budget is not None:
            raise InputError("expected no budget beside a search of your own, which has one")
        super().__init__(
            Settings(
                preset=one_of(preset, MarksPreset, what="preset"),
                search=search,
                opacity=opacity,
                size=size,
                min_size=min_size,
                budget=budget,
                margin=confidence,
                levels=levels,
                marks=marks,
                max_area=max_area,
                rotation=rotation,
                against=tuple(against),
                harden=harden_of(harden),
            )
        )
