"""One run over a data set: from the inputs to a finished, signed release; resumes where it was stopped."""

from __future__ import annotations

import hashlib
import json
import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from medlocker.certificates import (
    CompanionEntry,
    IndexEntry,
    Ledger,
    ModelFact,
    Owner,
    PublicFacts,
    ReleaseSecret,
    assemble,
)
from medlocker.classifiers import Classifier, checked_classifier, prototypes_of
from medlocker.engines import Common, Engine, EngineMaker, EngineRequest, LocalEngine
from medlocker.errors import Code, Failure
from medlocker.files import make_folder, sweep_temporaries
from medlocker.formats.dicom import series_key
from medlocker.labels import Labels
from medlocker.logo import LearnedLogo, Logo
from medlocker.protect import DecoySource, Job, Outcome, Settings, source_of
from medlocker.provenance import Provenance
from medlocker.regions import Finder, Regions, checked_finder, lesion_finder, without_lesions
from medlocker.release._beside import Beside
from medlocker.release._copies import Copied
from medlocker.release._credentials import credentials_writer
from medlocker.release._donors import kept_donors
from medlocker.release._findbeside import find_beside
from medlocker.release._groups import Key, Scheduler, dicom_instance, find_groups
from medlocker.release._inputs import Inputs
from medlocker.release._journal import (
    ChangedRecordsError,
    Journal,
)
from medlocker.release._pathdigest import fingerprint_path
from medlocker.release._recheck import file_stamp, revalidate
from medlocker.release._sealer import Sealer
from medlocker.release._sidecars import write_sidecars
from medlocker.release._summary import Summary
from medlocker.release._target import IMAGES, check_target, refuse_links
from medlocker.review import NewMark


