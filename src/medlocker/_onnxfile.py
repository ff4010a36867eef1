"""Opening an ONNX file from anywhere: limits, its digest, and a session that shares the machine."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime

from medlocker._cores import wanted_threads
from medlocker._files import sha256_of
from medlocker.errors import ModelError

MAX_MODEL_BYTES = 4 << 30
FLOATS: dict[str, type[np.floating[Any]]] = {
    "tensor(float)": np.float32,
    "tensor(float16)": np.float16,
    "tensor(double)": np.float64,
}
"""Element types that an image may be given in."""


@dataclass(frozen=True, eq=False)
class OnnxFile:
    """A model that ONNX Runtime can run.

    Args:
        session: Opened.
        sha256: Of the file.
    """

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
        ModelError: If the file is missing, too large, changed, or cannot be opened.
    """
    if not path.is_file():
        raise ModelError(f"model {path.name}: no such file")
    size = path.stat().st_size
    if size > MAX_MODEL_BYTES:
        raise ModelError(f"model {path.name}: expected at most {MAX_MODEL_BYTES} bytes, got {size}")
    sha256 = sha256_of(path)
    if stated_sha256 not in (None, sha256):
        raise ModelError(
            f"model {path.name}: its sha256 is not the one in {card}",
            hint="the file was changed or the card belongs to another model",
        )
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
            hint="it may be damaged, use custom operators, or lack a file of external data",
        ) from error
    return OnnxFile(session, sha256)


def _providers(gpu: bool) -> list[str]:
    wanted = ("CUDAExecutionProvider", "CPUExecutionProvider") if gpu else ("CPUExecutionProvider",)
    available = onnxruntime.get_available_providers()
    return [name for name in wanted if name in available]
