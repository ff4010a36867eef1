"""How fast and how large a run is with more images, workers and machines; each run is a command of its own.

python benchmarks/scale.py           100 and 1,000 images with the default settings
python benchmarks/scale.py --large   10,000 images too, with a search that costs almost nothing

Images are the demo's, 96 px, the model is the built-in one. A "node" is a Ray node of one CPU on this machine
that is up before the time is taken.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import resource
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from _tables import table
from medlocker.certificates import new_owner
from medlocker.demo import builtin_model, write_samples

SIDE_PX = 96
CHEAP = ("--search", "random", "--budget", "2", "--preset", "paper")
COMMAND = (sys.executable, "-c", "from medlocker.cli import main; main()")
NODE = {"num_cpus": 1, "object_store_memory": 100 * 10**6}


@dataclass(frozen=True)
class Way:
    """How a run is done: on so many Ray nodes, or by so many workers here."""

    name: str
    nodes: int = 0
    workers: int = 1

    def options(self) -> list[str]:
        return ["--engine", "ray" if self.nodes else "local", "--workers", str(self.workers)]


WAYS = (
    Way("local, --workers 1"),
    Way("local, --workers 2", workers=2),
    Way("ray, 1 node", nodes=1),
    Way("ray, 2 nodes", nodes=2),
)


@contextmanager
def cluster(nodes: int) -> Iterator[dict[str, str]]:
    """Give the environment of a run; the cluster is there before its time is taken."""
    # one core a process: how many processes there are is what is measured
    environment = os.environ | {"OMP_NUM_THREADS": "1", "RAY_USAGE_STATS_ENABLED": "0"}
    if not nodes:
        yield environment
        return
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    from ray.cluster_utils import Cluster  # optional library

    made = Cluster(initialize_head=True, head_node_args={**NODE, "include_dashboard": False})
    for _ in range(nodes - 1):
        made.add_node(**NODE)
    try:
        yield environment | {"RAY_ADDRESS": made.address}
    finally:
        made.shutdown()


def protect(source: Path, owner: Path, way: Way, options: Sequence[str], *, out: Path) -> dict[str, Any]:
    """Run the command and return its JSON object, and the seconds of CPU that its own process took."""
    words = [*COMMAND, "protect", str(source), "--model", str(builtin_model()), "--owner", str(owner)]
    words += ["--out", str(out), "--seed", "1", "--no-ledger", "--json", *way.options(), *options]
    with cluster(way.nodes) as environment:
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        done = subprocess.run(words, env=environment, capture_output=True, text=True, check=False)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode:
        raise SystemExit(done.stderr)
    found: dict[str, Any] = json.loads(done.stdout)
    found["cpu"] = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return found


def contents(out: Path) -> dict[str, str]:
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in (out / "images").iterdir()}


def row(count: int, way: Way, found: dict[str, Any], first: dict[str, Any] | None) -> list[str]:
    """One line of the table; what a run of 100 images needs is left out of steady numbers: the start."""
    seconds, engine = found["seconds"], found["engine"]
    driving = sum(seconds[name] for name in ("model", "compose", "search", "waiting_for_files"))
    steady = cpu = "-"
    if first is not None:
        more = found["marked"] - first["marked"]
        steady = f"{more / (seconds['total'] - first['seconds']['total']):.2f}"
        cpu = f"{1000 * (found['cpu'] - first['cpu']) / more:.1f}"
    return [
        f"{count:,}",
        way.name,
        f"{found['images_per_second']:.2f}",
        steady,
        f"{1 - seconds['model'] / driving:.0%}",
        cpu,
        f"{found['peak_rss_mb']:.0f}",
        f"{engine['worker_peak_rss_mb']:.0f}" if "workers" in engine else "-",
    ]


HEAD = (
    "images",
    "way",
    "images/s",
    "images/s beyond the first 100",
    "outside the classifier",
    "CPU ms an image, this process",
    "peak MB, this process",
    "peak MB, largest worker",
)


def measure(
    folder: Path, title: str, options: Sequence[str], counts: Sequence[int], ways: Sequence[Way]
) -> None:
    """Print the table of some numbers of images; all ways must mark them alike."""
    rows: list[list[str]] = []
    first: dict[str, dict[str, Any]] = {}
    for count in counts:
        source = folder / f"in{count}"
        if not source.exists():
            write_samples(source, count=count, width=SIDE_PX, height=SIDE_PX)
        expected: dict[str, str] | None = None
        for way in ways:
            out = folder / f"out{len(rows)}-{len(options)}"
            found = protect(source / "images", folder / "owner", way, options, out=out)
            rows.append(row(count, way, found, first.get(way.name)))
            first.setdefault(way.name, found)
            print(" | ".join(rows[-1]), file=sys.stderr, flush=True)
            marked = contents(out)
            if expected not in (None, marked):
                names = [one for one in expected | marked if expected.get(one) != marked.get(one)]
                raise SystemExit(
                    f"{way.name}: other files than {ways[0].name}: {names[:9]}, {found['failed']}"
                )
            expected = marked
    print(f"\n{title}\n\n{table(HEAD, rows)}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--large", action="store_true", help="10,000 images too, by the cheap search")
    parser.add_argument("--only-large", action="store_true", help="nothing but the cheap search")
    parsed = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        new_owner(folder / "owner")
        if not parsed.only_large:
            measure(folder, "default settings", (), (100, 1000), WAYS)
        if parsed.large or parsed.only_large:
            measure(folder, " ".join(CHEAP), CHEAP, (100, 1000, 10_000), (WAYS[0], WAYS[1], WAYS[3]))


if __name__ == "__main__":
    main()
