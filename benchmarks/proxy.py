"""What restoring on view costs: time against the store alone, and memory for very large releases.

    python benchmarks/proxy.py [--instances 100] [--rounds 3]
    python benchmarks/proxy.py --index 1000 100000

The first asks a real Orthanc and the real proxy before it for the same synthetic CT slices (512 x 512, 16
bit) in turn, and tells how often the store's own time the proxy takes. The second counts the memory of
releases of many images (stand-ins, nothing is opened), each in a process of its own.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib.util
import io
import json
import multiprocessing
import random
import resource
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import pydicom
import urllib3
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian

from _tables import table
from medlocker.certificates import (
    IndexEntry,
    PublicFacts,
    ReleaseSecret,
    assemble,
    load_owner,
    new_owner,
    open_release,
    write_grant,
    write_owner_grant,
)
from medlocker.logo import builtin_logo

STUDY, SERIES = "1.2.77", "1.2.77.1"
SIDE_PX = 512
MEDLOCKER = (sys.executable, "-m", "medlocker")
FILE = 'multipart/related; type="application/dicom"; transfer-syntax=*'
FRAME = 'multipart/related; type="application/octet-stream"; transfer-syntax=*'
LOOKED_UP = 200
Seconds = float
Rows = dict[str, list[tuple[Seconds, Seconds]]]


def slice_of(number: int) -> bytes:
    """A smooth slice with grain."""
    image = Dataset()
    image.file_meta = FileMetaDataset()
    image.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    image.SOPClassUID, image.SOPInstanceUID = CTImageStorage, f"{SERIES}.{number}"
    image.StudyInstanceUID, image.SeriesInstanceUID = STUDY, SERIES
    image.PatientID, image.Modality, image.InstanceNumber = "P1", "CT", number
    image.Rows = image.Columns = SIDE_PX
    image.SamplesPerPixel, image.BitsAllocated, image.BitsStored, image.HighBit = 1, 16, 12, 11
    image.PixelRepresentation, image.PhotometricInterpretation = 0, "MONOCHROME2"
    rng = np.random.default_rng(number)
    y, x = np.mgrid[:SIDE_PX, :SIDE_PX] / 90
    smooth = 1800 + 1200 * np.sin(x + number / 20) * np.cos(y)
    image.PixelData = np.clip(smooth + rng.normal(0, 20, x.shape), 0, 4095).astype("<u2").tobytes()
    stream = io.BytesIO()
    pydicom.dcmwrite(stream, image, enforce_file_format=True)
    return stream.getvalue()


def run(folder: Path, *words: object) -> None:
    subprocess.run([*MEDLOCKER, *map(str, words)], cwd=folder, check=True, capture_output=True)


@contextmanager
def store_of(folder: Path, count: int) -> Iterator[Any]:
    """A store with the marked slices of a release in ``folder``."""
    script = Path(__file__).parents[1] / "scripts" / "orthanc.py"
    spec = importlib.util.spec_from_file_location("orthanc", script)
    if spec is None or spec.loader is None:
        raise SystemExit("expected scripts/orthanc.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    (folder / "in").mkdir()
    for number in range(count):
        (folder / "in" / f"{number:04d}.dcm").write_bytes(slice_of(number + 1))
    run(folder, "key", "new", "--out", "own")
    run(folder, "protect", "in", "--owner", "own", "--out", "rel", "--no-ledger", "--lesions", "none")
    store = module.Orthanc(folder / "store")
    try:
        run(folder, "push", "rel", f"dicomweb:{store.url}", "--owner", "own.sign.pub")
        yield store
    finally:
        store.stop()


@contextmanager
def proxy_of(folder: Path, store: Any, *options: str) -> Iterator[tuple[str, int]]:
    """The real command; its address and process."""
    command = [*MEDLOCKER, "proxy", "--server", f"dicomweb:{store.url}", "--release", "rel", *options]
    command += ["--owner", "own.sign.pub", "--identity", "own.age.key", "--listen", "127.0.0.1:0", "--json"]
    running = subprocess.Popen(
        command, cwd=folder, text=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    try:
        if running.stdout is None:
            raise SystemExit("expected a pipe")
        yield json.loads("".join(running.stdout.readline() for _ in range(3)))["address"], running.pid
        running.send_signal(signal.SIGINT)
        running.wait()
    finally:
        running.kill()


def timed(work: Callable[[], object]) -> Seconds:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def got(client: urllib3.PoolManager, address: str, accept: str = "application/dicom+json") -> bytes:
    """Ask as the proxy asks the store: with another library Orthanc may take another time."""
    answer = client.request("GET", address, headers={"accept": accept})
    if answer.status != 200:
        raise SystemExit(f"expected an answer, got status {answer.status}")
    return bytes(answer.data)


def fetcher(client: urllib3.PoolManager, base: str, rest: str, accept: str) -> Callable[[str], bytes]:
    """What fetches by UID something of an instance."""

    def fetch(uid: str) -> bytes:
        return got(client, f"{base}/studies/{STUDY}/series/{SERIES}/instances/{uid}{rest}", accept)

    return fetch


def all_of(fetch: Callable[[str], bytes], uids: Sequence[str], threads: int) -> None:
    with ThreadPoolExecutor(threads) as pool:
        if not all(pool.map(fetch, uids)):
            raise SystemExit("expected every instance")


def peak_mb(process: int) -> float:
    text = Path(f"/proc/{process}/status").read_text()
    return int(text.split("VmHWM:")[1].split()[0]) / 1024


class Round:
    """Asks the store and a proxy for the same, and keeps how long each took.

    Args:
        marked: UIDs on the store, in order.
        rows: Seconds of both by what was asked.
    """

    def __init__(
        self, client: urllib3.PoolManager, store: str, proxy: str, marked: list[str], rows: Rows
    ) -> None:
        self.client, self.store, self.proxy = client, store, proxy
        self.marked = marked
        self.originals = [f"{SERIES}.{number + 1}" for number in range(len(marked))]
        self.rows = rows
        got(client, f"{proxy}/studies")

    def compare(self, what: str, alone: Callable[[], object], through: Callable[[], object]) -> None:
        self.rows.setdefault(what, []).append((timed(alone), timed(through)))

    def look(self) -> None:
        """As a viewer does: headers of the series, then frame by frame."""
        alone = fetcher(self.client, self.store, "/frames/1", FRAME)
        through = fetcher(self.client, self.proxy, "/frames/1", FRAME)
        headers = f"/studies/{STUDY}/series/{SERIES}/metadata"
        self.compare(
            "first frame of an instance", lambda: alone(self.marked[0]), lambda: through(self.marked[0])
        )
        for what in (f"headers of a series of {len(self.marked)}, the first time", "the same again"):
            self.compare(
                what,
                lambda: got(self.client, self.store + headers),
                lambda: got(self.client, self.proxy + headers),
            )
        self.compare(
            "a frame that was restored before",
            lambda: alone(self.marked[5]),
            lambda: through(self.originals[5]),
        )
        self.compare(
            "all frames, one after the other",
            lambda: all_of(alone, self.marked, 1),
            lambda: all_of(through, self.originals, 1),
        )

    def copy(self, threads: int) -> None:
        """Fetch all files."""
        alone, through = (fetcher(self.client, base, "", FILE) for base in (self.store, self.proxy))
        self.compare(
            f"all files, nothing kept, {threads} at a time",
            lambda: all_of(alone, self.marked, threads),
            lambda: all_of(through, self.marked, threads),
        )


def viewing(count: int, rounds: int) -> str:
    """Return a table: milliseconds of store and proxy, and how often the one goes into the other."""
    rows: Rows = {}
    peaks: list[float] = []
    with (
        tempfile.TemporaryDirectory() as name,
        store_of(Path(name), count) as store,
        urllib3.PoolManager(maxsize=4) as client,
    ):
        folder, listed = Path(name), f"{store.url}/studies/{STUDY}/series/{SERIES}/instances?limit=100000"
        marked = [one["00080018"]["Value"][0] for one in json.loads(got(client, listed))]
        for _ in range(rounds):
            with proxy_of(folder, store) as (url, process):
                Round(client, store.url, url, marked, rows).look()
                peaks.append(peak_mb(process))
            with proxy_of(folder, store, "--cache", "0") as (url, process):
                again = Round(client, store.url, url, marked, rows)
                for threads in (1, 4):
                    again.copy(threads)
                peaks.append(peak_mb(process))
    told = []
    for what, times in rows.items():
        alone, through = (median(one[k] for one in times) for k in (0, 1))
        ratio = median(b / a for a, b in times)
        rate = f"{count / through:.0f}" if what.startswith("all") else "-"
        told.append((what, f"{alone * 1000:.0f}", f"{through * 1000:.0f}", f"{ratio:.1f}", rate))
    head = ("", "store alone, ms", "proxy, ms", "ratio", "instances a second")
    return table(head, told) + f"\n\npeak memory of the proxy: {max(peaks):.0f} MB"


def digest_of(number: int) -> str:
    return hashlib.sha256(b"image %d" % number).hexdigest()


def write_release(folder: Path, count: int) -> None:
    """A release of stand-ins with sealed records of 3 kB that nobody opens, and a grant to all of them."""
    new_owner(folder / "owner")
    owner, secret = load_owner(folder / "owner"), ReleaseSecret.new()
    write_owner_grant(folder / "rel", secret, recipient=owner.recipient, signing=owner.signing)
    lines = (IndexEntry(k, f"{k:06d}.dcm", digest_of(k), digest_of(k)) for k in range(count))
    assemble(
        folder / "rel",
        ((entry, b"age-encryption.org/v1\n" + bytes(3000)) for entry in lines),
        secret=secret,
        signing=owner.signing,
        recipient=owner.recipient,
        logo=builtin_logo(),
        facts=PublicFacts("veil"),
    )
    write_grant(
        open_release(folder / "rel", owner.signing.public),
        folder / "grant",
        secret=secret,
        signing=owner.signing,
        recipients=[owner.recipient],
        images=range(count),
    )


def index_memory(folder: Path, count: int) -> tuple[float, float, float, float]:
    """Return MB before and with the releases, seconds to read them, and ms of one look-up."""
    from medlocker.proxy import ServedReleases, open_grants

    def used_mb() -> float:
        return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize() / 2**20

    owner = load_owner(folder / "owner")
    before, started = used_mb(), time.perf_counter()
    opened = [open_release(folder / "rel", owner.signing.public)]
    grants = open_grants(opened, [folder / "grant"], owner.identity())
    served = ServedReleases(opened)
    spent, after = time.perf_counter() - started, used_mb()
    wanted = [digest_of(k) for k in random.Random(2).sample(range(count), min(LOOKED_UP, count))]
    each = timed(lambda: [served.find(digest) for digest in wanted]) / len(wanted)
    if served.images != count or not all(grants.values()):
        raise SystemExit("expected every image")
    return before, after, spent, each * 1000


def indexing(counts: Sequence[int]) -> str:
    """Return a table of memory by the number of images, all of them granted one by one."""
    rows = []
    for count in counts:
        with tempfile.TemporaryDirectory() as name:
            write_release(Path(name), count)
            with multiprocessing.get_context("spawn").Pool(1) as pool:
                before, after, spent, each = pool.apply(index_memory, (Path(name), count))
        rows.append((f"{count:,}", f"{after - before:.0f}", f"{after:.0f}", f"{spent:.1f}", f"{each:.1f}"))
    return table(("images", "more memory, MB", "in all, MB", "opening, s", "one look-up, ms"), rows)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--instances", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--index", type=int, nargs="+", default=[])
    options = parser.parse_args()
    print(indexing(options.index) if options.index else viewing(options.instances, options.rounds))


if __name__ == "__main__":
    main()
