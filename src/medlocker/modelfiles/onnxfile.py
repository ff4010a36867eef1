"""Opening an ONNX file from anywhere: limits, its digest, and a session that shares the machine.

A model is one file. One that keeps its weights in a second (external data) is refused: then the digest in
cards and certificates is the file's own, which anybody can compare, and no path in a foreign file is
followed. A file of 2 GiB, the most that its format can be, is many times a diagnostic classifier.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime

from medlocker.errors import ModelError
from medlocker.files import sha256_of
from medlocker.machine import wanted_threads
from medlocker.modelfiles.onnxparts import has_external_data

MAX_MODEL_BYTES = (1 << 31) - 1
FLOATS: dict[str, type[np.floating[Any]]] = {
    "tensor(float)": np.float32,
    "tensor(float16)": np.float16,
    "tensor(double)": np.float64,
}
"""Element types that an image may be given in."""
BYTES = "tensor(uint8)"
"""Of models that do everything with a picture themselves."""
_UNUSABLE = "it may be damaged, or use custom operators"


@dataclass(frozen=True, eq=False)
class OnnxFile:
    """A model that ONNX Runtime can run."""

    session: onnxruntime.InferenceSession
    sha256: str


def open_onnx(path: Path, *, stated_sha256: str | None, card: str, threads: int, gpu: bool) -> OnnxFile:
    """Open a model; nothing but its graph is ever run, and only if its digest is the stated one.

    Args:
        path: The ``.onnx`` file.
        stated_sha256: What its card says of it, or None.
        card: The card's file name, for messages.
        threads: Of ONNX Runtime; 0 takes all cores, or what ``OMP_NUM_THREADS`` says.
        gpu: Take one if there is one.

    Raises:
        ModelError: If the file is missing, too large, changed, not whole, or cannot be opened.
    """
    if not path.is_file():
        raise ModelError(f"model {path.name}: no such file", subject=path.name)
    size = path.stat().st_size
    if size > MAX_MODEL_BYTES:
        raise ModelError(
            f"model {path.name}: expected at most {MAX_MODEL_BYTES} bytes, got {size}", subject=path.name
        )
    sha256 = sha256_of(path)
    if stated_sha256 not in (None, sha256):
        raise ModelError(
            f"model {path.name}: its sha256 is not the one in {card}",
            subject=path.name,
            hint="the file was changed or the card belongs to another model",
        )
    _check_whole(path, size)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = threads or wanted_threads()
    options.inter_op_num_threads = 1
    # threads that wait by spinning take the cores from those that read and write files
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    try:
        # its fallback prints to standard output and tries the same again
        session = onnxruntime.InferenceSession(
            os.fspath(path), options, providers=_providers(gpu), enable_fallback=0
        )
    except Exception as error:  # ONNX Runtime raises classes of its own, none of them exported
        raise ModelError(
            f"model {path.name}: ONNX Runtime cannot open it",
            subject=path.name,
            hint=_UNUSABLE,
        ) from error
    return OnnxFile(session, sha256)


def _check_whole(path: Path, size: int) -> None:
    """Refuse a model that is not whole in its file, before anything of it is run or followed."""
    try:
        with open(path, "rb") as stream:
            elsewhere = has_external_data(stream, size)
    except OSError as error:
        reason = (error.strerror or "cannot be read").lower()
        raise ModelError(f"model {path.name}: {reason}", subject=path.name) from error
    except ValueError as error:
        raise ModelError(
            f"model {path.name}: ONNX Runtime cannot open it", subject=path.name, hint=_UNUSABLE
        ) from error
    if elsewhere:
        raise ModelError(
            f"model {path.name}: expected all weights in this file, got external data",
            subject=path.name,
            hint="make one file of it: onnx.save_model(onnx.load('model.onnx'), 'whole.onnx', "
            "save_as_external_data=False), or export it again with external_data=False",
        )


def _providers(gpu: bool) -> list[str]:
    wanted = ("CUDAExecutionProvider", "CPUExecutionProvider") if gpu else ("CPUExecutionProvider",)
    available = onnxruntime.get_available_providers()
    return [name for name in wanted if name in available]
