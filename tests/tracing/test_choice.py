"""Where points do not tell which picture a found one was made of: what the sealed marks decide."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pytest

from medlocker.tracing import (
    Candidate,
    Decision,
    Fingerprint,
    Likeness,
    Look,
    MarkEvidence,
    Traced,
    decided,
)

NOTHING = Fingerprint(np.zeros((0, 2), np.float32), np.zeros((0, 16), np.uint8))
PICTURE = np.zeros((2, 2, 3), np.uint8)


def _seen(deviations: float, *, background: float = 0.9, correlation: float = 0.6) -> MarkEvidence:
    return MarkEvidence(correlation, deviations, 1.0, background)


class Marks:
    """Answers for numbered pictures what their marks tell, and remembers which were asked for."""

    def __init__(self, evidence: Mapping[int, MarkEvidence]) -> None:
        self._evidence = evidence
        self.asked: list[int] = []

    def __call__(self, candidate: Candidate, likeness: Likeness) -> Look | None:
        self.asked.append(candidate.index)
        found = self._evidence.get(candidate.index)
        return None if found is None else Look(found, PICTURE)


def _decided(matches: Sequence[int], marks: Marks, *, sealed: bool = True) -> Decision:
    """Decide among pictures whose points alike are given, by their numbers."""
    pairs = (
        (Candidate("0" * 32, number, str(number), 0, NOTHING), Likeness(count, np.eye(2, 3), NOTHING))
        for number, count in enumerate(matches)
    )
    traced = Traced.of(pairs)
    assert traced is not None
    return decided(traced, marks, sealed=sealed)


def test_the_mark_decides_between_pictures_with_the_same_logo() -> None:
    marks = Marks({0: _seen(60, background=0.1), 1: _seen(90), 2: _seen(20)})
    made = _decided([15, 13, 12, 3], marks)
    assert made.found
    assert made.traced.candidate.index == 1
    assert (made.traced.likeness.matches, made.traced.second) == (13, 15)
    assert made.next_deviations == 20  # that of another image does not count
    assert marks.asked == [0, 1, 2]  # three points are too few to lay a picture onto another


@pytest.mark.parametrize(
    ("evidence", "why"),
    [
        ({1: _seen(14.9)}, "too little for the best of ten"),
        ({1: _seen(90, background=0.49)}, "the same logo in another image"),
        ({1: _seen(90, correlation=0.19)}, "as the unmarked original may come to"),
        ({1: _seen(90), 2: _seen(61)}, "another mark is nearly as much in it"),
        ({}, "nothing could be looked at"),
    ],
)
def test_a_mark_that_is_not_clearly_there_decides_nothing(
    evidence: Mapping[int, MarkEvidence], why: str
) -> None:
    made = _decided([15, 13, 12], Marks(evidence))
    assert not made.found, why
    assert made.traced.candidate.index == 0
    assert made.next_deviations is None


def test_what_points_tell_is_looked_at_alone() -> None:
    marks = Marks({0: _seen(50), 1: _seen(200)})
    made = _decided([40, 39], marks)
    assert (made.found, made.traced.candidate.index, made.next_deviations) == (True, 0, None)
    assert marks.asked == [0]


def test_few_points_of_another_image_with_the_same_logo_are_not_enough() -> None:
    # by points alone 0 is clear, and its mark is in the picture: as a logo
    other = _seen(50, background=0.1)
    alone = _decided([16, 9], Marks({0: other}))
    assert not alone.found
    assert alone.look is not None
    assert alone.look.evidence == other
    marks = Marks({0: other, 1: _seen(50)})
    made = _decided([16, 9], marks)
    assert (made.found, made.traced.candidate.index) == (True, 1)
    assert marks.asked == [0, 1]  # each once


def test_few_points_and_the_same_picture_are_enough_though_its_mark_is_not_in_it() -> None:
    made = _decided([16, 9], Marks({0: _seen(1, correlation=0.0), 1: _seen(1)}))
    assert (made.found, made.traced.candidate.index, made.next_deviations) == (True, 0, None)
    assert made.look is not None
    assert made.look.evidence is not None
    assert not made.look.evidence.is_certain


def test_at_most_ten_are_looked_at_and_none_without_keys() -> None:
    marks = Marks({})
    assert not _decided([9] * 30, marks).found
    assert marks.asked == list(range(10))
    closed = Marks({0: _seen(90)})
    assert not _decided([9] * 3, closed, sealed=False).found
    assert closed.asked == []
