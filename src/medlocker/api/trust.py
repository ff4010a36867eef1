"""`ml.verify` and `ml.restore`: is a release what its owner signed, and the originals back."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass, field
from pathlib import Path

from medlocker.api.listener import Callback, Listener, as_listener
from medlocker.arguments import AtLeastOne, checked_arguments
from medlocker.certificates import (
    Access,
    Release,
    VerifyReport,
    load_identity,
    load_verify_key,
    open_grant,
    open_release,
    owner_access,
    verify_release,
)

_Path = str | os.PathLike[str]


@dataclass(frozen=True)
class Verified:
    """What was found.

    Args:
        release: What its owner signed.
        report: How the files compare with it.
        seconds: How long that took.
    """

    release: Release = field(repr=False)
    report: VerifyReport
    seconds: float

    @property
    def valid(self) -> bool:
        """Whether everything is as signed and nothing else is there."""
        return self.report.valid


@checked_arguments
def verify(
    release: _Path,
    *,
    owner: _Path,
    workers: AtLeastOne | None = None,
    progress: Callback | Listener | None = None,
) -> Verified:
    """Check who signed a release, and that no file is missing, changed or added.

    Args:
        release: Its folder.
        owner: The owner's ``NAME.sign.pub``, got from the owner.
        workers: Threads that read files; None: as many as help.
        progress: Called with what is counted, how many are done, and how many there are.

    Raises:
        CertificateError: If the owner did not sign it.
        InputError: If a file cannot be read.
    """
    started = time.perf_counter()
    opened = open_release(Path(release), load_verify_key(Path(owner)))
    with as_listener(progress).steps() as advance:
        total = opened.statement.images
        report = verify_release(opened, workers=workers, progress=lambda: advance("verifying", 1, total))
    return Verified(opened, report, time.perf_counter() - started)


def load_access(release: Release, identity: Path, grant: Path | None, *, listener: Listener) -> Access:
    """Read a private key and open with it the grant, or without one the owner's own.

    Raises:
        InputError: If a file cannot be read.
        CertificateError: If the key does not open it.
    """
    key = load_identity(identity)
    for text in key.notes:
        listener.warn(text)
    if grant is None:
        return owner_access(release, key)
    return open_grant(release, grant, identity=key)
