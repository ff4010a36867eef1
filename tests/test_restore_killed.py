"""Restoring that is killed half-way leaves nothing that stands in the way of the next time."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from medlocker._files import TEMPORARY_PREFIX
from medlocker.certificates import Access, Owner, open_release, owner_access
from medlocker.errors import OutputExistsError
from medlocker.restore import restore_release
from runs import fill, protect


@pytest.fixture
def access(tmp_path: Path, owner: Owner) -> Access:
    protect(fill(tmp_path / "in", 4), tmp_path / "out", owner)
    return owner_access(open_release(tmp_path / "out", owner.signing.public), owner.identity())


def killed(access: Access, out: Path, *, after: int) -> None:
    """Restore in a forked process that is killed when it renames a file for the n-th time."""
    child = os.fork()
    if child == 0:
        try:
            signal.alarm(60)
            left = [after]
            honest = os.link

            def link(first: str, second: str) -> None:
                left[0] -= 1
                if left[0] < 0:
                    os.kill(os.getpid(), signal.SIGKILL)
                honest(first, second)

            os.link = link  # type: ignore[assignment]
            restore_release(access, out, workers=1)
        finally:
            os._exit(1)
    assert os.WTERMSIG(os.waitpid(child, 0)[1]) == signal.SIGKILL


def leftovers(out: Path) -> list[str]:
    return [path.name for path in out.rglob("*") if path.name.startswith(TEMPORARY_PREFIX)]


def test_leftovers_are_swept(tmp_path: Path, access: Access) -> None:
    out = tmp_path / "restored"
    killed(access, out, after=2)
    assert leftovers(out)
    with pytest.raises(OutputExistsError, match=r"^the output folder restored is not empty$"):
        restore_release(access, out)
    assert restore_release(access, out, overwrite=True).restored == 4
    assert sorted(path.name for path in out.iterdir()) == ["00.png", "01.png", "02.png", "03.png"]


def test_leftovers_alone_leave_a_folder_empty(tmp_path: Path, access: Access) -> None:
    out = tmp_path / "restored"
    killed(access, out, after=0)
    assert leftovers(out) == [path.name for path in out.iterdir()]
    assert restore_release(access, out).restored == 4
    assert not leftovers(out)
