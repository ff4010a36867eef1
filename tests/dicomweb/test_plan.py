from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from medlocker.dicomweb import PushLog
from medlocker.dicomweb._plan import has_pixels, name_instances
from medlocker.dicomweb._qido import Instance

NUMBERS = st.none() | st.integers(-3, 3)
INSTANCES = st.lists(
    st.builds(
        Instance,
        st.sampled_from(["1.2", "1.10", "2"]),
        NUMBERS,
        st.from_regex(r"[1-9]\.[1-9]{1,3}", fullmatch=True),
        st.just(""),
    ),
    unique_by=lambda one: one.uid,
    max_size=12,
)


@given(st.data(), INSTANCES)
def test_names_do_not_depend_on_the_servers_order(data: st.DataObject, instances: list[Instance]) -> None:
    planned = name_instances(instances)
    assert name_instances(data.draw(st.permutations(instances))) == planned
    assert [one.name for one in planned] == sorted({one.name for one in planned})
    assert {one.uid for one in planned} == {one.uid for one in instances}


def test_names_follow_series_number_and_uid_and_tell_nothing_else() -> None:
    found = [
        Instance("1.9", 2, "7", ""),
        Instance("1.9", None, "8", ""),
        Instance("1.9", 10, "6", ""),
        Instance("1.9", 2, "5", ""),
        Instance("1.1", 1, "9", ""),
    ]
    assert [(one.name, one.uid) for one in name_instances(found)] == [
        ("series-0001/000001.dcm", "9"),
        ("series-0002/000001.dcm", "8"),
        ("series-0002/000002.dcm", "5"),
        ("series-0002/000003.dcm", "7"),
        ("series-0002/000004.dcm", "6"),
    ]


STORAGE = "1.2.840.10008.5.1.4.1.1."


@pytest.mark.parametrize(
    "kind", ["1", "1.1.1", "2", "2.1", "4", "6.1", "7.4", "77.1.5.1", "77.1.6", "481.1", "481.2", "81.1"]
)
def test_pictures_are_fetched(kind: str) -> None:
    assert has_pixels(STORAGE + kind)


@pytest.mark.parametrize(
    "kind",
    ["9.1.1", "11.1", "66", "66.4", "88.11", "88.59", "104.1", "481.3", "481.5", "481.10", "78.7", "90.1"],
)
def test_reports_and_the_like_are_not(kind: str) -> None:
    assert not has_pixels(STORAGE + kind)


def test_unknown_kinds_may_be_pictures() -> None:
    assert has_pixels("")
    assert has_pixels("1.2.3")


@pytest.mark.parametrize("torn", [0, 1, 3, 6])
def test_what_was_pushed_is_read_again_without_a_torn_end(torn: int, tmp_path: Path) -> None:
    path = tmp_path / "log"
    with closing(PushLog(path, release="r1")) as log:
        log.add("a/1.dcm")
        log.add("a/2.dcm")
    assert path.stat().st_mode & 0o777 == 0o600
    data = path.read_bytes()
    path.write_bytes(data + data.splitlines()[-1][:torn])
    with closing(PushLog(path, release="r1")) as again:
        assert again.names == {"a/1.dcm", "a/2.dcm"}
    assert path.read_bytes() == data
    with closing(PushLog(path, release="r2")) as other:
        assert other.names == set()
