"""Attacking the marks of a release before the targets are asked: from an evaluation to its battery."""

from __future__ import annotations

import copy
import importlib.util
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Lock
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from medlocker.attacks import Attack, find_attack
from medlocker.classifiers import Classifier, Features, features_of, load_classifier
from medlocker.errors import MissingExtraError, ModelError
from medlocker.evaluate._attacked_state import check_state, claim_state, finished_cells
from medlocker.evaluate._cases import Case, find_cases
from medlocker.evaluate._covering import clear, is_lossy
from medlocker.evaluate._processing import read_pair
from medlocker.evaluate._run import EvaluatedImage, Result
from medlocker.evaluate._sidechannels import (
    MOST_READ,
    ClassifierProbe,
    ImageFeatures,
    SideChannel,
    measure_side_channels,
    probe_classifier,
    trace,
)
from medlocker.evaluate._targets import Target
from medlocker.evaluate.removal import (
    DEFAULT_MINUTES,
    NEED_THE_LOGO,
    STATE_VERSION,
    BatteryObserver,
    BatteryResult,
    Item,
    Level,
    Row,
    make_battery,
    run_battery,
    verdict,
)
from medlocker.images import viewed
from medlocker.legibility import differences
from medlocker.logo import Logo
from medlocker.options import DEFAULT_LIMIT


@dataclass(frozen=True, eq=False)
class Removal:
    """What attackers got.

    Args:
        verdict: The same in plain words.
        cases: The images that came out worst and best for the owner, with pictures; then of each attack.
        notes: What was left out or assumed, one sentence each.
        side_channels: What the release tells without a look at its pictures.
        relearned: What can be learned from the targets about marked images that are not attacked.
    """

    battery: BatteryResult
    verdict: str
    cases: tuple[Case, ...] = ()
    notes: tuple[str, ...] = ()
    side_channels: tuple[SideChannel, ...] = ()
    relearned: tuple[ClassifierProbe, ...] = ()


