"""What this process may use of the machine, and has used."""

from __future__ import annotations

import os
import sys
from contextlib import suppress


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


def peak_rss_mb() -> float:
    """Return the most memory this process has had, in 10^6 bytes; 0 where the system does not tell."""
    # Linux lets a new process begin with the peak of the one that started it, except here
    with suppress(OSError), open("/proc/self/status", encoding="ascii", errors="replace") as lines:
        for line in lines:
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024 / 1e6
    try:
        import resource  # not on Windows
    except ImportError:
        return 0.0
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 1e6 if sys.platform == "darwin" else peak * 1024 / 1e6
