"""How many cores the models of this process may use."""

from __future__ import annotations

import os


def usable_cores() -> int:
    """Return how many cores this process may use."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(cores, wanted_threads() or cores)


def wanted_threads() -> int:
    """Return the threads that ``OMP_NUM_THREADS`` asks for, 0 if it does not.

    Whoever starts many processes on one machine says so by this variable: torch and BLAS heed it,
    Ray sets it.
    """
    first = os.environ.get("OMP_NUM_THREADS", "").split(",")[0].strip()
    return int(first) if first.isascii() and first.isdigit() else 0
