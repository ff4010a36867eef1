"""Nothing leaves that must be approved and is not."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable

from medlocker.certificates import Ledger, Release
from medlocker.errors import NotApprovedError
from medlocker.review._log import DecisionLog


def refuse_unreviewed(
    release: Release, indices: Iterable[int] | None = None, *, memory: Callable[[], Ledger] | None = None
) -> None:
    """Refuse to give images away that the owner's review has not approved.

    Args:
        release: Made with ``--needs-review``, or any other: of those nothing is asked.
        indices: Numbers of the images; None for all of them.
        memory: Opens the owner's ledger; without it nobody knows whether decisions were cut off at the end.

    Raises:
        NotApprovedError: If some are not approved, with how many.
        CertificateError: If a decision is not the owner's.
    """
    if not release.statement.needs_review:
        return
    latest = DecisionLog(release, memory=memory).read()
    wanted = None if indices is None else set(indices)
    count = 0
    found: Counter[str] = Counter()
    for line in release.lines():
        if wanted is not None and line.entry.index not in wanted:
            continue
        count += 1
        decision = latest.get(line.entry.index)
        if decision is not None and decision.file == line.entry.file:
            found[decision.verdict] += 1
    if found["approved"] < count:
        raise NotApprovedError(
            f"{release.path.name}: {count - found['approved']} of {count} images are not approved "
            f"({found['rejected']} rejected, {found['another mark']} to be marked again, "
            f"{count - found.total()} not decided)",
            hint=f"run `medlocker review {release.path.name}`, or name approved images with --images",
            subject=release.path.name,
        )
