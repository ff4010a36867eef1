"""Which images belong together, and the order in which they are started."""

from __future__ import annotations

import random
from collections.abc import Collection, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import UID, ExplicitVRLittleEndian, SecondaryCaptureImageStorage

from medlocker.formats.dicom import series_key
from medlocker.protect import Outcome, SharedMarks
from medlocker.release._groups import Groups, ScheduledImage, Scheduler, dicom_instance, find_groups
from medlocker.release._inputs import Input


def inputs(count: int) -> tuple[Input, ...]:
    return tuple(Input(f"{k}", f"{k}", f"{k}") for k in range(count))


def lead_of(index: int) -> SharedMarks:
    return SharedMarks((), index.to_bytes(6, "big"))


def copies(keys: str, same: str) -> Groups:
    """Images of series and instances that are called by letters; a dash is none."""

    def letter(text: str, path: Path) -> str | None:
        found = text[int(path.name)]
        return None if found == "-" else found

    return find_groups(inputs(len(keys)), series_key=partial(letter, keys), instance=partial(letter, same))


def groups_of(keys: Sequence[str | None]) -> Groups:
    return find_groups(inputs(len(keys)), series_key=lambda path: keys[int(path.name)], instance=None)


class Bench(Scheduler):
    """An order that knows the marks of every series whose image was marked."""

    def __init__(
        self,
        groups: Groups,
        count: int,
        *,
        done: Collection[int] = (),
        known: dict[str, SharedMarks] | None = None,
    ) -> None:
        self.groups = groups
        self.leads = {} if known is None else known
        super().__init__(inputs(count), groups, done=done, known=self.leads.get)

    def finished(self, outcome: Outcome) -> list[tuple[int, int]]:
        key = self.groups.keys.get(outcome.index)
        if key is not None and outcome.status == "marked":
            self.leads.setdefault(key, lead_of(outcome.index))
        return super().finished(outcome)

    def started(self) -> list[int]:
        return [one.index for one in self.take()]


def order_of(
    keys: Sequence[str | None], *, done: Sequence[int] = (), known: dict[str, SharedMarks] | None = None
) -> Bench:
    return Bench(groups_of(keys), len(keys), done=done, known=known)


def outcome(index: int, *, marked: bool = True) -> Outcome:
    return Outcome(index, f"{index}", "marked" if marked else "failed")


def test_images_with_one_key_belong_together() -> None:
    groups = groups_of(["b", None, "a", "b", "b"])
    assert groups.keys == {0: "b", 2: "a", 3: "b", 4: "b"}
    assert groups.members == {"b": [0, 3, 4], "a": [2]}
    assert groups.repeats == {}


def test_the_later_of_two_copies_is_told_and_does_not_lead() -> None:
    groups = copies("ssssss", "x-yx-x")
    assert groups.repeats == {3: 0, 5: 0}
    assert groups.members == {"s": [0, 1, 2, 3, 4, 5]}
    order = Bench(groups, 6)
    assert order.started() == [2]
    assert order.finished(outcome(2)) == []
    assert order.started() == [4, 0, 1]
    assert order.finished(outcome(4)) == []
    assert order.finished(outcome(0)) == [(3, 0), (5, 0)]
    assert order.started() == []


def test_a_copy_takes_over_what_cannot_be_marked() -> None:
    order = Bench(copies("-----", "xxyxx"), 5)
    assert order.started() == [0, 2]
    assert order.finished(outcome(0, marked=False)) == []
    assert order.started() == [1]
    assert order.finished(outcome(1, marked=False)) == []
    assert order.started() == [3]
    assert order.finished(outcome(3)) == [(4, 3)]
    assert order.started() == []


def test_a_copy_gets_the_marks_of_its_series() -> None:
    order = Bench(copies("sssss", "xyzxy"), 5)
    assert order.started() == [1]
    assert order.finished(outcome(1)) == [(4, 1)]
    assert order.started() == [2, 0]
    assert order.finished(outcome(0, marked=False)) == []
    (copy,) = order.take()
    assert (copy.index, copy.lead) == (3, lead_of(1))
    assert copy.series is not None
    assert copy.series.key == "s"
    assert list(copy.series.members) == ["0", "1", "2", "3", "4"]


