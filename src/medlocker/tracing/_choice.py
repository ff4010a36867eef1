"""Where points do not tell which picture a found one was made of, the sealed marks decide."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TypeAlias

from medlocker.tracing._fingerprint import Likeness
from medlocker.tracing._pictures import Look
from medlocker.tracing._proof import MarkEvidence
from medlocker.tracing._search import CERTAIN_MATCHES, Candidate, Traced

_LEAST_DEVIATIONS = 15.0
"""More than of one picture, as it is the best of ten; foreign pictures came to 5."""
_CLEARLY_BETTER = 1.5
"""So many times the deviations of the next best."""
_FEWEST_MATCHES = 4
"""Of fewer points no picture can be laid onto another."""

Looking: TypeAlias = Callable[[Candidate, Likeness], Look | None]
"""Looks at one picture's mark; None if that cannot be done."""


@dataclass(frozen=True)
class Decision:
    """Which known picture a found one was made of.

    Args:
        found: Whether it was made of a known picture.
        traced: That picture, or else the one with the most points alike; and the next ones.
        look: What its mark told; None if it was not looked at.
        next_deviations: If the marks decided: what the best other mark came to. None if points did.
    """

    found: bool
    traced: Traced
    look: Look | None
    next_deviations: float | None = None


def decided(traced: Traced, look: Looking, *, sealed: bool) -> Decision:
    """Decide by points, and where these do not tell by the sealed marks.

    Args:
        traced: From :func:`medlocker.tracing.trace`.
        look: Called for at most ten pictures, once for each.
        sealed: Whether marks can be looked at: with private keys, and releases at hand.
    """
    if not traced.is_found:
        return _by_mark(Decision(False, traced, None), look) if sealed else Decision(False, traced, None)
    seen = look(traced.candidate, traced.likeness)
    few = traced.likeness.matches < CERTAIN_MATCHES
    if not few or seen is None or seen.evidence is None or not seen.evidence.is_other_image:
        return Decision(True, traced, seen)
    return _by_mark(Decision(False, traced, seen), look)


def _by_mark(decision: Decision, look: Looking) -> Decision:
    """Let the marks of the likeliest pictures decide."""
    best: tuple[int, Look, MarkEvidence] | None = None
    following = 0.0
    likeliest = decision.traced.likeliest
    for number, (candidate, likeness) in enumerate(likeliest):
        if likeness.matches < _FEWEST_MATCHES:
            continue
        seen = decision.look if number == 0 and decision.look is not None else look(candidate, likeness)
        if seen is None or seen.evidence is None or seen.evidence.is_other_image:
            continue
        if best is None or seen.evidence.deviations > best[2].deviations:
            following = max(following, best[2].deviations if best is not None else 0.0)
            best = number, seen, seen.evidence
        else:
            following = max(following, seen.evidence.deviations)
    if best is None or not _is_clear(best[2], following):
        return decision
    number, seen, _ = best
    others = tuple(pair for other, pair in enumerate(likeliest) if other != number)
    return replace(
        decision,
        found=True,
        traced=Traced(*likeliest[number], others),
        look=seen,
        next_deviations=following,
    )


def _is_clear(evidence: MarkEvidence, next_deviations: float) -> bool:
    least = max(_LEAST_DEVIATIONS, _CLEARLY_BETTER * next_deviations)
    return evidence.is_certain and evidence.deviations >= least
