"""From the cells of a battery to its table, and to the best attacker."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medlocker.evaluate.removal._state import VariantResult
from medlocker.information import Information, measure_information
from medlocker.metrics import cohen_kappa, kappa_interval, kappa_weighting, wilson_interval


@dataclass(frozen=True)
class VariantInfo:
    """What is told of a variant besides its numbers.

    Args:
        number: In the list of attacks.
        knows: What the attacker needs to know.
        combined: Whether it counts for the best attacker.
    """

    name: str
    number: int
    knows: str
    combined: bool


@dataclass(frozen=True)
class Agreement:
    """How well one target's answers agree with the truth, on all images.

    Args:
        n: Images.
        right: Of these, answered rightly.
        kappa: Cohen's, weighted for grades; None if all labels are one class.
        kappa_interval: Its interval of 95 %.
    """

    n: int
    right: int
    kappa: float | None = None
    kappa_interval: tuple[float, float] | None = None

    @property
    def accuracy(self) -> float:
        """Share answered rightly."""
        return self.right / self.n

    @property
    def interval(self) -> tuple[float, float]:
        """Wilson's interval of 95 %."""
        return wilson_interval(self.right, self.n)

    @property
    def is_shown(self) -> bool:
        """Whether kappa differs from chance, with 95 % confidence; below it an answer only wants turning."""
        return self.kappa_interval is not None and not self.kappa_interval[0] <= 0 <= self.kappa_interval[1]

    def to_json(self) -> dict[str, Any]:
        """Return a JSON-ready object."""
        return {
            "n": self.n,
            "accuracy": self.accuracy,
            "interval": list(self.interval),
            "kappa": self.kappa,
            "kappa_interval": None if self.kappa_interval is None else list(self.kappa_interval),
        }


@dataclass(frozen=True)
class Row:
    """One attack against one target.

    Args:
        number: In the list of attacks.
        knows: What the attacker needs to know.
        n: Images that the target answers rightly when clean.
        right: Of these, after the attack.
        control: Share of these, after the same treatment of the clean image.
        psnr_region: Median over images of the PSNR of the marked pixels, dB; None if not comparable.
        psnr_region_p90: A tenth of the images are restored better than this.
        ssim_region: Median of the structural similarity there.
        seconds: Mean of an image.
        combined: Whether it counts for the best attacker.
        information: What the outputs after the attack still tell of the truth, on all images and not only on
            those that are answered rightly when clean. Of votes and of a retrained model there are only
            answers. None if it cannot be measured.
        agreement: Of the answers after the attack with the truth, on all images.
        control_agreement: The same of the control's.
    """

    attack: str
    number: int
    knows: str
    target: str
    n: int
    right: int
    control: float | None
    psnr_region: float | None
    psnr_region_p90: float | None
    ssim_region: float | None
    seconds: float
    combined: bool
    information: Information | None = None
    agreement: Agreement | None = None
    control_agreement: Agreement | None = None

    @property
    def left(self) -> float | None:
        """Accuracy left among the clean-correct images."""
        return self.right / self.n if self.n else None

    @property
    def told(self) -> float | None:
        """Information left by the greater count: where one class is frequent, only balanced shows it."""
        found = self.information
        return None if found is None else max(found.plain.left, found.balanced.left)

    @property
    def strength(self) -> tuple[float, float, float]:
        """What attacks are ordered by: information left, then kappa, then how many answers are left.

        Not by right answers alone: a model that is always wrong tells as much as one that is always right.
        Of too few images only right answers can be counted.
        """
        kappa = self.agreement.kappa if self.agreement is not None and self.told is not None else None
        return (-1.0 if self.told is None else self.told, abs(kappa or 0.0), self.left or 0.0)

    @property
    def interval(self) -> tuple[float, float] | None:
        """Wilson's interval of 95 %."""
        return wilson_interval(self.right, self.n) if self.n else None

    def to_json(self) -> dict[str, Any]:
        """Return an entry of ``removal`` in ``evaluate --json``."""
        return {
            "attack": self.attack,
            "number": self.number,
            "knows": self.knows,
            "target": self.target,
            "left": self.left,
            "interval": None if self.interval is None else list(self.interval),
            "n": self.n,
            "control": self.control,
            "psnr_region": self.psnr_region,
            "psnr_region_p90": self.psnr_region_p90,
            "ssim_region": self.ssim_region,
            "seconds": self.seconds,
            **self._information_json(),
            "agreement": None if self.agreement is None else self.agreement.to_json(),
            "control_agreement": None if self.control_agreement is None else self.control_agreement.to_json(),
        }

    def _information_json(self) -> dict[str, Any]:
        found = self.information
        plain = None if found is None else found.plain.to_json()
        return {
            "information_n": 0 if found is None else found.n,
            "information_left": None if plain is None else plain["left"],
            "information_interval": None if plain is None else plain["interval"],
            "information": plain,
            "information_balanced": None if found is None else found.balanced.to_json(),
        }


