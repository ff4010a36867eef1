"""Markdown tables and honest intervals for the benchmarks."""

from __future__ import annotations

import math
from collections.abc import Sequence


def wilson(successes: int, trials: int) -> tuple[float, float]:
    """Return the 95 % Wilson interval of a share (Wilson 1927)."""
    if trials == 0:
        return 0.0, 1.0
    z = 1.959964
    share = successes / trials
    centre = share + z * z / (2 * trials)
    reach = z * math.sqrt(share * (1 - share) / trials + z * z / (4 * trials * trials))
    scale = 1 + z * z / trials
    return max((centre - reach) / scale, 0.0), min((centre + reach) / scale, 1.0)


def share(successes: int, trials: int) -> str:
    """Return ``62 % (49 to 73, 33/53)``."""
    low, high = wilson(successes, trials)
    return f"{successes / max(trials, 1):.0%} ({low:.0%} to {high:.0%}, {successes}/{trials})"


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a markdown table."""
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    lines += ["| " + " | ".join(row) + " |" for row in rows]
    return "\n".join(lines)
