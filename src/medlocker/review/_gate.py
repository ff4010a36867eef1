"""Nothing leaves that must be approved and is not."""

from __future__ import annotations

from collections.abc import Iterable

from medlocker.certificates import Release
from medlocker.errors import NotApprovedError
from medlocker.review._log import DecisionLog


def refuse_unreviewed(release: Release, indices: Iterable[int] | None = None) -> None:
    """Refuse to give images away that the owner's review has not approved.

    Args:
        release: Made with ``--needs-review``, or any other: of those nothing is asked.
        indices: Numbers of the images; None for all of them.

    Raises:
        NotApprovedError: If some are not approved, with how many.
        CertificateError: If a decision is not the owner's.
    """
    if not release.statement.needs_review:
        return
    latest = DecisionLog(release).read()
    wanted = None if indices is None else set(indices)
    count = rejected = approved = 0
    for line in release.lines():
        if wanted is not None and line.entry.index not in wanted:
            continue
        count += 1
        decision = latest.get(line.entry.index)
        if decision is not None and decision.file == line.entry.file:
            approved += decision.verdict == "approved"
            rejected += decision.verdict != "approved"
    if approved < count:
        raise NotApprovedError(
            f"{release.path.name}: {count - approved} of {count} images are not approved "
            f"({rejected} rejected, {count - approved - rejected} not looked at)",
            hint=f"run `medlocker review {release.path.name}`, or name approved images with --images",
            subject=release.path.name,
        )
