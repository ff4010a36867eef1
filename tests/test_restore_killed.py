"""Restoring that is killed half-way leaves nothing that stands in the way of the next time."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from killed import in_child
from medlocker.certificates import Access, Owner, open_release, owner_access
from medlocker.errors import OutputExistsError
from medlocker.files import TEMPORARY_PREFIX
from medlocker.restore import restore_release
from runs import fill, protect


def access(release: Path, owner: Owner) -> Access:
    return owner_access(open_release(release, owner.signing.public), owner.identity())


@pytest.fixture
def release(tmp_path: Path, owner: Owner) -> Path:
    protect(fill(tmp_path / "in", 4), tmp_path / "out", owner)
    return tmp_path / "out"


def _until(release: Path, owner: Owner, out: Path, after: int) -> None:
    left = [after]
    honest = os.link

    def link(first: str, second: str) -> None:
        left[0] -= 1
        if left[0] < 0:
            os.kill(os.getpid(), signal.SIGKILL)
        honest(first, second)

    os.link = link  # type: ignore[assignment]
    restore_release(access(release, owner), out, workers=1)


def killed(release: Path, owner: Owner, out: Path, *, after: int) -> None:
    """Restore in a process that is killed when it renames a file for the n-th time."""
    assert in_child(_until, release, owner, out, after) == -signal.SIGKILL


def leftovers(out: Path) -> list[str]:
    return [path.name for path in out.rglob("*") if path.name.startswith(TEMPORARY_PREFIX)]


def test_leftovers_are_swept(tmp_path: Path, release: Path, owner: Owner) -> None:
    out = tmp_path / "restored"
    killed(release, owner, out, after=2)
    assert leftovers(out)
    with pytest.raises(OutputExistsError, match=r"^the output folder restored is not empty$"):
        restore_release(access(release, owner), out)
    assert restore_release(access(release, owner), out, overwrite=True).restored == 4
    assert sorted(path.name for path in out.iterdir()) == ["00.png", "01.png", "02.png", "03.png"]


def test_leftovers_alone_leave_a_folder_empty(tmp_path: Path, release: Path, owner: Owner) -> None:
    out = tmp_path / "restored"
    killed(release, owner, out, after=0)
    assert leftovers(out) == [path.name for path in out.iterdir()]
    assert restore_release(access(release, owner), out).restored == 4
    assert not leftovers(out)
