"""The list of commands. Each lives in a file of its own and is imported when the command line starts.

Command files import heavy libraries (models, image codecs) inside their functions, so that ``--help`` is instant.
"""

from __future__ import annotations

import typer


def register(app: typer.Typer) -> None:
    """Add every command to the application."""
