"""What a run tells before, during and after."""

from __future__ import annotations

from collections.abc import Sequence

from medlocker.api.listener import Listener
from medlocker.api.sayings import of_no_image, some
from medlocker.errors import Code
from medlocker.labels import Labels
from medlocker.protect import Outcome, finder_called
from medlocker.regions import DOUBTFUL, Finder, Regions, WithAnatomy, lesion_finder
from medlocker.release import Inputs, Result, Run, run_release

_MARKED_BEFORE = (Code.ALREADY_MARKED, Code.ALREADY_MARKED_UNFINISHED)


def say_inputs(
    inputs: Inputs,
    labels: Labels | None,
    regions: Regions | None,
    finder: Finder | None,
    *,
    listener: Listener,
    is_part: bool = False,
) -> None:
    """Tell what a run takes, and what it lacks.

    Args:
        is_part: Whether these are some images of a data set: that tables name more is no news then.
    """
    names = [item.name for item in inputs.items]
    listener.note(f"{len(names)} images")
    if inputs.passed_over:
        listener.note(f"skipped {some(inputs.passed_over)}: no images, or links to outside the folder")
    if inputs.masks:
        listener.note(f"skipped {some(inputs.masks)}: masks of other images; give them with --regions")
    if inputs.unreadable:
        listener.warn(f"cannot list {some(inputs.unreadable)}")
    if labels is not None:
        missing, unknown = labels.missing(names), labels.unknown(names)
        if len(missing) == len(names):
            raise of_no_image(
                f"labels {labels.file}", names, unknown, "or name its column with --image-column"
            )
        if missing:
            listener.warn(f"no label for {some(missing)}: the model's own answer is taken")
        if unknown and not is_part:
            listener.warn(f"the labels name {some(unknown)}, which the input does not have")
    _say_regions(names, regions, finder, listener=listener, is_part=is_part)


def _say_regions(
    names: Sequence[str],
    regions: Regions | None,
    finder: Finder | None,
    *,
    listener: Listener,
    is_part: bool,
) -> None:
    lesions = lesion_finder(finder)
    if regions is not None:
        missing, unknown = regions.missing(names), regions.unknown(names)
        if missing:
            rest = "nothing is" if lesions is None else f"only what {finder_called(lesions)} finds is"
            if lesions is not None and regions.stand_in:
                rest = "only candidates, found by a program, not a clinician, are"
            listener.warn(f"no regions for {some(missing)}: {rest} kept out there")
        if unknown and not is_part:
            listener.warn(f"the regions name {some(unknown)}, which the input does not have")
        if elsewhere := regions.from_elsewhere(names):
            name, entry = elsewhere[0]
            listener.warn(
                f"regions of {entry} are taken for {name}, which has only the file name in common"
                + (f", and so for {len(elsewhere) - 1} more images" if elsewhere[1:] else "")
                + ": is it the same image?"
            )
        for name in regions.doubtful_masks():
            listener.warn(
                f"mask {name} covers more than {DOUBTFUL:.0%} of its image: is 0 the background there? "
                "All that is not 0 stays free of marks"
            )
    if lesions is not None and not (regions is not None and regions.stand_in):
        kind = "candidates" if lesions.droppable else f"what {finder_called(lesions)} finds"
        listener.note(
            f"kept out as lesions: {kind}, found by a program, not a clinician; the certificate says so"
        )
    elif regions is None:
        listener.note("no lesions are kept out: see --regions, --segmenter, --lesions")
    if isinstance(finder, WithAnatomy):
        listener.note(
            "kept clear: optic disc and macula of fundus photographs, where classical means find them, "
            "found by a program, not a clinician; the certificate says so"
        )


def run_told(run: Run, *, listener: Listener) -> Result:
    """Run; what an interrupted run left is looked at before."""
    with listener.steps() as advance:
        total = len(run.inputs.items)
        advance("protecting", 0, total)

        def progress(outcome: Outcome) -> None:
            # of objects without pixels is told at the end whether they travel
            if outcome.status != "marked" and outcome.failure.code != Code.NO_PIXELS:
                listener.note(f"{outcome.status}: {outcome.failure}")
            advance("protecting", 1, total)

        try:
            result = run_release(
                run,
                progress=progress,
                checking=lambda count: advance("checking what is there", 1, count),
                say=listener.warn,
            )
        except KeyboardInterrupt:
            listener.note("interrupted: repeat the command to continue")
            raise
    say_beside(result, listener=listener)
    codes = {failure.code for failure in result.summary.failed}
    if Code.ALREADY_MARKED_UNFINISHED in codes:
        listener.note(
            "finish an unfinished run with the command that started it; if that is impossible, and "
            "only if none of its files was given away, --abandon-run ID frees its images to be marked again"
        )
    if codes.intersection(_MARKED_BEFORE):
        listener.note(
            "the owner's ledger refuses a second, different mark of an image: two different marks reveal the "
            "original; --allow-identical-mark with the same --seed and options repeats a mark; "
            "--no-ledger is for experiments"
        )
    return result


def say_beside(result: Result, *, listener: Listener) -> None:
    """Tell what travels beside the marked images, and what does not and why."""
    beside = result.beside
    told = {failure.name for failure in beside.left_out}
    for failure in result.summary.skipped:
        if failure.code == Code.NO_PIXELS and failure.name not in told:
            listener.note(f"skipped: {failure}")
    for failure in beside.left_out:
        listener.note(f"not copied: {failure}")
    if beside.kinds:
        kinds = ", ".join(f"{count} {word}{'s' * (count > 1)}" for word, count in beside.kinds.items())
        listener.warn(
            f"DICOM objects travel with the images ({kinds}): they tell findings and regions to everybody "
            "who gets the release; --without-companions leaves them out"
        )
    several = [one.file.name for one in beside.travelling.objects if one.studies > 1]
    if several:
        listener.warn(f"{some(several)}: about images of several studies")
    if beside.copied:
        listener.note(f"copied as they are: {some([copy.name for copy in beside.copied])}")


def warn_of_nothing_found(run: Run, result: Result, *, listener: Listener) -> None:
    """Say so if a finder found no lesion in any image."""
    finder = lesion_finder(run.finder)
    stands_in = run.regions is not None and run.regions.stand_in
    if stands_in and run.regions is not None and not run.regions.has_unlisted:
        return
    if finder is not None and result.summary.marked and not result.summary.with_found:
        what = "the search for candidates" if finder.droppable else finder_called(finder)
        where = "image that the regions do not list" if stands_in else "image"
        listener.warn(f"{what} found no lesion in any {where}: a mark may cover one")
