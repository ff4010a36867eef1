"""The command line: one file per command, one place that catches errors."""

from medlocker.cli._main import main

__all__ = ["main"]
