"""What a way of marking files is: one for pixels as stored, others for formats that keep something else."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from medlocker.formats._keep import NOTHING, Keep
from medlocker.geometry import Box
from medlocker.images import Image
from medlocker.logo import Logo
from medlocker.provenance import Provenance
from medlocker.veil import AnyMark


@dataclass(frozen=True, eq=False)
class MarkedFile:
    """A marked file in memory, and what takes the marks off.

    Args:
        data: The file's bytes.
        residual: What, besides the marks, gives the original back; its form is the method's own.
        method: Name of the method, kept in the sealed record.
        pixels: :func:`medlocker.images.content_digest` that the file must have when it is read again; None
            where the format rounds the marked pixels and only the reader can tell.
        metadata: :func:`medlocker.formats.metadata_digest` of the file that restoring writes; None if it is
            that of the marked file.
        layers: What lies around the file in ``data``, the innermost first; see
            :func:`medlocker.formats.without_layers`.
        notes: What its owner should know of the file.
    """

    data: bytes = field(repr=False)
    residual: bytes = field(repr=False)
    method: str
    pixels: str | None
    metadata: str | None = None
    layers: tuple[bytes, ...] = ()
    notes: tuple[str, ...] = ()


class Method(Protocol):
    """A way of marking; stateless."""

    @property
    def name(self) -> str:
        """What the sealed record calls it."""

    def suits(self, image: Image) -> bool:
        """Tell whether images like this are marked this way."""

    def influence_box(self, image: Image, box: Box) -> Box:
        """Return the pixels that may change if any pixel of a box is marked (the box itself, or more).

        Symmetric: a mark out of ``influence_box(image, lesion)`` changes nothing inside ``lesion``.
        """

    def mark(
        self,
        image: Image,
        marks: Sequence[AnyMark],
        *,
        logo: Logo,
        keep: Keep = NOTHING,
        provenance: Provenance | None = None,
    ) -> MarkedFile:
        """Put marks on.

        Args:
            image: To be marked.
            marks: In the order in which they are put on.
            keep: What else than harmless metadata is passed on; some formats are rid of it before.
            provenance: What the file says of itself, where that is not put around it afterwards.

        Raises:
            InputError: If a mark leaves the image, or the file cannot be written.
        """

    def unmark(self, marked: Image, marks: Sequence[AnyMark], *, logo: Logo, residual: bytes) -> bytes:
        """Return the original as a file of its format; the caller compares digests.

        Raises:
            RestoreError: If parameters and residual do not belong to this image.
        """
