"""How long tests wait for what happens elsewhere: until it has happened, on a machine however busy."""

from __future__ import annotations

import time
from collections.abc import Callable

HANGS_S = 900.0
"""What takes longer hangs. This ends a test that would never end; it says nothing about speed."""


def wait_until(true: Callable[[], bool]) -> None:
    """Return when a condition holds.

    Raises:
        AssertionError: If it never does.
    """
    end = time.monotonic() + HANGS_S
    while not true():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.01)
