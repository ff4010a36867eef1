"""Which attacks were not tried, or not on every image, and why."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from medlocker.evaluate.removal._levels import FULL_ONLY, NEED_THE_LOGO, Battery, make_battery
from medlocker.evaluate.removal._result import Gap


def find_gaps(
    battery: Battery,
    *,
    tried: Collection[str],
    broken: Mapping[str, int],
    images: int,
    veils: int,
    knows_logo: bool,
) -> tuple[Gap, ...]:
    """Return what a battery left out of all attacks there are.

    Args:
        battery: That was run.
        tried: The rows that have a result.
        broken: By an attack's first row, on how many images it broke down.
        images: How many were attacked.
        veils: How many of them carry a veil.
        knows_logo: Whether attackers know the owner's logo.
    """
    everything = make_battery("full")
    chosen = {kind.name for kind in battery.kinds}
    first = {name: facts.variants[0] for facts in everything.facts for name in facts.variants}
    bearers = {name: facts.on for facts in everything.facts for name in facts.variants}
    gaps = []
    for kind in everything.kinds:
        count = broken.get(kind.name, 0) or broken.get(first.get(kind.name, ""), 0)
        if kind.name in tried:
            if count:
                reason = f"it broke down on {count} of {images} images, which its row lacks"
                gaps.append(Gap(kind.name, kind.number, reason, is_failure=True))
            continue
        reason, is_failure = "nobody asked for it", False
        if kind.number in NEED_THE_LOGO and not knows_logo:
            reason = "it needs the owner's logo, which is not known here; see --logo"
        elif bearers.get(kind.name) == "marks" and veils == images:
            reason = "it looks for separate marks, and this release carries a veil"
        elif bearers.get(kind.name) == "veils" and not veils:
            reason = "it works on a veil, and this release carries separate marks"
        elif kind.number in FULL_ONLY and kind.name not in chosen:
            reason = "only --removal full tries it"
        elif kind.name in chosen:
            reason = "it gave no answer: it broke down, or these models cannot be trained on; see Notes"
            is_failure = True
        gaps.append(Gap(kind.name, kind.number, reason, is_failure))
    return tuple(gaps)
