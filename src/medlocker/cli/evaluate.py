"""`medlocker evaluate`: how well does a release protect?"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from medlocker import evaluate as evaluation
from medlocker.classifiers import batch_for
from medlocker.cli._console import note, print_json, warn
from medlocker.cli._evaluated import print_evaluation
from medlocker.cli._labels import LabelColumn
from medlocker.cli._logo import read_logo
from medlocker.cli._panels import CONTROL, INPUT, REMOVAL, RUN
from medlocker.cli._progress import image_progress
from medlocker.cli._releasefacts import release_facts
from medlocker.cli._removal import attack_with_progress, state_folder
from medlocker.errors import Code, Failure, InputError, MalformedError, OutputExistsError
from medlocker.evaluate import (
    Attackers,
    Control,
    Evaluation,
    Extra,
    Numbers,
    Original,
    Pairs,
    Release,
    Result,
)
from medlocker.files import read_limited
from medlocker.labels import load_labels
from medlocker.logo import MAX_FILE_BYTES, Logo, builtin_logo, load_logo
from medlocker.regions import load_regions
from medlocker.release import Inputs, find_inputs

Removal = Literal["none", "standard", "full"]

EXAMPLES = """
[bold]Examples[/bold]

medlocker evaluate --clean fundus/ --release release --labels labels.csv --target other.onnx --out report
medlocker evaluate ... --target dr.onnx --target other.onnx --removal standard --out report

[bold]How to read the result[/bold]: low kappa and low "information left" mean good protection: the answers no
longer depend on the image. Accuracy alone is not enough: of two classes, always wrong tells as much as always
right.

"information left": how much better than guessing one can tell the class from the model's answers, in points.
"balanced": the same with equal weight for every class. "left": share of right answers that stay right.

