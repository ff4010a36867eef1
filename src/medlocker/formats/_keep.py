"""What a marked file passes on besides its pixels: what is known to be harmless, and what its owner asks for.

A file has many places where a copy of the unmarked picture may lie: a maker's own data, texts, bytes that
nothing refers to. So each format has a list of what passes, with bounds of size; all else is sealed in the
record, and comes back on restoring. Pictures that are known as such never pass.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from types import MappingProxyType

from medlocker.errors import InputError

Keep = frozenset[str]
"""Names of :data:`KEEPABLE` that pass although they may hold a picture."""

NOTHING: Keep = frozenset()
MOST_BYTES = 1024
"""Of one value that passes: a picture of 32 x 32 grey levels has as many."""

KEEPABLE: Mapping[str, str] = MappingProxyType(
    {
        "private": "private DICOM elements, tags, chunks, segments and NIfTI extensions, and unknown ones",
        "text": f"texts and other standard values of more than {MOST_BYTES} bytes, texts of unknown name",
        "exif": "EXIF as it is, with makers' notes",
        "xmp": "XMP",
        "profiles": "colour profiles with anything but the ICC's own tags",
        "overlays": "DICOM overlays",
        "waveforms": "DICOM waveforms and curves",
        "trailing": "padding, gaps, and bytes behind the picture",
    }
)
"""What may be let through, by name."""


def check_keep(names: Collection[str]) -> Keep:
    """Return what is let through; ``all`` is everything.

    Raises:
        InputError: If a name is not known.
    """
    unknown = sorted(set(names) - set(KEEPABLE) - {"all"})
    if unknown:
        raise InputError(f"expected metadata to keep of {', '.join(KEEPABLE)} or all, got {unknown[0]!r:.40}")
    return frozenset(KEEPABLE) if "all" in names else frozenset(names)
