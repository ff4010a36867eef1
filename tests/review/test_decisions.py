"""Signed decisions: nobody else's count, and no line can be changed, moved or taken out."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from medlocker.certificates import Owner, SigningKey, open_release, owner_access, sign_line
from medlocker.errors import CertificateError, MedlockerError
from medlocker.review import Review, open_review, review_folder
from medlocker.review._log import PAYLOAD_TYPE
from medlocker.review._standing import Standing
from medlocker.review.pictures import load_pair
from runs import fill, protect


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, owner: Owner) -> Path:
    folder = tmp_path_factory.mktemp("made")
    protect(fill(folder / "in", 3), folder / "rel", owner)
    return folder / "rel"


@pytest.fixture
def release(made: Path, tmp_path: Path) -> Path:
    return shutil.copytree(made, tmp_path / "rel")


def opened(release: Path, owner: Owner) -> Review:
    access = owner_access(open_release(release, owner.signing.public), owner.identity())
    return open_review(access, owner.signing)


def lines_of(release: Path) -> Path:
    return review_folder(release) / "decisions.jsonl"


def decide_all(release: Path, owner: Owner) -> None:
    review = opened(release, owner)
    for item in sorted(review.items, key=lambda one: one.entry.index):
        review.decide([item], "approved")


def test_the_last_decision_holds(release: Path, owner: Owner) -> None:
    review = opened(release, owner)
    item = review.items[0]
    review.decide([item], "approved")
    review.decide([item], "rejected", why="after all")
    for one in (review, opened(release, owner)):
        decision = one.decision(item.entry.index)
        assert decision is not None
        assert (decision.verdict, decision.why) == ("rejected", "after all")
        assert (one.counts.rejected, one.counts.left) == (1, 2)


def test_two_reviewers_at_once(release: Path, owner: Owner) -> None:
    first, second = opened(release, owner), opened(release, owner)
    first.decide([first.items[0]], "approved")
    second.decide([second.items[1]], "approved")
    first.refresh()
    assert first.counts.approved == second.counts.approved == 2


def test_who_looks_while_others_decide_sees_every_image_once(release: Path, owner: Owner) -> None:
    mine, theirs = opened(release, owner), opened(release, owner)

    def work(turn: int) -> list[int]:
        review = mine if turn % 3 else theirs
        review.decide([review.items[turn % len(review.items)]], "approved")
        mine.refresh()
        return sorted(place for places in mine.standing.places.values() for place in places)

    with ThreadPoolExecutor(8) as threads:
        assert all(seen == [0, 1, 2] for seen in threads.map(work, range(48)))
    assert mine.counts == opened(release, owner).counts
    assert mine.counts.left == 0


def test_standing_follows_every_decision() -> None:
    standing = Standing.of_undecided(5)
    assert (list(standing.places[None]), standing.places["approved"]) == ([0, 1, 2, 3, 4], ())
    later = standing.after({3: "approved", 1: "approved", 4: "rejected"}).after({1: None, 2: "another mark"})
    assert later.places == {None: [0, 1], "approved": [3], "rejected": [4], "another mark": [2]}
    assert list(standing.places[None]) == [0, 1, 2, 3, 4]


def test_pictures_need_neither_index_nor_logo_again(release: Path, owner: Owner) -> None:
    review = opened(release, owner)
    load_pair(review, review.items[0])
    for name in ("index/00000.jsonl", "logo.png"):
        (release / "certificate" / name).unlink()
    assert [load_pair(review, item).frames for item in review.items] == [1, 1, 1]


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda lines: [lines[0], lines[2]], id="one taken out"),
        pytest.param(lambda lines: [lines[1], lines[0], lines[2]], id="two exchanged"),
        pytest.param(lambda lines: [*lines, lines[2]], id="one repeated"),
        pytest.param(
            lambda lines: [lines[0].replace(b"approved", b"rejected"), *lines[1:]], id="one changed"
        ),
        pytest.param(lambda lines: [b"{}\n", *lines], id="of another form"),
        pytest.param(lambda lines: [b"\xff\n", *lines], id="no text"),
        pytest.param(lambda lines: [b"x" * 70000], id="endless"),
    ],
)
def test_changed_lines_are_refused(
    release: Path, owner: Owner, change: Callable[[list[bytes]], list[bytes]]
) -> None:
    decide_all(release, owner)
    path = lines_of(release)
    path.write_bytes(b"".join(change(path.read_bytes().splitlines(keepends=True))))
    with pytest.raises(CertificateError, match=r"^rel\.review/decisions\.jsonl"):
        opened(release, owner)


@pytest.mark.parametrize("of", ["another key", "another release"])
def test_foreign_lines_are_refused(release: Path, owner: Owner, of: str) -> None:
    review = opened(release, owner)
    made = review.decide([review.items[0]], "approved")[0]
    value = made.to_json() | {"previous": ""}
    key = SigningKey.new() if of == "another key" else owner.signing
    if of == "another release":
        value |= {"release": "0" * 32}
    lines_of(release).write_bytes(sign_line(json.loads(json.dumps(value)), PAYLOAD_TYPE, key=key))
    with pytest.raises(CertificateError):
        opened(release, owner)


def test_a_decision_is_about_the_file_that_was_seen(release: Path, owner: Owner) -> None:
    review = opened(release, owner)
    value = review.decide([review.items[0]], "approved")[0].to_json() | {"previous": "", "file": "0" * 64}
    lines_of(release).write_bytes(sign_line(json.loads(json.dumps(value)), PAYLOAD_TYPE, key=owner.signing))
    assert opened(release, owner).counts.left == 3


@pytest.mark.parametrize("left", [0, 1, 100])
def test_half_a_line_that_a_kill_left_does_not_count(release: Path, owner: Owner, left: int) -> None:
    decide_all(release, owner)
    path = lines_of(release)
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(lines[0] + lines[1] + lines[2][:left])
    review = opened(release, owner)
    assert review.counts.approved == 2
    review.decide([item for item in review.items if review.decision(item.entry.index) is None], "approved")
    assert (
        path.read_bytes()
        == b"".join(lines)[: len(lines[0] + lines[1])] + path.read_bytes().splitlines(keepends=True)[2]
    )
    assert opened(release, owner).counts.approved == 3


@pytest.mark.parametrize("left", [None, 0, 10])
def test_lines_that_go_while_a_review_is_open_are_missed(
    release: Path, owner: Owner, left: int | None
) -> None:
    review = opened(release, owner)
    review.decide([review.items[0]], "approved")
    path = lines_of(release)
    if left is None:
        path.unlink()
    else:
        path.write_bytes(path.read_bytes()[:left])
    for act in (review.refresh, lambda: review.decide([review.items[1]], "approved")):
        with pytest.raises(CertificateError, match="decisions are missing at the end"):
            act()
    assert not path.exists() or b"\0" not in path.read_bytes()


def test_what_only_saves_time_is_made_again(release: Path, owner: Owner) -> None:
    first = [item.facts for item in opened(release, owner).items]
    path = review_folder(release) / "facts"
    path.write_bytes(path.read_bytes().replace(b"models_right", b"models_wrong"))
    assert [item.facts for item in opened(release, owner).items] == first


def test_where_nothing_can_be_written(release: Path, owner: Owner) -> None:
    review_folder(release).write_bytes(b"a file")
    with pytest.raises(MedlockerError, match=r"^rel\.review/decisions\.jsonl: not a directory$"):
        opened(release, owner)