@dataclass(frozen=True, eq=False)
class Run:
    """All that one run needs.

    Args:
        inputs: The images, in their order.
        classifiers: Surrogates, at least one.
        labels: Right classes, or None to take the surrogates' own answers.
        classes: Per model, from a label's text to the index of its class; None for a feature extractor,
            whose own answer is taken whatever the label.
        regions: Keep-out boxes, or None.
        finder: Finds more of them in each image, or None.
        sources: Files or folders that labels and regions came from.
        learned: Textures that searches start from, or None.
        ledger: The owner's memory of what was marked before, or None for experiments.
        same_mark: Mark again what another release has marked, if the mark comes out the same.
        series_key: From a file to what the images of its series have in common; such images carry the same
            marks.
        instance: From a file to what only copies of it have in common; one of them is marked, the later ones
            are skipped.
        workers: Threads that read and write.
        batch: Most pictures in one call of a model.
        engine: Where the images are worked on; does not change the result.
        kept: What a new run shall remember besides; see :func:`medlocker.release.kept_of`.
        needs_review: Let only approved images be granted or sent on.
        new_marks: By name of the input, how the marks of single images shall differ, as a review asked.
        companions: Let DICOM objects of the input that are about marked images travel with them.
        copies: Files that travel as they are; DICOM objects among them like those of the input.
    """

    inputs: Inputs
    release: Path
    classifiers: Sequence[Classifier]
    logo: Logo
    owner: Owner
    settings: Settings
    labels: Labels | None = None
    classes: tuple[Mapping[str, int] | None, ...] = ()
    regions: Regions | None = None
    finder: Finder | None = None
    sources: tuple[Path, ...] = ()
    learned: LearnedLogo | None = None
    ledger: Ledger | None = None
    same_mark: bool = False
    series_key: Key | None = series_key
    instance: Key | None = dicom_instance
    workers: int = 2
    batch: int = 16
    engine: EngineMaker = LocalEngine
    kept: Mapping[str, Any] = field(default_factory=dict)
    needs_review: bool = False
    new_marks: Mapping[str, NewMark] = field(default_factory=dict)
    companions: bool = True
    copies: tuple[Copied, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "classifiers", tuple(map(checked_classifier, self.classifiers)))
        if self.finder is not None:
            object.__setattr__(self, "finder", checked_finder(self.finder))

    @property
    def regions_source(self) -> str:
        """Where keep-out regions come from, as certificates say it."""
        known = self.regions
        if known is None:
            return source_of(given=False, finder=self.finder)
        is_open = known.has_unlisted
        finder = self.finder if is_open or not known.stand_in else without_lesions(self.finder)
        alone = is_open and (known.stand_in or lesion_finder(finder) is None)
        return source_of(given=known.has_listed, finder=finder, stands_in=alone)

    @property
    def has_donors(self) -> bool:
        """Whether decoys can be made like regions of other images."""
        finds_some = self.regions is not None or lesion_finder(self.finder) is not None
        return self.settings.preset == "veil" and self.settings.decoys and finds_some

    def donors(self) -> DecoySource | None:
        """Return the regions that decoys are made like, None where none are drawn; reads some images."""
        if not self.has_donors:
            return None
        images = [(item.name, item.path) for item in self.inputs.items]
        if self.regions is not None:
            return DecoySource.among(self.regions, images)
        lesions = lesion_finder(self.finder)
        return None if lesions is None else DecoySource.found_by(lesions, images)

    def class_indices(self, name: str) -> tuple[int | None, ...]:
        """Return an image's class for each model, None where its own answer counts; empty if unknown."""
        text = self.labels.for_name(name) if self.labels is not None else None
        if text is None:
            return ()
        return tuple(None if classes is None else classes[text] for classes in self.classes)

    def fingerprint(self) -> str:
        """SHA-256 of everything that decides the result; only the same run may be resumed."""
        value: dict[str, Any] = {
            "settings": self.settings.to_json(),
            "models": [model.fingerprint for model in self.classifiers],
            "logo": self.logo.digest,
            "learned": self.learned.digest if self.learned is not None else None,
            "owner": self.owner.signing.public.key_id,
            "sources": [fingerprint_path(path) for path in self.sources],
            "inputs": [
                [model.height, model.width, model.channels, *model.classes] for model in self.classifiers
            ],
            "prototypes": [found.digest if found else None for found in map(prototypes_of, self.classifiers)],
            "labels": self.labels.digest if self.labels is not None else None,
            "regions": [self.regions.margin_px, self.regions.min_area_px]
            if self.regions is not None
            else None,
            "finder": self.finder.fingerprint if self.finder is not None else None,
            "needs_review": self.needs_review,
            "new_marks": {name: asdict(new) for name, new in sorted(self.new_marks.items())},
            "names": hashlib.sha256(
                "\n".join(item.name for item in self.inputs.items).encode("utf-8", "surrogateescape")
            ).hexdigest(),
        }
        if self.copies or not self.companions:  # else as before there were any
            value["beside"] = [self.companions, *(copy.name for copy in self.copies)]
        return hashlib.sha256(json.dumps(value, sort_keys=True).encode("utf-8")).hexdigest()


@dataclass(frozen=True)
class Result:
    """What a run did.

    Args:
        json: The object for ``--json``.
        beside: What travels beside the marked images.
    """

    summary: Summary
    json: dict[str, Any]
    beside: Beside = field(default_factory=Beside)

    @property
    def exit_code(self) -> int:
        """0 if no image failed, else 1."""
        return 1 if self.summary.failed else 0


def run_release(
    run: Run,
    *,
    progress: Callable[[Outcome], None] = lambda outcome: None,
    checking: Callable[[int], None] = lambda count: None,
    say: Callable[[str], None] = lambda text: None,
) -> Result:
    """Protect a data set.

    Args:
        progress: Called with each outcome as it is known, also with those of an earlier, interrupted run.
        checking: Called before, with the number of images that an interrupted run has finished, once for each
            as it was looked at again.
        say: Called with a sentence if something in an unfinished release is not the owner's: it is made anew;
            and if files could not be given what was asked for.

    Returns:
        Counts and timings. If nothing was marked there is no release.

    Raises:
        OutputExistsError: See :func:`check_target`; also if a folder in the output is a link.
        MalformedError: If an unfinished run is not the owner's.
        WriteError: If the system refuses; the run can be resumed.
        ModelError: If a model cannot be used.
    """
    try:
        return _attempt(run, progress, checking, say)
    except ChangedRecordsError as error:
        say(f"{error}: they are made again")
        return _attempt(run, progress, checking, say)


