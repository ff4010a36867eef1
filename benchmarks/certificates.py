"""Measure sealing, assembling, verifying, granting and opening for data sets of growing size.

Marked files are stand-ins of a few bytes, so that the numbers are those of the certificate alone. Each step
runs in a process of its own, whose peak memory is what the operating system counted.

Usage: python benchmarks/certificates.py [COUNT ...]
"""

from __future__ import annotations

import hashlib
import multiprocessing
import random
import resource
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from _tables import table
from medlocker.certificates import (
    IndexEntry,
    PublicFacts,
    ReleaseSecret,
    SealedRecord,
    assemble,
    load_owner,
    load_recipient,
    new_owner,
    open_owner_grant,
    open_release,
    open_secret,
    owner_access,
    seal_record,
    verify_release,
    write_grant,
    write_owner_grant,
)
from medlocker.logo import builtin_logo
from medlocker.mark import Mark

RESIDUAL_BYTES = 2800
"""About that of a 56 px RGB logo at 0.8 opacity."""

OPENED = 100


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def content(index: int) -> bytes:
    return f"image {index}\n".encode("ascii")


def sealed(count: int, secret: ReleaseSecret, owner_id: str) -> Iterator[tuple[IndexEntry, bytes]]:
    logo = builtin_logo().digest
    residual = random.Random(1).randbytes(RESIDUAL_BYTES)
    marks = (Mark(100, 100, 56, 52000, 300, "ab" * 16, 160, 12, 100),)
    for index in range(count):
        name = f"{index // 1000:04d}/{index:06d}.png"
        file, other = sha256(content(index)), sha256(name.encode("ascii"))
        record = SealedRecord(
            release=secret.release, index=index, name=name, file=file, pixels=other, original_file=other,
            original_name=name, original_pixels=other, metadata=other, owner=owner_id, marks=marks, logo=logo,
            residual=residual, seeds={"search": index},
        )  # fmt: skip
        yield IndexEntry(index, name, file, other), seal_record(record, secret)


def prepare(folder: Path, count: int) -> None:
    new_owner(folder / "owner")
    owner = load_owner(folder / "owner")
    write_owner_grant(
        folder / "release", ReleaseSecret.new(), recipient=owner.recipient, signing=owner.signing
    )
    for index in range(count):
        path = folder / "release" / "images" / f"{index // 1000:04d}" / f"{index:06d}.png"
        if index % 1000 == 0:
            path.parent.mkdir(parents=True)
        path.write_bytes(content(index))


def seal_and_assemble(folder: Path, count: int) -> None:
    owner = load_owner(folder / "owner")
    grant = (folder / "release/certificate/grants/owner.age").read_bytes()
    secret = open_owner_grant(grant, owner.identity(), owner=owner.signing.public)
    assemble(
        folder / "release",
        sealed(count, secret, owner.signing.public.key_id),
        secret=secret,
        signing=owner.signing,
        recipient=owner.recipient,
        logo=builtin_logo(),
        facts=PublicFacts("strong"),
    )


def verify(folder: Path, count: int) -> None:
    release = open_release(folder / "release", load_owner(folder / "owner").signing.public)
    report = verify_release(release)
    if not report.valid or report.intact != count:
        raise SystemExit("expected a valid release")


def grant(folder: Path, count: int, images: list[int] | None) -> None:
    owner = load_owner(folder / "owner")
    release = open_release(folder / "release", owner.signing.public)
    write_grant(
        release,
        folder / f"grant-{'whole' if images is None else len(images)}",
        secret=open_secret(release, owner.identity()),
        signing=owner.signing,
        recipients=[load_recipient(folder / "owner.age.pub")],
        images=images,
    )


def grant_whole(folder: Path, count: int) -> None:
    grant(folder, count, None)


def grant_tenth(folder: Path, count: int) -> None:
    grant(folder, count, list(range(0, count, 10)))


def open_some(folder: Path, count: int) -> list[float]:
    """Return the seconds of opening one record, each from the statement on."""
    owner = load_owner(folder / "owner")
    identity, seconds = owner.identity(), []
    for index in random.Random(2).sample(range(count), min(OPENED, count)):
        started = time.perf_counter()
        release = open_release(folder / "release", owner.signing.public)
        owner_access(release, identity).open(release.line(index))
        seconds.append(time.perf_counter() - started)
    return seconds


def _measured(step: Callable[[Path, int], Any], folder: Path, count: int, pipe: Any) -> None:
    started = time.perf_counter()
    result = step(folder, count)
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    pipe.send((time.perf_counter() - started, peak_mb, result))


def measure(step: Callable[[Path, int], Any], folder: Path, count: int) -> tuple[float, float, Any]:
    """Return seconds, peak memory in MB and result of a step in its own process."""
    context = multiprocessing.get_context("spawn")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_measured, args=(step, folder, count, sender))
    process.start()
    sender.close()
    result = receiver.recv()
    process.join()
    return result  # type: ignore[no-any-return]


STEPS = (
    ("seal and assemble", seal_and_assemble),
    ("verify", verify),
    ("grant, whole", grant_whole),
    ("grant, every tenth image", grant_tenth),
)


def main(counts: list[int]) -> int:
    rows = []
    for count in counts:
        folder = Path(tempfile.mkdtemp(prefix="medlocker-bench-"))
        try:
            prepare(folder, count)
            for name, step in STEPS:
                seconds, peak_mb, _ = measure(step, folder, count)
                rows.append(
                    [f"{count:,}", name, f"{seconds:.2f}", f"{seconds / count * 1e3:.3f}", f"{peak_mb:.0f}"]
                )
            _, peak_mb, opened = measure(open_some, folder, count)
            worst = f"{max(opened) * 1e3:.1f} worst, {sum(opened) / len(opened) * 1e3:.1f} mean"
            rows.append([f"{count:,}", "open one record", "", worst, f"{peak_mb:.0f}"])
            statement = folder / "release" / "certificate" / "statement.dsse.json"
            print(f"{count:,} images: statement of {statement.stat().st_size} bytes", file=sys.stderr)
        finally:
            shutil.rmtree(folder, ignore_errors=True)
    print(table(("images", "step", "seconds", "ms an image", "peak MB"), rows))
    return 0


if __name__ == "__main__":
    sys.exit(main([int(text.replace(",", "")) for text in sys.argv[1:]] or [1_000, 10_000, 100_000]))
