"""Running all attacks over all images: attacks in threads, classifiers in batches, finished cells on disk."""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from medlocker.attacks import Attack as UsersOwn
from medlocker.attacks import Bytes, Floats, as_bytes, shrink
from medlocker.classifiers import Classifier
from medlocker.errors import InputError, ModelError
from medlocker.evaluate.removal._breakdowns import BREAKDOWNS, UNTRAINED
from medlocker.evaluate.removal._classify import outputs_of, view_of
from medlocker.evaluate.removal._difference import DifferenceAttack, another_version
from medlocker.evaluate.removal._evidence import WHOLE_PX, Attack, AttackInfo, Evidence, VotingAttack
from medlocker.evaluate.removal._gaps import find_gaps
from medlocker.evaluate.removal._item import Item, ScaledImage
from medlocker.evaluate.removal._levels import Battery, Level, make_battery
from medlocker.evaluate.removal._measures import psnr, similarity
from medlocker.evaluate.removal._network import STORED_PX, NetworkAttack, NetworkLearner
from medlocker.evaluate.removal._observer import BatteryObserver, training_observer
from medlocker.evaluate.removal._painter import kinds_of
from medlocker.evaluate.removal._result import BatteryResult, summarise
from medlocker.evaluate.removal._state import STATE_VERSION, State, VariantResult
from medlocker.evaluate.removal._traintargets import train_targets
from medlocker.evaluate.removal._users import USERS_NUMBER
from medlocker.logo import Logo
from medlocker.options import DEFAULT_MINUTES

MOST_STUDIED = 32
"""Marks that multi-image attacks get to study."""

_MOST_PUBLIC = 128
_DECIMALS = 4
"""Of kept outputs: what is learned from them does not change by less."""


@dataclass(frozen=True, eq=False)
class _Done:
    """What the attacks made of one image, ready to be classified."""

    exhibit: ScaledImage
    results: list[_Restored]
    canvases: list[list[Floats]]
    """By target, in the order of the results' places."""


@dataclass(frozen=True)
class _Restored:
    """One attack's variants on one image: places are positions in the canvases."""

    places: dict[str, int]
    controls: dict[str, int]
    psnr: dict[str, float | None]
    ssim: dict[str, float | None]
    seconds: float


def run_battery(
    items: Iterable[Item],
    targets: Sequence[Classifier],
    *,
    logo: Logo | None,
    level: Level = "standard",
    names: Collection[str] | None = None,
    own: Sequence[UsersOwn] = (),
    state_dir: Path | None = None,
    observer: BatteryObserver | None = None,
    seed: int = 0,
    workers: int = 2,
    minutes: float = DEFAULT_MINUTES,
) -> BatteryResult:
    """Attack every image in every way and ask every target.

    Memory holds a few images at a time, the surroundings of 32 marks, and for retraining small
    copies of at most 4,000.

    Args:
        items: Gone through up to three times, so no one-time iterator.
        targets: With different names. Retraining needs torch networks, as a folder made by ``train`` has.
        logo: The owner's logo; None if attackers shall not know it.
        level: See :func:`make_battery`.
        names: Only attacks with one of these rows.
        own: Attacks of the user's own, which are always among them; see :class:`medlocker.attacks.Attack`.
        state_dir: Where finished attacks are kept, so that the same call goes on after an interruption.
        seed: Of everything random.
        workers: Threads that attack.
        minutes: Of the training of one network at most. What a removal network has learned is kept in
            ``state_dir``; with more minutes it goes on.

    Raises:
        InputError: If there are no images, or ``state_dir`` belongs to another battery.
        ModelError: If a target fails.
    """
    if iter(items) is items:
        raise InputError("removal: expected images that can be gone through several times, got an iterator")
    started = time.perf_counter()
    watch = observer or BatteryObserver()
    battery = make_battery(level, names=names, minutes=minutes, own=own, seed=seed)
    state = State(state_dir, run=_facts(battery, targets, logo, seed))
    try:
        with _single_threads():
            run = _Run(items, targets, logo, battery, state, state_dir, watch, seed)
            labels = run.attack(workers)
            trained = [
                note
                for kind in battery.lessons
                for note in train_targets(
                    kind,
                    labels,
                    items,
                    targets,
                    logo=logo,
                    state=state,
                    watch=watch,
                    seed=seed,
                    minutes=battery.minutes,
                )
            ]
            notes = (*run.left_out(), *run.broken(), *run.notes, *trained)
    finally:
        state.close()
    named = [(target.name, target.classes) for target in targets]
    cells = {key: state.cells[key] for key in labels}
    rows, best = summarise(cells, labels, battery.kinds, named)
    gaps = find_gaps(
        battery,
        tried={row.attack for row in rows},
        broken=run.breakdowns,
        images=len(labels),
        veils=run.veils,
        knows_logo=logo is not None,
    )
    return BatteryResult(len(labels), rows, best, notes, time.perf_counter() - started, gaps)