def _attempt(
    run: Run,
    progress: Callable[[Outcome], None],
    checking: Callable[[int], None],
    say: Callable[[str], None],
) -> Result:
    started = time.perf_counter()
    check_target(run.release, run.inputs)
    make_folder(run.release)
    refuse_links(run.release, run.inputs)
    facts: dict[str, str | int] = {"fingerprint": run.fingerprint(), "images": len(run.inputs.items)}
    begin = partial(_begin, run)
    journal = Journal(
        run.release, run=facts, owner=run.owner, kept=run.kept, begin=begin, ledger=run.ledger is not None
    )
    with closing(journal):
        sweep_temporaries(run.release)
        make_folder(run.release / IMAGES)
        secret = journal.secret
        if journal.lost:
            say("somebody changed the journal of the unfinished run: what is not proved is made again")
        if not journal.is_new:
            begin(secret.release, is_new=False)
        summary = Summary(
            tuple(model.name for model in run.classifiers), len(run.inputs.items), run.regions_source
        )
        told_by = None if run.settings.provenance == "none" else Provenance(secret.release)
        credentials = credentials_writer(run.settings, run.owner, told_by)
        keeper = Sealer(
            secret,
            journal,
            owner=run.owner,
            logo=run.logo,
            seed=run.settings.seed,
            ledger=run.ledger,
            same_mark=run.same_mark,
            provenance=told_by,
            credentials=credentials,
        )
        revalidate(
            journal,
            run.inputs.items,
            images=run.release / IMAGES,
            original_of=lambda done: keeper.opened(done).original_file,
            workers=run.workers,
            progress=checking,
        )

        def tell(outcome: Outcome) -> None:
            summary.add(outcome)
            progress(outcome)

        donors = kept_donors(journal, secret, run.donors) if run.has_donors else None
        engine = _work(run, keeper, journal, tell, donors)
        beside, sidecars = Beside(), list[CompanionEntry]()
        if summary.marked:
            beside = _beside(run, journal, keeper, summary)
            summary.travel(one.file.name for one in beside.travelling.objects)
            sidecars = write_sidecars(
                journal,
                images=run.release / IMAGES,
                provenance=told_by,
                credentials=credentials,
                taken={entry.name for entry in beside.entries},
                workers=run.workers,
                say=say,
            )
            _finish(run, secret, journal, summary, beside, sidecars)
        journal.remove()
    if not summary.marked:
        _discard(run.release)
    told = summary.to_json(engine.clock, time.perf_counter() - started)
    more = {
        "beside": beside.to_json(),
        "passed_over": run.inputs.left_out(),
        "engine": engine.facts,
    }
    return Result(summary, told | more, beside)


def _begin(run: Run, release: str, *, is_new: bool = True) -> None:
    if run.ledger is not None:
        run.ledger.begin(release, folder=run.release, is_new=is_new)


def _discard(release: Path) -> None:
    """Remove what a run made that marked nothing: an empty release would only stand in the way."""
    for made in (release / IMAGES, release / "certificate"):
        shutil.rmtree(made, ignore_errors=True)
    with suppress(OSError):
        release.rmdir()


