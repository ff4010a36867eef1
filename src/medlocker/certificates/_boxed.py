"""Small secrets of an owner at rest, sealed under the signing key: a file alone tells nothing."""

from __future__ import annotations

import secrets

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

from medlocker.errors import MalformedError

_NONCE = 12


class Boxed:
    """Seals and opens bytes (ChaCha20-Poly1305, RFC 8439).

    Args:
        key: 32 bytes.
        what: What holds them, for messages.
    """

    def __init__(self, key: bytes, *, what: str) -> None:
        self._cipher = ChaCha20Poly1305(key)
        self._what = what

    def seal(self, data: bytes, *, place: bytes) -> bytes:
        """Return sealed bytes that can be opened only in the same place."""
        nonce = secrets.token_bytes(_NONCE)
        return nonce + self._cipher.encrypt(nonce, data, place)

    def open(self, data: bytes, *, place: bytes) -> bytes:
        """Return what was sealed.

        Raises:
            MalformedError: If it was changed, or sealed with another key or for another place.
        """
        try:
            return self._cipher.decrypt(data[:_NONCE], data[_NONCE:], place)
        except (InvalidTag, ValueError) as error:
            raise MalformedError(f"{self._what}: it was changed, or is another owner's") from error
