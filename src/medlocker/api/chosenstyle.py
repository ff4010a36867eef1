"""How veils shall look where nothing was prepared: a few styles are tried on a sample before a run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from medlocker.api.listener import Listener
from medlocker.classifiers import Classifier
from medlocker.errors import InputError
from medlocker.logo import Logo
from medlocker.prepare import VeilPreparation, prepare_veil
from medlocker.protect import Settings
from medlocker.regions import Finder, Regions
from medlocker.release import Inputs

FEWEST_IMAGES = 8
"""A style chosen on fewer would be chosen by chance."""
_SAMPLE, _LOOKS = 24, 400
"""Images, and evaluations for each model: some seconds. `medlocker prepare` takes its time and tells more."""


def with_chosen_style(
    settings: Settings,
    inputs: Inputs,
    classifiers: Sequence[Classifier],
    *,
    logo: Logo,
    regions: Regions | None,
    finder: Finder | None,
    listener: Listener,
) -> Settings:
    """Return the settings with the style that leaves the models with least, of a few.

    The same images, models and options choose the same style; for an interrupted run it is kept
    (``keptstyle.py``), since its images may have changed.

    Args:
        settings: Of the preset ``veil``.
        classifiers: The surrogates, at least one.
        regions: Keep-out boxes, or None.
        finder: Finds more of them, or None.
        listener: Is told what was chosen.
    """
    preparation = VeilPreparation(
        inputs,
        classifiers,
        logo,
        settings,
        regions=regions,
        finder=finder,
        sample=_SAMPLE,
        budget=_LOOKS * len(classifiers),
    )
    with listener.steps("look") as progress:
        try:
            chosen = prepare_veil(preparation, progress=progress).prepared
        except InputError as error:
            listener.note(f"the built-in veil style is used: {error}")
            return settings
    style = chosen.style
    if settings.opacity is not None and style.opacity < settings.opacity[0]:
        listener.note("the built-in veil style is used: a better one would need an opacity below --opacity")
        return settings
    low, high = style.periods
    periods = f"{low:.3f} to {high:.3f}, another for every image," if style.spread else f"{low:.3f}"
    listener.note(
        f"a veil chosen on a sample of the images: period {periods} of the shorter side, "
        f"opacity {style.opacity:.2f}; `medlocker prepare --preset veil` estimates its effect"
    )
    opacity = settings.opacity
    if opacity is not None:
        opacity = (opacity[0], style.opacity)
    return replace(settings, style=style, opacity=opacity, size=None, aim_class=chosen.aim_class)
