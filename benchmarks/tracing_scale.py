"""How long `medlocker whose` takes among few and very many images that a ledger remembers, and its memory.

    python benchmarks/tracing_scale.py [COUNT ...]

One synthetic photograph is veiled and remembered; the other fingerprints are noise with as many points. The
command is the real one, asked for a crop of the photograph: found in the ledger alone. Time is the
processor's, less that of `medlocker whose --help`, and as a ratio to asking among one image.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np

import medlocker as ml
from _tables import table
from medlocker.certificates import Ledger, ledger_path, load_owner, new_owner
from medlocker.demo import write_samples
from medlocker.formats import read_image
from medlocker.images import viewed
from medlocker.tracing import Fingerprint, Memory, fingerprint_of

POINTS = 100


class Cost(NamedTuple):
    """Of one command: processor seconds, MB at the peak, what it printed."""

    seconds: float
    peak_mb: float
    output: str


def cost(*words: str) -> Cost:
    """Run a medlocker command in a process of its own."""
    code = (
        "import resource, subprocess, sys;"
        "command = [sys.executable, '-m', 'medlocker', *sys.argv[1:]];"
        "out = subprocess.run(command, capture_output=True, text=True);"
        "use = resource.getrusage(resource.RUSAGE_CHILDREN);"
        "print(use.ru_utime + use.ru_stime, use.ru_maxrss / 1024); print(out.stdout)"
    )
    done = subprocess.run([sys.executable, "-c", code, *words], capture_output=True, text=True, check=True)
    first, _, rest = done.stdout.partition("\n")
    seconds, peak_mb = first.split()
    return Cost(float(seconds), float(peak_mb), rest)


def remember(owner: Path, marked: np.ndarray, count: int) -> None:
    """Fill the owner's ledger with the photograph and noise."""
    keys = load_owner(owner)
    rng = np.random.default_rng(1)
    with Ledger(ledger_path(keys.paths), keys.signing) as ledger:
        Memory(ledger, "a" * 32).keep(0, "0" * 64, "eye.png", [fingerprint_of(marked)])
        others = Memory(ledger, "b" * 32)
        for number in range(count - 1):
            points = rng.uniform(0, 512, (POINTS, 2)).astype(np.float32)
            bits = rng.integers(0, 256, (POINTS, 16), np.uint8)
            others.keep(number, "0" * 64, f"{number}.png", [Fingerprint(points, bits)])


def measured(folder: Path, counts: Sequence[int]) -> list[list[str]]:
    """Return a row for each number of images."""
    samples = write_samples(folder / "made", count=1)
    path = next(samples.images.iterdir())
    picture = viewed(read_image(path.read_bytes(), name=path.name))
    marked = ml.Veil()(None, picture, keep_out=[], seed=1).apply(picture)
    height, width = marked.shape[:2]
    crop = marked[height // 8 : height * 7 // 8, width // 8 : width * 7 // 8]
    cv2.imwrite(str(folder / "found.jpg"), np.ascontiguousarray(crop[..., ::-1]))
    start = cost("whose", "--help").seconds
    rows: list[list[str]] = []
    first = 0.0
    for count in counts:
        owner = folder / f"owner{count}"
        new_owner(owner)
        remember(owner, marked, count)
        ledger = Path(f"{owner}.ledger.sqlite")
        asked = cost("whose", str(folder / "found.jpg"), "--ledger", str(ledger), "--json")
        facts = json.loads(asked.output)
        right = facts["found"] and facts["image"] == "eye.png" and facts["looked_at"] == count
        seconds = asked.seconds - start
        first = first or seconds
        size_mb = sum(one.stat().st_size for one in folder.glob(f"{ledger.name}*")) / 1e6
        rows.append(
            [
                f"{count:,}",
                "yes" if right else "**no**",
                f"{seconds:.1f} ({seconds / first:.1f})",
                f"{asked.peak_mb:.0f}",
                f"{size_mb:.1f}",
            ]
        )
    return rows


def main() -> None:
    """Print the table."""
    counts = [int(word) for word in sys.argv[1:]] or [1, 1_000, 100_000]
    with tempfile.TemporaryDirectory() as folder:
        rows = measured(Path(folder), counts)
    print(table(["images in the ledger", "found", "processor s (ratio)", "peak MB", "ledger MB"], rows))
    print(f"\nFilling took {resource.getrusage(resource.RUSAGE_SELF).ru_utime:.0f} s of processor time.")


if __name__ == "__main__":
    main()
