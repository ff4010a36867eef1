"""Threads that read masks and DICOM files at once: leaving one's silence must not end the other's."""

from __future__ import annotations

import threading
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image as Pillow

from medlocker.formats.dicom import quiet
from medlocker.regions._masks import read_mask
from runs import picture


def test_a_mask_read_at_the_same_time_lets_no_warning_of_dicom_through(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "m.png").write_bytes(picture(mode="L"))
    opening, inside, left = threading.Event(), threading.Event(), threading.Event()
    first = Pillow.open

    def slow(*arguments: Any, **options: Any) -> Any:
        opening.set()
        inside.wait(0.5)  # as long as it takes the other thread to begin, if it may
        return first(*arguments, **options)

    monkeypatch.setattr(Pillow, "open", slow)

    def one_mask() -> None:
        read_mask(tmp_path / "m.png", name="m.png", width=48, height=48)
        left.set()

    def one_dicom() -> None:
        opening.wait(5)
        with quiet():
            inside.set()
            left.wait(2)
            warnings.warn("SECRET", stacklevel=1)

    told: list[str] = []
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        monkeypatch.setattr(warnings, "showwarning", lambda text, *_, **__: told.append(str(text)))
        _together(one_mask, one_dicom)
    assert told == []


def _together(*calls: Callable[[], None]) -> None:
    threads = [threading.Thread(target=call) for call in calls]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
        assert not thread.is_alive()
