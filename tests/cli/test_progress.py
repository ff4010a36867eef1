"""Progress is told where stderr is a file too."""

from __future__ import annotations

import io
import threading

import pytest
from rich.console import Console

from medlocker.cli import _progress
from medlocker.cli._progress import ImageProgress, image_bar


class Heard(io.StringIO):
    """Tells when something was written that has a text in it."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.text, self.heard = text, threading.Event()

    def write(self, text: str) -> int:
        count = super().write(text)
        if self.text in self.getvalue():
            self.heard.set()
        return count


def test_lines_tell_how_far_it_is_where_nobody_sees_a_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_progress, "_FIRST_LINE_S", 0.01)
    monkeypatch.setattr(_progress, "_NEXT_LINES_S", 0.01)
    file = Heard("attacking  1/10 ")
    monkeypatch.setattr(_progress, "stderr", Console(file=file, soft_wrap=True))
    with image_bar() as bar:
        images = ImageProgress(bar, "attacking", 10)
        images.advance()
        assert file.heard.wait(60)


def test_what_is_quickly_done_is_told_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_progress, "_FIRST_LINE_S", 60)
    file = io.StringIO()
    monkeypatch.setattr(_progress, "stderr", Console(file=file, soft_wrap=True))
    with image_bar() as bar:
        images = ImageProgress(bar, "attacking", 1)
        images.advance()
    assert file.getvalue().count("attacking") == 1


class Closed(io.StringIO):
    """Fails as a pipe does whose reader has gone; counts how often it was tried."""

    def __init__(self) -> None:
        super().__init__()
        self.tried = threading.Event()

    def write(self, text: str) -> int:
        if "0/3" in text:
            self.tried.set()
            raise BrokenPipeError
        return super().write(text)


def test_a_reader_who_has_gone_stops_the_lines_and_not_the_work(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_progress, "_FIRST_LINE_S", 0.01)
    caught: list[object] = []
    monkeypatch.setattr(threading, "excepthook", caught.append)
    file = Closed()
    monkeypatch.setattr(_progress, "stderr", Console(file=file, soft_wrap=True))
    with image_bar() as bar:
        images = ImageProgress(bar, "attacking", 3)
        assert file.tried.wait(60)
        for _ in range(3):
            images.advance()
    assert caught == []
