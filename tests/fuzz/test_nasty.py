"""Files made to break readers end in one sentence, in bounded time and memory, and change nothing else."""

from __future__ import annotations

import importlib.util
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fuzz_worker import Worker

from medlocker.certificates import new_owner
from medlocker.logo import builtin_logo
from runs import fill, tiny_model

ROOT = Path(__file__).parent.parent.parent
_SPEC = importlib.util.spec_from_file_location("make_nasty_files", ROOT / "scripts" / "make_nasty_files.py")
assert _SPEC is not None
assert _SPEC.loader is not None
make_nasty_files = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(make_nasty_files)
MAKERS = make_nasty_files.makers()

READ = {
    "images/texts-that-pretend-to-be-pictures.png",
    "images/thumbnail-in-a-hundred-thousand-strips.png",
    "images/hundred-thousand-chunks.png",
    "images/bomb-in-a-strip.tif",
    "images/quantisation-of-zero.jpg",
    "images/slices-of-one-voxel.nii",
    "images/nested-ten-thousand-deep-in-known-lengths.dcm",
    "images/frames-without-number.dcm",
    "cards/class-of-half-a-character.card.json",
    "learned/almost-too-deep/learned.json",
    "statements/almost-too-deep.dsse.json",
    "statements/half-a-character.dsse.json",
    "statements/numbers-that-are-none.dsse.json",
}
"""Files that are no trouble: `inspect` reads them."""

REFUSED_BY_PROTECT = {"images/quantisation-of-zero.jpg"}
"""Files that can be looked at and not be marked."""

SEEN_BY_INSPECT = {"images/pages-that-share-their-tags.tif"}
"""Files of which the first headers are told, and that nothing else reads."""

AS_ANNOUNCED = {"images/lines-of-65500.dcm", "images/runs-that-end-early.dcm"}
"""Files that may hold the 100 million pixels they announce, as far as can be told before decoding."""

LARGE = {
    "labels/line-of-100-megabytes.csv",
    "labels/row-of-lines.csv",
    "regions/line-of-100-megabytes.csv",
    "regions/row-of-lines.csv",
    "images/slices-of-one-voxel.nii",
    "images/frames-without-number.dcm",
    "images/thumbnail-in-a-hundred-thousand-strips.png",
    "images/a-million-fragments.dcm",
    "images/pages-that-share-their-tags.tif",
    "images/texts-of-16-megabytes.png",
    "images/strips-without-number.tif",
    "images/hundred-thousand-chunks.png",
    "images/members-of-nothing.nii.gz",
    "images/bomb-of-deflate.dcm",
    "images/bomb-behind-the-voxels.nii.gz",
    "images/codestream-of-16384-components.dcm",
    "images/codestream-of-a-tile-per-pixel.dcm",
    "logos/bomb.png",
    "logos/text-bomb.png",
}
"""Files that take a while to make or to refuse."""

MOST_S, MOST_BYTES = 3.0, 1 << 30
_FEW = ("--budget", "3", "--preset", "paper", "--no-ledger")


