"""The tables of the report's page."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from medlocker.evaluate._headline import auc_text, gain_text, kappa_text
from medlocker.evaluate._html import text
from medlocker.evaluate._numbers import Condition, Left, Numbers, TargetNumbers
from medlocker.evaluate._pairs import CLEAN, RANDOM
from medlocker.evaluate._qualities import ReleaseQuality, Spread

_LOW, _MIDDLE, _HIGH = (216, 240, 224), (252, 246, 214), (250, 214, 208)
_FLUSH_RIGHT = ' class="num"'
_BAR_PX, _BAR_HEIGHT_PX = 200, 16
_CONTROL_COLOR, _OTHER_COLOR = "#c99a2e", "#2f7d6b"
_ALL_KAPPA = 0.6
"""At this kappa, of either sign, a cell is all red: what good models of hard tasks reach on originals."""


def table(head: Sequence[str], rows: Iterable[Sequence[str]], *, words: int = 1) -> str:
    """Return a table of cells that are HTML already; a cell that starts with ``<td`` is taken as it is.

    Args:
        words: How many columns are text; the others are set flush right.
    """
    heads = "".join(f"<th{'' if k < words else _FLUSH_RIGHT}>{name}</th>" for k, name in enumerate(head))
    body = "".join(f"<tr>{''.join(map(_cell, row))}</tr>" for row in rows)
    return f'<div class="scroll"><table><tr>{heads}</tr>{body}</table></div>'


def _cell(content: str) -> str:
    return content if content.startswith("<td") else f"<td>{content}</td>"


def number(content: str) -> str:
    """Return a cell that is set flush right."""
    return f"<td{_FLUSH_RIGHT}>{content}</td>"


def percent(share: float | None) -> str:
    """Return a share as whole per cent."""
    return "-" if share is None else f"{share:.0%}"


def left_text(left: Left) -> str:
    """Return ``3 of 12 (25 %, 9 to 53 %)``."""
    if left.share is None or left.interval is None:
        return "-"
    low, high = left.interval
    return f"{left.count} of {left.n} ({100 * left.share:.0f} %, {100 * low:.0f} to {100 * high:.0f} %)"


def condition_name(numbers: Numbers, key: str) -> str:
    """Return what a condition is called on the page, plain text."""
    if key == CLEAN:
        return "original"
    if key == RANDOM:
        return "random logo (control)"
    if key in numbers.panels:
        position = numbers.panels.index(key)
        return "grey panel (control)" if len(numbers.keys) == 1 else f"grey panel: {numbers.keys[position]}"
    if key in numbers.keys:
        return "protected" if len(numbers.keys) == 1 else f"protected: {key}"
    return key


def transfer_table(numbers: Numbers) -> str:
    """Return the heat map: what each target (columns) still tells of each release's images (rows)."""
    head = ["images are", *(f"judged by {text(t.target.name)}" for t in numbers.targets)]
    rows = [["<b>originals</b>", *(_heat(t.numbers(CLEAN), known="") for t in numbers.targets)]]
    for position, (key, release) in enumerate(
        zip(numbers.keys, numbers.result.evaluation.releases, strict=True)
    ):
        names = ", ".join(name for name, _ in release.surrogates) or "models not known"
        cells = [
            _heat(t.numbers(key), known="white box" if t.white_box[position] else "unseen")
            for t in numbers.targets
        ]
        rows.append([f"<b>marked: {text(release.folder)}</b><br>searched on {text(names)}", *cells])
    for key in (RANDOM, *numbers.panels):
        cells = [_heat(t.numbers(key), known="") for t in numbers.targets]
        rows.append([f"<b>{text(condition_name(numbers, key))}</b>", *cells])
    return table(head, rows)


def _heat(one: Condition, *, known: str) -> str:
    left = one.left
    if one.kappa is None and left.share is None:
        return "<td>-</td>"
    # where kappa cannot be measured, what is left stands for it
    warmth = (left.share or 0.0) if one.kappa is None else min(abs(one.kappa) / _ALL_KAPPA, 1.0)
    ends = (_LOW, _MIDDLE, 2 * warmth) if warmth < 0.5 else (_MIDDLE, _HIGH, 2 * warmth - 1)
    color = ",".join(str(round(a + (b - a) * ends[2])) for a, b in zip(ends[0], ends[1], strict=True))
    told = "-" if one.information is None else f"{gain_text(one.information.plain)} points"
    return (
        f'<td class="num" style="background:rgb({color})">{known}<br>kappa <b>{kappa_text(one)}</b><br>'
        f'information <b>{told}</b><br><span class="note">left {left_text(left)}<br>'
        f"accuracy {percent(one.accuracy)}</span></td>"
    )


