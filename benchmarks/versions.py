"""Whether two versions of the program make the same marked files, and which takes longer.

    git worktree add ../before VERSION
    python benchmarks/versions.py ../before . [--images FOLDER] [--rounds 3]

Both versions mark the same images with the same seed, in turns; time is the processor's, the least of all
rounds, as a ratio of the second version to the first. Without --images synthetic photographs are marked.
"""

from __future__ import annotations

import argparse
import filecmp
import os
import resource
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from _tables import table
from medlocker.certificates import new_owner
from medlocker.demo import write_samples

RUN = "import sys; from medlocker.cli import main; sys.argv[0] = 'medlocker'; main()"
MODEL = Path("src/medlocker/demo/data/fundus-demo.onnx")
WAYS = {
    "veil": ["--preset", "veil"],
    "paper": ["--preset", "paper", "--search", "random", "--budget", "20"],
    "paper, screened": ["--preset", "paper", "--search", "screened", "--budget", "40"],
}


def seconds(tree: Path, words: Sequence[str]) -> float:
    """Protect with the version in a tree, and return how long the processor took."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(
        [sys.executable, "-c", RUN, *words],
        env={**os.environ, "PYTHONPATH": str(tree / "src"), "OMP_NUM_THREADS": "1"},
        check=True,
        capture_output=True,
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def different(first: Path, second: Path) -> tuple[int, int]:
    """Return how many files of two folders are not the same, and how many there are."""
    names = {path.relative_to(root) for root in (first, second) for path in root.rglob("*") if path.is_file()}
    same = filecmp.cmpfiles(first, second, [str(name) for name in names], shallow=False)[0]
    return len(names) - len(same), len(names)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("trees", type=Path, nargs=2)
    parser.add_argument("--images", type=Path)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    trees = [tree.resolve() for tree in options.trees]
    rows = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        new_owner(folder / "own")
        images = options.images or write_samples(folder / "made", count=24).images
        for way, words in WAYS.items():
            least = [float("inf")] * 2
            outs = [folder / f"release{number}" for number in range(2)]
            for _ in range(options.rounds):
                for number, tree in enumerate(trees):
                    shutil.rmtree(outs[number], ignore_errors=True)
                    given = [str(images), "--owner", str(folder / "own"), "--out", str(outs[number])]
                    fixed = ["--no-ledger", "--seed", "1", "--lesions", "none", "--model", str(tree / MODEL)]
                    used = seconds(tree, ["protect", *given, *fixed, *words])
                    least[number] = min(least[number], used)
            unlike, count = different(*(out / "images" for out in outs))
            ratio = f"{least[1] / least[0]:.2f}"
            rows.append([way, f"{unlike} of {count}", ratio])
    print(table(["preset", "marked files that differ", "time, second / first"], rows))


if __name__ == "__main__":
    main()
