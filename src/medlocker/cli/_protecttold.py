"""What `medlocker protect` tells its user before, during and after a run."""

from __future__ import annotations

from collections.abc import Sequence

import typer

from medlocker.cli._clusters import outcome_line
from medlocker.cli._console import note, print_json, shown, stdout, warn
from medlocker.cli._progress import ImageProgress, image_bar
from medlocker.errors import Code, InputError
from medlocker.labels import Labels
from medlocker.protect import Outcome, finder_called
from medlocker.regions import Finder, Regions, WithAnatomy, lesion_finder
from medlocker.release import Inputs, Result, Run, run_release

_MARKED_BEFORE = (Code.ALREADY_MARKED, Code.ALREADY_MARKED_UNFINISHED)


def say_inputs(inputs: Inputs, labels: Labels | None, regions: Regions | None, finder: Finder | None) -> None:
    """Tell what a run takes, and what it lacks."""
    names = [item.name for item in inputs.items]
    note(f"{len(names)} images")
    if inputs.passed_over:
        note(f"skipped {_some(inputs.passed_over)}: no images, or links to outside the folder")
    if inputs.masks:
        note(f"skipped {_some(inputs.masks)}: masks of other images; give them with --regions")
    if inputs.unreadable:
        warn(f"cannot list {_some(inputs.unreadable)}")
    if labels is not None:
        missing, unknown = labels.missing(names), labels.unknown(names)
        if len(missing) == len(names):
            raise _of_no_image(
                f"labels {labels.file}", names, unknown, "or name its column with --image-column"
            )
        if missing:
            warn(f"no label for {_some(missing)}: the model's own answer is taken")
        if unknown:
            warn(f"the labels name {_some(unknown)}, which the input does not have")
    lesions = lesion_finder(finder)
    if regions is not None:
        missing, unknown = regions.missing(names), regions.unknown(names)
        if len(missing) == len(names) and unknown:
            raise _of_no_image("regions", names, unknown, "or leave --regions out if no image has any")
        if missing:
            rest = "nothing is" if lesions is None else f"only what {finder_called(lesions)} finds is"
            warn(f"no regions for {_some(missing)}: {rest} kept out there")
        if unknown:
            warn(f"the regions name {_some(unknown)}, which the input does not have")
    if lesions is not None:
        kind = "candidates" if lesions.droppable else f"what {finder_called(lesions)} finds"
        note(f"kept out as lesions: {kind}, found by a program, not a clinician; the certificate says so")
    elif regions is None:
        note("no lesions are kept out: see --regions, --segmenter, --lesions")
    if isinstance(finder, WithAnatomy):
        note(
            "kept clear: optic disc and macula of fundus photographs, where classical means find them, "
            "found by a program, not a clinician; the certificate says so"
        )


def _of_no_image(what: str, names: Sequence[str], entries: Sequence[str], otherwise: str) -> InputError:
    """A file of which nothing belongs to an image is a mistake; going on would mark lesions for good."""
    return InputError(
        f"{what}: expected names of the images, for instance {names[0]}, got none of them"
        + (f" ({entries[0]!s:.80}, ...)" if entries else ""),
        hint=f"name files by their path below the input, {otherwise}",
    )


def _some(names: tuple[str, ...]) -> str:
    if len(names) == 1:
        return names[0]
    return f"{len(names)} files ({names[0]}{', ...' if len(names) > 1 else ''})"


def run_with_progress(run: Run) -> Result:
    """Run under a progress bar; what an interrupted run left is looked at under another one before."""
    with image_bar() as bars:
        bar = ImageProgress(bars, "protecting", len(run.inputs.items))
        looking: list[ImageProgress] = []

        def checking(count: int) -> None:
            if not looking:
                looking.append(ImageProgress(bars, "checking what is there", count))
            looking[0].advance()

        def progress(outcome: Outcome) -> None:
            if outcome.status != "marked":
                bar.say(f"{outcome.status}: {outcome.failure}")
            bar.advance()

        try:
            result = run_release(run, progress=progress, checking=checking)
        except KeyboardInterrupt:
            bar.say("interrupted: repeat the command to continue")
            raise typer.Exit(130) from None
    codes = {failure.code for failure in result.summary.failed}
    if Code.ALREADY_MARKED_UNFINISHED in codes:
        note(
            "finish an unfinished run with the command that started it; if that is impossible, and "
            "only if none of its files was given away, --abandon-run ID frees its images to be marked again"
        )
    if codes.intersection(_MARKED_BEFORE):
        note(
            "the owner's ledger refuses a second, different mark of an image: two different marks reveal the "
            "original; --allow-identical-mark with the same --seed and options repeats a mark; "
            "--no-ledger is for experiments"
        )
    return result


