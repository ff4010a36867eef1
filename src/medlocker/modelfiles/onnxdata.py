"""The files of one ONNX model: its graph, and those that the graph says its weights are in.

Where a foreign file says that data are is checked before anything is opened there: plain files inside the
graph's folder, nothing else, and not more than the limit.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

from medlocker.errors import InputError, ModelError
from medlocker.files import check_relative_name, opened_regular, sha256_of
from medlocker.modelfiles.onnxparts import external_data

MAX_GRAPH_BYTES = (1 << 31) - 1
"""The most that a file of protocol buffers can have; many times a diagnostic classifier."""
MAX_DATA_BYTES = 1 << 33
"""Of all files with weights together: a foundation model of two thousand million weights."""
UNUSABLE = "it may be damaged, or use custom operators"


def model_files(path: Path) -> tuple[Path, ...]:
    """Return all files of a model, its graph first, the others in the order of their names.

    Args:
        path: The ``.onnx`` file with the graph; alone what it is in most models.

    Raises:
        ModelError: If one is missing, too large, shorter than the graph says, or not in the graph's folder.
    """
    if not path.is_file():
        raise ModelError(f"model {path.name}: no such file", subject=path.name)
    size = path.stat().st_size
    if size > MAX_GRAPH_BYTES:
        raise ModelError(
            f"model {path.name}: expected at most {MAX_GRAPH_BYTES} bytes, got {size}", subject=path.name
        )
    try:
        with opened_regular(path) as stream:
            places = external_data(stream, size)
    except OSError as error:
        reason = (error.strerror or "cannot be read").lower()
        raise ModelError(f"model {path.name}: {reason}", subject=path.name) from error
    except ValueError as error:
        raise ModelError(
            f"model {path.name}: ONNX Runtime cannot open it", subject=path.name, hint=UNUSABLE
        ) from error
    found = [_data_file(path, place, least) for place, least in sorted(places.items())]
    total = sum(file.stat().st_size for file in found)
    if total > MAX_DATA_BYTES:
        raise ModelError(
            f"model {path.name}: expected weights of at most {MAX_DATA_BYTES} bytes, got {total}",
            subject=path.name,
        )
    return (path, *found)


def _data_file(graph: Path, place: str, least: int) -> Path:
    """Return where a place in a graph is, if it is one that may be opened."""
    what = f"model {graph.name}"
    try:
        check_relative_name(place, what=what)
        if "*" in place:  # ONNX Runtime's sign for data in memory
            raise InputError("expected a file")
        path = graph.parent / place
        is_inside = path.resolve().is_relative_to(graph.parent.resolve())
    except (InputError, OSError, RuntimeError, ValueError) as error:  # also links that lead in a circle
        raise _leads_out(what, place, graph) from error
    if not is_inside:
        raise _leads_out(what, place, graph)
    if not path.is_file():
        raise ModelError(
            f"{what}: its weights are in a second file, {place!r:.80}, which is not there",
            subject=graph.name,
            hint="put it beside the model, under this name",
        )
    size = path.stat().st_size
    if size < least:
        raise ModelError(
            f"{what}: expected at least {least} bytes in {place!r:.80}, got {size}",
            subject=graph.name,
            hint="the file is cut off, or belongs to another model",
        )
    return path


def _leads_out(what: str, place: str, graph: Path) -> ModelError:
    return ModelError(
        f"{what}: expected its weights in its own folder, got {place!r:.80}",
        subject=graph.name,
        hint="links to other folders are not followed: copy the files themselves into one folder",
    )


def model_digest(files: Sequence[Path]) -> str:
    """Return the SHA-256 of a model as hex: of a single file its own, of several that of their digests.

    Of several files it is that of a text with their digests, one a line: of the graph, then of the files with
    weights by their names. ``sha256sum model.onnx model.onnx.data | cut -c1-64 | sha256sum`` tells it too.

    Args:
        files: From :func:`model_files`.
    """
    digests = [sha256_of(file) for file in files]
    if len(digests) == 1:
        return digests[0]
    return hashlib.sha256("".join(f"{one}\n" for one in digests).encode("ascii")).hexdigest()
