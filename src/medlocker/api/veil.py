"""Veils for pictures in memory."""

from __future__ import annotations

from dataclasses import replace

from medlocker.api.choices import harden_of, one_of
from medlocker.api.searching import MarkStyle
from medlocker.arguments import checked_arguments
from medlocker.protect import LEAST_PSNR_DB, Aim, Harden, Settings
from medlocker.veilstyle import DEFAULT_STYLE, VeilStyle


class Veil(MarkStyle):
    """The logo as a translucent lattice over all of a picture that need not be kept out; see README.md.

    Models are not needed: they are only asked what they make of it.

    Args:
        opacity: Of the copies of the logo, above 0, at most 1; 0.2 is as much as is advised. None: 0.15.
        size: Longer side of a copy / shorter side of the picture; None draws another for every picture.
        style: All else of how veils look.
        legibility: Least PSNR in dB: a veil that would leave less is made fainter, down to half its opacity.
        aim: What is wanted where ``budget`` allows to draw several: the ``same`` answer for all pictures, one
            drawn by ``key`` for each, or a ``wrong`` one.
        decoys: Also keep out of boxes by chance, so that holes do not tell where lesions are. Only where
            ``keep_out`` is given.
        budget: Most questions to the models for one picture; None: one for each model.
        harden: Stronger warp and texture by key, or how strong: a :class:`Harden`.

    Raises:
        InputError: If a value is out of range, or a name unknown.

    >>> import numpy as np
    >>> picture = np.full((64, 96, 3), 90, np.uint8)
    >>> found = Veil(opacity=0.15)(None, picture, seed=0)
    >>> marked = found.apply(picture)
    >>> bool((marked != picture).any()), bool((found.undo(marked) == picture).all())
    (True, True)
    """

    @checked_arguments
    def __init__(
        self,
        *,
        opacity: float | None = None,
        size: float | None = None,
        style: VeilStyle = DEFAULT_STYLE,
        legibility: float = LEAST_PSNR_DB,
        aim: Aim = "same",
        decoys: bool = True,
        budget: int | None = None,
        harden: bool | Harden = False,
    ) -> None:
        super().__init__(
            Settings(
                preset="veil",
                style=style if opacity is None else replace(style, opacity=float(opacity)),
                size=size,
                legibility=legibility,
                aim=one_of(aim, Aim, what="aim"),
                decoys=decoys,
                budget=budget,
                harden=harden_of(harden),
            )
        )