def _work(
    run: Run,
    keeper: Sealer,
    journal: Journal,
    tell: Callable[[Outcome], None],
    donors: DecoySource | None,
) -> Engine:
    groups = find_groups(
        run.inputs.items,
        series_key=run.series_key if run.settings.placement == "series" else None,
        instance=run.instance,
        workers=run.workers,
    )
    for index in groups.repeats:
        # of a copy only a mark counts: whether it is skipped depends on what becomes of the others
        if index in journal.done and journal.done[index].entry is None:
            journal.drop(index)
    order = Scheduler(run.inputs.items, groups, done=journal.done, known=keeper.known)

    def settle(outcome: Outcome) -> None:
        tell(outcome)
        for index, first in order.finished(outcome):
            skipped, name = run.inputs.items[index], run.inputs.items[first].name
            reason = f"{skipped.name}: the same instance as {name}"
            failure = Failure(skipped.name, reason, Code.SAME_INSTANCE, skipped.name)
            repeat = Outcome.left_out(index, "skipped", failure)
            journal.add(repeat, stamp=file_stamp(skipped.path))
            tell(repeat)

    for index in list(journal.done):
        settle(journal.done[index].outcome)
    engine = run.engine(
        EngineRequest(
            Common(
                run.logo,
                run.settings,
                run.regions,
                run.learned,
                run.workers,
                run.batch,
                donors,
                keeper.provenance,
            ),
            run.classifiers,
            run.finder,
            gate=keeper,
            images=run.release / IMAGES,
            count=len(run.inputs.items) - len(journal.done.keys() | groups.repeats.keys()),
        )
    )
    try:
        for job, outcome in engine.run(partial(_jobs, run, order)):
            if outcome.status != "marked":
                journal.add(outcome, stamp=job.stamp)
            settle(outcome)
    finally:
        engine.close()
        if journal.done.keys() != set(range(len(run.inputs.items))):
            sweep_temporaries(run.release / IMAGES)
    return engine


def _jobs(run: Run, order: Scheduler) -> Iterator[Job]:
    for planned in order.take():
        item = run.inputs.items[planned.index]
        target = (run.release / IMAGES).joinpath(*item.output_name.split("/"))
        yield Job(
            planned.index,
            item.name,
            item.path,
            item.output_name,
            target,
            run.class_indices(item.name),
            series=planned.series,
            lead=planned.lead,
            stamp=file_stamp(item.path),
            new_mark=run.new_marks.get(item.name),
        )


def _beside(run: Run, journal: Journal, keeper: Sealer, summary: Summary) -> Beside:
    """Write what travels beside the marked images."""
    items = run.inputs.items
    without_pixels = {one.name for one in summary.skipped if one.code == Code.NO_PIXELS}
    found = [item for item in items if run.companions and item.name in without_pixels]
    return find_beside(
        [*(Copied(item.name, item.location) for item in found), *run.copies],
        items,
        images=run.release / IMAGES,
        journal=journal,
        sealer=keeper,
        ledger=run.ledger,
        keep=run.settings.keep,
        workers=run.workers,
    )


def _finish(
    run: Run,
    secret: ReleaseSecret,
    journal: Journal,
    summary: Summary,
    beside: Beside,
    sidecars: Sequence[CompanionEntry],
) -> None:
    def sealed() -> Iterator[tuple[IndexEntry, bytes]]:
        yield from journal.marked()
        if run.ledger is not None:  # last, but for the statement
            run.ledger.finish(secret.release)

    facts = PublicFacts(
        preset=run.settings.preset,
        models=tuple(ModelFact(model.name, model.fingerprint) for model in run.classifiers),
        counts={"inputs": summary.images, "skipped": len(summary.skipped), "failed": len(summary.failed)},
        keeps_originals=run.settings.keep_original,
        regions=run.regions_source,
        kept=tuple(sorted(run.settings.keep_metadata)),
        needs_review=run.needs_review,
    )
    assemble(
        run.release,
        sealed(),
        secret=secret,
        signing=run.owner.signing,
        recipient=run.owner.recipient,
        logo=run.logo,
        facts=facts,
        companions=beside.sealed(keep=run.settings.keep, sidecars=sidecars),
    )
