"""Write a corpus of files that are made to break readers, each named after what is wrong with it.

Bombs, headers that lie, circles, nesting without end, numbers that are none. medlocker has to refuse each
with one sentence, or read it, in bounded time and memory; tests/fuzz/test_nasty.py tries them all. The bytes
are the same in every run: about 300 MB, most of it tables of endless lines.

Usage: python scripts/make_nasty_files.py [FOLDER]
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "tests" / "fuzz"))

import nasty_dicom
import nasty_others
import nasty_pictures


def makers() -> dict[str, Callable[[], bytes]]:
    """Return what makes each file, by its path in the corpus."""
    pictures = {f"images/{name}": make for name, make in (nasty_pictures.MADE | nasty_dicom.MADE).items()}
    return pictures | nasty_others.MADE


def write(folder: Path) -> list[Path]:
    """Write all files; returns their paths."""
    written = []
    for name, make in makers().items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(make())
        written.append(path)
    return written


def main() -> None:
    """Parse the command line and write."""
    lines = (__doc__ or "").strip().splitlines()
    parser = argparse.ArgumentParser(description=lines[0], epilog=" ".join(lines[2:-2]))
    parser.add_argument(
        "folder", nargs="?", type=Path, default=Path("nasty-files"), help="default: nasty-files"
    )
    arguments = parser.parse_args()
    written = write(arguments.folder)
    print(f"{len(written)} files, {sum(path.stat().st_size for path in written)} bytes in {arguments.folder}")


if __name__ == "__main__":
    main()
