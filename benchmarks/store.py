"""Where unfinished work is kept: our file of lines against SQLite, and what resuming takes.

    python benchmarks/store.py [--images 100000] [--record 4096] [--folder DIR]

Both write what a run writes of one image: facts, and a sealed record that is on the disk before the image
counts. Ratios in one run: the machine's other work hits all alike.
"""

from __future__ import annotations

import argparse
import hashlib
import hmac
import json
import os
import sqlite3
import tempfile
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path

from medlocker.store import Store

FACTS = {
    "outcome": {
        "index": 0,
        "name": "left/eye_000001.png",
        "status": "marked",
        "evaluations": 1,
        "notes": ["a"],
    },
    "entry": {"index": 0, "name": "left/eye_000001.png", "file": "0" * 64, "pixels": "1" * 64},
    "stamp": "312345 1700000000000000000",
    "series": "",
}
KEY = bytes(32)


def lines(folder: Path, count: int, record: bytes) -> None:
    """Our file."""
    store = Store(folder / "journal", {"run": 1}, key=KEY)
    for _ in range(count):
        store.add(FACTS, record or None)
    store.close()


def sqlite(mode: str, synchronous: str, batch: int) -> Callable[[Path, int, bytes], None]:
    """The same in a table, with a code for each row."""

    def write(folder: Path, count: int, record: bytes) -> None:
        base = sqlite3.connect(folder / "journal.sqlite", isolation_level=None)
        base.execute(f"PRAGMA journal_mode={mode}")
        base.execute(f"PRAGMA synchronous={synchronous}")
        base.execute("CREATE TABLE done (number INTEGER PRIMARY KEY, facts BLOB, code BLOB, record BLOB)")
        for k in range(count):
            if k % batch == 0:
                base.execute("BEGIN")
            facts = json.dumps(FACTS | {"blob": hashlib.sha256(record).hexdigest()}).encode("ascii")
            base.execute("INSERT INTO done VALUES (?, ?, ?, ?)", (k, facts, _code(facts), record))
            if k % batch == batch - 1 or k == count - 1:
                base.execute("COMMIT")
        base.close()

    return write


def _code(facts: bytes) -> bytes:
    return hmac.digest(KEY, facts, "sha256")


def open_lines(folder: Path) -> int:
    """Open our file again: every code is checked."""
    starts: dict[int, int] = {}
    Store(
        folder / "journal", {}, key=KEY, take=lambda value, mark: starts.__setitem__(len(starts), mark)
    ).close()
    return len(starts)


def open_sqlite(folder: Path) -> int:
    """The same from the table."""
    base = sqlite3.connect(folder / "journal.sqlite")
    count = 0
    for facts, code in base.execute("SELECT facts, code FROM done ORDER BY number"):
        if not hmac.compare_digest(code, _code(facts)):
            raise ValueError
        json.loads(facts)
        count += 1
    base.close()
    return count


WAYS: dict[str, tuple[Callable[[Path, int, bytes], None], Callable[[Path], int]]] = {
    "lines": (lines, open_lines),
    "SQLite, WAL, full, each": (sqlite("WAL", "FULL", 1), open_sqlite),
    "SQLite, WAL, normal, each": (sqlite("WAL", "NORMAL", 1), open_sqlite),
    "SQLite, WAL, full, 16 at once": (sqlite("WAL", "FULL", 16), open_sqlite),
    "SQLite, rollback, full, each": (sqlite("DELETE", "FULL", 1), open_sqlite),
}


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=100_000)
    parser.add_argument("--record", type=int, default=4096, help="bytes; 0 for images without a mark")
    parser.add_argument("--folder", type=Path, help="on the disk to be measured")
    options = parser.parse_args()
    record = os.urandom(options.record)
    first = (0.0, 0.0)
    print(f"{options.images} images, records of {options.record} bytes")
    print("| way | commits/s | ratio | open again, s | ratio | memory of opening, MB |")
    print("|---|---|---|---|---|---|")
    for name, (write, again) in WAYS.items():
        with tempfile.TemporaryDirectory(dir=options.folder) as folder:
            began = time.perf_counter()
            write(Path(folder), options.images, record)
            wrote = time.perf_counter() - began
            began = time.perf_counter()
            count = again(Path(folder))
            opened = time.perf_counter() - began
            if count != options.images:
                raise SystemExit(f"{name}: {count} of {options.images}")
            tracemalloc.start()
            again(Path(folder))
            peak = tracemalloc.get_traced_memory()[1] / 1e6
            tracemalloc.stop()
        first = first if any(first) else (wrote, opened)
        print(
            f"| {name} | {options.images / wrote:.0f} | {first[0] / wrote:.2f} | {opened:.2f} "
            f"| {opened / first[1]:.2f} | {peak:.1f} |"
        )


if __name__ == "__main__":
    main()