def test_copies_lead_last() -> None:
    order = Bench(copies("ssss", "xxyx"), 4)
    assert order.started() == [2]
    assert order.finished(outcome(2, marked=False)) == []
    assert order.started() == [0]
    assert order.finished(outcome(0, marked=False)) == []
    (copy,) = order.take()
    assert (copy.index, copy.lead) == (1, None)
    assert order.finished(outcome(1)) == [(3, 1)]
    assert order.started() == []
    order = Bench(copies("ssss", "yxxz"), 4)
    for leader in (1, 3, 0, 2):  # the copy of the middle one, though its turn came first
        assert order.started() == [leader]
        assert order.finished(outcome(leader, marked=False)) == []
    assert order.started() == []


def test_a_damaged_copy_may_be_of_another_series() -> None:
    """Or of none, as its header is what is damaged."""
    for first, key in ((False, "-"), (True, "-"), (False, "t"), (True, "t")):
        order = Bench(copies(f"{key}ss", "xyx"), 3)
        assert order.started() == [0, 1]
        for index in (0, 1) if first else (1, 0):
            assert order.finished(outcome(index, marked=False)) == []
        (copy,) = order.take()
        assert (copy.index, copy.lead) == (2, None)
        assert copy.series is not None
    order = Bench(copies("-sss", "xyzx"), 4)
    started = order.take()
    assert next(started).index == 0
    order.finished(outcome(0, marked=False))  # before the series is opened
    assert next(started).index == 2
    order.finished(outcome(2))
    assert [(one.index, one.lead) for one in started] == [(k, lead_of(2)) for k in (1, 3)]


def test_what_an_interrupted_run_did_to_copies() -> None:
    """Outcomes that are known come first, in any order; of copies only marked ones count as done."""
    groups = copies("sssss", "xyxxy")
    order = Bench(groups, 5, done=[0, 1], known={"s": lead_of(1)})
    assert order.finished(outcome(1)) == [(4, 1)]
    assert order.finished(outcome(0, marked=False)) == []
    assert [(one.index, one.lead) for one in order.take()] == [(2, lead_of(1))]
    assert order.finished(outcome(2)) == [(3, 2)]
    for marked in (True, False):  # the first is tried again, the copy is marked already
        order = Bench(groups, 5, done=[2, 1], known={"s": lead_of(2)})
        assert order.finished(outcome(2)) == []
        assert order.finished(outcome(1)) == [(4, 1)]
        assert order.started() == [0]
        assert order.finished(outcome(0, marked=marked)) == [(3, 0 if marked else 2)]
        assert order.started() == []


def test_more_files_than_are_asked_for_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    from medlocker.release import _groups

    monkeypatch.setattr(_groups, "_AT_ONCE", 3)
    assert groups_of(["a", "b"] * 4).members == {"a": [0, 2, 4, 6], "b": [1, 3, 5, 7]}


def test_nothing_is_read_where_nothing_is_grouped() -> None:
    assert find_groups(inputs(3), series_key=None, instance=None) == Groups()


def write_dicom(path: Path, *, series: str, instance: str, pixels: NDArray[np.uint8]) -> None:
    """One grey slice."""
    header = Dataset()
    header.file_meta = FileMetaDataset()
    header.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    header.file_meta.MediaStorageSOPClassUID = SecondaryCaptureImageStorage
    header.file_meta.MediaStorageSOPInstanceUID = UID(instance)
    header.SOPClassUID, header.SOPInstanceUID = SecondaryCaptureImageStorage, UID(instance)
    header.StudyInstanceUID, header.SeriesInstanceUID = UID("1.2.9"), UID(series)
    header.Rows, header.Columns = pixels.shape
    header.PhotometricInterpretation, header.SamplesPerPixel = "MONOCHROME2", 1
    header.BitsAllocated, header.BitsStored, header.HighBit, header.PixelRepresentation = 8, 8, 7, 0
    header.PixelData = pixels.tobytes()
    header.save_as(path, enforce_file_format=True)


def test_slices_of_a_dicom_series(tmp_path: Path) -> None:
    files = {"a": ("1.2.3", "1.2.3.1"), "b": ("1.2.4", "1.2.4.1"), "c": ("1.2.3", "1.2.3.2")}
    files |= {"d": ("1.2.4", "1.2.4.1"), "e": ("1.2.3", "1.2.3.3")}
    for name, (series, instance) in files.items():
        size = 10 if name == "e" else 8
        write_dicom(
            tmp_path / name, series=series, instance=instance, pixels=np.zeros((size, size), np.uint8)
        )
    (tmp_path / "f").write_bytes(b"no dicom")
    items = [Input(name, str(tmp_path / name), name) for name in "abcdefg"]  # g is missing
    groups = find_groups(items, series_key=series_key, instance=dicom_instance)
    assert sorted(map(list, groups.members.values())) == [[0, 2], [1, 3], [4]]
    assert groups.repeats == {3: 1}
    assert not any("1.2" in key for key in groups.members)