def warn_of_nothing_found(run: Run, result: Result) -> None:
    """Say so if a finder found no lesion in any image."""
    finder = lesion_finder(run.finder)
    if finder is not None and result.summary.marked and not result.summary.with_found:
        what = "the search for candidates" if finder.droppable else finder_called(finder)
        warn(f"{what} found no lesion in any image: a mark may cover one")


def _counts(result: Result) -> str:
    return f"{len(result.summary.skipped)} skipped, {len(result.summary.failed)} failed"


def say_result(result: Result, run: Run, *, as_json: bool) -> None:
    """Print how a run ended."""
    if as_json:
        print_json(result.json)
        return
    summary, value = result.summary, result.json
    if not summary.marked:
        stdout.print(f"nothing was marked, so no release was made: {_counts(result)}", markup=False)
        return
    stdout.print(f"marked {summary.marked} of {summary.images} images into {run.release}", markup=False)
    for model, correct, fooled in zip(run.classifiers, summary.clean_correct, summary.fooled, strict=True):
        stdout.print(outcome_line(model, correct=correct, fooled=fooled), markup=False)
    for attack in run.settings.against_names:
        count = summary.against.get(attack, 0)
        stdout.print(f"misled after {attack} too: {count} of {summary.marked}", markup=False)
    if summary.followed:
        stdout.print(
            f"{summary.followed} images carry the marks of another one of their series", markup=False
        )
    if lost := value["engine"].get("lost"):
        stdout.print(f"{lost} worker processes ended and were replaced", markup=False)
    if summary.shrunk and run.settings.preset == "veil":
        stdout.print(f"more transparent on {summary.shrunk} images, for legibility", markup=False)
    elif summary.shrunk:
        stdout.print(f"smaller logo on {summary.shrunk} images, where regions left little room", markup=False)
    for text, count in sorted(summary.notes.items()):
        stdout.print(f"{text} ({count} images)", markup=False)
    if lesion_finder(run.finder) is not None:
        rest = "nothing" if run.regions is None else "only what was given"
        found = f"{summary.with_found} of {summary.marked} images"
        stdout.print(f"regions were found in {found}: {rest} is kept out in the others", markup=False)
    for kind, items in (("skipped", summary.skipped), ("failed", summary.failed)):
        if items:
            stdout.print(f"{kind} {len(items)}:", markup=False)
            for failure in items[:20]:
                stdout.print(f"  {shown(str(failure))}", markup=False)
            if len(items) > 20:
                stdout.print(f"  ... and {len(items) - 20} more, see --json", markup=False)
    looks = value["marks"]
    if run.settings.preset == "veil":
        stdout.print(f"veils on {looks['mean_area']:.0%} of an image", markup=False)
    else:
        stdout.print(
            f"{looks['mean_count']:.1f} marks an image on {looks['mean_area']:.1%} of its area, likeness to "
            f"the plain logo {looks['mean_likeness']:.2f}, least {looks['least_likeness']:.2f}",
            markup=False,
        )
    if looks["median_psnr_db"] is not None:
        middle, worst = looks["median_psnr_db"], looks["least_psnr_db"]
        stdout.print(f"PSNR {middle:.1f} dB in the median, {worst:.1f} dB in the worst image", markup=False)
    per_image = summary.evaluations / max(summary.marked, 1)
    stdout.print(
        f"{per_image:.1f} evaluations an image, {value['images_per_second']:.2f} images/s, "
        f"{value['seconds']['total']:.1f} s",
        markup=False,
    )
    stdout.print("marks raise the cost of unauthorised analysis; they are not access control", markup=False)
