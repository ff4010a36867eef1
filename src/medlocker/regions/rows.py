"""Lines for a CSV reader, none of its rows so long that it would fill the memory."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TextIO

from medlocker.errors import InputError

MAX_ROW_CHARACTERS = 65_536


class RowLines(Iterator[str]):
    """The lines of a text, counted: a CSV reader's row goes on over many lines while a cell is quoted.

    Args:
        stream: Text, its line ends as they are.
        what: For messages: ``"regions lesions.csv"``.
    """

    def __init__(self, stream: TextIO, what: str) -> None:
        self._stream = stream
        self._what = what
        self._line = 0
        self._left = MAX_ROW_CHARACTERS

    def __next__(self) -> str:
        line = self._stream.readline(MAX_ROW_CHARACTERS + 1)
        if not line:
            raise StopIteration
        self._line += 1
        self._left -= len(line)
        if self._left < 0:
            raise InputError(
                f"{self._what}, line {self._line}: expected at most {MAX_ROW_CHARACTERS} characters"
            )
        if "\0" in line:
            raise InputError(f"{self._what}, line {self._line}: expected text, got a binary file")
        return line

    def end_row(self) -> None:
        """Begin to count again; to be called when the reader has given a row."""
        self._left = MAX_ROW_CHARACTERS
