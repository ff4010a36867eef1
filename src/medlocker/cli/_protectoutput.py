"""What `medlocker protect` prints after a run."""

from __future__ import annotations

from medlocker.api.preview import Preview
from medlocker.classifiers import Classifier, prototypes_of
from medlocker.cli._console import print_json, shown, stdout
from medlocker.regions import lesion_finder
from medlocker.release import Result, Run


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
    beside = result.beside
    if beside.entries:
        objects = len(beside.travelling.objects)
        stdout.print(
            f"beside them {objects} DICOM objects and {len(beside.copied)} copied files", markup=False
        )
    for model, correct, fooled in zip(run.classifiers, summary.clean_correct, summary.fooled, strict=True):
        stdout.print(_outcome_line(model, correct=correct, fooled=fooled), markup=False)
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
    stands_in = run.regions is not None and run.regions.stand_in and not run.regions.has_unlisted
    if lesion_finder(run.finder) is not None and not stands_in:
        kept = "nothing" if run.regions is None else "only what was given"
        others = f": {kept} is kept out in the others" if summary.with_found < summary.marked else ""
        found = f"{summary.with_found} of {summary.marked} images"
        stdout.print(f"regions were found in {found}{others}", markup=False)
    told = {failure.name for failure in beside.left_out}
    skipped = [failure for failure in summary.skipped if failure.name not in told]
    for kind, items in (("skipped", skipped), ("failed", summary.failed)):
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


def _outcome_line(model: Classifier, *, correct: int, fooled: int) -> str:
    """Return what a run did to one model, as a sentence for the user."""
    if prototypes_of(model) is None:
        return f"{model.name}: right on {correct} originals, wrong on {fooled} of those once marked"
    return (
        f"{model.name}: cluster changed on {fooled} of {correct} images; "
        "whether that misleads a diagnosis only `evaluate` tells"
    )


def say_preview(made: Preview, *, as_json: bool) -> int:
    """Print what a preview made; return the exit code."""
    if as_json:
        print_json(made.facts)
    else:
        for failure in made.failures:
            stdout.print(f"not marked: {shown(str(failure))}", markup=False)
        stdout.print(
            f"{made.marked} of {made.images} images marked for looking; nothing was claimed, and no release "
            "was made",
            markup=False,
        )
        stdout.print(f"look at {made.page}; it shows originals: do not give it away", markup=False)
    return 0 if made.marked else 1