class Place:
    """A folder with one good image, a model, and an owner; commands run on one nasty file beside them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.good = fill(folder / "good", 1) / "00.png"
        self.good = self.good.rename(self.good.with_name("good.png"))
        self.model = tiny_model(folder)
        new_owner(folder / "owner")
        self._count = 0

    def commands(self, name: str, data: bytes) -> Iterator[tuple[list[Any], Path | None]]:
        """Write the file; yield the arguments of each command that reads it, and where that may write."""
        self._count += 1
        own = self.folder / f"nasty{self._count}"
        path = own / Path(name).relative_to(Path(name).parts[0])
        path.parent.mkdir(parents=True)
        path.write_bytes(data)
        out = self.folder / f"out{self._count}"
        kind = name.split("/")[0]
        source, model, options = self.good, self.model, []
        if kind in ("images", "lists"):
            source = path
        elif kind == "models":
            model = path
        elif kind == "cards":
            model = Path(shutil.copy(self.model, own / "nasty.onnx"))
            path.rename(own / "nasty.card.json")
        elif kind == "statements":
            release = own / "release"
            (release / "certificate").mkdir(parents=True)
            path.rename(release / "certificate" / "statement.dsse.json")
            yield ["inspect", release], None
            yield ["verify", release, "--owner", f"{self.folder / 'owner'}.sign.pub"], None
            return
        elif kind in ("learned", "yolo"):
            path = path.parent
            options = ["--logo" if kind == "learned" else "--regions", path]
            if kind == "learned":
                (path / "logo.png").write_bytes(builtin_logo().to_png())
        else:
            options = [{"labels": "--labels", "regions": "--regions", "logos": "--logo"}[kind], path]
        looked_at = {"images": path, "models": model, "cards": model, "learned": path}.get(kind)
        if looked_at is not None:
            yield ["inspect", looked_at], None
        owner = self.folder / "owner"
        yield ["protect", source, "--model", model, "--owner", owner, "--out", out, *_FEW, *options], out


@pytest.fixture(scope="module")
def worker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Worker]:
    with Worker("nasty_child.py", tmp_path_factory.mktemp("nasty") / "errors") as made:
        yield made


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Place:
    return Place(tmp_path_factory.mktemp("place"))


def _files(folder: Path) -> set[Path]:
    return set(folder.rglob("*"))


def _check(name: str, arguments: list[Any], out: Path | None, place: Place, worker: Worker) -> None:
    """Run one command and see that it ends well."""
    before = _files(place.folder)
    worker.send(json.dumps([str(one) for one in arguments]))
    answer = worker.receive()
    code, told = answer["code"], answer["err"].splitlines()
    assert code in (0, 1, 2, 3), code
    assert answer["seconds"] < MOST_S
    assert answer["bytes"] < MOST_BYTES
    reads = name in READ and arguments[0] != "verify"
    reads = reads or (arguments[0] == "inspect" and name in SEEN_BY_INSPECT)
    if reads and not (arguments[0] == "protect" and name in REFUSED_BY_PROTECT):
        assert code == 0, told
    else:
        assert code != 0
        sentences = [line for line in told if line.startswith(("error: ", "failed: "))]
        assert len(sentences) == 1 or (name.startswith("lists/") and sentences), told
        # else it was the limit of memory that ended it, and elsewhere there is none
        assert name in AS_ANNOUNCED or "fits into memory" not in sentences[0]
        assert all(line.isprintable() and "Traceback" not in line for line in told)
    assert all(out is not None and path.is_relative_to(out) for path in _files(place.folder) - before)


@pytest.mark.parametrize("name", [name for name in MAKERS if name not in LARGE])
def test_a_nasty_file_is_read_or_refused_in_one_sentence(name: str, place: Place, worker: Worker) -> None:
    arguments, out = next(place.commands(name, MAKERS[name]()))
    _check(name, arguments, out, place, worker)


@pytest.mark.slow
@pytest.mark.parametrize("name", MAKERS)
def test_every_nasty_file_is_read_or_refused_by_every_command(
    name: str, place: Place, worker: Worker
) -> None:
    for arguments, out in place.commands(name, MAKERS[name]()):
        _check(name, arguments, out, place, worker)


def test_every_file_that_is_told_of_exists() -> None:
    assert MAKERS.keys() >= READ | LARGE | REFUSED_BY_PROTECT
    assert len(MAKERS) > 100


def test_the_script_writes_them_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    few = {name: MAKERS[name] for name in ("images/empty.png", "yolo/zeros/good.txt")}
    monkeypatch.setattr(make_nasty_files, "makers", lambda: few)
    monkeypatch.setattr("sys.argv", ["make_nasty_files.py", str(tmp_path)])
    make_nasty_files.main()
    assert capsys.readouterr().out == f"2 files, 64 bytes in {tmp_path}\n"
    assert (tmp_path / "yolo/zeros/good.txt").read_bytes() == bytes(64)


def test_the_script_tells_what_it_does(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["make_nasty_files.py", "--help"])
    with pytest.raises(SystemExit) as end:
        make_nasty_files.main()
    assert end.value.code == 0
    assert "Write a corpus of files that are made to break readers" in capsys.readouterr().out
