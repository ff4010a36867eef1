"""Small data sets and runs over them, with a linear model."""

from __future__ import annotations

import base64
import faulthandler
import io
import json
import os
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, chdir, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import pytest
from PIL import Image as Pillow

from killed import FORKS
from medlocker.certificates import Owner, open_owner_grant, open_release, owner_access, verify_release
from medlocker.classifiers import Classifier
from medlocker.cli import main
from medlocker.formats import read_image
from medlocker.images import content_digest
from medlocker.logo import builtin_logo
from medlocker.protect import Settings
from medlocker.release import Result, Run, find_inputs, run_release
from medlocker.release._journal import lines_path
from medlocker.restore import restore_release
from medlocker.store import read_head
from medlocker.testing import LinearClassifier
from onnx_models import make_onnx
from patience import HANGS_S
from pictures import smooth


def picture(kind: str = "PNG", *, size: int = 48, seed: int = 0, mode: str = "RGB", **options: Any) -> bytes:
    """One smooth picture as a file."""
    pixels = np.round(smooth(size, size, 3, seed=seed) * 255).astype(np.uint8)
    stream = io.BytesIO()
    Pillow.fromarray(pixels).convert(mode).save(stream, kind, **options)
    return stream.getvalue()


def fill(folder: Path, count: int, *, size: int = 48, first: int = 0) -> Path:
    """Write count PNG images."""
    folder.mkdir(parents=True, exist_ok=True)
    for k in range(first, first + count):
        (folder / f"{k:02d}.png").write_bytes(picture(seed=k, size=size))
    return folder


def make_run(
    source: Path,
    out: Path,
    owner: Owner,
    *,
    classifiers: Sequence[Classifier] = (),
    settings: Settings | None = None,
    **options: Any,
) -> Run:
    """A run with a small budget and a fixed seed."""
    return Run(
        inputs=find_inputs(source),
        release=out,
        classifiers=classifiers or (LinearClassifier(size=24),),
        logo=builtin_logo(),
        owner=owner,
        settings=settings or Settings(preset="strong", budget=6, seed=1),
        **options,
    )


def protect(source: Path, out: Path, owner: Owner, **options: Any) -> Result:
    """Run it."""
    return run_release(make_run(source, out, owner, **options))


def check_release(source: Path, out: Path, owner: Owner, restored: Path) -> dict[str, bytes]:
    """Verify and restore a release, compare with the originals, and return its images by name."""
    release = open_release(out, owner.signing.public)
    report = verify_release(release)
    assert report.valid, report
    again = restore_release(owner_access(release, owner.identity()), restored)
    assert again.failed == 0, again.failures
    assert again.restored == report.images
    originals = {item.output_name: item.path for item in find_inputs(source).items}
    for path in restored.rglob("*"):
        if path.is_file():
            original = originals[path.relative_to(restored).as_posix()]
            first = read_image(original.read_bytes(), name="o")
            last = read_image(path.read_bytes(), name="r")
            np.testing.assert_array_equal(last.pixels, first.pixels)
            assert content_digest(last) == content_digest(first)
    leftovers = [path for path in out.rglob("*") if path.name.startswith(".medlocker")]
    assert not leftovers
    return images_of(out)


def release_of(out: Path, owner: Owner) -> str:
    """The id of an unfinished release."""
    head = read_head(lines_path(out), key=owner.signing.derive("run"))
    assert head is not None
    grant = base64.b64decode(head["grant"])
    return open_owner_grant(grant, owner.identity(), owner=owner.signing.public).release


def images_of(out: Path) -> dict[str, bytes]:
    """The marked files by relative name; PNG files without what names the release: like marks, like bytes."""
    folder = out / "images"
    files = [path for path in folder.rglob("*") if path.is_file()]
    return {path.relative_to(folder).as_posix(): without_packet(path.read_bytes()) for path in files}


def without_packet(data: bytes) -> bytes:
    """A PNG without its XMP chunk."""
    at = data.find(b"iTXtXML:com.adobe.xmp\0") - 4
    if at < 0 or not data.startswith(b"\x89PNG"):
        return data
    return data[:at] + data[at + 12 + int.from_bytes(data[at : at + 4], "big") :]


