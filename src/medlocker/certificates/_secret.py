"""The release's secret, and the separate branches that grow from it by HKDF-SHA256 (RFC 5869).

Salt of every derivation is the release id (16 bytes); the infos are

- ``medlocker/v1/whole``: the identity that opens every record of the release,
- ``medlocker/v1/image/<index>``: the identity that opens one record, index in decimal,
- ``medlocker/v1/companion/<number>``: the identity that opens the original of one companion, in decimal,
- ``medlocker/v1/mark/<purpose>/<digest>``: randomness of a mark, digest of the original's pixels in hex.

No branch tells anything about another one, so a grant of identities gives no mark's randomness away.
"""

from __future__ import annotations

import re
import secrets
from dataclasses import dataclass, field
from functools import cached_property

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from medlocker.certificates._age import Identity, Recipient, public_text, secret_text

RELEASE_ID_BYTES = 16
_PURPOSE = re.compile(r"[a-z0-9-]{1,40}")
_DIGEST = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class ReleaseSecret:
    """What the owner alone has; everything keyed in one release follows from it.

    Args:
        release: Release id, 32 lower-case hex digits; public.
        value: 32 bytes; never shown by ``repr``.
    """

    release: str
    value: bytes = field(repr=False)

    @classmethod
    def new(cls) -> ReleaseSecret:
        """Make the secret of a new release from the system's randomness."""
        return cls(secrets.token_hex(RELEASE_ID_BYTES), secrets.token_bytes(32))

    def _branch(self, info: str, length: int) -> bytes:
        salt = bytes.fromhex(self.release)
        context = b"medlocker/v1/" + info.encode("ascii")
        return HKDF(hashes.SHA256(), length, salt=salt, info=context).derive(self.value)

    def derive(self, purpose: str, original_digest: str, *, length: int = 32) -> bytes:
        """Return a mark's randomness: unique per release and image, reproducible for the owner.

        Args:
            purpose: Lower-case letters, digits, hyphens; other purposes give unrelated bytes.
            original_digest: Pixel digest of the original, 64 hex digits.
            length: Bytes, at most 8160.

        Raises:
            ValueError: If purpose or digest have another form.
        """
        if not _PURPOSE.fullmatch(purpose) or not _DIGEST.fullmatch(original_digest):
            raise ValueError("expected a lower-case purpose and a digest of 64 hex digits")
        return self._branch(f"mark/{purpose}/{original_digest}", length)

    @cached_property
    def whole_identity(self) -> str:
        """The ``AGE-SECRET-KEY-1...`` that opens every record."""
        return secret_text(self._branch("whole", 32))

    @cached_property
    def whole_recipient(self) -> Recipient:
        """Its public half."""
        return Recipient.from_text(public_text(self.whole_identity), what="release")

    def image_identity(self, index: int) -> str:
        """Return the ``AGE-SECRET-KEY-1...`` that opens the record of one image and no other."""
        return secret_text(self._branch(f"image/{index}", 32))

    def image_recipient(self, index: int) -> Recipient:
        """Return its public half."""
        return Recipient.from_text(public_text(self.image_identity(index)), what="release")

    def companion_identity(self, number: int) -> str:
        """Return the ``AGE-SECRET-KEY-1...`` that opens the original of one companion and no other."""
        return secret_text(self._branch(f"companion/{number}", 32))

    def companion_recipient(self, number: int) -> Recipient:
        """Return its public half."""
        return Recipient.from_text(public_text(self.companion_identity(number)), what="release")

    def identity(self) -> Identity:
        """Return what opens every record, ready to use."""
        return Identity.from_secrets([self.whole_identity], what="release")

    def __reduce__(self) -> tuple[type[ReleaseSecret], tuple[str, bytes]]:
        return ReleaseSecret, (self.release, self.value)
