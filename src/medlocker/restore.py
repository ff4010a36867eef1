"""Taking marks off: from a release and an identity back to the originals, bit for bit.

The order is: pinned owner's key, statement, index shard, marked file's digest, sealed record's digest,
opening, inner binding, unblending, digest of the restored pixels and metadata; only then is anything
written. One bad image costs only itself.
"""

from __future__ import annotations

import hashlib
import os
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from medlocker.certificates import (
    SHARD_SIZE,
    Access,
    CompanionEntry,
    CompanionLine,
    IndexEntry,
    IndexLine,
    Release,
    SealedRecord,
    index_name,
    trust_failed,
)
from medlocker.errors import (
    CertificateError,
    Code,
    Failure,
    InputError,
    MedlockerError,
    OutputExistsError,
    RestoreError,
    UnsupportedImageError,
    WrongImageError,
)
from medlocker.files import TEMPORARY_PREFIX, make_folder, read_limited, sweep_temporaries, write_atomic
from medlocker.formats import metadata_digest, read_image, unmark_file, without_layers
from medlocker.images import Limits, content_digest
from medlocker.logo import Logo

_MAX_WORKERS = 8
_MAX_FAILURES = 1000
_MAX_FILE_BYTES = Limits().max_file_bytes


@dataclass(frozen=True)
class RestoredFile:
    """A file as restoring writes it.

    Args:
        name: Relative to the output, forward slashes.
        data: Its bytes.
        identical: Whether they are the original file's bytes.
    """

    name: str
    data: bytes
    identical: bool


@dataclass(frozen=True)
class ImageResult:
    """How restoring one image, or one file beside the images, ended.

    Args:
        index: Number of the image in the release, None of a file beside the images.
        name: Of the marked file.
        status: ``restored`` or ``failed``.
        failure: Why it failed, None if it did not.
        trust: Whether trust or integrity failed (exit code 3).
        identical: Whether the original file's very bytes came back; pixels and metadata always do.
    """

    index: int | None
    name: str
    status: Literal["restored", "failed"]
    failure: Failure | None = None
    trust: bool = False
    identical: bool = False


@dataclass(frozen=True)
class RestoreReport:
    """What restoring a release did.

    Args:
        identical: How many of them have the original file's very bytes.
        not_granted: Images that the identity does not open; not tried.
        failures: The first 1000 failed ones.
        trust: Whether trust or integrity failed anywhere.
        companions: How many files beside the images came back.
        companions_failed: How many did not; among the failures too.
        companions_not_granted: How many of these the identity does not open; not tried.
    """

    restored: int
    identical: int
    failed: int
    not_granted: int
    failures: tuple[ImageResult, ...]
    trust: bool
    companions: int = 0
    companions_failed: int = 0
    companions_not_granted: int = 0

    @property
    def exit_code(self) -> int:
        """0 done, 1 something failed, 3 trust or integrity failed."""
        if self.trust:
            return 3
        return 1 if self.failed or self.companions_failed else 0


def restore_image(data: bytes, record: SealedRecord, *, logo: Logo) -> RestoredFile:
    """Take the mark off one file in memory.

    Args:
        logo: The logo that was put on.

    Raises:
        WrongImageError: If file or logo are not the record's.
        RestoreError: If the result is not the original.
    """
    if hashlib.sha256(data).hexdigest() != record.file:
        raise WrongImageError(f"{record.name}: the file is not the one that was marked", subject=record.name)
    if record.original is not None:
        return _kept_original(record, record.original)
    if logo.digest != record.logo:
        raise WrongImageError(f"{record.name}: the logo is not the one that was put on", subject=record.name)
    try:
        plain, method, residual = without_layers(data, method=record.method, residual=record.residual)
        marked = read_image(plain, name=record.name)
        if content_digest(marked) != record.pixels:
            raise RestoreError(
                f"{record.name}: this machine reads other pixels from the file than the one that marked it",
                subject=record.name,
            )
        restored = unmark_file(marked, record.marks, logo=logo, residual=residual, method=method)
        again = read_image(restored, name=record.name)
    except InputError as error:
        raise RestoreError(f"{record.name}: {error}", subject=record.name) from error
    except RestoreError as error:
        if error.subject == record.name:
            raise
        raise RestoreError(f"{record.name}: {error}", subject=record.name, hint=error.hint) from error
    if content_digest(again) != record.original_pixels:
        raise RestoreError(f"{record.name}: the restored pixels are not the original", subject=record.name)
    if metadata_digest(again) != record.metadata:
        raise RestoreError(
            f"{record.name}: the restored metadata are not the original ones", subject=record.name
        )
    identical = hashlib.sha256(restored).hexdigest() == record.original_file
    return RestoredFile(record.name, restored, identical)


