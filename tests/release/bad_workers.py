"""Workers that die; importable, so that other processes can have them."""

from __future__ import annotations

import os
import signal
from typing import Any

from medlocker.engines._worker import Worker


def poisoned(digest: str) -> type[Worker]:
    """A worker that one original kills."""

    class Poisoned(Worker):
        def _allowed(self, original: str) -> Any:
            if original == digest:
                os.kill(os.getpid(), signal.SIGKILL)
            return super()._allowed(original)

    return Poisoned


def stillborn() -> type[Worker]:
    """A worker that dies before its models are open."""

    class Stillborn(Worker):
        def open(self) -> Any:
            os.kill(os.getpid(), signal.SIGKILL)

    return Stillborn
