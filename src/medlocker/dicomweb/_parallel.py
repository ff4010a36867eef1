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
            failures one after the other. What is under way is finished first.
    """
    failures = 0
    with ThreadPoolExecutor(threads, thread_name_prefix="dicomweb") as pool:
        waiting: deque[tuple[Job, Future[Result]]] = deque()
        coming = iter(jobs)
        try:
            while True:
                for job in islice(coming, 2 * threads - len(waiting)):
                    waiting.append((job, pool.submit(work, job)))
                if not waiting:
                    return
                job, future = waiting.popleft()
                result = _settle(future)
                yield job, result
                failures = _count(result, failures)
        finally:
            for _, future in waiting:
                future.cancel()


def _settle(future: Future[Result]) -> Result | MedlockerError:
    try:
        return future.result()
    except ServerGoneError:
        raise
    except (TransferError, CertificateError) as error:
        return error


def _count(result: object, failures: int) -> int:
    if not isinstance(result, TransferError):
        return 0
    if failures + 1 >= MAX_FAILURES:
        raise TransferError(f"{failures + 1} failures one after the other, the last: {result}")
    return failures + 1
