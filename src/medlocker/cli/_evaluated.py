"""What `evaluate` prints for people."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from medlocker.cli._console import shown, stdout
from medlocker.cli._removal import print_removal
from medlocker.cli._table import aligned
from medlocker.evaluate import (
    CLEAN,
    Condition,
    Numbers,
    ReleaseQuality,
    Removal,
    auc_text,
    findings,
    gain_text,
    kappa_text,
    summarise_quality,
)


def print_evaluation(value: dict[str, Any], numbers: Numbers, removal: Removal | None, out: Path) -> None:
    """Print a table of every target and condition, and one line for each finding.

    Args:
        value: What the report holds as JSON.
        numbers: The same, as they were made.
        removal: What attackers got, or None.
        out: Folder of the report.
    """
    head = (
        "model",
        "images",
        "n",
        "accuracy",
        "left",
        "95 %",
        "kappa",
        "AUC (by chance)",
        "information left",
        "balanced",
    )
    rows: list[tuple[str, ...]] = [head]
    for target in numbers.targets:
        tags = ("  white box" if any(target.white_box) else "  unseen", f"  kappa {target.weighting}")
        names = iter((target.target.name, *tags))
        rows += [
            (next(names, ""), key, *_cells(one, is_finding=key != CLEAN))
            for key, one in target.conditions.items()
        ]
    for line in aligned(rows, flush_right=(2, 3, 4, 6, 7, 8, 9)):
        stdout.print(line, markup=False)
    for target in numbers.targets:
        for finding in findings(numbers, target):
            words = f"{target.target.name}, {finding.condition}: {finding.text}"
            stdout.print(shown(words), markup=False)
    for quality in summarise_quality(numbers.result):
        for line in (quality_line(quality), legibility_line(quality)):
            stdout.print(shown(line), markup=False)
    if removal is not None:
        print_removal(removal)
    for kind in ("skipped", "failed"):
        if value[kind]:
            stdout.print(f"{kind} {len(value[kind])}, see report.json", markup=False)
    stdout.print(f"report in {shown(str(out / 'report.html'))}", markup=False)


def _cells(one: Condition, *, is_finding: bool) -> tuple[str, ...]:
    """Return one line of the table; of the originals, that right answers are right is no finding."""
    left, interval = "", ""
    if is_finding and one.left.interval is not None:
        low, high = one.left.interval
        left, interval = f"{one.left.count} of {one.left.n}", f"{low:.0%} to {high:.0%}"
    return (
        str(one.n),
        "-" if one.accuracy is None else f"{one.accuracy:.0%}",
        left,
        interval,
        kappa_text(one),
        auc_text(one),
        "-" if one.information is None else gain_text(one.information.plain),
        "-" if one.information is None else gain_text(one.information.balanced),
    )


def legibility_line(quality: ReleaseQuality) -> str:
    """Say how well its images can be read: the middle one and the worst."""
    words = []
    for name, what, form in (
        ("contrast", "local contrast kept", "{:.0%}"),
        ("psnr", "PSNR", "{:.1f} dB"),
        ("psnr_outside_ink", "PSNR outside the ink", "{:.1f} dB"),
    ):
        spread = quality.measures[name]
        if spread.median is not None and spread.worst is not None:
            words.append(f"{what} {form.format(spread.median)} (worst {form.format(spread.worst)})")
    return f"{quality.condition}: {', '.join(words)}"


def quality_line(quality: ReleaseQuality) -> str:
    """Say how much of the images a release's marks change."""
    area, clear, ssim = (quality.measures[name].mean or 0.0 for name in ("area", "area_clear", "ssim"))
    words = f"{quality.condition}: {clear:.1%} of the pixels clearly changed"
    words += f" ({area:.1%} {'in whole JPEG blocks' if quality.in_blocks else 'at all'}), SSIM {ssim:.3f}"
    if quality.covered:
        words += f", marks over nearly all of the picture on {quality.covered} of {quality.n}"
    else:
        words += f", identical outside the marks {quality.identical_outside} of {quality.n}"
    return words if quality.touched is None else f"{words}, region pixels touched {quality.touched}"
