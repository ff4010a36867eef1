"""The one object that ``evaluate --json`` prints and ``report.json`` holds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from medlocker.errors import Code, Failure
from medlocker.evaluate._attacked import Removal
from medlocker.evaluate._numbers import Numbers, TargetNumbers, name_conditions
from medlocker.evaluate._pairs import CLEAN, PANEL, PROTECTED, RANDOM
from medlocker.evaluate._qualities import ReleaseQuality
from medlocker.evaluate.report._advice import advise
from medlocker.evaluate.report._headline import findings


@dataclass(frozen=True)
class ReportNotes:
    """What happened besides the numbers.

    Args:
        skipped: Images that were left out on purpose.
        failed_targets: Models that could not be used.
        failed_removal: Why the removal attacks broke down; empty if they did not.
        notes: What was assumed, one sentence each.
    """

    skipped: tuple[Failure, ...] = ()
    failed_targets: tuple[Failure, ...] = ()
    failed_removal: str = ""
    notes: tuple[str, ...] = ()

    @property
    def broken(self) -> tuple[Failure, ...]:
        """Why the removal attacks broke down, as a list of at most one."""
        reason = self.failed_removal
        return (Failure("attacks", reason, Code.REMOVAL, "attacks"),) if reason else ()


def to_json(
    numbers: Numbers,
    qualities: tuple[ReleaseQuality, ...],
    *,
    extra: ReportNotes,
    removal: Removal | None = None,
) -> dict[str, Any]:
    """Return everything that was measured as one JSON-ready object.

    Args:
        extra: What was left out, and why.
        removal: What attackers got; None if none was asked for.
    """
    keys, result = numbers.keys, numbers.result
    advice = advise(None if removal is None else removal.battery, failed=extra.failed_removal)
    by_key = {quality.condition: quality.to_json(result) for quality in qualities}
    return {
        "images": len(result.images),
        "targets": [_target(numbers, target) for target in numbers.targets],
        "quality": name_conditions(keys, by_key),
        "transfer": _transfer(numbers),
        "removal": [] if removal is None else removal.battery.to_json(),
        "removal_best": []
        if removal is None
        else [{**best.to_json(), "upper_bound": True} for best in removal.battery.best],
        "removal_images": 0 if removal is None else removal.battery.images,
        "removal_verdict": None if removal is None else removal.verdict,
        "removal_advice": None if advice is None else {"tone": advice.tone, "text": advice.text},
        "removal_gaps": [] if removal is None else [gap.to_json() for gap in removal.battery.gaps],
        "relearned": [] if removal is None else [one.to_json() for one in removal.relearned],
        "side_channels": [] if removal is None else [one.to_json() for one in removal.side_channels],
        "skipped": [one.to_json() for one in extra.skipped],
        "failed": [
            *(one.to_json("target") for one in extra.failed_targets),
            *(one.to_json() for one in result.failed),
            *(one.to_json("removal") for one in extra.broken),
        ],
        "notes": list(extra.notes),
    }


def _target(numbers: Numbers, target: TargetNumbers) -> dict[str, Any]:
    conditions = name_conditions(
        numbers.keys,
        {key: one.to_json() for key, one in target.conditions.items()},
        panels=numbers.panels,
    )
    return {
        "name": target.target.name,
        "sha256": target.target.model.fingerprint,
        "white_box": any(target.white_box),
        "classes": list(target.target.model.classes),
        "kappa_weights": target.weighting,
        "auc_of": "two classes"
        if len(target.target.model.classes) == 2
        else "mean of each against the others",
        "clean_accuracy": target.numbers(CLEAN).accuracy,
        "clean_correct": len(target.clean_correct),
        **{key: conditions.get(key) for key in (CLEAN, RANDOM, PANEL, PROTECTED)},
        "findings": [
            {"condition": one.condition, "finding": one.kind, "text": one.text}
            for one in findings(numbers, target)
        ],
        "conditions": conditions,
        "per_class": [
            {
                "class": one.name,
                "n": one.n,
                "clean_correct": one.clean_correct,
                "left": name_conditions(numbers.keys, {key: left.share for key, left in one.left.items()}),
            }
            for one in target.per_class
        ],
    }


def _transfer(numbers: Numbers) -> dict[str, Any]:
    releases = zip(numbers.keys, numbers.result.evaluation.releases, strict=True)
    rows: list[dict[str, Any]] = [
        {
            "condition": key,
            "release": release.folder,
            "surrogates": [name for name, _ in release.surrogates],
            **_across(numbers, key),
            "white_box": [target.white_box[position] for target in numbers.targets],
        }
        for position, (key, release) in enumerate(releases)
    ]
    rows += [
        {
            "condition": key,
            "release": None,
            "surrogates": [],
            **_across(numbers, key),
            "white_box": [False for _ in numbers.targets],
        }
        for key in (RANDOM, *numbers.panels)
    ]
    return {"targets": [target.target.name for target in numbers.targets], "rows": rows}


def _across(numbers: Numbers, key: str) -> dict[str, list[float | None]]:
    """Return one condition on every target."""
    found = [target.numbers(key) for target in numbers.targets]
    return {
        "left": [one.left.share for one in found],
        "kappa": [one.kappa for one in found],
        "information_left": [
            None if one.information is None else one.information.plain.left for one in found
        ],
    }
