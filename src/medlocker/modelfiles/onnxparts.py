"""Looking through an ONNX file for weights that lie elsewhere, before anything of it is run.

A tensor may say that its data are in another file (external data). Such a model is more than its file: its
digest says nothing of the weights, and the name of the other file may lead anywhere. What is read here is the
wire format of protocol buffers (https://protobuf.dev/programming-guides/encoding) and, of the messages of
``onnx.proto``, only those that tensors can lie in.
"""

from __future__ import annotations

from enum import Enum, auto
from typing import IO

MAX_FIELDS = 2_000_000
"""A network of a thousand layers has some ten thousand."""
_MAX_DEPTH = 100
"""As deep as protocol buffers nest by default."""
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_DATA_LOCATION = 14


class _Message(Enum):
    MODEL = auto()
    TRAINING = auto()
    FUNCTION = auto()
    GRAPH = auto()
    NODE = auto()
    ATTRIBUTE = auto()
    SPARSE_TENSOR = auto()
    TENSOR = auto()


PARTS: dict[_Message, dict[int, _Message]] = {
    _Message.MODEL: {7: _Message.GRAPH, 20: _Message.TRAINING, 25: _Message.FUNCTION},
    _Message.TRAINING: {1: _Message.GRAPH, 2: _Message.GRAPH},
    _Message.FUNCTION: {7: _Message.NODE, 11: _Message.ATTRIBUTE},
    _Message.GRAPH: {1: _Message.NODE, 5: _Message.TENSOR, 15: _Message.SPARSE_TENSOR},
    _Message.NODE: {5: _Message.ATTRIBUTE},
    _Message.ATTRIBUTE: {
        5: _Message.TENSOR,
        6: _Message.GRAPH,
        10: _Message.TENSOR,
        11: _Message.GRAPH,
        22: _Message.SPARSE_TENSOR,
        23: _Message.SPARSE_TENSOR,
    },
    _Message.SPARSE_TENSOR: {1: _Message.TENSOR, 2: _Message.TENSOR},
    _Message.TENSOR: {},
}
"""Of each message, the numbers of the fields in which tensors can lie; a test compares them with onnx."""


def has_external_data(stream: IO[bytes], size: int) -> bool:
    """Tell whether some tensor of an ONNX file says that its data are elsewhere; no other file is touched.

    Args:
        stream: The file, at its beginning.
        size: Its length in bytes.

    Raises:
        ValueError: If it is no ONNX file, or one of more than ``MAX_FIELDS`` fields.
    """
    reader = _Reader(stream)
    inside = [(_Message.MODEL, size)]
    fields = 0
    while inside:
        message, end = inside[-1]
        if reader.position == end:
            inside.pop()
            continue
        fields += 1
        if fields > MAX_FIELDS:
            raise ValueError(f"expected at most {MAX_FIELDS} fields")
        number, kind = divmod(reader.varint(max_bytes=5), 8)
        if kind == _VARINT:
            value = reader.varint(max_bytes=10)
            # whatever is said after it, and be it a place that onnx does not know
            if message is _Message.TENSOR and number == _DATA_LOCATION and value:
                return True
        elif kind == _BYTES:
            length = reader.varint(max_bytes=5)
            part = PARTS[message].get(number)
            if reader.position + length > end:
                raise ValueError("expected a field within its message")
            if part is None:
                reader.skip(length)
            elif len(inside) == _MAX_DEPTH:
                raise ValueError(f"expected at most {_MAX_DEPTH} messages in each other")
            else:
                inside.append((part, reader.position + length))
        elif kind in (_FIXED32, _FIXED64):
            reader.skip(4 if kind == _FIXED32 else 8)
        else:
            raise ValueError("expected no groups")
        if number == 0 or reader.position > end:
            raise ValueError("expected a field within its message")
    return False


class _Reader:
    """Reads forwards; payloads are stepped over, not read."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self.position = 0

    def varint(self, *, max_bytes: int) -> int:
        """Read an unsigned integer of seven bits a byte."""
        value = 0
        for k in range(max_bytes):
            byte = self._stream.read(1)
            if not byte:
                raise ValueError("expected more bytes")
            value |= (byte[0] & 0x7F) << 7 * k
            if byte[0] < 0x80:
                self.position += k + 1
                return value
        raise ValueError(f"expected an integer of at most {max_bytes} bytes")

    def skip(self, length: int) -> None:
        """Step over bytes."""
        self._stream.seek(length, 1)
        self.position += length
