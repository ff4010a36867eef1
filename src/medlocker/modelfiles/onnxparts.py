"""Looking through an ONNX file for weights that lie elsewhere, before anything of it is run.

A tensor may say that its data are in another file (external data). Such a model is more than its file: the
file's digest says nothing of the weights, and the name of the other file may lead anywhere. What is read here
is the wire format of protocol buffers (https://protobuf.dev/programming-guides/encoding) and, of the messages
of ``onnx.proto``, only those that tensors can lie in.
"""

from __future__ import annotations

import io
import re
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import IO

MAX_FIELDS = 2_000_000
"""A network of a thousand layers has some ten thousand."""
_MAX_DEPTH = 100
"""As deep as protocol buffers nest by default."""
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_EXTERNAL_DATA, _DATA_LOCATION = 13, 14
_MAX_ENTRY_BYTES = 4096
_NUMBER = re.compile(r"[0-9]{1,18}")


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


def external_data(stream: IO[bytes], size: int) -> dict[str, int]:
    """Tell in which other files an ONNX file says that data of its tensors are; none of them is touched.

    Args:
        stream: The file, at its beginning.
        size: Its length in bytes.

    Returns:
        From the places, as they are written in the file, to how many bytes must be there at least.

    Raises:
        ValueError: If it is no ONNX file, one of more than ``MAX_FIELDS`` fields, or one that is not clear
            about a place.
    """
    reader = _Reader(stream)
    inside = [_Part(_Message.MODEL, size)]
    found: dict[str, int] = {}
    fields = 0
    while inside:
        part = inside[-1]
        if reader.position == part.end:
            part.add_to(found)
            inside.pop()
            continue
        fields += 1
        if fields > MAX_FIELDS:
            raise ValueError(f"expected at most {MAX_FIELDS} fields")
        number, kind = divmod(reader.varint(max_bytes=5), 8)
        if kind == _VARINT:
            part.see_number(number, reader.varint(max_bytes=10))
        elif kind == _BYTES:
            length = reader.varint(max_bytes=5)
            below = PARTS[part.message].get(number)
            if reader.position + length > part.end:
                raise ValueError("expected a field within its message")
            if below is None:
                part.see_bytes(number, length, reader)
            elif len(inside) == _MAX_DEPTH:
                raise ValueError(f"expected at most {_MAX_DEPTH} messages in each other")
            else:
                inside.append(_Part(below, reader.position + length))
        elif kind in (_FIXED32, _FIXED64):
            reader.skip(4 if kind == _FIXED32 else 8)
        else:
            raise ValueError("expected no groups")
        if number == 0 or reader.position > part.end:
            raise ValueError("expected a field within its message")
    return found


@dataclass
class _Part:
    """A message that is being read, and what it says of data elsewhere if it is a tensor."""

    message: _Message
    end: int
    is_elsewhere: bool = False
    told: dict[str, str] = field(default_factory=dict)

    def see_number(self, number: int, value: int) -> None:
        # whatever is said after it, and be it a place that onnx does not know
        if self.message is _Message.TENSOR and number == _DATA_LOCATION and value:
            self.is_elsewhere = True

    def see_bytes(self, number: int, length: int, reader: _Reader) -> None:
        if self.message is not _Message.TENSOR or number != _EXTERNAL_DATA:
            reader.skip(length)
            return
        if length > _MAX_ENTRY_BYTES:
            raise ValueError(f"expected at most {_MAX_ENTRY_BYTES} bytes about other files")
        key, value = _key_and_value(reader.read(length))
        if key in self.told:  # readers differ in which one they take
            raise ValueError(f"expected one {key:.20} of a tensor")
        self.told[key] = value

    def add_to(self, found: dict[str, int]) -> None:
        # a tensor that tells a place without saying that it is there may be merged with one that says so
        if not self.is_elsewhere and not self.told:
            return
        offset, length = self.told.get("offset", "0"), self.told.get("length", "0")
        if "location" not in self.told or not (_NUMBER.fullmatch(offset) and _NUMBER.fullmatch(length)):
            raise ValueError("expected location, offset and length of data elsewhere")
        location = self.told["location"]
        found[location] = max(found.get(location, 0), int(offset) + int(length))


def _key_and_value(data: bytes) -> tuple[str, str]:
    """Return a message of two texts."""
    reader = _Reader(io.BytesIO(data))
    texts = {1: b"", 2: b""}
    while reader.position < len(data):
        number, kind = divmod(reader.varint(max_bytes=5), 8)
        length = reader.varint(max_bytes=5)
        if kind != _BYTES or number not in texts or reader.position + length > len(data):
            raise ValueError("expected a key and a value")
        texts[number] = reader.read(length)
    return texts[1].decode("utf-8"), texts[2].decode("utf-8")


class _Reader:
    """Reads forwards; payloads are stepped over, but for few and short ones."""

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

    def read(self, length: int) -> bytes:
        """Return so many bytes."""
        data = self._stream.read(length)
        if len(data) < length:
            raise ValueError("expected more bytes")
        self.position += length
        return data
