"""A run with companions and copies, killed at each change of its folder: the same command ends it equally."""

from __future__ import annotations

import itertools
import signal
from pathlib import Path

import pytest

from killed import killed_child
from medlocker.certificates import Owner, open_release, owner_access, verify_release
from medlocker.errors import OutputExistsError
from medlocker.protect import Settings
from medlocker.release import find_copies, find_inputs, run_release
from medlocker.restore import restore_release
from runs import images_of, make_run

NAMES = ["1.dcm", "masks/a.csv", "pr.dcm", "seg.dcm", "sr.dcm"]


def protect(source: Path, out: Path, owner: Owner) -> None:
    inputs, copies = find_copies([source.parent / "masks"], find_inputs(source))
    settings = Settings(preset="veil", decoys=False)
    run_release(make_run(source, out, owner, settings=settings, copies=copies, ledger=None))
    assert inputs.items


@pytest.mark.slow
def test_killed_at_every_change(tmp_path: Path, owner: Owner) -> None:
    # late: children that are to be killed need not import what makes samples
    from companion_samples import presentation_state, report, saved, segmentation, slice_of, write

    image = slice_of(1)
    seg = segmentation([image])
    objects = {"1.dcm": image, "seg.dcm": seg, "pr.dcm": presentation_state([image])}
    objects["sr.dcm"] = report([image], others=[seg])
    write(tmp_path / "in", objects)
    (tmp_path / "masks").mkdir()
    (tmp_path / "masks" / "a.csv").write_bytes(b"a,b\n")
    originals = {name: saved(ds) for name, ds in objects.items()} | {"masks/a.csv": b"a,b\n"}
    while_written = 0
    for moment in itertools.count(30, 2):  # before, images are marked: other tests kill there
        out = tmp_path / f"out{moment}"
        code = killed_child(moment, out, protect, tmp_path / "in", out, owner)
        assert code in (0, -signal.SIGKILL)
        half = images_of(out) if (out / "images").exists() else {}
        half = {name: data for name, data in half.items() if ".medlocker" not in name}
        while_written += 1 < len(half) < len(NAMES)
        if code:
            try:
                protect(tmp_path / "in", out, owner)
            except OutputExistsError:  # killed when all was done
                assert sorted(half) == NAMES
        whole = images_of(out)
        assert sorted(whole) == NAMES
        assert half.items() <= whole.items()
        release = open_release(out, owner.signing.public)
        assert verify_release(release).valid
        back = tmp_path / f"back{moment}"
        assert not restore_release(owner_access(release, owner.identity()), back).exit_code
        assert {p.relative_to(back).as_posix(): p.read_bytes() for p in back.rglob("*") if p.is_file()} == (
            originals
        )
        if not code:
            break
    assert while_written > 6
