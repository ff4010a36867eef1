"""The CSV files of a report: one row for each image, release and target; one for each number."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from medlocker.evaluate._attacked import Removal
from medlocker.evaluate._numbers import Numbers, TargetNumbers
from medlocker.evaluate._pairs import CLEAN, RANDOM
from medlocker.evaluate._qualities import quality_values
from medlocker.information import Information
from medlocker.safecsv import to_csv


def per_image_csv(numbers: Numbers) -> bytes:
    """Return what every target answered on every image, and how much each release changed it."""
    head = ("name", "release", "target", "label", "clean", "random", "protected", "clean_correct", "fooled")
    measures = (
        "area",
        "psnr_outside",
        "psnr_inside",
        "ssim",
        "ssim_inside",
        "region_pixels_touched",
        "marks",
        "area_clear",
        "jpeg_blocks",
        "psnr",
        "psnr_outside_ink",
        "ssim_outside_ink",
        "contrast",
        "contrast_outside_ink",
        "ink",
        "covering",
    )
    return to_csv([*head, *measures, "panel"], _image_rows(numbers, measures))


def _image_rows(numbers: Numbers, measures: Sequence[str]) -> Iterable[Sequence[object]]:
    evaluation = numbers.result.evaluation
    releases = list(zip(numbers.keys, numbers.panels, evaluation.releases, strict=True))
    for image, judged in numbers.result.images.items():
        for key, panel, release in releases:
            quality = judged.qualities.get(key)
            if quality is None:
                continue
            values = quality_values(quality)
            for target in numbers.targets:
                classes = target.target.model.classes
                answers = [_named(target, condition, image) for condition in (CLEAN, RANDOM, key)]
                right = target.is_right(CLEAN, image)
                fooled = int(not target.is_right(key, image)) if right and answers[2] else None
                yield (
                    judged.pair.name,
                    release.folder,
                    target.target.name,
                    classes[target.truth(image)],
                    *answers,
                    int(right),
                    fooled,
                    *(values[measure] for measure in measures),
                    _named(target, panel, image),
                )


def _named(target: TargetNumbers, condition: str, image: int) -> str:
    answer = target.answer(condition, image)
    return "" if answer is None else target.target.model.classes[answer]


def summary_csv(numbers: Numbers) -> bytes:
    """Return one row for each target and condition."""
    head = ("target", "white_box", "condition", "n", "accuracy", "balanced_accuracy", "qwk", "auc")
    left = ("clean_correct", "left_count", "left", "low", "high")
    kappa = ("kappa", "kappa_weights", "kappa_low", "kappa_high", "auc_chance_low", "auc_chance_high")
    gain = ("information_left", "information_low", "information_high")
    learned = ("learned_by", "learned_accuracy", "most_frequent_class")
    balanced = ("balanced_information_left", "balanced_information_low", "balanced_information_high")
    return to_csv([*head, *left, *kappa, *gain, *learned, *balanced], _summary_rows(numbers))


def _summary_rows(numbers: Numbers) -> Iterable[Sequence[object]]:
    for target in numbers.targets:
        white_box = dict(zip(numbers.keys, target.white_box, strict=True))
        for key, one in target.conditions.items():
            low, high = one.left.interval or (None, None)
            yield (
                target.target.name,
                int(white_box.get(key, False)),
                key,
                one.n,
                one.accuracy,
                one.balanced_accuracy,
                one.qwk,
                one.auc,
                one.left.n,
                one.left.count,
                one.left.share,
                low,
                high,
                one.kappa,
                target.weighting,
                *(one.kappa_interval or (None, None)),
                *(one.auc_chance or (None, None)),
                *_information_cells(one.information),
            )


def _information_cells(found: Information | None) -> tuple[object, ...]:
    if found is None:
        return (None,) * 9
    plain, balanced = found.plain, found.balanced
    return (
        plain.left,
        *plain.interval,
        plain.learner,
        plain.accuracy,
        plain.control,
        balanced.left,
        *balanced.interval,
    )


def removal_csv(removal: Removal) -> bytes:
    """Return one row for each attack and target."""
    head = ("attack", "number", "knows", "target", "n", "left_count", "left", "low", "high", "control")
    measures = ("psnr_region", "psnr_region_p90", "ssim_region", "seconds")
    told = ("information_left", "information_low", "information_high")
    return to_csv([*head, *measures, *told], _removal_rows(removal))


def _removal_rows(removal: Removal) -> Iterable[Sequence[object]]:
    for row in removal.battery.rows:
        yield (
            row.attack,
            row.number,
            row.knows,
            row.target,
            row.n,
            row.right,
            row.left,
            *(row.interval or (None, None)),
            row.control,
            row.psnr_region,
            row.psnr_region_p90,
            row.ssim_region,
            row.seconds,
            *_information_cells(row.information)[:3],
        )