"white box": models that the marks were optimised on. Controls: "random", plain logos at random places;
"panel", a grey area that changes the same pixels as much. Signatures are not checked: use `verify`.
"""


def evaluate(
    clean: Annotated[Path, typer.Option(help="Folder of the originals, as given to `protect`.")],
    release: Annotated[
        list[Path], typer.Option("--release", help="A release, or a folder of marked images. Repeatable.")
    ],
    labels: Annotated[Path, typer.Option(help="CSV `image,<label>` of the right answers.")],
    target: Annotated[
        list[Path],
        typer.Option(
            "--target",
            help="Classifier to test: .onnx, torch weights, or a folder from `train`; or your own, "
            "package.module:Class. Repeatable.",
        ),
    ],
    out: Annotated[Path, typer.Option(help="Folder of the report; new or empty.")],
    removal: Annotated[
        Removal,
        typer.Option(
            help="Let attackers try to remove the marks first: standard takes seconds an image; full also "
            "trains them."
        ),
    ] = "none",
    attack: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            help="An attack of your own, also without --removal: package.module:Class, or an entry point "
            "medlocker.attacks. Repeatable.",
        ),
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an earlier report.")] = False,
    label_column: LabelColumn = None,
    regions: Annotated[
        Path | None,
        typer.Option(
            help="Keep-out regions, as for `protect`: changed pixels inside are counted.",
            rich_help_panel=INPUT,
        ),
    ] = None,
    limit: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            min=1,
            help="Use only the first images by name, at most this many; may be no fair sample.",
            rich_help_panel=INPUT,
        ),
    ] = None,
    logo: Annotated[
        Path | None,
        typer.Option(
            help="Logo, if the release does not contain it; default a padlock. Attackers know it then too.",
            rich_help_panel=CONTROL,
        ),
    ] = None,
    size: Annotated[
        float | None,
        typer.Option(
            help="Logo's longer side / image's shorter side; default as large as the marks, or 0.25.",
            rich_help_panel=CONTROL,
        ),
    ] = None,
    opacity: Annotated[
        float, typer.Option(help="Opacity of the control's logo.", rich_help_panel=CONTROL)
    ] = evaluation.DEFAULT_OPACITY,
    removal_limit: Annotated[
        int,
        typer.Option(
            metavar="N",
            min=1,
            help="Attack at most this many images, evenly spread over all.",
            rich_help_panel=REMOVAL,
        ),
    ] = evaluation.DEFAULT_LIMIT,
    removal_minutes: Annotated[
        float,
        typer.Option(
            metavar="N",
            min=0.1,
            help="Time limit for training one network with --removal full.",
            rich_help_panel=REMOVAL,
        ),
    ] = evaluation.DEFAULT_MINUTES,
    seed: Annotated[
        int, typer.Option(help="Seed of the control's places and of the attacks.", rich_help_panel=RUN)
    ] = 0,
    workers: Annotated[
        int,
        typer.Option(
            metavar="N", min=1, help="Threads that read files and run attacks.", rich_help_panel=RUN
        ),
    ] = 2,
    batch: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            min=1,
            max=1024,
            help="Batch size for a model; default chosen for it.",
            rich_help_panel=RUN,
        ),
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Measure how well a release protects: models asked about originals, a control, and marked files."""
    found = [_open_release(path) for path in release]
    _check_place(out, [clean, *release], overwrite=overwrite)
    given = None if logo is None else read_logo(logo)
    control = Control(_logo(found, given), opacity=opacity, size=size, seed=seed)
    originals = find_inputs(clean)
    releases = [one.release for one in found]
    pairs = evaluation.pair_up(
        [Original(item.name, item.path, item.output_name) for item in originals.items], releases
    )
    truth = load_labels(labels, column=label_column)
    names = [pair.name for pair in pairs.pairs]
    places = {item.name: item.path for item in originals.items}
    known = load_regions(regions, images=places).among(names) if regions else None
    _say_inputs(originals, pairs, releases)
    if known is not None and (missing := known.missing(names)):
        warn(f"no regions for {_some(missing)}: nothing is kept out there")
    targets, failed_targets = evaluation.open_targets(target, truth)
    for failure in failed_targets:
        warn(f"target {failure.name} is left out: {failure.reason}")
    assumed = tuple(dict.fromkeys(text for one in targets for text in one.notes))
    for text in assumed:
        note(text)
    attackers: Attackers | None = None
    if removal != "none" or attack:
        attackers = evaluation.gather_attackers(
            targets,
            level=removal,
            own=attack or (),
            logo=_logo_of(found[0]) or given,
            state_dir=state_folder(out),
            limit=removal_limit,
            seed=seed,
            workers=workers,
            minutes=removal_minutes,
        )
    job = Evaluation(
        pairs=pairs,
        releases=releases,
        labels=truth,
        targets=targets,
        control=control,
        regions=known,
        limit=limit,
        workers=workers,
        batch=batch or batch_for([one.model for one in targets]),
    )
    result = _run_with_progress(job)
    numbers = evaluation.add_up(result)
    noticed = _notes(result, numbers)
    for text in noticed:
        note(text)
    attacked = None if attackers is None else attack_with_progress(attackers, result)
    extra = Extra(
        skipped=_skipped(result, pairs, releases),
        failed_targets=failed_targets,
        failed_removal=attacked.failed if attacked else "",
        notes=(
            *(text for one in found for text in one.notes),
            *assumed,
            *noticed,
            *(attacked.notes if attacked else ()),
        ),
    )
    removed = attacked.removal if attacked else None
    value = evaluation.write_report(result, out, extra=extra, removal=removed, overwrite=overwrite)
    if removed is not None:
        evaluation.forget_state(state_folder(out))  # all that it held is in the report now
    if json:
        print_json(value)
    else:
        print_evaluation(value, numbers, removed, out)
    if value["failed"]:
        raise typer.Exit(1)


@dataclass(frozen=True)
class _Found:
    release: Release
    logo: bytes | None
    notes: tuple[str, ...]


def _open_release(path: Path) -> _Found:
    """List a release's images and read what it says about itself; nothing is trusted."""
    if not path.is_dir():
        raise InputError(f"release {path.name}: expected a folder", subject=path.name)
    name = path.resolve().name
    images = path / "images"
    files = find_inputs(images if images.is_dir() else path, what=f"release {name}")
    certificate = path / "certificate"
    logo: bytes | None = None
    notes: list[str] = []
    surrogates: tuple[tuple[str, str], ...] = ()
    if not certificate.is_dir():
        notes.append(f"release {name}: no certificate, so the models it was searched on are not known")
    else:
        try:
            surrogates = _surrogates(release_facts(path))
        except (InputError, MalformedError) as error:
            notes.append(f"release {name}: {error}; the models it was searched on are not known")
        if (certificate / "logo.png").is_file():
            logo = read_limited(certificate / "logo.png", max_bytes=MAX_FILE_BYTES, what="logo")
    for text in notes:
        note(text)
    listed = Release(name, {item.name: item.path for item in files.items}, surrogates)
    return _Found(listed, logo, tuple(notes))


