"""How the report says its numbers, and where its templates lie."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from medlocker.evaluate._numbers import RemainingAccuracy
from medlocker.evaluate.removal import Agreement, Row
from medlocker.evaluate.report._headline import auc_text, gain_text, kappa_text
from medlocker.pages import Filters, render_page

_TEMPLATES = Path(__file__).parent / "templates"


def render_report(template: str, **values: Any) -> bytes:
    """Return a page of the report's templates.

    Args:
        template: File name.
        values: For the template.
    """
    filters: Filters = {
        "left": left_text,
        "gain": gain_text,
        "kappa": kappa_text,
        "auc": auc_text,
        "share": accuracy_text,
        "seconds": seconds_text,
        "restored": restored_text,
    }
    return render_page(template, folders=[_TEMPLATES], filters=filters, **values)


def left_text(left: RemainingAccuracy) -> str:
    """Return ``3 of 12 (25 %, 9 to 53 %)``."""
    if left.share is None or left.interval is None:
        return "-"
    low, high = left.interval
    return f"{left.count} of {left.n} ({100 * left.share:.0f} %, {100 * low:.0f} to {100 * high:.0f} %)"


def accuracy_text(one: Agreement | None) -> str:
    """Return ``70 % (48 to 85 %)``."""
    if one is None:
        return "-"
    low, high = one.interval
    return f"{100 * one.accuracy:.0f} % ({100 * low:.0f} to {100 * high:.0f} %)"


def seconds_text(seconds: float) -> str:
    """Return seconds with two digits; nobody pays for less than a hundredth."""
    return "under 0.01" if seconds < 0.01 else f"{seconds:.2g}" if seconds < 10 else f"{seconds:.0f}"


def restored_text(row: Row) -> str:
    """Return ``20.0 (22.0)``: the middle image's decibels, and what a tenth of the images passes."""
    if row.psnr_region is None:
        return "-"
    return f"{row.psnr_region:.1f} ({row.psnr_region_p90 or 0.0:.1f})"
