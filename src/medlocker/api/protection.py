"""One run over a data set, from what was asked for to the finished release."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from medlocker.api.chosenstyle import FEWEST_IMAGES, with_chosen_style
from medlocker.api.clusters import indices_or_own, with_clusters
from medlocker.api.keepout import KeepOut
from medlocker.api.keptstyle import kept_style, style_to_keep
from medlocker.api.listener import Listener
from medlocker.api.logos import GivenLogo, read_logo
from medlocker.api.newmarks import AskedAgain, asked_again
from medlocker.api.preview import MOST_IMAGES, Preview, write_preview
from medlocker.api.protectoptions import engine_maker, open_ledger, veil_warnings
from medlocker.api.protecttold import run_told, say_inputs, warn_of_nothing_found
from medlocker.certificates import Owner, load_owner, need_content_credentials
from medlocker.classifiers import Classifier, batch_for, load_classifier, with_gradients
from medlocker.engines import EngineMaker, make_search, search_warning
from medlocker.errors import Failure, InputError
from medlocker.labels import Labels
from medlocker.logo import LearnedLogo
from medlocker.options import EngineName
from medlocker.prepare import check_kind
from medlocker.preparedveil import PreparedVeil
from medlocker.protect import Settings
from medlocker.release import Inputs, Result, Run, check_target, find_copies, find_inputs, start_marker

_FILE_THREADS = 2
"""In each process; a search takes far longer than a file."""


@dataclass(frozen=True)
class Protected:
    """What a run did.

    Args:
        run: What was asked for, with all that was opened.
        result: Counts and timings.
        notes: What a user should know, in order.
    """

    run: Run = field(repr=False)
    result: Result = field(repr=False)
    notes: tuple[str, ...] = field(default=(), repr=False)

    @property
    def release(self) -> Path:
        """The folder; there is none if nothing was marked."""
        return self.run.release

    @property
    def marked(self) -> int:
        """How many images carry marks."""
        return self.result.summary.marked

    @property
    def skipped(self) -> tuple[Failure, ...]:
        """Names and reasons of the images that were left out on purpose."""
        return tuple(self.result.summary.skipped)

    @property
    def failed(self) -> tuple[Failure, ...]:
        """Names and reasons of the images that could not be marked."""
        return tuple(self.result.summary.failed)

    @property
    def companions(self) -> int:
        """How many DICOM objects travel beside the marked images."""
        return len(self.result.beside.travelling.objects)

    @property
    def facts(self) -> dict[str, Any]:
        """All counts, as `medlocker protect --json` prints them."""
        return self.result.json


@dataclass(eq=False, kw_only=True)
class Protection:
    """What is asked for; what needs no image is checked when it is made.

    Args:
        owner: NAME of the owner's keys.
        out: Folder of the release.
        settings: How marks look and are searched.
        models: Paths of the surrogates.
        labels: Right classes, or None.
        sources: Files that labels came from.
        keep_out: What is kept clear.
        logo: The picture, unless one was prepared.
        prepared: What `medlocker prepare` made, or None.
        chooses_style: Try a few styles of veils on a sample where none was prepared.
        workers: Processes that search.
        engine: ``local`` or ``ray``.
        batch: Most pictures in one call of a model, or None for what suits it.
        ledger: Refuse what another release has marked.
        same_mark: Mark it again if the mark comes out the same.
        give_up: Ids of runs whose claims are to be void.
        needs_review: Let only images that the owner has approved be granted or sent on.
        redo: A release whose review asked for other marks: only those images are marked, as was asked.
        companions: Let DICOM objects of the input that are about marked images travel with them.
        copies: Files and folders that travel as they are.
        listener: Is told what happens.

    Raises:
        MedlockerError: If it cannot work.
    """

    owner: Path
    out: Path
    settings: Settings
    models: Sequence[Path] = ()
    labels: Labels | None = None
    sources: tuple[Path, ...] = ()
    keep_out: KeepOut = field(default_factory=KeepOut)
    logo: GivenLogo = None
    prepared: LearnedLogo | PreparedVeil | None = None
    chooses_style: bool = True
    workers: int = 1
    engine: EngineName = "local"
    batch: int | None = None
    ledger: bool = True
    same_mark: bool = False
    give_up: Sequence[str] = ()
    needs_review: bool = False
    redo: Path | None = None
    companions: bool = True
    copies: Sequence[Path] = ()
    listener: Listener = field(default_factory=Listener)
    keys: Owner = field(init=False)
    _maker: EngineMaker = field(init=False)

    def __post_init__(self) -> None:
        preset = self.settings.preset
        if not self.models and preset != "veil":
            raise InputError(
                f"--preset {preset} requires at least one --model",
                hint="only --preset veil works without a model",
            )
        self._maker = engine_maker(
            self.engine,
            workers=self.workers,
            models=self.models,
            segmenter=self.keep_out.segmenter,
            lesions=self.keep_out.candidates(preset),
        )
        if self.settings.provenance == "c2pa":
            need_content_credentials()
        self.keys = load_owner(self.owner)
        for text in self.keys.signing.notes:
            self.listener.warn(text)

    def run(self, images: Path) -> Protected:
        """Protect a file, a folder, or what a list file names.

        Raises:
            MedlockerError: If the run cannot go on; what goes wrong with one image is in the result.
        """
        inputs, again = self._inputs(images)
        given = len(inputs.items)
        inputs, copies = find_copies(self.copies, inputs)
        if given > len(inputs.items):
            self.listener.warn(
                f"{given - len(inputs.items)} images are copied as they are, not marked: --with"
            )
        with start_marker(self.out):
            run = replace(self._compose(inputs, again), companions=self.companions, copies=copies)
            result = run_told(run, listener=self.listener)
        warn_of_nothing_found(run, result, listener=self.listener)
        return Protected(run, result, tuple(self.listener.notes))

    def preview(self, images: Path, *, count: int) -> Preview:
        """Mark a few images for looking, beside the release; nothing is claimed, and no release is begun.

        Args:
            images: As for :meth:`run`.
            count: How many, 1 to 100.

        Raises:
            InputError: If the count is out of range.
            MedlockerError: If the run cannot be done so.
        """
        if not 1 <= count <= MOST_IMAGES:
            raise InputError(f"preview: expected 1 to {MOST_IMAGES} images, got {count}")
        run = self._compose(*self._inputs(images), claims=False)
        return write_preview(run, count=count, listener=self.listener)

    def _inputs(self, images: Path) -> tuple[Inputs, AskedAgain | None]:
        inputs = find_inputs(images)
        again = None if self.redo is None else asked_again(self.redo, self.keys, listener=self.listener)
        if again is not None:
            inputs = again.among(inputs)
        check_target(self.out, inputs, self.copies)
        return inputs, again

    def _compose(self, inputs: Inputs, again: AskedAgain | None, *, claims: bool = True) -> Run:
        """Open everything that the images share.

        Args:
            claims: Whether the ledger is opened and told.
        """
        regions = self.keep_out.known(inputs)
        self.keep_out.check(regions, [item.name for item in inputs.items])
        ledger = open_ledger(self.keys, use=self.ledger, given_up=self.give_up) if claims else None
        if again is not None and ledger is not None:
            ledger.free(again.originals, release=again.release)
        for new in () if again is None else again.new_marks.values():
            self.settings.asked(new)  # refuses what the preset has not
        listener, asked, preset = self.listener, self.settings, self.settings.preset
        logo = read_logo(self.logo, listener=listener) if self.prepared is None else self.prepared.logo
        if self.prepared is not None:
            check_kind(self.prepared, inputs)
        batch, classifiers = self._models(inputs)
        finder = self.keep_out.finder(preset, classifiers)
        say_inputs(inputs, self.labels, regions, finder, listener=listener, is_part=again is not None)
        is_left_open = preset == "veil" and self.chooses_style and self.prepared is None
        is_chosen = is_left_open and bool(classifiers) and len(inputs.items) >= FEWEST_IMAGES
        settings = asked
        if is_chosen:
            settings = kept_style(self.out, asked, self.keys) or with_chosen_style(
                asked, inputs, classifiers, logo=logo, regions=regions, finder=finder, listener=listener
            )
        return Run(
            inputs=inputs,
            release=self.out,
            classifiers=classifiers,
            logo=logo,
            owner=self.keys,
            settings=settings,
            labels=self.labels,
            classes=indices_or_own(self.labels, classifiers, listener=listener),
            regions=regions,
            finder=finder,
            sources=(*self.sources, *((self.keep_out.regions,) if self.keep_out.regions else ())),
            learned=self.prepared if isinstance(self.prepared, LearnedLogo) else None,
            ledger=ledger,
            same_mark=self.same_mark,
            workers=_FILE_THREADS,
            batch=batch,
            engine=self._maker,
            kept=style_to_keep(asked, settings) if is_chosen else {},
            needs_review=self.needs_review or again is not None,
            new_marks={} if again is None else again.new_marks,
        )

    def _models(self, inputs: Inputs) -> tuple[int, list[Classifier]]:
        """Open the models; return how many pictures they shall be asked about at once, and them."""
        listener, settings = self.listener, self.settings
        classifiers = [load_classifier(path, features=True) for path in self.models]
        if settings.wants_gradients:
            pairs = zip(classifiers, self.models, strict=True)
            classifiers = [with_gradients(model, path) for model, path in pairs]
        weaker = search_warning(settings, classifiers)
        for text in (*([weaker] if weaker else []), *veil_warnings(settings, classifiers)):
            listener.warn(text)
        make_search(settings, classifiers)  # refuses what cannot work before anything is written
        batch = self.batch or batch_for(classifiers)
        classifiers = with_clusters(
            classifiers, inputs, workers=_FILE_THREADS, batch=batch, listener=listener
        )
        for text in (text for model in classifiers for text in model.notes):
            listener.note(text)
        return batch, classifiers