def _surrogates(facts: dict[str, Any]) -> tuple[tuple[str, str], ...]:
    models = facts.get("models")
    try:
        return tuple((str(model["name"]), str(model["sha256"])) for model in models or ())
    except (TypeError, KeyError):
        raise MalformedError("the statement names its models in an unknown way") from None


def _logo(found: Sequence[_Found], given: Logo | None) -> Logo:
    """Return the logo of the first release that has one, else the given one, else the built-in one."""
    for one in found:
        if (logo := _logo_of(one)) is not None:
            return logo
    if given is not None:
        return given
    note("no release holds a logo: the control uses the built-in padlock")
    return builtin_logo()


def _logo_of(found: _Found) -> Logo | None:
    if found.logo is None:
        return None
    return load_logo(found.logo, name=f"{found.release.folder}/certificate/logo.png")


def _check_place(out: Path, inputs: Sequence[Path], *, overwrite: bool) -> None:
    evaluation.check_report(out, overwrite=overwrite)
    target = Path(os.path.realpath(out))
    for path in inputs:
        if path.is_dir() and target.is_relative_to(Path(os.path.realpath(path))):
            raise OutputExistsError(
                f"the output {out.name} lies inside {path.name}", hint="choose an output elsewhere"
            )


def _say_inputs(originals: Inputs, pairs: Pairs, releases: Sequence[Release]) -> None:
    note(f"{len(pairs.pairs)} images with a marked version")
    if originals.passed_over:
        note(f"skipped {_some(originals.passed_over)}: no images, or links to outside the folder")
    if originals.unreadable:
        warn(f"cannot list {_some(originals.unreadable)}")
    if pairs.only_clean:
        warn(f"no marked version of {_some(pairs.only_clean)}")
    for release, strangers in zip(releases, pairs.only_marked, strict=True):
        if strangers:
            warn(f"release {release.folder}: no original of {_some(strangers)}")


def _some(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{len(names)} files ({names[0]}, ...)"


def _run_with_progress(job: Evaluation) -> Result:
    chosen, unlabelled = job.labelled()
    if unlabelled:
        warn(f"left out, as they have no label: {_some(unlabelled)}")
    with image_progress("evaluating", len(chosen)) as bar:

        def progress(name: str, failure: Failure | None) -> None:
            if failure is not None:
                bar.say(f"failed: {failure}")
            bar.advance()

        return evaluation.evaluate(job, progress=progress)


def _skipped(result: Result, pairs: Pairs, releases: Sequence[Release]) -> tuple[Failure, ...]:
    strangers = zip(releases, pairs.only_marked, strict=True)
    return (
        *(Failure(name, "no label", Code.NO_LABEL) for name in result.unlabelled),
        *(Failure(name, "no marked version", Code.NO_MARKED_VERSION) for name in pairs.only_clean),
        *(
            Failure(name, f"no original, in {release.folder}", Code.NO_ORIGINAL)
            for release, names in strangers
            for name in names
        ),
    )


def _notes(result: Result, numbers: Numbers) -> tuple[str, ...]:
    notes = []
    limit, usable = result.evaluation.limit, len(result.evaluation.pairs.pairs) - len(result.unlabelled)
    if limit is not None and limit < usable:
        notes.append(f"--limit: only the first {limit} of {usable} images by name were judged")
    if numbers.targets[0].is_one_class:
        notes.append("all labels are the same class: kappa and AUC mean nothing and are null")
    if result.without_room:
        notes.append(f"no room for a random logo on {result.without_room} images: the control lacks them")
    for key in numbers.keys:
        same = sum(
            judged.qualities[key].area == 0 for judged in result.images.values() if key in judged.qualities
        )
        if same:
            notes.append(f"{same} images of {key} are identical to their originals: they carry no mark")
    return tuple(notes)