@dataclass(frozen=True)
class Best:
    """An attacker who tries everything but retraining, and is told which attempt was right.

    **An upper bound**: a real one must choose without knowing, and with so many attempts some are right by
    luck. ``luck`` is how often the attempts reach any other given class in the same way.

    Args:
        n: Images that it answers rightly when clean.
        right: Of these, with any attack whose control is right as well.
        luck: Mean share of the other classes that the same attempts reach.
        single: The attack that tells most by itself, see :attr:`Row.strength`: what one can really choose.
        single_right: How often it is right.
    """

    target: str
    n: int
    right: int
    luck: float
    single: str
    single_right: int

    @property
    def left(self) -> float | None:
        """Accuracy left at most."""
        return self.right / self.n if self.n else None

    @property
    def interval(self) -> tuple[float, float] | None:
        """Wilson's interval of 95 %."""
        return wilson_interval(self.right, self.n) if self.n else None

    def to_json(self) -> dict[str, Any]:
        """Return a JSON-ready object."""
        return {
            "target": self.target,
            "left": self.left,
            "interval": None if self.interval is None else list(self.interval),
            "n": self.n,
            "luck": self.luck,
            "single": self.single,
            "single_left": self.single_right / self.n if self.n else None,
        }


@dataclass(frozen=True)
class Gap:
    """One attack that has no row, or a row that lacks images.

    Args:
        attack: Row of the battery.
        number: In the list of attacks.
        reason: Why, in plain words, without a capital letter and a full stop.
        is_failure: Whether it was tried and broke down.
    """

    attack: str
    number: int
    reason: str
    is_failure: bool = False

    def to_json(self) -> dict[str, Any]:
        """Return a JSON-ready object."""
        return {"attack": self.attack, "reason": self.reason, "failed": self.is_failure}


@dataclass(frozen=True)
class BatteryResult:
    """All attacks against all targets.

    Args:
        images: How many were attacked.
        rows: By target, then in the order of the battery.
        best: One for each target.
        notes: What could not be done, and why.
        seconds: Of this run; what an earlier one finished is not in it.
        gaps: Attacks that were not tried, or not on every image.
    """

    images: int
    rows: tuple[Row, ...]
    best: tuple[Best, ...]
    notes: tuple[str, ...]
    seconds: float
    gaps: tuple[Gap, ...] = ()

    def to_json(self) -> list[dict[str, Any]]:
        """Return the list ``removal`` of ``evaluate --json``."""
        return [row.to_json() for row in self.rows]

    def row(self, attack: str, target: str) -> Row:
        """Return one row.

        Raises:
            KeyError: If there is none.
        """
        for row in self.rows:
            if (row.attack, row.target) == (attack, target):
                return row
        raise KeyError(attack)


def summarise(
    cells: Mapping[str, Mapping[str, VariantResult]],
    labels: Mapping[str, Sequence[int]],
    kinds: Sequence[VariantInfo],
    targets: Sequence[tuple[str, Sequence[str]]],
) -> tuple[tuple[Row, ...], tuple[Best, ...]]:
    """Make the table.

    Args:
        cells: By image, by variant; ``none`` tells what is answered on clean images.
        labels: By image, a class for each target.
        kinds: Of the variants, in order.
        targets: Name and classes.
    """
    rows: list[Row] = []
    best: list[Best] = []
    for t, (name, classes) in enumerate(targets):
        right = [image for image in labels if cells[image]["none"].control[t] == labels[image][t]]
        mine = [_row(kind, name, t, right, cells, labels, classes) for kind in kinds]
        rows += [row for row in mine if row is not None]
        best.append(_best([row for row in mine if row], name, t, right, cells, labels, classes))
    return tuple(rows), tuple(best)


