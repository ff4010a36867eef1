"""Which images are decided how, kept with every decision: no page of a review walks through all images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import get_args

from medlocker.review._decision import Verdict


@dataclass(frozen=True)
class Standing:
    """Places of images in a review's list, ascending, by the decision that holds; None: not decided.

    Never changed, so that who looks at it while others decide sees every image once.
    """

    places: Mapping[Verdict | None, Sequence[int]]

    @classmethod
    def of_undecided(cls, images: int) -> Standing:
        """Return how so many images stand that nobody has looked at."""
        return cls({None: range(images), **dict.fromkeys(get_args(Verdict), ())})

    def after(self, changed: Mapping[int, Verdict | None]) -> Standing:
        """Return how all images stand with these by their place decided anew."""
        now = {
            verdict: [place for place in places if place not in changed]
            for verdict, places in self.places.items()
        }
        for place, verdict in changed.items():
            now[verdict].append(place)
        return Standing({verdict: sorted(places) for verdict, places in now.items()})
