"""The first screen: whether it is safe to publish, in three sentences."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from medlocker.evaluate._numbers import Condition, Numbers, TargetNumbers
from medlocker.evaluate._pairs import CLEAN
from medlocker.evaluate._qualities import ReleaseQuality
from medlocker.evaluate.report._advice import Advice
from medlocker.evaluate.report._headline import kappa_text

NOT_ASKED = Advice(
    "open",
    "Do not decide yet, because",
    "no attack was tried on the marks: run evaluate again with --removal standard.",
)
SAID_BY_TONE = {"yes": "Nothing that was tried speaks against it", "no": "No", "open": "Not known yet"}


@dataclass(frozen=True)
class Summary:
    """What a custodian reads first.

    Args:
        answer: To the question whether it is safe, in some words.
        advice: What to do about publishing, and why.
        machines: What the model still reads that reads the marked images best.
        people: What people still see.
        failed: How much went wrong; it is listed below.
    """

    answer: str
    advice: Advice
    machines: str
    people: str
    failed: int = 0


def summarise_page(
    numbers: Numbers, qualities: Sequence[ReleaseQuality], advice: Advice | None, *, failed: int
) -> Summary:
    """Return the three sentences.

    Args:
        advice: Judged by attackers; None if none was asked for.
        failed: Models, images and attacks that failed.
    """
    known = advice or NOT_ASKED
    return Summary(SAID_BY_TONE[known.tone], known, _machines(numbers), _people(qualities), failed)


def _machines(numbers: Numbers) -> str:
    """Say what the best reader of the marked images is right on."""
    best = max(
        ((target, target.numbers(key)) for target in numbers.targets for key in numbers.keys),
        key=lambda pair: _strength(pair[1]),
    )
    target, marked = best
    if marked.accuracy is None:
        return "No model answered anything about a marked image."
    clean = target.numbers(CLEAN).accuracy or 0.0
    kappa = "" if marked.kappa is None else f", kappa {kappa_text(marked)} where 0 is chance"
    who = f"{target.target.name}{_of_all(numbers.targets)}"
    return f"{who} is right on {marked.accuracy:.0%} of marked images and on {clean:.0%} of originals{kappa}."


def _of_all(targets: Sequence[TargetNumbers]) -> str:
    return "" if len(targets) == 1 else f", the model of {len(targets)} that reads marked images best,"


def _strength(one: Condition) -> tuple[float, float, float]:
    """Order by kappa of either sign, as the chart beneath does, then by what else answers tell."""
    told = one.information
    left = -1.0 if told is None else max(told.plain.left, told.balanced.left)
    return abs(one.kappa or 0.0), left, one.left.share or 0.0


def _people(qualities: Sequence[ReleaseQuality]) -> str:
    """Say how much of the pictures people still see; of several releases, of the one that keeps least."""
    seen = [(quality.measures["contrast"], quality) for quality in qualities]
    measured = [(one.median, one.worst, q) for one, q in seen if one.median is not None]
    if not measured:
        return "How well people still read the images could not be measured."
    median, worst, quality = min(measured, key=lambda one: one[0])
    words = f"People still see {median:.0%} of the local contrast on the middle image"
    words += "" if worst is None else f" and {worst:.0%} on the worst"
    if quality.touched is None:
        return f"{words}; whether marks touch lesions was not checked, for no regions were given (--regions)."
    touched = f"{quality.touched} pixels of the given regions were changed"
    return f"{words}; {touched if quality.touched else 'no pixel of the given regions was changed'}."
