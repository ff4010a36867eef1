"""Opening an ONNX file from anywhere: limits, its digest, and a session that shares the machine.

A model is a graph, and files with its weights where it keeps them elsewhere (external data); ``onnxdata``
tells which may be opened. The digest in cards and certificates is of all of them.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime

from medlocker.errors import ModelError
from medlocker.machine import wanted_threads
from medlocker.modelfiles.onnxdata import UNUSABLE, model_digest, model_files

FLOATS: dict[str, type[np.floating[Any]]] = {
    "tensor(float)": np.float32,
    "tensor(float16)": np.float16,
    "tensor(double)": np.float64,
}
"""Element types that an image may be given in."""
BYTES = "tensor(uint8)"
"""Of models that do everything with a picture themselves."""


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
        ModelError: If a file is missing, too large, changed, or elsewhere, or they cannot be opened.
    """
    files = model_files(path)
    sha256 = model_digest(files)
    if stated_sha256 not in (None, sha256):
        of_all = "; of a model in several files it is that of their digests" if len(files) > 1 else ""
        raise ModelError(
            f"model {path.name}: its sha256 is not the one in {card}",
            subject=path.name,
            hint=f"the file was changed or the card belongs to another model{of_all}",
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
            subject=path.name,
            hint=UNUSABLE,
        ) from error
    return OnnxFile(session, sha256)


def _providers(gpu: bool) -> list[str]:
    wanted = ("CUDAExecutionProvider", "CPUExecutionProvider") if gpu else ("CPUExecutionProvider",)
    available = onnxruntime.get_available_providers()
    return [name for name in wanted if name in available]
