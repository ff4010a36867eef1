"""Colour profiles (ICC.1:2022, clauses 7 to 9): whether one holds anything but what the standard defines."""

from __future__ import annotations

import struct

_HEADER, _ENTRY = 128, 12
_MAX_BYTES = 4 << 20
_MAX_TEXT_BYTES = 4096
_MAX_TABLES_BYTES = 2 << 20
_MAX_TAGS = 64
_CURVES_BYTES = 16_384
"""A tone curve has at most 4096 samples in practice."""

_TABLES = frozenset((b"A2B0", b"A2B1", b"A2B2", b"A2B3", b"B2A0", b"B2A1", b"B2A2", b"B2A3", b"gamt", b"pre0",
                     b"pre1", b"pre2"))  # fmt: skip
_TABLE_TYPES = (b"mft1", b"mft2", b"mAB ", b"mBA ")
_CURVES = frozenset((b"rTRC", b"gTRC", b"bTRC", b"kTRC"))
_TEXTS = frozenset((b"desc", b"cprt", b"dmnd", b"dmdd", b"vued", b"targ", b"scrd"))
_SMALL = frozenset((b"wtpt", b"bkpt", b"rXYZ", b"gXYZ", b"bXYZ", b"chad", b"chrm", b"lumi", b"meas", b"tech",
                    b"view", b"calt", b"cicp", b"ciis", b"rig0", b"rig2", b"clro"))  # fmt: skip
_MAX_SMALL_BYTES = 256


def is_plain_profile(profile: bytes) -> bool:
    """Tell whether a profile holds nothing but tags of the standard, of plausible sizes, without gaps.

    Args:
        profile: The whole profile, from its header on.
    """
    if not _HEADER + 4 <= len(profile) <= _MAX_BYTES or profile[36:40] != b"acsp":
        return False
    size, count = struct.unpack_from(">I", profile)[0], struct.unpack_from(">I", profile, _HEADER)[0]
    covered = _HEADER + 4 + _ENTRY * count
    if size != len(profile) or count > _MAX_TAGS or covered > size:
        return False
    tags = [struct.unpack_from(">4sII", profile, _HEADER + 4 + _ENTRY * i) for i in range(count)]
    for name, at, length in sorted(tags, key=lambda tag: tag[1]):
        most = _most(name, profile[at : at + 4])
        if length > most or at + length > size or at > covered + 3:
            return False
        covered = max(covered, at + length)
    return bool(size <= covered + 3)


def _most(name: bytes, kind: bytes) -> int:
    """Return how many bytes a tag may have; -1 for one that is not the standard's."""
    if name in _TABLES:
        return _MAX_TABLES_BYTES if kind in _TABLE_TYPES else -1
    if name in _CURVES:
        return _CURVES_BYTES if kind in (b"curv", b"para") else -1
    if name in _TEXTS:
        return _MAX_TEXT_BYTES
    return _MAX_SMALL_BYTES if name in _SMALL else -1
