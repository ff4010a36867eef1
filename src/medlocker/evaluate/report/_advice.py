"""One sentence that a custodian can act on: publish or not, and because of which attacker."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Literal

from medlocker.evaluate.removal import RESTORED_DB, UNDOING, BatteryResult, Row
from medlocker.evaluate.report._headline import gain_text, kappa_text, points

Tone = Literal["yes", "no", "open"]
_FEW = 30
_LITTLE_KAPPA, _LITTLE_TOLD = 0.1, 0.05
_PLAIN_MARKS = (6, 7, 9)
_MERGED = 14


@dataclass(frozen=True)
class Advice:
    """What to do.

    Args:
        tone: ``yes``: nothing that was tried speaks against publishing; ``no``; ``open``: these numbers
            cannot tell.
        word: What to do, in some words that end with a full stop or with ``because``.
        reason: Why.
    """

    tone: Tone
    word: str
    reason: str

    @property
    def text(self) -> str:
        """Both."""
        return f"{self.word} {self.reason}"


def advise(result: BatteryResult | None, *, failed: str = "") -> Advice | None:
    """Return the advice; None if no attack was asked for.

    Judged by the best attacker of all that need no more than a release gives: by information left and kappa,
    and by whether the pixels come back. **It speaks of attacks that were tried, on these images**: see the
    page for those that were not.

    Args:
        result: Of the attacks.
        failed: Why they broke down, if they did.
    """
    if result is None:
        return (
            Advice("open", "Do not decide yet, because", f"the attacks did not run: {failed}")
            if failed
            else None
        )
    able = [row for row in result.rows if row.n and _is_read_clean(row, result.rows)]
    rows = [row for row in able if row.combined]
    if not rows:
        return Advice(
            "open",
            "Do not decide by this report, because",
            "no model that was asked reads these images well enough even when they are clean.",
        )
    if (undone := _undone(rows)) is not None:
        return undone
    best = max(rows, key=lambda row: row.strength)
    if _is_shown(best, tries=len(rows)):
        return _shown(best)
    told = best.information
    if told is None or told.n < _FEW:
        words = f"{result.images if told is None else told.n} images are too few"
        left = "" if told is None else f": up to {points(told.plain.interval[1])} points may be left"
        return Advice("open", "Do not decide by this report, because", f"{words}{left}.")
    beyond = [row for row in able if not row.combined and _is_shown(row, tries=1)]
    words = f"no attacker who has only the release gets anything that can be shown: the best, {_got(best)}"
    if not beyond:
        return Advice("yes", "Publish, because", f"{words}.")
    worst = max(beyond, key=lambda row: row.strength)
    if worst.number == _MERGED:
        return Advice(
            "yes",
            "Publish one version of each image and never a second, because",
            f"{words}; but {_got(worst)}.",
        )
    return Advice(
        "no",
        "Publish only if nobody who may try has labelled images of this kind, because",
        f"{words}; but {_got(worst)}.",
    )


def _is_read_clean(row: Row, rows: Sequence[Row]) -> bool:
    """Tell whether a model is better than chance on the unmarked images."""
    none = next((one for one in rows if one.attack == "none" and one.target == row.target), row)
    control = none.control_agreement
    return control is None or control.kappa_interval is None or control.kappa_interval[0] > 0


def _undone(rows: Sequence[Row]) -> Advice | None:
    """Return the advice where the pixels themselves come back."""
    undoing = [row for row in rows if row.number in UNDOING and (row.psnr_region or 0.0) >= RESTORED_DB]
    if not undoing:
        return None
    best = max(undoing, key=lambda row: row.psnr_region or 0.0)
    mend = (
        " Mark the images again with --harden."
        if best.number in _PLAIN_MARKS
        else " Mark the images again with a stronger style."
    )
    return Advice(
        "no",
        "Do not publish, because",
        f"who knows {best.knows} gets the marked pixels back almost perfectly ({best.psnr_region:.0f} dB by "
        f"'{best.attack}', {best.seconds:.2g} s an image).{mend}",
    )


def _shown(best: Row) -> Advice:
    """Return the advice where answers still tell something."""
    kappa = 0.0 if best.agreement is None or best.agreement.kappa is None else abs(best.agreement.kappa)
    if (best.told or 0.0) <= _LITTLE_TOLD and kappa <= _LITTLE_KAPPA:
        return Advice("yes", "Publish if a little may be told, because", f"the best attacker, {_got(best)}.")
    if best.attack == "none":
        return Advice(
            "no", "Do not publish, because", f"the model reads the marked images as they are: {_got(best)}."
        )
    return Advice(
        "no",
        "Do not publish, because",
        f"an attacker who knows {best.knows} still learns something: {_got(best)}.",
    )


def _is_shown(row: Row, *, tries: int) -> bool:
    """Tell whether more than chance is left, with 95 % confidence for the best of so many attempts."""
    wider = NormalDist().inv_cdf(1 - 0.025 / tries) / NormalDist().inv_cdf(0.975)  # Bonferroni
    gains = () if row.information is None else (row.information.plain, row.information.balanced)
    if any(gain.left - wider * (gain.left - gain.interval[0]) > 0 for gain in gains):
        return True
    found = row.agreement
    if found is None or found.kappa is None or found.kappa_interval is None:
        return False
    low, high = (found.kappa + wider * (end - found.kappa) for end in found.kappa_interval)
    return low > 0 or high < 0


def _got(row: Row) -> str:
    """Return ``'blur 1' on model: information left +4 (-2 to +9) points, kappa 0.10 (0.00 to 0.20)``."""
    told = row.information
    words = f"'{row.attack}' on {row.target}, gets "
    if told is None:
        words += f"{row.right} of {row.n} right"
    else:
        gain = told.balanced if told.balanced.left > told.plain.left else told.plain
        words += f"information left {gain_text(gain)} points{' (balanced)' if gain is told.balanced else ''}"
    kappa = (
        "" if row.agreement is None or row.agreement.kappa is None else f", kappa {kappa_text(row.agreement)}"
    )
    return f"{words}{kappa}"