def _row(
    kind: VariantInfo,
    target: str,
    t: int,
    images: Sequence[str],
    cells: Mapping[str, Mapping[str, VariantResult]],
    labels: Mapping[str, Sequence[int]],
    classes: Sequence[str],
) -> Row | None:
    judged = [i for i in images if kind.name in cells[i] and cells[i][kind.name].answers[t] >= 0]
    everywhere = [one[kind.name] for one in cells.values() if kind.name in one]
    if not everywhere or (images and not judged):  # attacks on veils in a release without one, say
        return None
    controls = [cells[i][kind.name].control[t] == labels[i][t] for i in judged]
    decibels = [cell.psnr for cell in everywhere if cell.psnr is not None]
    likenesses = [cell.ssim for cell in everywhere if cell.ssim is not None]
    return Row(
        attack=kind.name,
        number=kind.number,
        knows=kind.knows,
        target=target,
        n=len(judged),
        right=sum(cells[i][kind.name].answers[t] == labels[i][t] for i in judged),
        control=float(np.mean(controls)) if controls else None,
        psnr_region=float(np.median(decibels)) if decibels else None,
        psnr_region_p90=float(np.quantile(decibels, 0.9)) if decibels else None,
        ssim_region=float(np.median(likenesses)) if likenesses else None,
        seconds=float(np.mean([cell.seconds for cell in everywhere])) if everywhere else 0.0,
        combined=kind.combined,
        information=_information(kind.name, t, cells, labels, classes),
        agreement=_agreement(kind.name, t, cells, labels, classes),
        control_agreement=_agreement(kind.name, t, cells, labels, classes, of_control=True),
    )


def _agreement(
    attack: str,
    t: int,
    cells: Mapping[str, Mapping[str, VariantResult]],
    labels: Mapping[str, Sequence[int]],
    classes: Sequence[str],
    *,
    of_control: bool = False,
) -> Agreement | None:
    """Count the answers of one target after an attack, or of its control on the same images."""
    confusion = np.zeros((len(classes), len(classes)), np.int64)
    for image, label in labels.items():
        cell = cells[image].get(attack)
        if cell is None or min(cell.answers[t], cell.control[t], label[t]) < 0:
            continue
        confusion[label[t], (cell.control if of_control else cell.answers)[t]] += 1
    n, right = int(confusion.sum()), int(confusion.trace())
    if not n:
        return None
    if np.count_nonzero(confusion.sum(axis=1)) < 2:
        return Agreement(n, right)
    weighting = kappa_weighting(classes)
    kappa = cohen_kappa(confusion, weighting=weighting)
    return Agreement(n, right, kappa, kappa_interval(confusion, weighting=weighting))


def _information(
    attack: str,
    t: int,
    cells: Mapping[str, Mapping[str, VariantResult]],
    labels: Mapping[str, Sequence[int]],
    classes: Sequence[str],
) -> Information | None:
    """Learn the truth from what one target says after an attack."""
    outputs: list[NDArray[np.float32]] = []
    truth: list[int] = []
    for image, label in labels.items():
        cell = cells[image].get(attack)
        if cell is None or cell.answers[t] < 0 or label[t] < 0:
            continue
        told = cell.outputs[t] if cell.outputs else ()
        # where there is only an answer, it is all that can be learned from
        outputs.append(
            np.array(told, np.float32) if told else np.eye(len(classes), dtype=np.float32)[cell.answers[t]]
        )
        truth.append(label[t])
    if not truth:
        return None
    return measure_information(np.stack(outputs), np.array(truth, np.int64))


def _best(
    rows: Sequence[Row],
    target: str,
    t: int,
    images: Sequence[str],
    cells: Mapping[str, Mapping[str, VariantResult]],
    labels: Mapping[str, Sequence[int]],
    classes: Sequence[str],
) -> Best:
    names = [row.attack for row in rows if row.combined]
    count, lucky = 0, []
    for image in images:
        label = labels[image][t]
        tried = [cells[image][name] for name in names if name in cells[image]]
        reached = {cell.answers[t] for cell in tried if cell.control[t] == label} - {-1}
        count += label in reached
        lucky.append(len(reached - {label}) / max(len(classes) - 1, 1))
    single = max((row for row in rows if row.combined), key=lambda row: row.strength, default=None)
    return Best(
        target=target,
        n=len(images),
        right=count,
        luck=float(np.mean(lucky)) if lucky else 0.0,
        single=single.attack if single else "none",
        single_right=single.right if single else 0,
    )
