"""`ml.evaluate`: how well does a release protect?"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from medlocker.api.attacking import attack, state_folder
from medlocker.api.choices import one_of
from medlocker.api.listener import Callback, Listener, as_listener
from medlocker.api.logos import GivenLogo, read_logo
from medlocker.api.releasefacts import release_facts
from medlocker.arguments import AtLeastOne, checked_arguments
from medlocker.certificates import unproved_names
from medlocker.classifiers import batch_for
from medlocker.errors import Code, Failure, InputError, MalformedError, OutputExistsError
from medlocker.evaluate import (
    DEFAULT_LIMIT,
    DEFAULT_MINUTES,
    DEFAULT_OPACITY,
    Attackers,
    Control,
    Evaluation,
    Numbers,
    Original,
    Pairs,
    Release,
    Removal,
    ReportNotes,
    Result,
    check_report,
    forget_state,
    gather_attackers,
    open_targets,
    pair_up,
    summarise,
    write_report,
)
from medlocker.evaluate import evaluate as judge
from medlocker.files import read_limited
from medlocker.labels import load_labels
from medlocker.logo import MAX_FILE_BYTES, Logo, builtin_logo, load_logo
from medlocker.options import RemovalName
from medlocker.regions import load_regions
from medlocker.release import Inputs, find_inputs

_Path = str | os.PathLike[str]


@dataclass(frozen=True)
class Evaluated:
    """What was measured.

    Args:
        facts: All numbers, as `medlocker evaluate --json` prints them.
        numbers: The same, as they were made.
        removal: What attackers got, or None.
        notes: What a reader of the report should know.
    """

    facts: dict[str, Any] = field(repr=False)
    numbers: Numbers = field(repr=False)
    removal: Removal | None = field(repr=False)
    notes: tuple[str, ...] = ()


@checked_arguments
def evaluate(
    clean: _Path,
    release: _Path | Sequence[_Path],
    *,
    labels: _Path,
    target: _Path | Sequence[_Path],
    out: _Path,
    label_column: str | None = None,
    image_column: str | None = None,
    regions: _Path | None = None,
    logo: GivenLogo = None,
    size: float | None = None,
    opacity: float = DEFAULT_OPACITY,
    seed: int = 0,
    limit: AtLeastOne | None = None,
    removal: RemovalName = "none",
    removal_limit: AtLeastOne = DEFAULT_LIMIT,
    removal_minutes: float = DEFAULT_MINUTES,
    attacks: Sequence[str] = (),
    workers: AtLeastOne = 2,
    batch: AtLeastOne | None = None,
    overwrite: bool = False,
    progress: Callback | Listener | None = None,
) -> Evaluated:
    """Ask models about originals, a control and marked files, and write a report; signatures are not checked.

    Args:
        clean: Folder of the originals.
        release: A release or a folder of marked images, or several.
        labels: CSV file of the truth.
        target: Path of a model to judge on, or several.
        out: Folder of the report; new or empty.
        label_column: Of the labels, where it is not told by its name.
        image_column: Of the file names in the labels, likewise.
        regions: What was to be kept out; touched pixels are counted.
        logo: Of the control, if the releases hold none; attackers know it only then.
        size: Of the control's logos; None: as large as the marks that are found.
        opacity: Of the control's logos.
        seed: Of the control's places and of the attacks.
        limit: Judge at most so many images, the first by name; None: all.
        removal: ``none``; ``standard``: attackers try to remove the marks of the first release; ``full``:
            they also train networks.
        removal_limit: Attack at most so many images.
        removal_minutes: Train one network at most so long.
        attacks: Attacks of your own, ``package.module:Class``.
        workers: Threads that read files, and that attack.
        batch: Most pictures in one call of a model.
        overwrite: Replace an earlier report.
        progress: Called with what is counted, how many are done, and how many there are.

    Raises:
        InputError: If something given cannot be used.
        OutputExistsError: If the output is in the way.
        ModelError: If no target can be used.
    """
    listener, clean, out = as_listener(progress), Path(clean), Path(out)
    removal = one_of(removal, RemovalName, what="removal")
    paths, models = _paths(release), _paths(target)
    labels, regions = Path(labels), None if regions is None else Path(regions)
    found = [_open_release(path, listener=listener) for path in paths]
    _check_place(out, [clean, *paths], overwrite=overwrite)
    given = None if logo is None else read_logo(logo, listener=listener)
    control = Control(_logo(found, given, listener=listener), opacity=opacity, size=size, seed=seed)
    originals = _without(find_inputs(clean), {name for one in found for name in one.beside})
    releases = [one.release for one in found]
    pairs = pair_up([Original(item.name, item.path, item.output_name) for item in originals.items], releases)
    truth = load_labels(labels, column=label_column, image_column=image_column)
    names = [pair.name for pair in pairs.pairs]
    places = {item.name: item.path for item in originals.items}
    known = load_regions(regions, images=places).among(names) if regions else None
    _say_inputs(originals, pairs, releases, listener=listener)
    if known is not None and (missing := known.missing(names)):
        listener.warn(f"no regions for {_some(missing)}: nothing is kept out there")
    targets, failed_targets = open_targets(models, truth)
    for failure in failed_targets:
        listener.warn(f"target {failure.name} is left out: {failure.reason}")
    assumed = tuple(dict.fromkeys(text for one in targets for text in one.notes))
    for text in assumed:
        listener.note(text)
    attackers: Attackers | None = None
    if removal != "none" or attacks:
        attackers = gather_attackers(
            targets,
            level=removal,
            own=attacks,
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
    chosen, unlabelled = job.labelled()
    if unlabelled:
        listener.warn(f"left out, as they have no label: {_some(unlabelled)}")
    with listener.steps() as advance:
        advance("evaluating", 0, len(chosen))

        def judged(name: str, failure: Failure | None) -> None:
            if failure is not None:
                listener.note(f"failed: {failure}")
            advance("evaluating", 1, len(chosen))

        result = judge(job, progress=judged)
    numbers = summarise(result)
    noticed = _notes(result, numbers)
    for text in noticed:
        listener.note(text)
    attacked = None if attackers is None else attack(attackers, result, listener=listener)
    extra = ReportNotes(
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
    value = write_report(result, out, extra=extra, removal=removed, overwrite=overwrite)
    if removed is not None:
        forget_state(state_folder(out))  # all that it held is in the report now
    return Evaluated(value, numbers, removed, tuple(listener.notes))


def _paths(given: _Path | Sequence[_Path]) -> list[Path]:
    return [Path(given)] if isinstance(given, str | os.PathLike) else [Path(path) for path in given]


@dataclass(frozen=True)
class _Found:
    release: Release
    logo: bytes | None
    notes: tuple[str, ...]
    beside: frozenset[str]


def _open_release(path: Path, *, listener: Listener) -> _Found:
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
        listener.note(text)
    beside = unproved_names(path)
    images_alone = {item.name: item.path for item in files.items if item.name not in beside}
    listed = Release(name, images_alone, surrogates)
    return _Found(listed, logo, tuple(notes), beside)


def _without(originals: Inputs, beside: set[str]) -> Inputs:
    """Leave out what lies beside the images of a release: masks, segmentations, reports."""
    return replace(originals, items=tuple(item for item in originals.items if item.name not in beside))


def _surrogates(facts: dict[str, Any]) -> tuple[tuple[str, str], ...]:
    models = facts.get("models")
    try:
        return tuple((str(model["name"]), str(model["sha256"])) for model in models or ())
    except (TypeError, KeyError):
        raise MalformedError("the statement names its models in an unknown way") from None


def _logo(found: Sequence[_Found], given: Logo | None, *, listener: Listener) -> Logo:
    """Return the logo of the first release that has one, else the given one, else the built-in one."""
    for one in found:
        if (logo := _logo_of(one)) is not None:
            return logo
    if given is not None:
        return given
    listener.note("no release holds a logo: the control uses the built-in padlock")
    return builtin_logo()


def _logo_of(found: _Found) -> Logo | None:
    if found.logo is None:
        return None
    return load_logo(found.logo, name=f"{found.release.folder}/certificate/logo.png")


def _check_place(out: Path, inputs: Sequence[Path], *, overwrite: bool) -> None:
    check_report(out, overwrite=overwrite)
    target = Path(os.path.realpath(out))
    for path in inputs:
        if path.is_dir() and target.is_relative_to(Path(os.path.realpath(path))):
            raise OutputExistsError(
                f"the output {out.name} lies inside {path.name}", hint="choose an output elsewhere"
            )


def _say_inputs(originals: Inputs, pairs: Pairs, releases: Sequence[Release], *, listener: Listener) -> None:
    listener.note(f"{len(pairs.pairs)} images with a marked version")
    if originals.passed_over:
        listener.note(f"skipped {_some(originals.passed_over)}: no images, or links to outside the folder")
    if originals.unreadable:
        listener.warn(f"cannot list {_some(originals.unreadable)}")
    if pairs.only_clean:
        listener.warn(f"no marked version of {_some(pairs.only_clean)}")
    for release, strangers in zip(releases, pairs.only_marked, strict=True):
        if strangers:
            listener.warn(f"release {release.folder}: no original of {_some(strangers)}")


def _some(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{len(names)} files ({names[0]}, ...)"


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
