"""From the options of a run to what they name: engine, ledger, what was prepared."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, cast, get_args

from medlocker.certificates import Ledger, Owner, ledger_path
from medlocker.classifiers import Classifier
from medlocker.engines import EngineMaker, LocalEngine, process_engine, ray_engine
from medlocker.errors import InputError
from medlocker.labels import Labels, load_labels
from medlocker.logo import LEARNED_FILE, LearnedLogo, load_learned
from medlocker.options import EngineName
from medlocker.preparedveil import PreparedVeil, is_prepared_veil, load_prepared_veil
from medlocker.protect import Aim, Lesions, Preset, Settings
from medlocker.veilstyle import DEFAULT_STYLE

MOST_ADVISED = 0.2
"""Opacity of a veil."""


def engine_maker(
    name: EngineName, *, workers: int, models: Sequence[Path], segmenter: Path | None, lesions: Lesions
) -> EngineMaker:
    """Return what makes the engine of a run.

    Args:
        name: From the command line.
        workers: Processes of the engine ``local``.
        models: Files or folders of the surrogates.
        segmenter: File or folder of the segmenter, or None.
        lesions: Which candidates are looked for without a segmenter.

    Raises:
        MissingExtraError: If it needs a library that is not installed.
        InputError: If this system cannot have several workers.
    """
    if name == "ray":
        return ray_engine(models, segmenter=segmenter, lesions=lesions)
    if workers > 1:
        return process_engine(models, workers=workers, segmenter=segmenter, lesions=lesions)
    return LocalEngine


def open_ledger(owner: Owner, *, use: bool, given_up: Sequence[str]) -> Ledger | None:
    """Open the owner's ledger, or none for experiments.

    Args:
        owner: Keys; the ledger lies beside them.
        use: Whether it is used.
        given_up: Ids of runs that will never finish, whose claims are to be void.

    Raises:
        InputError: If it cannot be used, or there is no such run.
    """
    if not use:
        if given_up:
            raise InputError("--abandon-run cannot be used with --no-ledger")
        return None
    ledger = Ledger(ledger_path(owner.paths), owner.signing)
    for release in given_up:
        ledger.give_up(release)
    return ledger


def prepared_of(logo: Path | None, preset: Preset) -> LearnedLogo | PreparedVeil | None:
    """Return what `medlocker prepare` made, None if the logo is a picture or not given.

    Raises:
        InputError: If it was made for another preset.
    """
    if logo is None or not logo.is_dir():
        return None
    is_veil = is_prepared_veil(logo)
    if not is_veil and not (logo / LEARNED_FILE).is_file():
        return load_learned(logo)  # says what is expected of a folder
    if is_veil != (preset == "veil"):
        made, wanted = ("veil", preset) if is_veil else ("strong", "veil")
        raise InputError(
            f"expected a logo prepared for preset {wanted}, got one for preset {made}",
            hint=f"use --preset {made}, or `medlocker prepare --preset {wanted}`",
        )
    return load_prepared_veil(logo) if is_veil else load_learned(logo)


def look_of(prepared: LearnedLogo | PreparedVeil | None, *, aim: Aim | None) -> dict[str, Any]:
    """Return the settings that say how veils look: those prepared, or those that ship with the program.

    Args:
        prepared: What `medlocker prepare` made, or None.
        aim: What is asked for; None takes what was prepared.
    """
    veil = prepared if isinstance(prepared, PreparedVeil) else None
    return {
        "style": DEFAULT_STYLE if veil is None else veil.style,
        "aim": aim or aim_of(veil),
        "aim_class": None if veil is None else veil.aim_class,
    }


def aim_of(veil: PreparedVeil | None) -> Aim:
    """Return what a prepared veil was chosen for; ``same`` where nothing is known."""
    told = None if veil is None else veil.facts.get("aim")
    return cast(Aim, told) if told in get_args(Aim) else "same"


def veil_warnings(settings: Settings, classifiers: Sequence[Classifier]) -> Iterator[str]:
    """Yield what a user should know before a data set is veiled."""
    if settings.preset != "veil":
        return
    if not classifiers:
        yield (
            "no model was given: this run cannot say what its veils do to "
            "a model of your images; `medlocker evaluate` can"
        )
    if settings.opacities[1] > MOST_ADVISED:
        given = settings.opacities[1]
        yield f"an opacity of {given:g} is more than a veil needs: the images will be harder to read"
    pairs = [model.name for model in classifiers if len(model.classes) == 2]
    if settings.aim == "wrong" and pairs:
        yield (
            f"aim wrong with the two classes of {pairs[0]}: a model that is always wrong tells as much as "
            "one that is always right, somebody can exchange the two answers; use --objective same"
        )


def labels_of(path: Path | None, *, column: str | None, image_column: str | None = None) -> Labels | None:
    """Read labels, if there are any.

    Raises:
        InputError: If they cannot be read, or only their columns were named.
    """
    for option, value in (("--label-column", column), ("--image-column", image_column)):
        if path is None and value is not None:
            raise InputError(f"{option} requires --labels")
    return None if path is None else load_labels(path, column=column, image_column=image_column)
