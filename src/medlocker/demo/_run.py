"""The whole story in one folder: make images, choose a veil, protect, judge, restore, compare."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from medlocker.certificates import load_owner, new_owner, open_release, owner_access
from medlocker.classifiers import load_classifier
from medlocker.demo._judge import STRONG, VEIL, DemoAnswers, judge_run
from medlocker.demo.model import builtin_model
from medlocker.demo.samples import SampleSet, write_samples
from medlocker.errors import OutputExistsError
from medlocker.labels import class_indices, load_labels
from medlocker.logo import builtin_logo
from medlocker.prepare import VeilPreparation, prepare_veil
from medlocker.protect import Settings
from medlocker.regions import load_regions
from medlocker.release import Result, Run, find_inputs, run_release
from medlocker.restore import restore_release

IMAGES = 24
_SETTINGS = Settings(preset="veil", keep_original=True, seed=0)
_BUDGET = 600
"""Evaluations to choose the veil with."""
_SAMPLE_SEED = 20230309


@dataclass(frozen=True)
class DemoResult:
    """What happened.

    Args:
        folder: Where everything lies.
        classes: Names of the model's classes.
        result: Of `protect`.
        answers: By what the model saw: originals, controls, released files.
        identical: How many restored files equal their originals byte for byte.
    """

    folder: Path
    samples: SampleSet
    classes: tuple[str, ...]
    result: Result
    answers: Mapping[str, DemoAnswers]
    identical: int
    seconds: float

    @property
    def release(self) -> Path:
        """The release's folder."""
        return self.folder / "release"

    @property
    def restored(self) -> Path:
        """Where the originals came back."""
        return self.folder / "restored"


def run_demo(folder: Path, *, say: Callable[[str], None], overwrite: bool = False) -> DemoResult:
    """Run the story.

    Args:
        folder: New or empty; a demo that was made before is replaced if ``overwrite``.
        overwrite: Replace an earlier demo.

    Raises:
        OutputExistsError: If the folder holds something else.
    """
    started = time.perf_counter()
    _clear(folder, overwrite=overwrite)
    say(f"1. making {IMAGES} synthetic fundus photographs with labels and lesion masks")
    samples = write_samples(folder / "originals", count=IMAGES, seed=_SAMPLE_SEED)
    say("2. making the owner's keys")
    keys = folder / "keys" / "owner"
    new_owner(keys)
    say("3. choosing how the veil looks on these images, with the built-in model")
    model = load_classifier(builtin_model())
    labels, regions = load_labels(samples.labels), load_regions(samples.masks)
    classes = class_indices(labels, model.classes).indices
    inputs, logo = find_inputs(samples.images), builtin_logo()
    chosen = prepare_veil(
        VeilPreparation(
            inputs, [model], logo, _SETTINGS, regions=regions.among(samples.names), budget=_BUDGET
        )
    ).prepared
    say("4. protecting: a veil by key over every image, no lesion is touched; beside it the preset strong")
    run = Run(
        inputs=inputs,
        release=folder / "release",
        classifiers=[model],
        logo=logo,
        owner=load_owner(keys),
        settings=replace(_SETTINGS, style=chosen.style, aim_class=chosen.aim_class),
        labels=labels,
        classes=(classes,),
        regions=regions.among(samples.names),
    )
    result = run_release(run)
    # only to be looked at: two differently marked versions of an image must never be handed out
    strong = folder / "compared"
    run_release(replace(run, release=strong, settings=replace(_SETTINGS, preset="strong")))
    say("5. asking the model about the originals, about controls, and about the released files")
    answers = judge_run(run, labels, {VEIL: run.release / "images", STRONG: strong / "images"})
    originals = [item.path for item in run.inputs.items]
    say("6. restoring with the owner's key, and comparing byte for byte")
    opened = open_release(run.release, run.owner.signing.public)
    restore_release(owner_access(opened, run.owner.identity()), folder / "restored")
    identical = sum((folder / "restored" / path.name).read_bytes() == path.read_bytes() for path in originals)
    seconds = time.perf_counter() - started
    return DemoResult(folder, samples, model.classes, result, answers, identical, seconds)


_OURS = ("originals", "keys", "release", "compared", "restored", "index.html", "contact-sheet.png")


def _clear(folder: Path, *, overwrite: bool) -> None:
    if not folder.exists():
        return
    if not folder.is_dir():
        raise OutputExistsError(f"the output {folder.name} is a file", hint="choose another --out")
    found = {path.name for path in folder.iterdir()}
    if not found:
        return
    if not overwrite or not found <= set(_OURS):
        raise OutputExistsError(
            f"the output folder {folder.name} is not empty",
            hint="choose another --out, or give --overwrite to replace an earlier demo",
        )
    for name in found:
        path = folder / name
        shutil.rmtree(path) if path.is_dir() else path.unlink()
