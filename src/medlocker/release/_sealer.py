"""Sealing what was marked and putting it into its place."""

from __future__ import annotations

import hashlib
import os
from contextlib import suppress
from functools import partial

from medlocker.certificates import (
    IndexEntry,
    Ledger,
    Owner,
    ReleaseSecret,
    SealedRecord,
    open_record,
    seal_record,
)
from medlocker.errors import CertificateError, WriteError
from medlocker.formats import with_layers
from medlocker.logo import Logo
from medlocker.protect import Marked, Outcome, SharedMarks, marks_digest, seeded, series_error
from medlocker.provenance import Provenance
from medlocker.release._credentials import CredentialsWriter
from medlocker.release._journal import Journal
from medlocker.release._journalindex import Done
from medlocker.review import MarkingFacts


class Sealer:
    """Holds the release's secret: gives randomness, seals, and opens what it sealed.

    Args:
        seed: Repeats searches exactly, or None.
        ledger: The owner's memory of what was marked before, or None.
        same_mark: Whether the same mark may be put on again.
        provenance: What marked files say of themselves; None for nothing.
        credentials: Signs marked files, or None.
    """

    def __init__(
        self,
        secret: ReleaseSecret,
        journal: Journal,
        *,
        owner: Owner,
        logo: Logo,
        seed: int | None,
        ledger: Ledger | None,
        same_mark: bool,
        provenance: Provenance | None,
        credentials: CredentialsWriter | None,
    ) -> None:
        self._credentials = credentials
        self.provenance = provenance
        self._secret = secret
        self._journal = journal
        self._owner = owner.signing.public.key_id
        self._logo = logo
        self._seed = seed
        self._ledger = ledger
        self._same_mark = same_mark

    def randomness(self, purpose: str, original_digest: str) -> bytes:
        """Return 32 bytes for one image; the keys of hardening are secret whatever the seed."""
        if self._seed is None or purpose == "harden":
            return self._secret.derive(purpose, original_digest)
        return seeded(self._seed, purpose, original_digest)

    def journal_name(self, key: str) -> str:
        """Return the name of a series in the journal; without the secret it does not tell which one it is."""
        digest = hashlib.sha256(key.encode("utf-8", "surrogateescape")).hexdigest()
        return self._secret.derive("series", digest, length=16).hex()

    def admit(self, original_digest: str) -> None:
        """Refuse an original that another release has marked already.

        Raises:
            AlreadyMarkedError: If the owner's ledger knows it, unless the same mark is asked for again.
        """
        if self._ledger is not None and not self._same_mark:
            self._ledger.check(original_digest, release=self._secret.release)

    def commit(self, marked: Marked, outcome: Outcome) -> None:
        """Seal the record, note it in the ledger, move the file to its place, then into the journal.

        A kill in between leaves a file that the resumed run writes again, equal to the first but for
        content credentials: these hold random numbers.

        Raises:
            AlreadyMarkedError: If the ledger knows another mark of this original.
            WriteError: If the system refuses.
        """
        job = marked.job
        if self._credentials is not None:
            marked = self._credentials.add(marked)
        method, residual = with_layers(marked.method, marked.residual, marked.layers)
        record = SealedRecord(
            release=self._secret.release,
            index=job.index,
            name=job.output_name,
            file=marked.sha256,
            pixels=marked.marked_pixels,
            original_file=marked.original_file,
            original_name=job.name,
            original_pixels=marked.original_pixels,
            metadata=marked.metadata,
            owner=self._owner,
            marks=marked.marks,
            logo=self._logo.digest,
            residual=residual,
            method=method,
            seeds={"search": int.from_bytes(marked.seed[:6], "big")},
            original=marked.original,
            facts=_facts(marked, outcome).to_sealed(),
        )
        blob = seal_record(record, self._secret)
        if self._ledger is not None:
            remember = partial(self._ledger.record, release=self._secret.release)
            if job.series is not None:
                # near copies of what another release has marked are refused too
                with series_error():
                    remember(job.series.digest, marked=marks_digest(marked.marks))
            remember(marked.original_pixels, marked=marked.marked_pixels)
        try:
            os.replace(marked.temporary, job.target)
        except OSError as error:
            reason = (error.strerror or "").lower()
            raise WriteError(f"cannot write {job.target.name}: {reason}", subject=job.target.name) from error
        entry = IndexEntry(job.index, job.output_name, marked.sha256, marked.marked_pixels)
        series = self.journal_name(job.series.key) if job.series is not None else ""
        self._journal.add(outcome, entry=entry, record=blob, stamp=job.stamp, series=series)

    def known(self, key: str) -> SharedMarks | None:
        """Return the marks that an interrupted run gave to a series, or None."""
        series = self.journal_name(key)
        done = self._journal.leads.get(series)
        if done is None:
            return None
        with suppress(CertificateError):
            return self.lead(done)
        # somebody changed that record; the others of the series hold the same marks
        for one in self._journal.done.values():
            if one.series == series and one.entry is not None:
                with suppress(CertificateError):
                    return self.lead(one)
        return None

    def lead(self, done: Done) -> SharedMarks:
        """Return the marks of a marked image, for the other images of its series.

        They always come out of the sealed record: a resumed run goes the same way as any other.
        """
        record = self.opened(done)
        return SharedMarks(record.marks, record.seeds["search"].to_bytes(6, "big"))

    def opened(self, done: Done) -> SealedRecord:
        """Open what was sealed."""
        what = f"sealed record {done.outcome.index}"
        return open_record(self._journal.record(done), [self._secret.identity()], what=what)


def _facts(marked: Marked, outcome: Outcome) -> MarkingFacts:
    pairs = zip(outcome.clean_correct, outcome.fooled, strict=True)
    return MarkingFacts(
        psnr_db=outcome.psnr,
        shrunk=outcome.shrunk,
        asked=sum(outcome.clean_correct),
        misled=sum(right and fooled for right, fooled in pairs),
        kept_out=marked.kept_out,
        regions=len(marked.kept_out),
        anatomy=marked.anatomy,
        veils_tried=marked.veils_tried,
        in_series=marked.job.series is not None,
    )
