"""The reader of one part, over every content, every way to cut the body into pieces, and every cut end."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from medlocker.dicomweb._multipart import one_part
from medlocker.errors import TransferError

BOUNDARY = b"XbX"
LINE = b"\r\n--XbX"
# pieces of boundaries are what a reader stumbles over
CONTENTS = st.lists(
    st.sampled_from([b"\r", b"\n", b"-", b"X", b"b", b"\r\n--Xb", b"\r\n--xbX", b"\r\n\r\n", b"\0data"]),
    max_size=12,
).map(b"".join)


def body(
    content: bytes, *, preamble: bytes = b"", head: bytes = b"\r\nContent-Type: a/b", end: bytes = b"--"
) -> bytes:
    return preamble + LINE[0 if preamble else 2 :] + head + b"\r\n\r\n" + content + LINE + end


def read(data: bytes, cuts: list[int]) -> bytes:
    places = sorted({0, len(data), *(cut % (len(data) + 1) for cut in cuts)})
    return b"".join(one_part((data[a:b] for a, b in pairwise(places)), BOUNDARY))


@given(
    content=CONTENTS.filter(lambda content: LINE not in content + LINE[:-1]),
    cuts=st.lists(st.integers(0, 10**6), max_size=30),
    preamble=st.sampled_from([b"", b"\r\n", b"preamble", b"a\r\nb"]),
    head=st.sampled_from([b"", b"\r\nContent-Type: a/b", b"\r\nA: b\r\nC: d"]),
    epilogue=st.sampled_from([b"", b"\r\n", b"epilogue"]),
)
def test_the_content_comes_out_however_it_is_cut(
    content: bytes, cuts: list[int], preamble: bytes, head: bytes, epilogue: bytes
) -> None:
    assert read(body(content, preamble=preamble, head=head) + epilogue, cuts) == content


@given(content=st.binary(max_size=40), missing=st.integers(1, 10**6), cuts=st.lists(st.integers(0, 99)))
def test_a_body_without_its_end_is_refused(content: bytes, missing: int, cuts: list[int]) -> None:
    whole = body(content)
    with pytest.raises(TransferError, match=r"^the server's answer is cut off$"):
        read(whole[: len(whole) - 1 - missing % len(whole)], cuts)


@given(cuts=st.lists(st.integers(0, 10**6), max_size=9))
def test_a_second_part_is_refused(cuts: list[int]) -> None:
    with pytest.raises(TransferError, match=r"^expected one part in the server's answer, got several$"):
        read(body(b"one", end=b"\r\n\r\ntwo") + LINE + b"--", cuts)


def test_a_body_without_any_part_is_refused_soon() -> None:
    taken = 0

    def endless() -> object:
        nonlocal taken
        while True:
            taken += 1
            yield b"x" * 1000

    with pytest.raises(TransferError, match=r"^expected one part in the server's answer, got none$"):
        list(one_part(endless(), BOUNDARY))  # type: ignore[arg-type]
    assert taken < 100
