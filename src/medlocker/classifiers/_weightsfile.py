"""What can be told of torch weights before torch is imported, which takes seconds."""

from __future__ import annotations

from pathlib import Path

from medlocker.classifiers.card import card_path
from medlocker.errors import ModelError
from medlocker.files import opened_regular

_ZIP, _PICKLE = b"PK\x03\x04", b"\x80"
_LENGTH_BYTES = 8
"""In front of a safetensors file: the length of its header."""


def check_weights_file(path: Path) -> None:
    """Refuse weights that are missing, have no card, or do not begin as weights do.

    Raises:
        ModelError: If so.
    """
    if not path.is_file():
        raise ModelError(f"model {path.name}: no such file", subject=path.name)
    beside = card_path(path)
    if not beside.exists():
        raise ModelError(
            f"model {path.name}: expected a card {beside.name} beside it",
            subject=path.name,
            hint='it names the network: {"architecture": "resnet18", "input": {...}, "classes": [...]}',
        )
    try:
        with opened_regular(path) as stream:
            start = stream.read(_LENGTH_BYTES)
    except OSError as error:
        raise ModelError(f"model {path.name}: it cannot be read", subject=path.name) from error
    if path.suffix.lower() == ".safetensors":
        length = int.from_bytes(start, "little")
        is_right = len(start) == _LENGTH_BYTES and length <= path.stat().st_size - _LENGTH_BYTES
    else:
        is_right = start.startswith((_ZIP, _PICKLE))
    if not is_right:
        raise ModelError(f"weights {path.name}: it is damaged or no weights file", subject=path.name)
