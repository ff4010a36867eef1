"""Libraries without their warnings: they quote values, which may be a patient's, and are no news to a user.

Filters of warnings belong to the process, and leaving a block brings back those from before it. So whatever
silences warnings while other threads read images does so here, one thread at a time: else one that leaves
would let the warnings of another through.
"""

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
    """Drop every warning, and every log line of pydicom; one thread at a time, for both are the process's."""
    with _LOCK, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        before, _LOG.disabled = _LOG.disabled, True
        try:
            yield
        finally:
            _LOG.disabled = before