def _kept_original(record: SealedRecord, original: bytes) -> RestoredFile:
    if hashlib.sha256(original).hexdigest() != record.original_file:
        raise RestoreError(
            f"{record.name}: the kept original is not the file that was marked", subject=record.name
        )
    try:
        image = read_image(original, name=record.name)
    except UnsupportedImageError as error:
        raise RestoreError(f"{record.name}: {error}", subject=record.name) from error
    if content_digest(image) != record.original_pixels:
        raise RestoreError(
            f"{record.name}: the kept original does not hold the original pixels", subject=record.name
        )
    return RestoredFile(record.original_name, original, identical=True)


def check_output(out: Path, release: Path, *, overwrite: bool) -> None:
    """Refuse an output folder that holds something, or that lies in or around the release.

    Raises:
        OutputExistsError: If so.
    """
    # unlike Path.resolve, this bears links in a circle
    target, source = (Path(os.path.realpath(path)) for path in (out, release))
    if target == source or target.is_relative_to(source) or source.is_relative_to(target):
        raise OutputExistsError(
            f"the output {out.name} and the release overlap", hint="choose an output elsewhere"
        )
    if not os.path.lexists(out):
        return
    if not out.is_dir():
        what = "link that leads nowhere" if out.is_symlink() and not out.exists() else "file"
        raise OutputExistsError(f"the output {out.name} is a {what}", hint="choose another output")
    # leftovers of a killed one are nobody's
    if not overwrite and any(not path.name.startswith(TEMPORARY_PREFIX) for path in out.iterdir()):
        raise OutputExistsError(
            f"the output folder {out.name} is not empty", hint="choose another output or give --overwrite"
        )


def restore_release(
    access: Access,
    out: Path,
    *,
    overwrite: bool = False,
    workers: int | None = None,
    progress: Callable[[ImageResult], None] = lambda result: None,
) -> RestoreReport:
    """Restore every image that an identity opens, and the files beside them.

    Args:
        access: Release and identities.
        out: New or empty folder; the release's tree is kept. A kept original gets its own name back.
        overwrite: Replace files in ``out``.
        workers: Threads; default one per processor, at most 8.
        progress: Called with each result, in order, those of files beside the images first.

    Raises:
        OutputExistsError: See :func:`check_output`.
        CertificateError: If the logo is not the signed one; a bad index shard costs only its images. An
            index with another number of images than stated is among the failures.
    """
    check_output(out, access.release.path, overwrite=overwrite)
    job = _Job(access, out.resolve(), access.release.logo(), overwrite)
    make_folder(out)
    sweep_temporaries(out)  # of a killed one
    tally = _Tally()
    count = workers or min(os.cpu_count() or 1, _MAX_WORKERS)
    with ThreadPoolExecutor(count, thread_name_prefix="restore") as pool:
        pending: deque[Future[ImageResult]] = deque()
        try:
            for companion in _companions(access, tally, progress):
                pending.append(pool.submit(job.run_companion, companion))
                if len(pending) > 2 * count:
                    progress(tally.add(pending.popleft().result()))
            for shard in access.release.statement.shards:
                for line in _lines(access, shard, tally, progress):
                    pending.append(pool.submit(job.run, line))
                    if len(pending) > 2 * count:
                        progress(tally.add(pending.popleft().result()))
            while pending:
                progress(tally.add(pending.popleft().result()))
            for fault in tally.disagreement(access.release.statement.images):
                progress(tally.add(fault))
        finally:
            pool.shutdown(wait=True, cancel_futures=True)
    return tally.report()


def _lines(
    access: Access, shard: int, tally: _Tally, progress: Callable[[ImageResult], None]
) -> Iterator[IndexLine]:
    """Yield the lines of one shard that the identity opens."""
    try:
        lines = access.release.shard_lines(shard)
    except CertificateError as error:
        name = f"certificate/{index_name(shard)}"
        found = ImageResult(shard * SHARD_SIZE, name, "failed", Failure.of(error, name), trust=True)
        progress(tally.add(found))
        tally.listed = None
        return
    if tally.listed is not None:
        tally.listed += len(lines)
    for line in lines:
        if access.covers(line.entry.index):
            yield line
        else:
            tally.not_granted += 1