@contextmanager
def _single_threads() -> Iterator[None]:
    """Keep libraries to one thread each: attacks run in threads of their own, beside the model's."""
    before = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        with threadpool_limits(1, user_api="blas"):
            yield
    finally:
        cv2.setNumThreads(before)


def _facts(
    battery: Battery, targets: Sequence[Classifier], logo: Logo | None, seed: int
) -> dict[str, object]:
    return {
        "version": STATE_VERSION,
        "rows": [kind.name for kind in battery.kinds],
        "targets": [[target.name, target.fingerprint] for target in targets],
        "logo": None if logo is None else logo.digest,
        "seed": seed,
    }


def _rounded(outputs: NDArray[np.float32] | None) -> tuple[float, ...]:
    return () if outputs is None else tuple(round(float(one), _DECIMALS) for one in outputs)


def _counted(vote: VotingAttack, target: Classifier, evidence: Evidence) -> Mapping[str, int]:
    """Return one target's classes by the variants; -1 where it breaks down, which costs no other target."""
    try:
        return vote.vote(view_of(target, evidence))
    except (*BREAKDOWNS, ModelError):
        return dict.fromkeys(vote.facts.variants, -1)


class _Run:
    """One battery over one set of images."""

    def __init__(
        self,
        items: Iterable[Item],
        targets: Sequence[Classifier],
        logo: Logo | None,
        battery: Battery,
        state: State,
        state_dir: Path | None,
        watch: BatteryObserver,
        seed: int,
    ) -> None:
        self._items, self._targets, self._logo, self._battery = items, targets, logo, battery
        self._state, self._watch, self._seed = state, watch, seed
        self._state_dir = state_dir
        self.notes: list[str] = []
        self._learned: tuple[Attack, ...] | None = None
        self.breakdowns: Counter[str] = Counter()
        self._reasons: dict[str, str] = {}
        self.veils = 0

    def left_out(self) -> tuple[str, ...]:
        """Return a sentence on attacks that mean nothing on a veil, if there is one."""
        names = [
            name
            for facts in self._battery.facts
            if not facts.applies_to(is_veil=True)
            for name in facts.variants
        ]
        if not self.veils or not names:
            return ()
        images = "one image" if self.veils == 1 else f"{self.veils} images"
        return (
            f"removal attacks: {images} with a veil: attacks that look for separate marks are left out "
            f"there ({'; '.join(names)})",  # some names have commas
        )

    def broken(self) -> tuple[str, ...]:
        """Return a sentence for every attack that broke down somewhere: its row lacks those images."""
        return tuple(
            f"attack {name}: broke down {'once' if count == 1 else f'{count} times'}"
            + (f"; the first time: {self._reasons[name]}" if name in self._reasons else "")
            for name, count in sorted(self.breakdowns.items())
            if count
        )

    # ------------------------------------------------------------------------------------ attacking

    def attack(self, workers: int) -> dict[str, tuple[int, ...]]:
        """Attack all images; returns the labels by the images' keys."""
        labels: dict[str, tuple[int, ...]] = {}
        waiting: deque[Future[_Done]] = deque()
        with ThreadPoolExecutor(workers) as pool:
            for number, item in enumerate(self._items):
                exhibit = ScaledImage(item, self._logo)
                if exhibit.key in labels:
                    raise InputError(f"image {item.name}: expected every image once", subject=item.name)
                labels[exhibit.key] = item.labels
                self.veils += exhibit.is_veil
                todo = self._todo(exhibit, number)
                votes = self._votes(exhibit)
                if not todo and not votes:
                    self._watch.attacked(item.name)
                    continue
                waiting.append(pool.submit(partial(self._restore, exhibit, todo, number)))
                if len(waiting) > workers:
                    self._finish(waiting.popleft().result())
            while waiting:
                self._finish(waiting.popleft().result())
        if not labels:
            raise InputError("removal: expected at least one marked image")
        return labels

    def _votes(self, exhibit: ScaledImage) -> list[VotingAttack]:
        return [vote for vote in self._battery.votes if self._is_due(vote.facts, exhibit)]

    def _is_due(self, facts: AttackInfo, exhibit: ScaledImage) -> bool:
        """Tell whether an attack means something on an image and is not finished."""
        means = facts.applies_to(is_veil=exhibit.is_veil)
        return means and not self._state.has(exhibit.key, facts.variants)

    def _todo(self, exhibit: ScaledImage, number: int) -> list[Attack]:
        """Return the attacks that are not finished; learns those that need to, at the first image in need."""
        own = [attack for attack in self._battery.attacks if self._is_due(attack.facts, exhibit)]
        waiting = {
            learner.facts.variants
            for learner in self._battery.learners
            if self._is_due(learner.facts, exhibit) and not self._studied(learner, number)
        }
        if waiting and self._learned is None:
            self._learned = self._learn()
        return own + [attack for attack in self._learned or () if attack.facts.variants in waiting]

    def _studied(self, learner: object, number: int) -> bool:
        """Tell whether the removal network learned from this very image."""
        return isinstance(learner, NetworkLearner) and number % 2 == 1

    def _learn(self) -> tuple[Attack, ...]:
        crowd: list[Evidence] = []
        veils: list[bool] = []
        seen: list[Evidence] = []
        public: list[Bytes] = []
        # only the removal network, which `standard` has not, looks at whole images
        wants_public = any(isinstance(one, NetworkLearner) for one in self._battery.learners)
        count = 2 * _MOST_PUBLIC if wants_public else MOST_STUDIED
        for number, item in enumerate(islice(self._items, count)):
            exhibit = ScaledImage(item, self._logo)
            if wants_public and len(veils) < MOST_STUDIED:
                veils.append(exhibit.is_veil)
                seen = seen or [exhibit.evidence(STORED_PX)]
            if len(crowd) < MOST_STUDIED and not exhibit.is_veil:  # which has no separate marks to study
                crowd += exhibit.surroundings()
            if wants_public and number % 2 == 1:
                public.append(shrink(as_bytes(item.clean), STORED_PX))
        crowd = crowd[:MOST_STUDIED]
        self._watch.studying(len(crowd))
        learned: list[Attack] = []
        for learner in self._battery.learners:
            name = learner.facts.variants[0]
            if isinstance(learner, NetworkLearner):
                learned += self._trained(learner, seen, veils, public)
            else:
                try:
                    learned.append(learner.learn(crowd, public=public, seed=self._seed))
                except BREAKDOWNS:
                    self.breakdowns[name] += len(crowd)
            self._watch.learned(name)
        return tuple(learned)

    def _trained(
        self,
        learner: NetworkLearner,
        seen: Sequence[Evidence],
        veils: Sequence[bool],
        public: Sequence[Bytes],
    ) -> list[Attack]:
        """Train the removal network; whatever goes wrong costs its row alone."""
        name = learner.facts.variants[0]
        self._watch.training(name)
        ready = replace(
            learner, kinds=kinds_of(veils), folder=self._state_dir, watch=training_observer(self._watch, name)
        )
        try:
            attack = ready.learn(seen, public=public, seed=self._seed)
        except UNTRAINED as error:
            self.notes.append(f"attack {name}: left out, its training broke down: {error}")
            return []
        if isinstance(attack, NetworkAttack) and attack.note:
            self.notes.append(attack.note)
        return [attack]

    def _restore(self, exhibit: ScaledImage, attacks: Sequence[Attack], number: int) -> _Done:
        """Let attacks work on one image; runs in a thread."""
        canvases: list[list[Floats]] = [[] for _ in self._targets]

        def shown(picture: Bytes) -> int:
            for canvas, target in zip(canvases, self._targets, strict=True):
                canvas.append(target.canvas(picture))
            return len(canvases[0]) - 1

        clean_at = shown(exhibit.clean)
        results = []
        for attack in attacks:
            kept = [len(canvas) for canvas in canvases]
            try:
                results.append(self._attacked(attack, exhibit, number, clean_at=clean_at, shown=shown))
            except BREAKDOWNS as error:
                if "none" in attack.facts.variants:  # without it there is nothing to compare with
                    raise
                for canvas, count in zip(canvases, kept, strict=True):
                    del canvas[count:]
                name = attack.facts.variants[0]
                self.breakdowns[name] += 1
                if attack.facts.number == USERS_NUMBER:  # who wrote it wants to know
                    self._reasons.setdefault(name, str(error))
        return _Done(exhibit, results, canvases)

    def _attacked(
        self,
        attack: Attack,
        exhibit: ScaledImage,
        number: int,
        *,
        clean_at: int,
        shown: Callable[[Bytes], int],
    ) -> _Restored:
        """Let one attack work on one image."""
        evidence = exhibit.evidence(attack.facts.longest_px)
        if isinstance(attack, DifferenceAttack):
            evidence = self._with_second(exhibit, number).shrunk(attack.facts.longest_px)
        began = time.perf_counter()
        made = attack.restore(evidence)
        seconds = (time.perf_counter() - began) / len(attack.facts.variants)
        places = {name: shown(picture) for name, picture in made.items()}
        controls = dict.fromkeys(made, clean_at) if attack.facts.control == "clean" else places
        if attack.facts.control == "transform":
            again = attack.restore(exhibit.control(attack.facts.longest_px))
            controls = {name: shown(picture) for name, picture in again.items()}
        psnrs: dict[str, float | None] = dict.fromkeys(made)
        likenesses: dict[str, float | None] = dict.fromkeys(made)
        if attack.facts.comparable:
            clean, mask = exhibit.truth(attack.facts.longest_px)
            psnrs = {name: psnr(picture, clean, mask) for name, picture in made.items()}
            likenesses = {name: similarity(picture, clean, mask) for name, picture in made.items()}
        return _Restored(places, controls, psnrs, likenesses, seconds)

    def _with_second(self, exhibit: ScaledImage, number: int) -> Evidence:
        second = None
        if self._logo is not None:
            rng = np.random.default_rng([self._seed, 14, number])
            second = another_version(exhibit.clean, exhibit.mask, self._logo, rng)
        seen = exhibit.evidence(max(exhibit.mask.shape))
        return Evidence(seen.marked, seen.mask, seen.logo, second)

    # ---------------------------------------------------------------------------------- classifying

    def _finish(self, done: _Done) -> None:
        """Classify all pictures of one image and keep what came out."""
        found = [
            outputs_of(target, canvases)
            for target, canvases in zip(self._targets, done.canvases, strict=True)
        ]
        tops = [[-1 if one is None else int(one.argmax()) for one in outputs] for outputs in found]
        key = done.exhibit.key
        for one in done.results:
            cells = {
                name: VariantResult(
                    answers=tuple(int(top[place]) for top in tops),
                    control=tuple(int(top[one.controls[name]]) for top in tops),
                    psnr=one.psnr[name],
                    ssim=one.ssim[name],
                    seconds=one.seconds,
                    outputs=tuple(_rounded(outputs[place]) for outputs in found),
                )
                for name, place in one.places.items()
            }
            for name, cell in cells.items():
                self.breakdowns[name] += min((*cell.answers, *cell.control)) < 0
            self._state.add(key, cells)
        for vote in self._votes(done.exhibit):
            cells = self._vote(vote, done.exhibit)
            for name, cell in cells.items():
                self.breakdowns[name] += min((*cell.answers, *cell.control)) < 0
            if any(max(cell.answers) >= 0 for cell in cells.values()):  # else tried again if it goes on
                self._state.add(key, cells)
        self._watch.attacked(done.exhibit.name)

    def _vote(self, vote: VotingAttack, exhibit: ScaledImage) -> dict[str, VariantResult]:
        began = time.perf_counter()
        seen = exhibit.evidence(WHOLE_PX)
        answers = [_counted(vote, target, seen) for target in self._targets]
        seconds = (time.perf_counter() - began) / len(vote.facts.variants)
        controls: Sequence[Mapping[str, int]] = answers
        if vote.facts.control == "transform":
            clean = exhibit.control(WHOLE_PX)
            controls = [_counted(vote, target, clean) for target in self._targets]
            # an answer without its control tells nothing
            answers = [
                one if min(other.values()) >= 0 else other
                for one, other in zip(answers, controls, strict=True)
            ]
        return {
            name: VariantResult(
                answers=tuple(one[name] for one in answers),
                control=tuple(one[name] for one in controls),
                psnr=None,
                ssim=None,
                seconds=seconds,
            )
            for name in vote.facts.variants
        }
