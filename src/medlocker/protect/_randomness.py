"""Randomness that can be repeated: from a seed and the digest of an original."""

from __future__ import annotations

import hashlib


def seeded(seed: int, purpose: str, original_digest: str) -> bytes:
    """Return 32 bytes, the same for the same seed, purpose and original.

    Who knows the seed can repeat a mark only with the original in hand: its digest is needed.

    Args:
        seed: Of a run.
        purpose: What it is for: ``search``, ``veil``, ``harden``.
        original_digest: Of the original's pixels, 64 hex digits.
    """
    what = "" if purpose == "search" else f"{purpose} "
    return hashlib.sha256(f"medlocker-seed-v1 {what}{seed} {original_digest}".encode("ascii")).digest()
