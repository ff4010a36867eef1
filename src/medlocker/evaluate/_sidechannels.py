"""What a release tells of the labels without any look at its pictures: by the layout, and by the marks alone.

Both are read from pairs of original and marked image: **the best view that any attacker could have**. A real
one sees the marked image only, has to find holes and ink under the picture, and learns from labels that he
must have from elsewhere. What is told here is an upper bound of what he gets.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from medlocker.attacks import Mask
from medlocker.evaluate._markfeatures import ink_numbers
from medlocker.evaluate._probe import ProbeResult, linear_probe
from medlocker.evaluate.layout import layout_numbers

Channel = Literal["layout", "marks"]
MOST_READ = 1000
"""Images of a release that are read for this, evenly spread."""

_COMPONENTS = 32

_VERB: dict[Channel, str] = {"layout": "tells", "marks": "tell"}
_WHAT: dict[Channel, str] = {
    "layout": "the layout alone (where an image is marked and where it is left free)",
    "marks": "the marks alone (their opacity, colours and texture)",
}


@dataclass(frozen=True)
class SideChannel:
    """One way in which a release may tell labels.

    Args:
        channel: ``layout`` or ``marks``.
        n: Images that were read.
        told: How well labels were predicted; None if there are too few images, or all have one label.
    """

    channel: Channel
    n: int
    told: ProbeResult | None

    @property
    def text(self) -> str:
        """What it tells, in one sentence."""
        what, tell, told = _WHAT[self.channel], _VERB[self.channel], self.told
        if told is None:
            images = "one image is" if self.n == 1 else f"{self.n} images are"
            return f"Whether {what} {tell} the label cannot be measured: {images} too few, or of one class."
        verdict = f"{tell} the label" if told.is_shown else f"{tell} nothing of the label that can be shown"
        words = f"AUC {_with(told.auc, told.interval)} for {told.question}"
        if told.mean_interval != told.interval:
            words += f", mean of each class against the others {_with(told.mean_auc, told.mean_interval)}"
        words += f", kappa {_with(told.kappa, told.kappa_interval)}, on {told.n} images"
        return f"{what[0].upper()}{what[1:]} {verdict}: {words}; by chance an AUC is 0.50."

    def to_json(self) -> dict[str, Any]:
        """Return an entry of ``side_channels`` in ``evaluate --json``."""
        numbers = {"n": self.n} if self.told is None else self.told.to_json()
        return {
            "channel": self.channel,
            "shown": None if self.told is None else self.told.is_shown,
            **numbers,
            "text": self.text,
        }


@dataclass(frozen=True, eq=False)
class ImageFeatures:
    """What is kept of one image.

    Args:
        layout: From :func:`medlocker.evaluate.layout.layout_numbers`.
        marks: From :func:`medlocker.evaluate._markfeatures.ink_numbers`.
        known: By target and by what of it (``outputs``, ``features``), what it says of the marked picture.
    """

    layout: NDArray[np.float64]
    marks: NDArray[np.float64]
    label: str
    known: Mapping[tuple[str, str], NDArray[np.float32]] = field(default_factory=dict)


def trace(
    clean: NDArray[Any], marked: NDArray[Any], label: str, *, mask: Mask | None = None
) -> ImageFeatures:
    """Return what the layout and the marks of one image are in numbers.

    Args:
        clean: (H, W, 3) uint8 or uint16.
        marked: Same shape and type.
        mask: (H, W) bool, where the marks are; None: every pixel that differs.
    """
    changed = (clean != marked).any(axis=2) if mask is None else mask
    return ImageFeatures(layout_numbers(changed), ink_numbers(clean, marked, changed), label)


def measure_side_channels(traces: Sequence[ImageFeatures], *, seed: int = 0) -> tuple[SideChannel, ...]:
    """Learn the labels from layouts, and from marks, each judged on images that were not learned from."""
    labels = [one.label for one in traces]
    channels: Sequence[tuple[Channel, Callable[[ImageFeatures], NDArray[np.float64]]]] = (
        ("layout", lambda one: one.layout),
        ("marks", lambda one: one.marks),
    )
    found = []
    for channel, numbers in channels:
        told = linear_probe(np.stack([numbers(one) for one in traces]), labels, seed=seed) if traces else None
        found.append(SideChannel(channel, len(traces), told))
    return tuple(found)


@dataclass(frozen=True)
class ClassifierProbe:
    """What can be learned from a model about marked images, by whoever has labels of some of them.

    Args:
        source: ``outputs``, or ``features``: what goes into its last layer.
        told: How well labels were predicted; None if there are too few images, or all have one label.
    """

    target: str
    source: str
    told: ProbeResult | None

    @property
    def text(self) -> str:
        """What it tells, in one sentence."""
        told = self.told
        what = f"what the {self.source} of {self.target} mean on marked images"
        if told is None:
            return f"Whether {what} can be learned is not measured: too few images, or all of one class."
        words = f"AUC {_with(told.auc, told.interval)} for {told.question}"
        return f"Somebody who learns {what} gets {words}, kappa {_with(told.kappa, told.kappa_interval)}."

    def to_json(self) -> dict[str, Any]:
        """Return an entry of ``relearned`` in ``evaluate --json``."""
        numbers = {} if self.told is None else self.told.to_json()
        return {"target": self.target, "source": self.source, **numbers, "text": self.text}


def probe_classifier(traces: Sequence[ImageFeatures], *, seed: int = 0) -> tuple[ClassifierProbe, ...]:
    """Learn the labels from what models say of marked pictures, judged on images not learned from.

    Many features are first brought down to their 32 main components, without a look at labels.
    """
    sources = list(traces[0].known) if traces else []
    labels = [one.label for one in traces]
    found = []
    for source in sources:
        inputs = np.stack([one.known[source] for one in traces]).astype(np.float64)
        found.append(ClassifierProbe(*source, linear_probe(_main_components(inputs), labels, seed=seed)))
    return tuple(found)


def _main_components(inputs: NDArray[np.float64]) -> NDArray[np.float64]:
    if inputs.shape[1] <= _COMPONENTS:
        return inputs
    left, sizes, _ = np.linalg.svd(inputs - inputs.mean(axis=0), full_matrices=False)
    return np.asarray((left * sizes)[:, :_COMPONENTS])


def _with(value: float, interval: tuple[float, float]) -> str:
    return f"{value:.2f} ({interval[0]:.2f} to {interval[1]:.2f})"
