"""The command line: one file per command, one place that catches errors."""

from __future__ import annotations

from medlocker.cli._interrupts import interruptible_imports

__all__ = ["main"]


def main() -> None:
    """Run the command line and exit: 0 done, 1 some image failed, 2 wrong usage, 3 trust failed."""
    with interruptible_imports():
        from medlocker.cli._main import run  # here, so that an interrupt of this second is answered too
    run()
