"""pydicom without its warnings: they quote values, which may be a patient's, and are no news to a user."""

from __future__ import annotations

import logging
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

_LOCK = threading.RLock()
_LOG = logging.getLogger("pydicom")


@contextmanager
def quiet() -> Iterator[None]:
    """Drop every warning and log line of pydicom; one thread at a time, for both belong to the process."""
    with _LOCK, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        before, _LOG.disabled = _LOG.disabled, True
        try:
            yield
        finally:
            _LOG.disabled = before
