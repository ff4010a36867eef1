"""Several transfers at once: one that fails costs only itself, a server that is gone ends them all."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from typing import TypeVar

from medlocker.dicomweb._http import CONNECTIONS, ServerGoneError
from medlocker.errors import CertificateError, MedlockerError, TransferError

Job = TypeVar("Job")
Result = TypeVar("Result")
MAX_FAILURES = 20
"""After so many failures one after the other nothing more is tried."""


def run_parallel(
    jobs: Iterable[Job], work: Callable[[Job], Result], *, threads: int = CONNECTIONS
) -> Iterator[tuple[Job, Result | MedlockerError]]:
    """Do jobs in threads and yield each with its result, or the error that cost it alone, in their order.

    Args:
        jobs: Taken as they are needed, a few ahead.
        work: What is done with each.
        threads: How many at once.

    Raises:
        MedlockerError: What ends everything: no connection, refused credentials, a full disk, or many
            failures one after the other. What is under way is finished and yielded first.
    """
    failures = 0
    ended: MedlockerError | None = None
    coming = iter(jobs)
    waiting: deque[tuple[Job, Future[Result]]] = deque()
    with ThreadPoolExecutor(threads, thread_name_prefix="dicomweb") as pool:
        try:
            while True:
                if ended is None:
                    for job in islice(coming, 2 * threads - len(waiting)):
                        waiting.append((job, pool.submit(work, job)))
                if not waiting:
                    break
                job, future = waiting.popleft()
                try:
                    result = _settle(future)
                    failures = failures + 1 if isinstance(result, TransferError) else 0
                    yield job, result
                    if failures == MAX_FAILURES:
                        raise TransferError(f"{failures} failures one after the other, the last: {result}")
                except MedlockerError as error:
                    ended = ended or error
                    _drop_waiting(waiting)
        finally:
            _drop_waiting(waiting)
    if ended is not None:
        raise ended


def _drop_waiting(waiting: deque[tuple[Job, Future[Result]]]) -> None:
    """Forget what has not begun; what is under way is left to end."""
    under_way = [(job, future) for job, future in waiting if not future.cancel()]
    waiting.clear()
    waiting.extend(under_way)


def _settle(future: Future[Result]) -> Result | MedlockerError:
    try:
        return future.result()
    except ServerGoneError:
        raise
    except (TransferError, CertificateError) as error:
        return error