@dataclass(frozen=True)
class Answer:
    """What a command did."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """The one JSON object on stdout."""
        return json.loads(self.out)


def environment() -> dict[str, str]:
    """Plain text, wide enough never to wrap."""
    return os.environ | {"NO_COLOR": "1", "COLUMNS": "400", "TERM": "dumb"}


COMMAND = [sys.executable, "-c", "from medlocker.cli import main; main()"]

LISTEN = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler);"
"""Begins a program that hears interrupts: a shell's background jobs ignore them, and so do their children."""


def medlocker(*arguments: object, cwd: Path = Path(), first: Callable[[], object] | None = None) -> Answer:
    """Run the real command in a process of its own, forked from one that has done the imports.

    Args:
        cwd: The folder to run it in.
        first: Called there before, a function of a module.
    """
    words = [os.fspath(_text(word)) for word in arguments]
    (out, out_end), (err, err_end) = (FORKS.Pipe(duplex=False) for _ in range(2))
    process = FORKS.Process(
        target=_run_command,
        args=(words, os.path.abspath(cwd), environment(), (out_end, err_end), first),
    )
    process.start()
    out_end.close()
    err_end.close()
    with ThreadPoolExecutor(2) as readers:
        told, said = readers.map(_all_of, (out, err))
    process.join()
    assert "Traceback" not in said, said
    assert process.exitcode is not None
    return Answer(process.exitcode, told, said)


def _all_of(pipe: Connection) -> str:
    with pipe, open(pipe.fileno(), "rb", closefd=False) as stream:
        return stream.read().decode("utf-8", "backslashreplace")


def _run_command(
    words: list[str],
    cwd: str,
    environ: dict[str, str],
    pipes: tuple[Connection, Connection],
    first: Callable[[], object] | None,
) -> None:
    faulthandler.dump_traceback_later(HANGS_S, exit=True)
    for number, pipe in enumerate(pipes, start=1):
        os.dup2(pipe.fileno(), number)
        pipe.close()
    sys.stdout, sys.stderr = (
        io.TextIOWrapper(io.BufferedWriter(io.FileIO(number, "w", closefd=False)), "utf-8", errors)
        for number, errors in ((1, "strict"), (2, "backslashreplace"))
    )
    os.environ.clear()
    os.environ.update(environ)
    os.chdir(cwd)
    sys.argv = ["medlocker", *words]
    if first is not None:
        first()
    main()


def called(*arguments: object, cwd: Path = Path()) -> Answer:
    """Run a command in this process, which takes a fraction of the time; for fixtures of a module too."""
    code, out, err = 0, io.StringIO(), io.StringIO()
    with ExitStack() as stack:
        stack.enter_context(chdir(cwd))
        stack.enter_context(redirect_stdout(out))
        stack.enter_context(redirect_stderr(err))
        stack.enter_context(patch.dict(os.environ, environment()))
        stack.enter_context(patch.object(sys, "argv", ["medlocker", *map(str, arguments)]))
        try:
            main()
        except SystemExit as end:
            code = int(end.code or 0)
    return Answer(code, out.getvalue(), err.getvalue())


class Shell:
    """Runs commands in this process, which takes a twentieth of the time of one of their own."""

    def __init__(self, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
        self._capfd = capfd
        self._monkeypatch = monkeypatch
        for name, value in environment().items():
            monkeypatch.setenv(name, value)

    def __call__(self, *arguments: object, cwd: Path) -> Answer:
        self._monkeypatch.chdir(cwd)
        self._monkeypatch.setattr(sys, "argv", ["medlocker", *map(str, arguments)])
        self._capfd.readouterr()
        code = 0
        try:
            main()
        except SystemExit as end:
            code = int(end.code or 0)
        out, err = self._capfd.readouterr()
        return Answer(code, out, err)


def _text(value: object) -> Any:
    return value if isinstance(value, bytes | str | Path) else str(value)


def tiny_model(folder: Path, *, size: int = 24) -> Path:
    """An ONNX model with the weights of a LinearClassifier."""
    weights = LinearClassifier(size=size)._weights.astype(np.float64)
    return make_onnx(folder / "tiny.onnx", weights=weights).path
