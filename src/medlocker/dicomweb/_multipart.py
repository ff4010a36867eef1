"""The one DICOM file in an answer: ``multipart/related`` with one part, or the bare file.

Only a part that ends with the closing boundary is whole; a cut one raises, whatever its length was.
"""

from __future__ import annotations

from collections.abc import Iterator

from medlocker.dicomweb._http import HttpAnswer, not_dicom
from medlocker.errors import TransferError

DICOM = "application/dicom"
_MAX_HEADERS = 64 * 1024
_MAX_BOUNDARY = 70
"""RFC 2046, section 5.1.1."""
_MAGIC_END = 132
"""A DICOM file has 128 bytes of anything, then ``DICM``."""
_CUT = "the server's answer is cut off"


def dicom_file(answer: HttpAnswer, *, max_bytes: int) -> Iterator[bytes]:
    """Yield the DICOM file that a server sent, piece by piece.

    Raises:
        TransferError: If it is no DICOM file, more than one, too large, or cut off; what was yielded
            before is then worth nothing.
    """
    pieces = answer.pieces(max_bytes=max_bytes + _MAX_HEADERS)
    boundary = answer.parameters.get("boundary", "")
    if answer.media == "multipart/related" and boundary:
        if len(boundary) > _MAX_BOUNDARY or not boundary.isascii():
            raise TransferError("expected a boundary of at most 70 plain characters from the server")
        pieces = one_part(pieces, boundary.encode("ascii"))
    elif answer.media != DICOM:
        not_dicom(answer, wanted="a DICOM file")
    return _checked(pieces)


def one_part(pieces: Iterator[bytes], boundary: bytes) -> Iterator[bytes]:
    """Yield the content of the only part of a multipart body; see RFC 2046, section 5.1.

    Args:
        pieces: The body, cut anywhere.
        boundary: From the media type.

    Raises:
        TransferError: If there is no part, more than one, or no end.
    """
    line = b"\r\n--" + boundary
    # the first boundary may stand at the very start
    buffer = bytearray(b"\r\n")
    begin = -1
    for piece in pieces:
        buffer += piece
        start = buffer.find(line)
        begin = buffer.find(b"\r\n\r\n", start + len(line)) if start >= 0 else -1
        if begin >= 0:
            break
        if len(buffer) > _MAX_HEADERS + len(piece):
            raise TransferError("expected one part in the server's answer, got none")
    if begin < 0:
        raise TransferError(_CUT)
    del buffer[: begin + 4]
    yield from _until(line, buffer, pieces)


def _until(line: bytes, buffer: bytearray, pieces: Iterator[bytes]) -> Iterator[bytes]:
    """Yield what comes before the closing boundary, holding back what may be the beginning of it."""
    held = len(line) + 2
    while True:
        end = buffer.find(line)
        if 0 <= end <= len(buffer) - held:
            if buffer[end + len(line) : end + held] != b"--":
                raise TransferError("expected one part in the server's answer, got several")
            yield bytes(buffer[:end])
            for _ in pieces:  # a connection that is read to its end can be used again
                pass
            return
        ready = max(end if end >= 0 else len(buffer) - held, 0)
        if ready:
            yield bytes(buffer[:ready])
            del buffer[:ready]
        piece = next(pieces, None)
        if piece is None:
            raise TransferError(_CUT)
        buffer += piece


def _checked(pieces: Iterator[bytes]) -> Iterator[bytes]:
    start = b""
    for piece in pieces:
        start += piece
        if len(start) >= _MAGIC_END:
            break
    if start[128:_MAGIC_END] != b"DICM":
        raise TransferError("expected a DICOM file from the server, got something else")
    yield start
    yield from pieces