class MarkedImages:
    """Originals and marked versions as a battery wants them, read from disk one at a time, as often as asked.

    Args:
        images: Judged; each has a marked version in the first release.
        targets: Know the classes of the labels.
        beside: Marked images that are not attacked, but read for what marks tell by themselves.
    """

    def __init__(
        self,
        images: Sequence[EvaluatedImage],
        targets: Sequence[Target],
        *,
        beside: Sequence[EvaluatedImage] = (),
    ) -> None:
        self._images, self._targets, self._beside = images, targets, beside
        self._features: list[tuple[Target, Features | None]] = []
        self._asking = Lock()

    @property
    def names(self) -> tuple[str, ...]:
        """Their names, in order."""
        return tuple(judged.pair.name for judged in self._images)

    @property
    def labels(self) -> dict[str, tuple[int, ...]]:
        """The right class for each target, by name."""
        return {judged.pair.name: self._labels(judged) for judged in self._images}

    def _labels(self, judged: EvaluatedImage) -> tuple[int, ...]:
        return tuple(target.indices[judged.label] for target in self._targets)

    def __iter__(self) -> Iterator[Item]:
        """Read them one after the other.

        Raises:
            InputError: If a file cannot be read any more.
        """
        return map(self._read, self._images)

    def traces(self, *, workers: int) -> list[ImageFeatures]:
        """Return what the marks of each image are in numbers, of at most 1000 images.

        Args:
            workers: Threads that read; each holds one image.

        Raises:
            InputError: If a file cannot be read any more.
        """
        every = [*self._images, *self._beside]
        count = min(len(every), MOST_READ)
        self._features = [(target, _features_of(target)) for target in self._targets]
        with ThreadPoolExecutor(workers, thread_name_prefix="medlocker-trace") as pool:
            return list(pool.map(self._trace, [every[k * len(every) // count] for k in range(count)]))

    def _trace(self, judged: EvaluatedImage) -> ImageFeatures:
        item = self._read(judged)
        found = trace(item.clean, item.marked, judged.label, mask=item.mask)
        known: dict[tuple[str, str], NDArray[np.float32]] = {}
        for target, features in self._features:
            canvas = target.model.canvas(item.marked)[None]
            with self._asking:  # a model is asked by one thread at a time
                known[target.name, "outputs"] = target.model.logits(canvas)[0]
                if features is not None:
                    known[target.name, "features"] = features(canvas)[0]
        return replace(found, known=known)

    def _read(self, judged: EvaluatedImage) -> Item:
        clean, marked = (viewed(image) for image in read_pair(judged.pair, 0))
        difference = differences(clean, marked)
        # the first release's come first
        quality = next(iter(judged.qualities.values()))
        # a file that was not stored without loss differs nearly everywhere: its marks differ clearly
        mask = clear(difference) if is_lossy(difference, is_covering=quality.is_covering) else None
        return Item(judged.pair.name, clean, marked, self._labels(judged), mask, is_veil=quality.is_covering)


@dataclass(frozen=True, eq=False)
class Attackers:
    """Who attacks, and where what they finished is kept; made by :func:`gather_attackers`.

    Args:
        models: The same under the targets' names, in the form that attackers need.
        names: Rows of the battery.
        logo: The owner's; None if it is not known.
        state_dir: An interrupted battery goes on from what is there.
        limit: Most images.
        seed: Of everything random.
        workers: Threads that attack.
        notes: What was left out or assumed.
        minutes: Of the training of one network at most; the same battery may go on with more.
        own: Attacks of the user's own.
    """

    targets: tuple[Target, ...]
    models: tuple[Classifier, ...]
    level: Level
    names: tuple[str, ...]
    logo: Logo | None
    state_dir: Path
    limit: int
    seed: int
    workers: int
    notes: tuple[str, ...]
    minutes: float = DEFAULT_MINUTES
    own: tuple[Attack, ...] = ()

    def choose(self, result: Result) -> tuple[MarkedImages, tuple[str, ...]]:
        """Return the images to attack, evenly spread if there are too many, and notes on those left out."""
        release, key = result.evaluation.releases[0], result.evaluation.keys[0]
        broken = {number for answers in result.answers for number in answers.failed}
        marked = [
            judged
            for number, judged in result.images.items()
            if number not in broken and key in judged.qualities and judged.qualities[key].area > 0
        ]
        count = min(self.limit, len(marked))
        chosen = [marked[k * len(marked) // count] for k in range(count)]
        notes = []
        if count < len(marked):
            notes.append(
                f"removal attacks: {count} of {len(marked)} marked images, evenly spread; see --removal-limit"
            )
        if len(result.evaluation.releases) > 1:
            notes.append(f"removal attacks: only on release {release.folder}, the first")
        if broken:
            notes.append(f"removal attacks: {len(broken)} images left out, on which a model failed")
        names = {judged.pair.name for judged in chosen}
        beside = [judged for judged in marked if judged.pair.name not in names]
        return MarkedImages(chosen, self.targets, beside=beside), tuple(notes)

    def attack(self, images: MarkedImages, *, observer: BatteryObserver | None = None) -> Removal:
        """Run the battery; an interrupted one goes on.

        Args:
            images: From :meth:`choose`.

        Raises:
            InputError: If a file cannot be read any more, or the state belongs to another battery.
            WriteError: If the system refuses to keep the state.
            ModelError: If a target fails.
        """
        if not images.names:
            nothing = "No image of the release carries a mark, so there is nothing to remove."
            return Removal(BatteryResult(0, (), (), (), 0.0), nothing, (), self.notes)
        claim_state(self.state_dir, self.facts)
        battery = run_battery(
            images,
            self.models,
            logo=self.logo,
            level=self.level,
            names=self.names,
            own=self.own,
            state_dir=self.state_dir,
            observer=observer,
            seed=self.seed,
            workers=self.workers,
            minutes=self.minutes,
        )
        cases = find_cases(
            finished_cells(self.state_dir, images.names),
            images,
            battery=make_battery(self.level, names=self.names, own=self.own, seed=self.seed),
            logo=self.logo,
            models=self.models,
            seed=self.seed,
            labels=images.labels,
            rows={rows[0].attack for rows in rows_by_number(battery.rows).values()},
        )
        traces = images.traces(workers=self.workers)
        return Removal(
            battery,
            verdict(battery),
            cases,
            (*self.notes, *battery.notes),
            measure_side_channels(traces, seed=self.seed),
            probe_classifier(traces, seed=self.seed),
        )

    @property
    def facts(self) -> Mapping[str, object]:
        """What another battery, which may not go on with this one's state, differs in."""
        return {
            "version": STATE_VERSION,
            "level": self.level,
            "rows": list(self.names),
            "targets": [[model.name, model.fingerprint] for model in self.models],
            "logo": None if self.logo is None else self.logo.digest,
            "seed": self.seed,
        }


def gather_attackers(
    targets: Sequence[Target],
    *,
    level: Level | Literal["none"],
    logo: Logo | None,
    state_dir: Path,
    own: Sequence[str | Attack] = (),
    limit: int = DEFAULT_LIMIT,
    seed: int = 0,
    workers: int = 2,
    minutes: float = DEFAULT_MINUTES,
) -> Attackers:
    """Prepare a battery against the targets of an evaluation; refuses what cannot work.

    Args:
        targets: Opened.
        level: ``full`` also trains networks and needs torch; ``none`` tries only the user's own.
        logo: The owner's; without it the attacks that need it are left out.
        state_dir: See :class:`Attackers`.
        own: Attacks of the user's own, by name or as objects; see :class:`medlocker.attacks.Attack`.
        limit: Most images, at least 1.
        seed: Of everything random.
        workers: Threads that attack.
        minutes: Of the training of one network at most.

    Raises:
        InputError: If the state belongs to another battery.
        MissingExtraError: If torch is needed and missing.
    """
    if level == "full" and importlib.util.find_spec("torch") is None:
        raise MissingExtraError("torch", "torch")
    mine = tuple(find_attack(one) for one in own)
    chosen: Level = "standard" if level == "none" else level
    make_battery(chosen, own=mine)  # refuses names that are there twice
    rows = ("none",) if level == "none" else attack_names(chosen, knows_logo=logo is not None)
    notes = []
    if logo is None and level != "none":
        notes.append(
            "removal attacks: the logo is not known, so the attacks that need it are left out; see --logo"
        )
    attackers = Attackers(
        targets=tuple(targets),
        models=tuple(_as_attacked(target, chosen) for target in targets),
        level=chosen,
        names=(*rows, *(one.name for one in mine)),
        own=mine,
        logo=logo,
        state_dir=state_dir,
        limit=limit,
        seed=seed,
        workers=workers,
        notes=tuple(notes),
        minutes=minutes,
    )
    check_state(state_dir, attackers.facts)
    return attackers


def attack_names(level: Level, *, knows_logo: bool) -> tuple[str, ...]:
    """Return the rows of a battery, without those that need a logo where there is none."""
    return tuple(
        kind.name for kind in make_battery(level).kinds if knows_logo or kind.number not in NEED_THE_LOGO
    )


def worst_first(rows: Iterable[Row]) -> list[Row]:
    """Return rows by what they tell, the most first; attacks beyond a release's reach behind the others."""
    ranked = sorted(rows, key=lambda row: (*row.strength, row.psnr_region or 0.0), reverse=True)
    return sorted(ranked, key=lambda row: not row.combined)


def rows_by_number(rows: Iterable[Row]) -> dict[int, list[Row]]:
    """Return rows by the number of their attack, of each the one that tells most first."""
    found: dict[int, list[Row]] = {}
    for row in worst_first(rows):
        found.setdefault(row.number, []).append(row)
    return dict(sorted(found.items()))


def _features_of(target: Target) -> Features | None:
    """Return what gives a target's features; a folder of ``train`` holds a torch form too."""
    if target.path is not None and target.path.is_dir():
        try:
            return features_of(load_classifier(target.path))
        except ModelError:  # its answers are there all the same
            return None
    return features_of(target.model)


def _as_attacked(target: Target, level: Level) -> Classifier:
    """Return a target under its own name, which no other has; with its torch form where it is retrained."""
    model = target.model
    if level == "full" and target.path is not None and target.path.is_dir():
        model = load_classifier(target.path)
    named = copy.copy(model)
    named.name = target.name
    return named