def metrics_table(numbers: Numbers, target: TargetNumbers) -> str:
    """Return one target under every condition, with bars."""
    auc = "AUC (by chance)" if len(target.target.model.classes) == 2 else "AUC, mean (by chance)"
    gains = [f"kappa, {target.weighting}", auc, "information left", "balanced"]
    head = ["images are", "n", "accuracy", "balanced", *gains, "left", "", "fooled"]
    rows = []
    for key, one in target.conditions.items():
        shares = [percent(value) for value in (one.accuracy, one.balanced_accuracy)]
        # of the originals that are answered rightly, all are: that is no finding
        is_finding = key != CLEAN
        is_control = key == RANDOM or key in numbers.panels
        rows.append(
            [
                text(condition_name(numbers, key)),
                *(number(cell) for cell in (str(one.n), *shares, kappa_text(one))),
                number(auc_text(one)),
                *(number(cell) for cell in _information_cells(one)),
                number(left_text(one.left) if is_finding else "-"),
                bar(one.left, _CONTROL_COLOR if is_control else _OTHER_COLOR) if is_finding else "",
                number(percent(one.fooled) if is_finding else "-"),
            ]
        )
    return table(head, rows)


def _information_cells(one: Condition) -> tuple[str, str]:
    """Return the gain over the most frequent class with what it is made of, and the balanced gain."""
    told = one.information
    if told is None:
        return "-", "-"
    plain = told.plain
    made_of = (
        f"{plain.table:.0%} by table, {plain.regression:.0%} by regression, "
        f"most frequent class {plain.control:.0%}"
    )
    return f'{gain_text(plain)}<br><span class="note">{made_of}</span>', gain_text(told.balanced)


def bar(left: Left, color: str) -> str:
    """Return the share as a bar and its interval as a line."""
    if left.share is None or left.interval is None:
        return ""
    low, high = (round(_BAR_PX * end, 1) for end in left.interval)
    box = f'height="{_BAR_HEIGHT_PX}"'
    middle = _BAR_HEIGHT_PX / 2
    lines = ((low, high, middle, middle), *((x, x, 4, _BAR_HEIGHT_PX - 4) for x in (low, high)))
    drawn = "".join(
        f'<line x1="{x1}" x2="{x2}" y1="{y1}" y2="{y2}" stroke="#1c2028" stroke-width="2"/>'
        for x1, x2, y1, y2 in lines
    )
    return (
        f'<svg width="{_BAR_PX}" {box} role="img" aria-label="{percent(left.share)} left">'
        f'<rect width="{_BAR_PX}" {box} fill="#e8e8e4"/>'
        f'<rect width="{_BAR_PX * left.share:.1f}" {box} fill="{color}"/>{drawn}</svg>'
    )


def class_table(numbers: Numbers, target: TargetNumbers) -> str:
    """Return what is left of each class."""
    keys = [key for key in target.conditions if key != CLEAN]
    head = [
        "class",
        "n",
        "right when clean",
        *(text(f"left: {condition_name(numbers, key)}") for key in keys),
    ]
    rows = [
        [
            text(one.name),
            number(str(one.n)),
            number(str(one.clean_correct)),
            *(number(left_text(one.left[key])) for key in keys),
        ]
        for one in target.per_class
    ]
    return table(head, rows)


def quality_table(qualities: Sequence[ReleaseQuality], names: dict[str, str]) -> str:
    """Return how much the marks change the images."""
    head = ["release", "measure", "mean", "median", "worst"]
    rows = []
    for quality in qualities:
        name = text(names[quality.condition])
        for measure, label, form in _MEASURES:
            if quality.covered == quality.n and measure in _OF_SINGLE_MARKS:
                continue
            shown = _IN_BLOCKS if measure == "area" and quality.in_blocks else label
            rows.append([name, shown, *(number(value) for value in _values(quality.measures[measure], form))])
    return table(head, rows, words=2)


_IN_BLOCKS = "pixels changed at all, of JPEG those of whole blocks"
_OF_SINGLE_MARKS = frozenset({"psnr_outside", "psnr_inside", "ssim_inside"})
_MEASURES = (
    ("contrast", "local contrast kept", "{:.0%}"),
    ("contrast_outside_ink", "the same outside the ink", "{:.0%}"),
    ("psnr", "PSNR of the whole image, dB", "{:.1f}"),
    ("psnr_outside_ink", "PSNR outside the ink, dB", "{:.1f}"),
    ("ssim", "SSIM of the whole image", "{:.3f}"),
    ("ssim_outside_ink", "SSIM outside the ink", "{:.3f}"),
    ("ink", "pixels that are ink", "{:.1%}"),
    ("area_clear", "pixels changed clearly", "{:.1%}"),
    ("area", "pixels changed at all", "{:.1%}"),
    ("psnr_outside", "PSNR outside the marks, dB", "{:.1f}"),
    ("psnr_inside", "PSNR inside the marks, dB", "{:.1f}"),
    ("ssim_inside", "SSIM inside the marks", "{:.3f}"),
)


def _values(spread: Spread, form: str) -> list[str]:
    mean = spread.mean if spread.mean is not None else spread.worst  # all are infinite
    return [_shown(value, form) for value in (mean, spread.median, spread.worst)]


def _shown(value: float | None, form: str) -> str:
    if value is None:
        return "-"
    return "identical" if value == float("inf") else form.format(value)
