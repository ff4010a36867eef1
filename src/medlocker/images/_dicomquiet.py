"""pydicom without its warnings: they quote values, which may be a patient's, and are no news to a user."""

from __future__ import annotations

import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

_LOCK = threading.RLock()


@contextmanager
def quiet() -> Iterator[None]:
    """Drop every warning raised inside; one thread at a time, for the filters belong to the process."""
    with _LOCK, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
