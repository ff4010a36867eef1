"""The headline: whether what a model answers still tells anything, in a plain sentence for each release."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol

from medlocker.evaluate._numbers import Condition, Numbers, TargetNumbers
from medlocker.evaluate._pairs import CLEAN
from medlocker.information import Information, InformationGain

Kind = Literal["nothing", "little", "something", "turned", "useless", "unknown"]

_TURNED = -0.2
_FEW = 30
_LITTLE_KAPPA, _LITTLE_AREA, _LITTLE_LEFT = 0.1, 0.1, 0.05
ALWAYS_WRONG = "a model that is always wrong tells as much as one that is always right"


@dataclass(frozen=True)
class Finding:
    """What one target's answers on one release still tell.

    Args:
        kind: ``nothing`` that can be shown; ``little``; ``something``; ``turned``: of two classes the wrong
            one too often, so that the answers only want turning round; ``useless``: nothing of the originals
            either; ``unknown``: too few images, or all of one class.
        text: The sentence, without the target's name before it.
    """

    condition: str
    kind: Kind
    text: str


def findings(numbers: Numbers, target: TargetNumbers) -> tuple[Finding, ...]:
    """Return one finding for each release."""
    clean = target.numbers(CLEAN)
    return tuple(Finding(key, *_judge(clean, target.numbers(key), target)) for key in numbers.keys)


def points(value: float) -> str:
    """Return a difference of shares as whole points with its sign: ``+4``."""
    whole = round(100 * value)
    return f"{whole:+d}" if whole else "0"


def gain_text(gain: InformationGain) -> str:
    """Return ``+4 (-2 to +9)``, in points."""
    return f"{points(gain.left)} ({points(gain.interval[0])} to {points(gain.interval[1])})"


class HasKappa(Protocol):
    """What has a kappa and its interval."""

    @property
    def kappa(self) -> float | None:
        """Cohen's kappa; None if it was not measured."""
        ...

    @property
    def kappa_interval(self) -> tuple[float, float] | None:
        """Its interval of 95 %."""
        ...


def kappa_text(one: HasKappa) -> str:
    """Return ``0.04 (-0.10 to 0.18)``."""
    if one.kappa is None or one.kappa_interval is None:
        return "-"
    low, high = one.kappa_interval
    return f"{_signed(one.kappa)} ({_signed(low)} to {_signed(high)})"


def auc_text(one: Condition, *, before: str = "") -> str:
    """Return ``0.58 (0.41 to 0.59)``: in brackets, behind the given words, what is reached by chance."""
    if one.auc is None or one.auc_chance is None:
        return "-"
    low, high = one.auc_chance
    return f"{one.auc:.2f} ({before}{low:.2f} to {high:.2f})"


def _is_ordered(one: Condition) -> bool:
    """Tell whether outputs order the images by class better, or worse, than chance does."""
    if one.auc is None or one.auc_chance is None:
        return False
    return not one.auc_chance[0] <= one.auc <= one.auc_chance[1]


def _signed(value: float) -> str:
    text = f"{value:.2f}"
    return "0.00" if text == "-0.00" else text


def _judge(clean: Condition, marked: Condition, target: TargetNumbers) -> tuple[Kind, str]:
    if target.is_one_class:
        return "unknown", "all labels are the same class, so what its answers still tell cannot be measured"
    if marked.kappa is None or marked.kappa_interval is None or marked.information is None:
        return "unknown", f"{marked.n} images are too few to measure what its answers still tell"
    low, high = marked.kappa_interval
    told = marked.information
    if len(target.target.model.classes) == 2 and marked.kappa < _TURNED and high < 0:
        return "turned", _turned_words(marked)
    numbers = (
        f"kappa {kappa_text(marked)}, AUC {auc_text(marked, before='by chance ')}, information left "
        f"{gain_text(told.plain)} points{_balanced_words(told)}"
    )
    originals = "" if clean.information is None else f"; of the originals: {_information_words(clean)}"
    if told.is_shown or low > 0 or high < 0 or _is_ordered(marked):
        kind: Kind = "little" if _is_little(marked, told) else "something"
        return kind, f"its answers still tell {kind}: {numbers}; {_learned_words(told)}{originals}"
    if clean.information is not None and clean.kappa_interval is not None and _is_useless(clean):
        words = f"even of the originals its answers tell nothing that can be shown: {numbers}{originals}"
        return "useless", f"{words}. It cannot show whether the marks protect"
    return "nothing", f"its answers tell nothing that can be shown: {numbers}{originals}{_doubt(marked)}"


def _is_little(marked: Condition, told: Information) -> bool:
    kappa, area = abs(marked.kappa or 0.0), abs((marked.auc or 0.5) - 0.5)
    left = max(told.plain.left, told.balanced.left)
    return kappa <= _LITTLE_KAPPA and area <= _LITTLE_AREA and left <= _LITTLE_LEFT


def _is_useless(clean: Condition) -> bool:
    low = clean.kappa_interval[0] if clean.kappa_interval is not None else 0.0
    shown = clean.information is not None and clean.information.is_shown
    return low <= 0 and not shown and not _is_ordered(clean)


def _turned_words(marked: Condition) -> str:
    right = 0.0 if marked.accuracy is None else marked.accuracy
    return (
        f"of two classes it names the wrong one: kappa {kappa_text(marked)}, right on {right:.0%}. Whoever "
        f"turns its answers round is right on {1 - right:.0%}: {ALWAYS_WRONG}, so this is no protection"
    )


def _learned_words(told: Information) -> str:
    is_plain = told.plain.is_shown or not told.balanced.is_shown
    gain = told.plain if is_plain else told.balanced
    how = "a table of what each answer means" if gain.learner == "table" else "a regression on its outputs"
    words = f"{how}, learned on half of the images, is right on {gain.accuracy:.0%} of the other half, where "
    if is_plain:
        return f"{words}the most frequent class is {gain.control:.0%}"
    return f"{words}chance gets {gain.control:.0%}, every class counted as heavy as each other"


def _information_words(clean: Condition) -> str:
    told = clean.information
    area = "-" if clean.auc is None else f"{clean.auc:.2f}"
    return "" if told is None else f"kappa {kappa_text(clean)}, AUC {area}, {gain_text(told.plain)} points"


def _balanced_words(told: Information) -> str:
    """Add the balanced count where it shows what a frequent class hides."""
    if told.plain.is_shown or not told.balanced.is_shown:
        return ""
    return f" ({gain_text(told.balanced)} balanced)"


def _doubt(marked: Condition) -> str:
    told = marked.information
    if told is None or marked.n >= _FEW:
        return ""
    return (
        f". {marked.n} images are few: up to {points(told.plain.interval[1])} points may be left all the same"
    )
