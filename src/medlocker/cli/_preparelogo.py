"""`medlocker prepare --preset strong`: learn a logo's texture once for a whole data set."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from medlocker.api.clusters import label_indices
from medlocker.api.keepout import KeepOut
from medlocker.api.logos import read_logo
from medlocker.api.protectoptions import labels_of
from medlocker.classifiers import Classifier, load_classifier, with_gradients
from medlocker.cli._console import note, print_json, shown, stdout, warn
from medlocker.cli._progress import Telling
from medlocker.errors import Failure
from medlocker.prepare import Preparation, Prepared, check_apart, check_folder, prepare, write_learned
from medlocker.protect import Settings
from medlocker.release import Inputs, find_inputs

_OPACITIES = (0.39, 0.8)
_SIZE = 0.25


@dataclass(frozen=True)
class PrepareArguments:
    """The options that both presets have, see `medlocker prepare --help`."""

    source: Path
    models: tuple[Path, ...]
    out: Path
    logo: Path | None
    labels: Path | None
    label_column: str | None
    image_column: str | None
    keep_out: KeepOut
    size: float | None
    opacity: tuple[float, float] | None
    sample: int
    seed: int
    overwrite: bool
    as_json: bool

    def inputs(self) -> Inputs:
        """Return the data set, the output checked first.

        Raises:
            OutputExistsError: If the output is in the way.
            InputError: If there is no image.
        """
        check_folder(self.out, overwrite=self.overwrite)
        inputs = find_inputs(self.source)
        check_apart(self.out, inputs)
        return inputs


def learn_logo(asked: PrepareArguments, *, levels: int, marks: int, max_area: float, rounds: int) -> None:
    """Carry out the command.

    Args:
        asked: Options of both presets.
        levels: Bound of the texture, grey levels.
        marks: Most separate marks on one image.
        max_area: That they may cover together.
        rounds: Passes over the sample.
    """
    size = _SIZE if asked.size is None else asked.size
    settings = Settings(
        preset="strong",
        size=size,
        min_size=min(_SIZE / 2, size),
        opacity=asked.opacity or _OPACITIES,
        levels=levels,
        marks=marks,
        max_area=max_area,
    )
    inputs, listener = asked.inputs(), Telling()
    known = labels_of(asked.labels, column=asked.label_column, image_column=asked.image_column)
    classifiers = [with_gradients(load_classifier(path), path) for path in asked.models]
    say_notes(classifiers)
    preparation = Preparation(
        inputs=inputs,
        classifiers=classifiers,
        logo=read_logo(asked.logo, listener=listener),
        settings=settings,
        labels=known,
        classes=label_indices(known, classifiers, listener=listener),
        regions=asked.keep_out.known(inputs),
        sample=asked.sample,
        rounds=rounds,
        seed=asked.seed,
    )
    count = min(preparation.sample, len(inputs.items))
    with listener.steps() as advance:
        prepared = prepare(
            preparation,
            loaded=lambda name: advance("reading", 1, count),
            progress=lambda seen: advance("learning (passes)", 1, rounds),
        )
    write_learned(prepared.learned, asked.out, overwrite=asked.overwrite)
    _say(prepared, asked.out, as_json=asked.as_json)


def say_notes(classifiers: list[Classifier]) -> None:
    """Tell what was assumed about the models."""
    for classifier in classifiers:
        for text in classifier.notes:
            note(text)


def say_left_out(left_out: tuple[Failure, ...]) -> None:
    """Tell which images were not used, and why."""
    for failure in left_out:
        warn(f"left out: {shown(failure.name)}: {failure.reason}")


def _say(prepared: Prepared, out: Path, *, as_json: bool) -> None:
    say_left_out(prepared.left_out)
    if as_json:
        value = {
            **prepared.learned.facts,
            "classes": sorted(prepared.learned.textures),
            "left_out": [one.to_json("name") for one in prepared.left_out],
        }
        print_json(value)
        return
    stdout.print(f"learned from {prepared.images} images into {out}", markup=False)
    stdout.print(
        f"at random places all models are wrong on {prepared.plain:.0%} of them with the plain logo, on "
        f"{prepared.textured:.0%} with the textures",
        markup=False,
    )
