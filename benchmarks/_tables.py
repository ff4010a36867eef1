"""Markdown tables and honest intervals for the benchmarks."""

from __future__ import annotations

from collections.abc import Sequence

from medlocker.metrics import wilson_interval


def share(successes: int, trials: int) -> str:
    """Return ``62 % (49 to 73, 33/53)``."""
    low, high = wilson_interval(successes, trials) if trials else (0.0, 1.0)
    return f"{successes / max(trials, 1):.0%} ({low:.0%} to {high:.0%}, {successes}/{trials})"


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a markdown table."""
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    lines += ["| " + " | ".join(row) + " |" for row in rows]
    return "\n".join(lines)
