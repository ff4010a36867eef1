"""The report as one page for people: what answers still tell, how images look, where marks are weakest."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from PIL import Image as PillowImage

from medlocker.errors import InputError
from medlocker.evaluate._attacked import Removal, worst_first
from medlocker.evaluate._numbers import Condition, Numbers, RemainingAccuracy, TargetNumbers
from medlocker.evaluate._pairs import CLEAN, RANDOM
from medlocker.evaluate._qualities import ReleaseQuality, Spread
from medlocker.evaluate._quality import Quality
from medlocker.evaluate.removal import Row
from medlocker.evaluate.report._advice import advise
from medlocker.evaluate.report._attackers import EVERY_ATTACKER, Attacker, by_cost, view_attackers
from medlocker.evaluate.report._charts import attackers_chart, kappa_chart, left_chart, time_chart
from medlocker.evaluate.report._headline import findings
from medlocker.evaluate.report._json import ReportNotes
from medlocker.evaluate.report._render import render_report
from medlocker.evaluate.report._summary import summarise_page
from medlocker.pages import thumbnail

_SHOWN, _WORST_SHOWN = 6, 6
_MOST_IMAGES = 500
"""In the page's table; per_image.csv has all."""
_ALL_KAPPA = 0.6
"""At this kappa, of either sign, a cell is all red: what good models of hard tasks reach on originals."""
_HEATS = 5
_TONES = {
    "nothing": "good",
    "little": "good",
    "something": "bad",
    "turned": "bad",
    "useless": "note",
    "unknown": "note",
}
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


def report_page(
    numbers: Numbers,
    qualities: Sequence[ReleaseQuality],
    *,
    extra: ReportNotes,
    removal: Removal | None = None,
) -> bytes:
    """Return the page; reads the few images that it shows once more."""
    result = numbers.result
    names = {
        key: release.folder for key, release in zip(numbers.keys, result.evaluation.releases, strict=True)
    }
    worst = [image for quality in qualities[:1] for image, _ in quality.worst]
    failed = (*extra.failed_targets, *result.failed, *extra.broken)
    attacks = removal_values(removal, failed=extra.failed_removal)

    def name_of(key: str) -> str:
        return condition_name(numbers, key)

    return render_report(
        "report.html",
        result=result,
        numbers=numbers,
        targets=numbers.targets,
        qualities=qualities,
        names=names,
        first_release=names[numbers.keys[0]],
        extra=extra,
        failed=failed,
        summary=summarise_page(numbers, qualities, attacks["advice"], failed=len(failed)),
        kappas=kappa_chart(numbers, name_of),
        lefts=left_chart(numbers, name_of),
        notes=extra.notes,
        findings=findings,
        condition_name=condition_name,
        tones=_TONES,
        heat=_heat,
        heat_heads=[f"judged by {target.target.name}" for target in numbers.targets],
        heat_rows=_heat_rows(numbers),
        quality_rows=_quality_rows(qualities, names),
        worst=[_figure(numbers, image) for image in worst[:_WORST_SHOWN]],
        shown=[_figure(numbers, image) for image in _spread_over_classes(numbers)],
        stubborn=[_figure(numbers, image) for image in _least_protected(numbers)],
        every_image=_every_image(numbers),
        most_images=_MOST_IMAGES,
        **attacks,
    )


def removal_section(removal: Removal | None) -> str:
    """Return the section on attacks alone, as HTML; empty if no attack was run."""
    return render_report("section.html", **removal_values(removal)).decode("utf-8")


def removal_values(removal: Removal | None, *, failed: str = "") -> dict[str, Any]:
    """Return what the section on attacks shows, and the advice above all."""
    attackers = () if removal is None else view_attackers(removal)
    return {
        "removal": removal,
        "advice": advise(None if removal is None else removal.battery, failed=failed),
        "attackers": attackers,
        "costs": by_cost(attackers),
        "attackers_chart": attackers_chart(attackers),
        "time_chart": time_chart(attackers),
        "attack_heats": _attack_heats(attackers, removal),
        "words": EVERY_ATTACKER,
        "counted": RemainingAccuracy,
        "worst_first": worst_first,
        "overall": () if removal is None else [case for case in removal.cases if case.number is None],
    }


def condition_name(numbers: Numbers, key: str) -> str:
    """Return what a condition is called on the page."""
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


Heats = tuple[str, str, list[tuple[str, Condition]]]


def _heat_rows(numbers: Numbers) -> list[Heats]:
    """Return what each target still tells of each release's images: title, note, (known, numbers) each."""
    rows: list[Heats] = [("originals", "", [("", t.numbers(CLEAN)) for t in numbers.targets])]
    releases = zip(numbers.keys, numbers.result.evaluation.releases, strict=True)
    for position, (key, release) in enumerate(releases):
        names = ", ".join(name for name, _ in release.surrogates) or "models not known"
        cells = [
            ("white box" if t.white_box[position] else "unseen", t.numbers(key)) for t in numbers.targets
        ]
        rows.append((f"marked: {release.folder}", f"searched on {names}", cells))
    for key in (RANDOM, *numbers.panels):
        rows.append((condition_name(numbers, key), "", [("", t.numbers(key)) for t in numbers.targets]))
    return rows


def _heat(one: Condition) -> int | None:
    """Return 0 (nothing is told) to 4; None if nothing was measured."""
    return _warmth(one.kappa, one.left.share)


