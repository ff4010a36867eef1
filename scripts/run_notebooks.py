"""Run every notebook of docs/notebooks from beginning to end, each in a folder of its own; nothing is kept.

python scripts/run_notebooks.py [NAME ...]
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

import nbformat
from nbclient import NotebookClient

FOLDER = Path(__file__).parent.parent / "docs" / "notebooks"


def main() -> None:
    """Run those that are named, or all."""
    paths = [FOLDER / f"{name}.ipynb" for name in sys.argv[1:]] or sorted(FOLDER.glob("*.ipynb"))
    if not paths:
        raise SystemExit("expected notebooks")
    for path in paths:
        started = time.monotonic()
        notebook = nbformat.read(path, as_version=4)  # type: ignore[no-untyped-call, unused-ignore]
        if any(cell.get("outputs") for cell in notebook.cells):
            raise SystemExit(f"{path.name}: expected a notebook without outputs")
        with tempfile.TemporaryDirectory() as folder:
            where = {"metadata": {"path": folder}}
            NotebookClient(notebook, timeout=None, startup_timeout=900, resources=where).execute()
        print(f"{path.name}: {time.monotonic() - started:.0f} s", flush=True)


if __name__ == "__main__":
    main()