def test_the_middle_leads_and_the_others_wait() -> None:
    order = order_of([None, "s", "s", "s", "s", None])
    started = order.take()
    first = [next(started) for _ in range(3)]
    assert [(one.index, one.lead) for one in first] == [(0, None), (3, None), (5, None)]
    assert first[0].series is None
    assert first[1].series is not None
    assert list(first[1].series.members) == ["1", "2", "3", "4"]
    assert next(started, None) is None
    order.finished(outcome(5))
    assert next(order.take(), None) is None
    order.finished(outcome(3))
    followers = list(order.take())
    assert [(one.index, one.lead) for one in followers] == [(k, lead_of(3)) for k in (4, 1, 2)]
    assert {one.series for one in followers} == {first[1].series}


def test_the_next_leads_where_the_middle_cannot() -> None:
    order = order_of(["s", "s", "s"])
    assert [one.index for one in order.take()] == [1]
    order.finished(outcome(1, marked=False))
    assert [(one.index, one.lead) for one in order.take()] == [(2, None)]
    order.finished(outcome(2))
    assert [(one.index, one.lead) for one in order.take()] == [(0, lead_of(2))]
    order.finished(outcome(0))
    assert order.started() == []


def test_images_that_wait_come_before_new_ones() -> None:
    order = order_of(["s", "s", None, None])
    started = order.take()
    assert next(started).index == 1
    assert next(started).index == 2
    order.finished(outcome(1))
    assert [one.index for one in started] == [0, 3]


def test_an_interrupted_series_keeps_its_marks() -> None:
    known = SharedMarks((), b"earlier")
    order = order_of(["s", "s", "s", None, "t", "t"], done=[2, 4, 5], known={"s": known})
    assert [(one.index, one.lead) for one in order.take()] == [(1, known), (0, known), (3, None)]


@given(
    st.lists(
        st.tuples(st.sampled_from([None, "a", "b", "c"]), st.sampled_from([None, None, "x", "y"])),
        min_size=1,
        max_size=30,
    ),
    st.integers(1, 5),
    st.randoms(use_true_random=False),
)
@example([("a", None)] * 12, 1, random.Random(0))
def test_every_image_is_started_once_whatever_finishes_first(
    images: list[tuple[str | None, str | None]], in_flight: int, rng: random.Random
) -> None:
    """And no image of a series without its marks, but one at a time; no copy of what is marked."""
    keys, same = ([pair[k] for pair in images] for k in (0, 1))
    groups = find_groups(
        inputs(len(keys)),
        series_key=lambda path: keys[int(path.name)],
        instance=lambda path: same[int(path.name)],
    )
    order = Bench(groups, len(keys))
    started: list[int] = []
    skipped: list[int] = []
    marked: dict[str, int] = {}
    whole: dict[str, int] = {}
    running: list[ScheduledImage] = []
    source = order.take()
    while True:
        exhausted = False
        while not exhausted and len(running) < in_flight:
            planned = next(source, None)
            exhausted = planned is None
            if planned is not None:
                running.append(planned)
                started.append(planned.index)
        if exhausted:
            source = order.take()
        if not running:
            break
        one = running.pop(rng.randrange(len(running)))
        key, instance = keys[one.index], same[one.index]
        is_marked = rng.random() < 0.6
        if key is not None and one.lead is None:
            assert not any(keys[other.index] == key for other in running)
            assert key not in marked
            if is_marked:
                marked[key] = one.index
        elif key is not None:
            assert one.lead == lead_of(marked[key])
        if instance is not None:
            assert instance not in whole
            assert not any(same[other.index] == instance for other in running)
            if is_marked:
                whole[instance] = one.index
        for index, first in order.finished(outcome(one.index, marked=is_marked)):
            assert first == whole[same[index] or ""]
            skipped.append(index)
    assert sorted(started + skipped) == list(range(len(keys)))