def _warmth(kappa: float | None, share: float | None) -> int | None:
    if kappa is None and share is None:
        return None
    # where kappa cannot be measured, what is left stands for it
    warmth = (share or 0.0) if kappa is None else min(abs(kappa) / _ALL_KAPPA, 1.0)
    return min(int(warmth * _HEATS), _HEATS - 1)


AttackHeats = tuple[list[str], list[tuple[Attacker, list[tuple[Row | None, int | None]]]]]


def _attack_heats(attackers: Sequence[Attacker], removal: Removal | None) -> AttackHeats:
    """Return the targets, and of each attacker that was tried what tells most of each of them."""
    rows = () if removal is None else removal.battery.rows
    names = list(dict.fromkeys(row.target for row in rows))
    found: list[tuple[Attacker, list[tuple[Row | None, int | None]]]] = []
    for one in attackers:
        if not one.rows:
            continue
        cells: list[tuple[Row | None, int | None]] = []
        for name in names:
            row = next((row for row in one.rows if row.target == name), None)
            kappa = None if row is None or row.agreement is None else row.agreement.kappa
            cells.append((row, None if row is None else _warmth(kappa, row.left)))
        found.append((one, cells))
    return names, found


def _every_image(numbers: Numbers) -> list[dict[str, Any]]:
    """Return a line for each image of the first release, the one most models still read first."""
    count, key = numbers.still_right, numbers.keys[0]
    ranked = sorted(numbers.result.images, key=lambda image: (-count.get(image, 0), image))
    lines = []
    for image in ranked[:_MOST_IMAGES]:
        judged = numbers.result.images[image]
        quality = judged.qualities.get(key)
        lines.append(
            {
                "name": judged.pair.name,
                "label": judged.label,
                "answers": [(_said(t, CLEAN, image), _said(t, key, image)) for t in numbers.targets],
                "contrast": None if quality is None else quality.legibility.contrast,
                "psnr": _shown(None if quality is None else quality.legibility.psnr, "{:.1f}"),
            }
        )
    return lines


def _quality_rows(
    qualities: Sequence[ReleaseQuality], names: dict[str, str]
) -> list[tuple[str, str, list[str]]]:
    rows = []
    for quality in qualities:
        for measure, label, form in _MEASURES:
            if quality.covered == quality.n and measure in _OF_SINGLE_MARKS:
                continue
            shown = _IN_BLOCKS if measure == "area" and quality.in_blocks else label
            rows.append((names[quality.condition], shown, _values(quality.measures[measure], form)))
    return rows


def _values(spread: Spread, form: str) -> list[str]:
    mean = spread.mean if spread.mean is not None else spread.worst  # all are infinite
    return [_shown(value, form) for value in (mean, spread.median, spread.worst)]


def _shown(value: float | None, form: str) -> str:
    if value is None:
        return "-"
    return "identical" if value == float("inf") else form.format(value)


def _spread_over_classes(numbers: Numbers) -> list[int]:
    """Choose images class by class, in the order of the data set."""
    by_label: dict[str, list[int]] = {}
    for image, judged in numbers.result.images.items():
        if numbers.keys[0] in judged.qualities:
            by_label.setdefault(judged.label, []).append(image)
    chosen: list[int] = []
    for turn in range(_SHOWN):
        chosen += [images[turn] for images in by_label.values() if turn < len(images)]
    return sorted(chosen[:_SHOWN])


def _least_protected(numbers: Numbers) -> list[int]:
    """Return the images on which most models are still right, at least one."""
    count = numbers.still_right
    ranked = sorted((image for image in count if count[image]), key=lambda image: (-count[image], image))
    return ranked[:_WORST_SHOWN]


@dataclass(frozen=True)
class _Said:
    name: str
    tone: str


@dataclass(frozen=True, eq=False)
class _Figure:
    """One image beside its original; no pictures if they can no longer be read."""

    name: str
    label: str
    answers: list[tuple[str, _Said, _Said]]
    legible: str
    before: PillowImage.Image | None = None
    after: PillowImage.Image | None = None


def _figure(numbers: Numbers, image: int) -> _Figure:
    judged = numbers.result.images[image]
    marked, quality = judged.pair.marked[0], judged.qualities.get(numbers.keys[0])
    answers = [
        (t.target.name, _said(t, CLEAN, image), _said(t, numbers.keys[0], image)) for t in numbers.targets
    ]
    before = after = None
    try:
        if marked is not None:
            before, after = thumbnail(judged.pair.clean), thumbnail(marked)
    except InputError:  # it was there a moment ago
        before = after = None
    legible = "" if quality is None else _legible(quality)
    return _Figure(judged.pair.name, judged.label, answers, legible, before, after)


def _said(target: TargetNumbers, key: str, image: int) -> _Said:
    answer = target.answer(key, image)
    name = "-" if answer is None else target.target.model.classes[answer]
    return _Said(name, "good" if target.is_right(key, image) else "bad")


def _legible(quality: Quality) -> str:
    seen = quality.legibility
    kept = "" if seen.contrast is None else f"{seen.contrast:.0%} of the local contrast kept, "
    decibels = "" if seen.psnr == float("inf") else f"PSNR {seen.psnr:.1f} dB, "
    return f"{kept}{decibels}SSIM {seen.ssim:.3f}, {quality.area_clear:.1%} clearly changed"
