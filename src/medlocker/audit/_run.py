"""Asking models about images with their own marks and with others, one image after the other."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from medlocker.audit._sample import Member
from medlocker.audit._views import Marker, Views
from medlocker.classifiers import Classifier, logits_of
from medlocker.errors import Failure, MedlockerError, ModelError


@dataclass(frozen=True, eq=False)
class Answers:
    """What models answered.

    Args:
        scores: For every model, (N, K + 1) log-odds, a row for each group of images with the same marks.
        images: How many were asked about.
        evaluations: Pictures through a model.
        not_as_filed: Images whose own marks, put on again, give other pixels than the file.
        failures: Images left out.
    """

    scores: tuple[NDArray[np.float64], ...]
    images: int
    evaluations: int
    not_as_filed: int
    failures: tuple[Failure, ...]


def ask(
    marker: Marker,
    members: Sequence[Member],
    truths: Sequence[Callable[[str], int | None]],
    *,
    batch: int,
    workers: int,
    progress: Callable[[], None] = lambda: None,
) -> Answers:
    """Ask every model about every image.

    Args:
        marker: Puts marks on.
        members: The images.
        truths: For every model, from an original's name to the index of its class; None: the model's own
            answer counts.
        batch: Pictures in one call of a model.
        workers: Threads that mark.
        progress: Called after each image.

    Raises:
        ModelError: If a model fails or answers NaN.
    """
    groups: dict[str, list[list[NDArray[np.float64]]]] = defaultdict(list)
    failures: list[Failure] = []
    evaluations = not_as_filed = 0
    for member, views in _views(marker, members, workers):
        progress()
        if isinstance(views, MedlockerError):
            failures.append(Failure.of(views, member.line.entry.name))
            continue
        not_as_filed += not views.as_filed
        rows = []
        for model, canvases, truth in zip(marker.models, views.canvases, truths, strict=True):
            logits = _logits(model, canvases, batch)
            evaluations += logits.shape[0] * logits.shape[1]
            rows.append(_log_odds(logits, truth(member.original_name)))
        groups[views.group].append(rows)
    scores = tuple(
        np.array([np.mean([rows[k] for rows in some], axis=0) for some in groups.values()])
        for k in range(len(marker.models))
    )
    images = sum(map(len, groups.values()))
    return Answers(scores, images, evaluations, not_as_filed, tuple(failures))


def _views(
    marker: Marker, members: Sequence[Member], workers: int
) -> Iterator[tuple[Member, Views | MedlockerError]]:
    """Yield views in order; a few images are worked on ahead."""

    def work(member: Member) -> Views | MedlockerError:
        try:
            return marker.views(member)
        except ModelError:
            raise
        except MedlockerError as error:
            return error

    with ThreadPoolExecutor(workers, thread_name_prefix="audit") as pool:
        pending: deque[tuple[Member, Future[Views | MedlockerError]]] = deque()
        try:
            for member in members:
                pending.append((member, pool.submit(work, member)))
                if len(pending) > workers:
                    first, future = pending.popleft()
                    yield first, future.result()
            while pending:
                first, future = pending.popleft()
                yield first, future.result()
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def _logits(model: Classifier, canvases: NDArray[np.float32], batch: int) -> NDArray[np.float64]:
    """Return (K + 1, 2 F, classes): of F frames as they are, and mirrored left to right.

    Who trains with mirrored images makes the model remember both, so two looks are surer than one.
    """
    looks = np.concatenate([canvases, canvases[:, :, :, ::-1]], axis=1)
    marks, count = looks.shape[:2]
    answers = logits_of(model, looks.reshape(marks * count, *looks.shape[2:]), batch=batch)
    return answers.astype(np.float64).reshape(marks, count, -1)


def _log_odds(logits: NDArray[np.float64], label: int | None) -> NDArray[np.float64]:
    """Return (K + 1,) log-odds of a class, the mean over looks; without a label, of the likeliest."""
    own = int(logits.mean(axis=(0, 1)).argmax()) if label is None else label
    rest = np.delete(logits, own, axis=-1)
    highest = rest.max(axis=-1)
    others = highest + np.log(np.exp(rest - highest[..., None]).sum(axis=-1))
    return np.asarray((logits[..., own] - others).mean(axis=1))
