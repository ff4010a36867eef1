"""`ml.restore`: the originals back, bit for bit."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from pathlib import Path

from medlocker.api.listener import Callback, Listener, as_listener
from medlocker.api.trust import load_access
from medlocker.arguments import AtLeastOne, checked_arguments
from medlocker.certificates import load_verify_key, open_release
from medlocker.restore import ImageResult, RestoreReport, check_output, restore_release

_Path = str | os.PathLike[str]


@dataclass(frozen=True)
class Restored:
    """What was restored.

    Args:
        release: Id of the release.
        owner: Id of its owner's key.
        report: Counts, and what failed.
        seconds: How long it took.
    """

    release: str
    owner: str
    report: RestoreReport
    seconds: float


@checked_arguments
def restore(
    release: _Path,
    *,
    owner: _Path,
    identity: _Path,
    out: _Path,
    grant: _Path | None = None,
    overwrite: bool = False,
    workers: AtLeastOne | None = None,
    progress: Callback | Listener | None = None,
) -> Restored:
    """Get the originals back of all images that a private key opens.

    Everything is checked before it is written: the owner's signature, each file's digest, the sealed record,
    and the digest of the restored pixels. Of an image that fails nothing is written.

    Args:
        release: Its folder.
        owner: The owner's ``NAME.sign.pub``.
        identity: Your private key: ``NAME.age.key``, or OpenSSH ed25519.
        out: New or empty folder.
        grant: What the owner granted you; the owner needs none.
        overwrite: Replace files in a folder that is not empty.
        workers: Threads that decode and encode; None: as many as help.
        progress: Called with what is counted, how many are done, and how many there are.

    Raises:
        CertificateError: If the owner did not sign it, or the key does not open it.
        OutputExistsError: If the output is in the way.
    """
    started, listener = time.perf_counter(), as_listener(progress)
    opened = open_release(Path(release), load_verify_key(Path(owner)))
    given = None if grant is None else Path(grant)
    access = load_access(opened, Path(identity), given, listener=listener)
    check_output(Path(out), Path(release), overwrite=overwrite)
    total = opened.statement.images if access.whole is not None else len(access.images)
    with listener.steps() as advance:

        def told(result: ImageResult) -> None:
            if result.failure is not None:
                listener.note(f"failed: {result.failure}")
            if result.index is not None:
                advance("restoring", 1, total)

        report = restore_release(access, Path(out), overwrite=overwrite, workers=workers, progress=told)
    return Restored(opened.statement.release, opened.owner.key_id, report, time.perf_counter() - started)
