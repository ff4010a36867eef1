"""From a folder of images and some models to how veils shall look on them, and what to expect of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from medlocker.classifiers import Classifier
from medlocker.errors import Code, Failure, InputError, MedlockerError, ModelError
from medlocker.labels import Labels
from medlocker.logo import Logo
from medlocker.prepare._fitting import MEDIAN_PSNR_DB, enforce_legibility, fit
from medlocker.prepare._forecast import ModelForecast, forecast_model
from medlocker.prepare._halving import HalvingSchedule, Subset, choose, make_plan, plan_for
from medlocker.prepare._losses import dominant_class, probabilities
from medlocker.prepare._reduced import ReducedImage, read_reduced, side_for
from medlocker.prepare._sampling import choose_sample
from medlocker.prepare._trials import Logits, StyleTrials, VeilRenderer, make_trial_views
from medlocker.prepare._variants import MOST_OPACITY, variants
from medlocker.preparedveil import PreparedVeil
from medlocker.protect import DecoySource, Settings
from medlocker.protect.veiled import check_seen
from medlocker.regions import Finder, Regions
from medlocker.release import Inputs
from medlocker.veilstyle import VeilStyle

VEIL_SAMPLE = 96
VEIL_BUDGET = 2000
"""Evaluations for each model."""
_LOOKS = 96
"""In all at each style that is tried to the end, where the sample is smaller than that."""
_MOST_REPEATS = 4
_FEWEST_TO_JUDGE = 8
"""With fewer images a half of them is nothing to judge on."""
_MORE = 2
"""Styles that are drawn for each one wanted: some cannot be seen, or would have to be too faint."""

Progress = Callable[[str, int, int], None]
"""Called with what is being done, by how much it has come on, and how much there is in all."""


@dataclass(frozen=True, eq=False)
class VeilPreparation:
    """What a veil is chosen from.

    Args:
        classifiers: Surrogates, at least one; gradients are not needed.
        settings: Of the preset ``veil``, as ``protect`` will use them; ``opacity`` is the range to choose
            from, None for half of the shipped style's to 0.15.
        labels: Right classes, or None to take each model's own answers on the originals. Only the forecast
            uses them.
        classes: Per model, from a label's text to the index of its class; None for a model without labels.
        regions: Keep-out boxes, or None.
        finder: Finds more of them, or None.
        sample: Most images looked at; they stay in memory, reduced.
        budget: Most evaluations; None for 2,000 for each model.
        seed: Of the choice of images, of keys, and of the styles that are tried.
    """

    inputs: Inputs
    classifiers: Sequence[Classifier]
    logo: Logo
    settings: Settings
    labels: Labels | None = None
    classes: tuple[Mapping[str, int] | None, ...] = ()
    regions: Regions | None = None
    finder: Finder | None = None
    sample: int = VEIL_SAMPLE
    budget: int | None = None
    seed: int = 0


@dataclass(frozen=True, eq=False)
class Forecast:
    """What to expect of a chosen style.

    Args:
        left_out: Whether each model was left out of the choice that it judges.
        chosen: Per model, on images not used for that choice; empty if there were too few.
        shipped: The same for the style that ships with the program; empty if it cannot be used here.
    """

    left_out: bool
    chosen: tuple[ModelForecast, ...]
    shipped: tuple[ModelForecast, ...]

    def to_json(self) -> dict[str, Any]:
        """Return a JSON-ready object."""
        return {
            "left_out": self.left_out,
            "models": [told.to_json() for told in self.chosen],
            "shipped": [told.to_json() for told in self.shipped],
        }


@dataclass(frozen=True, eq=False)
class ChosenVeil:
    """A prepared veil, and what became of the sample.

    Args:
        prepared: Logo and style, with all facts.
        left_out: Why images could not be used.
    """

    prepared: PreparedVeil
    forecast: Forecast
    left_out: tuple[Failure, ...]


def prepare_veil(
    preparation: VeilPreparation, *, progress: Progress = lambda what, steps, total: None
) -> ChosenVeil:
    """Choose how veils look: answers on veiled images shall tell nothing of the images.

    Args:
        preparation: What to choose from.
        progress: See :data:`Progress`.

    Raises:
        InputError: If no image can be used, no style can, or the budget is too small.
        ModelError: If a model fails.
    """
    with threadpool_limits(limits=1, user_api="blas"):
        return _Choice(preparation, progress).run()


class _Choice:
    """One choice, step by step."""

    def __init__(self, preparation: VeilPreparation, progress: Progress) -> None:
        self._asked = preparation
        self._progress = progress
        self._models = preparation.classifiers
        settings = preparation.settings
        self._veiler = VeilRenderer(
            preparation.logo,
            settings,
            with_decoys=settings.decoys
            and (preparation.regions is not None or preparation.finder is not None),
        )
        shipped = settings.style.opacity
        self._opacities = settings.opacity or (shipped / 2, max(shipped, MOST_OPACITY))

    def run(self) -> ChosenVeil:
        images, left_out = self._read()
        choosers = _choosers(len(self._models), images=len(images))
        asked, models = self._asked, len(self._models)
        budget = asked.budget if asked.budget is not None else VEIL_BUDGET * models
        size = {"images": len(images), "choosers": len(choosers)}
        repeats = max(min(_LOOKS // len(images), _MOST_REPEATS), 1)
        plan = make_plan(budget, models=models, repeats=repeats, **size)
        total = (plan.pictures + len(images)) * models

        def advance(count: int) -> None:
            self._progress("asking", count, total)

        with StyleTrials(self._veiler, images, self._models, advance=advance) as trials:
            originals = trials.originals()
            answers = [logits.argmax(axis=1) for logits in originals]
            trials.shots = make_trial_views(images, answers[0], repeats=plan.repeats, seed=asked.seed)
            styles, has_shipped = self._styles(trials, plan)
            plan = plan_for(len(styles), repeats=plan.repeats, **size)
            chosen = choose(trials, styles, plan, answers=answers, choosers=choosers, aim=asked.settings.aim)
            forecast = self._forecast(
                trials, choosers, chosen, answers, shipped=styles[0] if has_shipped else None
            )
            return self._put_together(trials, chosen[0], forecast, plan, originals, left_out)

    def _read(self) -> tuple[list[ReducedImage], tuple[Failure, ...]]:
        """Read the sample, leaving out what cannot be used and what is of the rarer kind."""
        asked = self._asked
        side = side_for(self._models)
        images: list[ReducedImage] = []
        left_out: list[Failure] = []
        items = choose_sample(asked.inputs.items, asked.sample, seed=asked.seed)
        for item in items:
            try:
                one = read_reduced(item, side_px=side, regions=asked.regions, finder=asked.finder)
                # an image that no veil fits on, or that hides it, would spoil every style
                _, psnr = self._veiler.veil(asked.settings.veil_style, one, bytes(16), as_drawn=True)
                check_seen(psnr)
                images.append(one)
            except ModelError:
                raise
            except MedlockerError as error:
                left_out.append(Failure.of(error, item.name))
            self._progress("reading", 1, len(items))
        if not images:
            first = f": {left_out[0].reason}" if left_out else ""
            raise InputError(f"none of {len(left_out)} images can be used{first}")
        if asked.regions is not None:
            self._veiler.donors = DecoySource.of(
                (one.boxes, one.image.width, one.image.height) for one in images
            )
        is_grey = Counter(one.is_grey for one in images).most_common(1)[0][0]
        kind = "grey" if is_grey else "coloured"
        left_out += [
            Failure(one.name, f"not {kind} as most of the images", Code.UNSUPPORTED_IMAGE)
            for one in images
            if one.is_grey != is_grey
        ]
        return [one for one in images if one.is_grey == is_grey], tuple(left_out)

    def _styles(self, trials: StyleTrials, plan: HalvingSchedule) -> tuple[list[VeilStyle], bool]:
        """Return styles that legibility allows, and whether the first is the shipped one."""
        settings = self._asked.settings
        wanted = variants(
            settings.style,
            count=_MORE * plan.styles,
            opacities=self._opacities,
            size=settings.size,
            rng=np.random.default_rng([self._asked.seed, 2]),
        )
        found: dict[VeilStyle, None] = {}
        has_shipped = False
        for number, style in enumerate(wanted):
            fitted = fit(
                style,
                self._veiler,
                trials.images,
                trials.shots,
                legibility=settings.legibility,
                lowest=self._opacities[0],
            )
            if fitted is not None and fitted not in found:
                found[fitted] = None
                has_shipped |= number == 0
                self._progress("fitting styles to legibility", 1, plan.styles)
            if len(found) == plan.styles:
                break
        if not found:
            raise InputError(
                f"no veil of an opacity of {self._opacities[0]:g} to {self._opacities[1]:g} is seen on these "
                f"images and leaves a PSNR of {max(MEDIAN_PSNR_DB, settings.legibility):g} dB in the median "
                f"and {settings.legibility:g} dB in every image (--min-psnr)",
                hint="give --opacity a wider range, or a logo that has not the images' own colours",
            )
        return list(found), has_shipped

    def _forecast(
        self,
        trials: StyleTrials,
        choosers: Sequence[Subset],
        chosen: Sequence[VeilStyle],
        answers: Sequence[NDArray[np.int64]],
        *,
        shipped: VeilStyle | None,
    ) -> Forecast:
        """Judge every choice on the models, or at least on the images, that its chooser has not seen."""
        # the first look at each image: further ones are not independent of it
        first = range(len(trials.images))
        told: list[ModelForecast] = []
        for model in range(len(self._models)):
            parts = [
                (style, [k for k in first if trials.shots[k].half != who.half])
                for who, style in zip(choosers, chosen, strict=True)
                if who.half is not None and (model not in who.models or len(self._models) == 1)
            ]
            if parts:
                told.append(self._tell(trials, model, parts, answers[model]))
        of_shipped = (
            [self._tell(trials, k, [(shipped, list(first))], answers[k]) for k in range(len(self._models))]
            if shipped is not None
            else []
        )
        return Forecast(len(self._models) > 1, tuple(told), tuple(of_shipped))

    def _tell(
        self,
        trials: StyleTrials,
        model: int,
        parts: Sequence[tuple[VeilStyle, list[int]]],
        answers: NDArray[np.int64],
    ) -> ModelForecast:
        images = [trials.shots[k].image for _, shots in parts for k in shots]
        logits = np.concatenate([trials.logits(style, model, shots) for style, shots in parts if shots])
        return forecast_model(
            logits,
            truth=self._truth(trials.images, model, answers)[images],
            originals=answers[images],
            name=self._models[model].name,
            classes=self._models[model].classes,
        )

    def _truth(
        self, images: Sequence[ReducedImage], model: int, answers: NDArray[np.int64]
    ) -> NDArray[np.int64]:
        """Return the labels, and where there is none the model's own answers."""
        labels, classes = self._asked.labels, self._asked.classes
        truth = answers.copy()
        known = classes[model] if labels is not None and classes else None
        for k, one in enumerate(images):
            text = labels.for_name(one.name) if labels is not None and known is not None else None
            if known is not None and text is not None:
                truth[k] = known[text]
        return truth

    def _put_together(
        self,
        trials: StyleTrials,
        style: VeilStyle,
        forecast: Forecast,
        plan: HalvingSchedule,
        originals: Logits,
        left_out: tuple[Failure, ...],
    ) -> ChosenVeil:
        asked, settings = self._asked, self._asked.settings
        everything = range(len(trials.shots))
        alike = [k for k, model in enumerate(self._models) if model.classes == self._models[0].classes]
        veiled = [probabilities(trials.logits(style, k, everything)) for k in alike]
        gathering = dominant_class(veiled)
        settled, median, worst = enforce_legibility(
            style,
            self._veiler,
            trials.images,
            trials.shots[: len(trials.images)],
            legibility=settings.legibility,
        )
        facts: dict[str, Any] = {
            "models": [{"name": m.name, "sha256": m.fingerprint} for m in self._models],
            "images": len(trials.images),
            "aim": settings.aim,
            "styles": plan.styles,
            "evaluations": trials.evaluations,
            "seed": asked.seed,
            "decoys": settings.decoys and (asked.regions is not None or asked.finder is not None),
            "legibility": {"median_psnr": round(median, 2), "worst_psnr": round(worst, 2)},
            "gathers": {
                "class": self._models[0].classes[gathering],
                "veiled": round(
                    float(np.mean([(one.argmax(axis=1) == gathering).mean() for one in veiled])), 4
                ),
                "originals": round(
                    float(np.mean([(originals[k].argmax(axis=1) == gathering).mean() for k in alike])), 4
                ),
            },
            "forecast": forecast.to_json(),
        }
        prepared = PreparedVeil(
            asked.logo,
            settled,
            gathering if settings.aim == "same" else None,
            trials.images[0].is_grey,
            facts,
        )
        return ChosenVeil(prepared, forecast, left_out)


def _choosers(models: int, *, images: int) -> list[Subset]:
    """Return the chooser that counts, who sees everything, and those whose choices are judged.

    Of several models each is left out in turn, and each half of the images.
    """
    everything = Subset(tuple(range(models)))
    if images < _FEWEST_TO_JUDGE:
        return [everything]
    kept = [tuple(k for k in range(models) if k != out) for out in range(models)] if models > 1 else [(0,)]
    return [everything, *(Subset(some, half) for some in kept for half in (0, 1))]
