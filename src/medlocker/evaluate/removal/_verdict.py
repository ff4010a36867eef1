"""The battery in one paragraph that a custodian can act on."""

from __future__ import annotations

from collections.abc import Sequence

from medlocker.evaluate.removal._result import BatteryResult, Best, Row

RESTORED_DB = 35.0
_ALMOST_ALL, _MUCH = 0.8, 0.4
_FEW = 20
"""Right answers on clean images below which a small share proves nothing."""
_RETRAINED, _MERGED, _PREPARED = 13, 14, 15
UNDOING = (6, 7, 9, 10, 16, 17)
"""Attacks that give the marked pixels back, if they work."""
_ADVICE = dict.fromkeys((6, 7, 9), ": use --harden.")


def verdict(result: BatteryResult) -> str:
    """Tell in plain words what attackers get, for the target on which they get most.

    Says nothing about attacks that were not run, and that the best attacker is an upper bound.
    """
    judged = [best for best in result.best if best.n]
    if not judged:
        return "No target is right on any of these images when they are clean, so removal tells nothing."
    worst = max(judged, key=lambda best: (best.left or 0.0, best.n))
    rows = [row for row in result.rows if row.target == worst.target and row.n]
    sentences = [
        f"On {worst.target}, which is right on {worst.n} of {result.images} clean images",
        _unattacked(rows),
        _single(worst, rows),
        _bound(worst),
        *_inversion(rows),
        *_beyond(rows),
    ]
    first = (
        f"{sentences[0]}, {sentences[1]}" if sentences[1] else f"{sentences[0]}, these attacks were tried."
    )
    return " ".join([first, *sentences[2:]])


def _unattacked(rows: Sequence[Row]) -> str:
    for row in rows:
        if row.attack == "none":
            return f"somebody who does nothing gets {_percent(row)} of them right."
    return ""


def _single(best: Best, rows: Sequence[Row]) -> str:
    row = next((row for row in rows if row.attack == best.single), None)
    if row is None or row.attack == "none":
        return "No single attack that was tried gets more."
    return f"Who knows {row.knows} gets most by '{row.attack}': {_percent(row)}."


def _bound(best: Best) -> str:
    left = best.left or 0.0
    text = (
        f"Somebody who tries everything and is told which attempt was right gets at most {left:.0%} "
        f"({best.right} of {best.n}); by luck alone that many attempts reach any other given class on "
        f"{best.luck:.0%}."
    )
    if left >= _ALMOST_ALL:
        return f"{text} Do not count on these marks against a determined person."
    if left >= _MUCH:
        return f"{text} These marks hinder a determined person, they do not stop one."
    if best.n < _FEW:
        return f"{text} On so few images that says little."
    return f"{text} These marks hold against all that was tried."


def _inversion(rows: Sequence[Row]) -> list[str]:
    """Say whether the pixels themselves come back."""
    best = max(
        (row for row in rows if row.number in UNDOING and row.psnr_region is not None),
        key=lambda row: row.psnr_region or 0.0,
        default=None,
    )
    if best is None or best.psnr_region is None:
        return []
    if best.psnr_region >= RESTORED_DB:
        return [
            f"Who knows {best.knows} restores the marked pixels almost perfectly "
            f"({best.psnr_region:.0f} dB){_ADVICE.get(best.number, '.')}"
        ]
    return [
        f"Undoing the blend gives at best {best.psnr_region:.0f} dB in the marked pixels, which is no "
        "restoration."
    ]


def _beyond(rows: Sequence[Row]) -> list[str]:
    found = []
    for row in rows:
        if row.number == _RETRAINED:
            found.append(
                f"Who has labels and trains the classifier on half of the images gets {_percent(row)}: no "
                "mark prevents that."
            )
        if row.number == _PREPARED:
            found.append(
                "Who expects such marks and trains the classifier on clean images, painted on with random "
                f"ones, gets {_percent(row)}: he needs no marked image."
            )
        if row.number == _MERGED:
            found.append(
                f"Who has a second marked version merges the two and gets {_percent(row)}: never give "
                "away two."
            )
    return found


def _percent(row: Row) -> str:
    low, high = row.interval or (0.0, 1.0)
    return f"{row.left or 0.0:.0%} ({low:.0%} to {high:.0%})"