def _companions(
    access: Access, tally: _Tally, progress: Callable[[ImageResult], None]
) -> Iterator[CompanionLine]:
    """Yield the lines of the files beside the images that are to come back."""
    try:
        lines = access.release.companions()
    except CertificateError as error:
        name = "certificate/companions.jsonl"
        progress(tally.add(ImageResult(None, name, "failed", Failure.of(error, name), trust=True)))
        return
    for line in lines:
        if line.entry.kind == "sidecar":
            continue
        if line.seal is None or access.covers_companion(line.number):
            yield line
        else:
            tally.companions_not_granted += 1


class _Tally:
    """Counts results without keeping them."""

    def __init__(self) -> None:
        self.restored = self.identical = self.failed = self.not_granted = 0
        self.companions = self.companions_failed = self.companions_not_granted = 0
        self.failures: list[ImageResult] = []
        self.trust = False
        self.listed: int | None = 0
        """Lines of the index; None if they cannot all be read."""

    def disagreement(self, images: int) -> Iterator[ImageResult]:
        """Yield what is wrong if the owner states another number of images than the index lists."""
        if self.listed is not None and self.listed != images:
            reason = f"index: expected {images} images, got {self.listed}"
            failure = Failure("certificate/index", reason, Code.MALFORMED)
            yield ImageResult(self.listed, failure.name, "failed", failure, trust=True)

    def add(self, result: ImageResult) -> ImageResult:
        if result.status == "restored" and result.index is None:
            self.companions += 1
        elif result.status == "restored":
            self.restored += 1
            self.identical += result.identical
        else:
            self.failed += result.index is not None
            self.companions_failed += result.index is None
            self.trust = self.trust or result.trust
            if len(self.failures) < _MAX_FAILURES:
                self.failures.append(result)
        return result

    def report(self) -> RestoreReport:
        return RestoreReport(
            self.restored,
            self.identical,
            self.failed,
            self.not_granted,
            tuple(self.failures),
            self.trust,
            self.companions,
            self.companions_failed,
            self.companions_not_granted,
        )


@dataclass(frozen=True, eq=False)
class _Job:
    access: Access
    out: Path
    logo: Logo
    overwrite: bool

    def run(self, line: IndexLine) -> ImageResult:
        entry = line.entry
        try:
            data = read_marked(self.access.release, entry)
            record = self.access.open(line)
            restored = restore_image(data, record, logo=self.logo)
            self._write(restored)
        except (MedlockerError, MemoryError) as error:
            failure = Failure.of(error, entry.name)
            return ImageResult(entry.index, entry.name, "failed", failure, trust_failed(error))
        return ImageResult(entry.index, entry.name, "restored", identical=restored.identical)

    def run_companion(self, line: CompanionLine) -> ImageResult:
        entry = line.entry
        try:
            data = read_marked(self.access.release, entry)
            if line.seal is not None:
                data = self.access.open_companion(line).original
            self._write(RestoredFile(entry.name, data, identical=True))
        except (MedlockerError, MemoryError) as error:
            failure = Failure.of(error, entry.name)
            return ImageResult(None, entry.name, "failed", failure, trust_failed(error))
        return ImageResult(None, entry.name, "restored", identical=True)

    def _write(self, restored: RestoredFile) -> None:
        target = self.out.joinpath(*restored.name.split("/"))
        make_folder(target.parent)
        # with --overwrite a link in an old output could lead elsewhere
        if not target.parent.resolve().is_relative_to(self.out):
            raise OutputExistsError(
                f"{restored.name}: its folder leads out of the output", subject=restored.name
            )
        write_atomic(target, restored.data, overwrite=self.overwrite)


def read_marked(release: Release, entry: IndexEntry | CompanionEntry) -> bytes:
    """Return a marked file, or one beside them, after checking that it is the signed one.

    Raises:
        WrongImageError: If it is missing, no regular file, or has another digest.
    """
    path = release.image_path(entry)
    try:
        data = read_limited(path, max_bytes=_MAX_FILE_BYTES, what="marked file")
    except InputError as error:
        raise WrongImageError(str(error), subject=error.subject) from error
    if hashlib.sha256(data).hexdigest() != entry.file:
        what = "marked file" if isinstance(entry, IndexEntry) else entry.kind
        raise WrongImageError(f"{entry.name}: the {what} is not the signed one", subject=entry.name)
    return data
