"""`medlocker prepare --preset veil`: choose once for a whole data set how veils look."""

from __future__ import annotations

from collections.abc import Iterator

from medlocker.api.clusters import indices_or_own, with_clusters
from medlocker.api.logos import read_logo
from medlocker.api.protectoptions import labels_of
from medlocker.classifiers import batch_for, load_classifier
from medlocker.cli._console import note, print_json, shown, stdout, warn
from medlocker.cli._preparelogo import PrepareArguments, say_left_out, say_notes
from medlocker.cli._progress import Telling
from medlocker.prepare import ChosenVeil, Forecast, ModelForecast, VeilPreparation, prepare_veil, write_veil
from medlocker.protect import Aim, Settings
from medlocker.veilstyle import VeilStyle

_FILE_THREADS = 2
_MUCH_LEFT, _MUCH_KAPPA = 0.5, 0.2


def choose_veil(
    asked: PrepareArguments,
    *,
    aim: Aim,
    legibility: float,
    decoys: bool,
    budget: int | None,
) -> None:
    """Carry out the command.

    Args:
        asked: Options of both presets.
        aim: What is aimed at.
        legibility: Least PSNR of an image, dB.
        decoys: Whether ``protect`` will draw decoys.
        budget: Most evaluations in all, or None.
    """
    settings = Settings(
        preset="veil", size=asked.size, opacity=asked.opacity, aim=aim, legibility=legibility, decoys=decoys
    )
    inputs, listener = asked.inputs(), Telling()
    known = labels_of(asked.labels, column=asked.label_column, image_column=asked.image_column)
    loaded = [load_classifier(path, features=True) for path in asked.models]
    classifiers = with_clusters(
        loaded, inputs, workers=_FILE_THREADS, batch=batch_for(loaded), listener=listener
    )
    say_notes(classifiers)
    regions, finder = asked.keep_out.known(inputs), asked.keep_out.finder("veil", classifiers)
    if regions is None and finder is None:
        note(
            "nothing is kept out of these veils: models see through holes, so give --regions or --lesions as "
            "you will give them to `protect`"
        )
    preparation = VeilPreparation(
        inputs=inputs,
        classifiers=classifiers,
        logo=read_logo(asked.logo, listener=listener),
        settings=settings,
        labels=known,
        classes=indices_or_own(known, classifiers, listener=listener),
        regions=regions,
        finder=finder,
        sample=asked.sample,
        budget=budget,
        seed=asked.seed,
    )
    with listener.steps("look") as progress:
        found = prepare_veil(preparation, progress=progress)
    write_veil(found.prepared, asked.out, overwrite=asked.overwrite)
    say_left_out(found.left_out)
    for text in _warnings(found.forecast):
        warn(text)
    if asked.as_json:
        print_json(_json(found))
        return
    for line in (*_chosen(found, asked), *_expected(found.forecast, labelled=known is not None)):
        stdout.print(shown(line), markup=False)


def _json(found: ChosenVeil) -> dict[str, object]:
    return {
        **found.prepared.facts,
        "style": found.prepared.style.to_json(),
        "aim_class": found.prepared.aim_class,
        "left_out": [one.to_json("name") for one in found.left_out],
    }


def _warnings(forecast: Forecast) -> Iterator[str]:
    """Yield where this veil protects little."""
    for told in forecast.chosen or forecast.shipped:
        # answers that are all of the commonest class leave much, and tell nothing
        if told.left is not None and told.left > _MUCH_LEFT and told.kappa > _MUCH_KAPPA:
            yield (
                f"{told.model} keeps {told.left:.0%} of its right answers under such veils: allow more "
                "(--opacity LOW HIGH, a lower --min-psnr), or keep less out"
            )


def _chosen(found: ChosenVeil, asked: PrepareArguments) -> Iterator[str]:
    """Yield what was chosen, in words."""
    facts, style = found.prepared.facts, found.prepared.style
    yield (
        f"chose one of {facts['styles']} styles on {facts['images']} images with {facts['evaluations']:,} "
        f"evaluations, into {asked.out}"
    )
    psnr = facts["legibility"]
    yield (
        f"copies of the logo of {style.period * style.fill:.1%} of the shorter side, one every "
        f"{style.period:.1%}{_spread(style)}, opacity {style.opacity:.3f}; "
        f"PSNR {psnr['median_psnr']:.1f} dB in the median, {psnr['worst_psnr']:.1f} dB in the worst"
    )
    gathers = facts["gathers"]
    yield (
        f'{gathers["veiled"]:.0%} of the answers on veiled images are "{gathers["class"]}", which '
        f"{gathers['originals']:.0%} of those on the originals are"
    )


def _spread(style: VeilStyle) -> str:
    """Say how far images differ."""
    low, high = style.periods
    if not style.spread:
        return ""
    return f" (by chance {low:.1%} to {high:.1%} from image to image, with copies in proportion)"


def _expected(forecast: Forecast, *, labelled: bool) -> Iterator[str]:
    """Yield what models will still tell, in words."""
    if forecast.left_out and forecast.chosen:
        yield (
            "forecast for unseen models: each of these took no part in the choice that it judges, on "
            "images not used for it"
        )
    elif not forecast.left_out:
        yield (
            "no forecast for models never seen: of one model none can be left out; give --model again with "
            "another. This one itself, on images not used for the choice:"
        )
    else:
        yield "no forecast: too few images to use one half for the choice and one for the forecast"
    shipped = {told.model: told for told in forecast.shipped}
    for told in forecast.chosen:
        line = f"  {told.model}: {_told(told, labelled=labelled)}"
        beside = shipped.get(told.model)
        yield line if beside is None else f"{line}; {_beside(beside)}"
    if not forecast.chosen:
        for told in forecast.shipped:
            yield f"  {told.model}, the built-in style: {_told(told, labelled=labelled)}"
    yield "models trained on images veiled by this program keep more: see docs/THREAT_MODEL.md"


def _told(told: ModelForecast, *, labelled: bool) -> str:
    answers = "right answers" if labelled else "answers"
    parts = []
    if told.left is not None and told.left_interval is not None:
        low, high = told.left_interval
        parts.append(f"{told.left:.0%} ({low:.0%} to {high:.0%}) of {told.right} {answers} left")
    low, high = told.kappa_interval
    parts.append(f"kappa {told.kappa:.2f} ({low:.2f} to {high:.2f})")
    if told.information is not None and told.information_interval is not None:
        low, high = told.information_interval
        parts.append(
            f"what its answers teach is better than the most frequent class by {told.information:.0%} "
            f"({low:.0%} to {high:.0%})"
        )
    return ", ".join(parts)


def _beside(told: ModelForecast) -> str:
    left = "" if told.left is None else f"{told.left:.0%} left, "
    return f"with the built-in style {left}kappa {told.kappa:.2f}"
