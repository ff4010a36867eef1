"""Running an evaluation: read in threads, ask in batches, keep only numbers."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

from medlocker.classifiers import BATCH
from medlocker.errors import Failure, InputError
from medlocker.evaluate._answers import BatchPredictor, Predictions
from medlocker.evaluate._control import Control
from medlocker.evaluate._pairs import Pair, Pairs, Release, condition_keys, panel_keys
from medlocker.evaluate._processing import ImageProcessor, ProcessedImage, View
from medlocker.evaluate._quality import Quality
from medlocker.evaluate._targets import Target
from medlocker.labels import Labels
from medlocker.regions import Regions


@dataclass(frozen=True, eq=False)
class Evaluation:
    """What to evaluate.

    Args:
        pairs: From :func:`pair_up`.
        releases: The same as there.
        labels: The truth; images without a label are left out.
        targets: From :func:`open_targets`.
        control: How the random marks are made.
        regions: Keep-out boxes for the control, and to count touched pixels; or None.
        limit: Most images that are judged, the first by name that have a label; None takes all.
        workers: Threads that read; each holds one image with its marked versions.
        batch: Pictures in one call of a model.
    """

    pairs: Pairs
    releases: Sequence[Release]
    labels: Labels
    targets: Sequence[Target]
    control: Control
    regions: Regions | None = None
    views: Sequence[View] = ()
    limit: int | None = None
    workers: int = 2
    batch: int = BATCH

    @property
    def keys(self) -> tuple[str, ...]:
        """The releases' conditions: ``protected``, or the folders' names if there are several."""
        return condition_keys([release.folder for release in self.releases])

    @property
    def panels(self) -> tuple[str, ...]:
        """The conditions in which a grey panel stands for each release's marks, in the same order."""
        return panel_keys(self.keys)

    def labelled(self) -> tuple[tuple[tuple[Pair, str], ...], tuple[str, ...]]:
        """Return the pairs that are judged, with their labels, and the names that have none.

        Raises:
            InputError: If no image has a label.
        """
        found, missing = [], []
        for pair in self.pairs.pairs:
            label = self.labels.for_name(pair.name)
            if label is None:
                missing.append(pair.name)
            else:
                found.append((pair, label))
        if not found:
            raise InputError(
                f"labels {self.labels.file}: expected labels of the images, got none of them",
                hint="the first column names the images as below --clean",
            )
        return tuple(found[: self.limit]), tuple(missing)


@dataclass(frozen=True, eq=False)
class EvaluatedImage:
    """One image that was judged.

    Args:
        label: Its label as the file writes it.
        qualities: By the releases' conditions.
    """

    pair: Pair
    label: str
    qualities: Mapping[str, Quality]


@dataclass(frozen=True, eq=False)
class Result:
    """What an evaluation found out.

    Args:
        images: Judged, by number: numbers are those of the answers.
        unlabelled: Names of images that were left out.
        failed: Why images could not be used.
        without_room: How many images have no random mark.
    """

    evaluation: Evaluation
    images: Mapping[int, EvaluatedImage]
    answers: Sequence[Predictions]
    unlabelled: tuple[str, ...]
    failed: tuple[Failure, ...]
    without_room: int


def evaluate(
    evaluation: Evaluation, *, progress: Callable[[str, Failure | None], None] = lambda name, failure: None
) -> Result:
    """Judge every image.

    Args:
        progress: Told each image's name, and why it failed if it did.

    Raises:
        InputError: If no image could be judged.
    """
    chosen, unlabelled = evaluation.labelled()
    looker = ImageProcessor(
        [target.model for target in evaluation.targets],
        evaluation.keys,
        evaluation.control,
        evaluation.regions,
        evaluation.views,
    )
    asker = BatchPredictor(evaluation.targets, batch=evaluation.batch)
    images: dict[int, EvaluatedImage] = {}
    failed: list[Failure] = []
    counts: Counter[str] = Counter()
    for number, looked in _looks(looker, [pair for pair, _ in chosen], workers=evaluation.workers):
        pair, label = chosen[number]
        if isinstance(looked, Failure):
            failed.append(looked)
            progress(pair.name, looked)
            continue
        asker.add(number, looked)
        images[number] = EvaluatedImage(pair, label, looked.qualities)
        failed += looked.failed
        counts["no room"] += looked.no_room
        progress(pair.name, looked.failed[0] if looked.failed else None)
    asker.finish()
    if not images:
        raise InputError(f"no image could be judged; the first: {failed[0].reason}")
    for answers in asker.answers:
        failed += [Failure.of(error, images[k].pair.name) for k, error in sorted(answers.failed.items())]
    return Result(evaluation, images, asker.answers, unlabelled, tuple(failed), counts["no room"])


def _looks(
    looker: ImageProcessor, pairs: Sequence[Pair], *, workers: int
) -> Iterator[tuple[int, ProcessedImage | Failure]]:
    """Yield (number, what was seen or why not) in order; only a few images are read ahead."""
    with ThreadPoolExecutor(workers, thread_name_prefix="medlocker-look") as pool:
        pending: deque[tuple[int, Future[ProcessedImage]]] = deque()
        source = iter(enumerate(pairs))
        try:
            while True:
                while len(pending) <= workers and (following := next(source, None)) is not None:
                    number, pair = following
                    pending.append((number, pool.submit(looker.look, pair)))
                if not pending:
                    return
                number, future = pending.popleft()
                yield number, _outcome(future, pairs[number].name)
        finally:
            for _, future in pending:
                future.cancel()


def _outcome(future: Future[ProcessedImage], name: str) -> ProcessedImage | Failure:
    try:
        return future.result()
    except (InputError, MemoryError) as error:
        return Failure.of(error, name)
