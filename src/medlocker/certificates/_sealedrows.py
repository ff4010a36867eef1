"""What a ledger remembers besides its claims, sealed: the file alone tells nothing."""

from __future__ import annotations

import secrets
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

from medlocker.errors import MalformedError

_NONCE = 12
_AT_ONCE = 500


class SealedRows:
    """One table of sealed bytes (ChaCha20-Poly1305, RFC 8439), found by names only the owner can make.

    Args:
        base: The ledger's database.
        table: Its name: one word of this program, never a user's.
        key: 32 bytes.
        digest: From a text to a keyed digest.
        reading: Turns the database's errors into ours.
        writing: The same, in a transaction.
        what: The ledger, for messages.
    """

    def __init__(
        self,
        base: sqlite3.Connection,
        table: str,
        *,
        key: bytes,
        digest: Callable[[str], bytes],
        reading: Callable[[], AbstractContextManager[None]],
        writing: Callable[[], AbstractContextManager[None]],
        what: str,
    ) -> None:
        self._base, self._table, self._digest = base, table, digest
        self._cipher = ChaCha20Poly1305(key)
        self._reading, self._writing, self._what = reading, writing, what

    def create(self) -> None:
        """Make the table, if it is not there."""
        self._base.execute(
            f"CREATE TABLE IF NOT EXISTS {self._table}"
            " (place BLOB PRIMARY KEY, data BLOB NOT NULL) WITHOUT ROWID"
        )

    def keep(self, of: str, data: bytes) -> None:
        """Remember something by a name; what was remembered by that name is replaced.

        Raises:
            WriteError: If the system refuses.
        """
        place, nonce = self._place(of), secrets.token_bytes(_NONCE)
        sealed = nonce + self._cipher.encrypt(nonce, data, place)
        with self._writing():
            self._base.execute(f"INSERT OR REPLACE INTO {self._table} VALUES (?, ?)", (place, sealed))

    def find(self, of: str) -> bytes | None:
        """Return what is remembered by a name, None if nothing is.

        Raises:
            MalformedError: If it was changed.
        """
        place = self._place(of)
        with self._reading():
            row = self._base.execute(f"SELECT data FROM {self._table} WHERE place = ?", (place,)).fetchone()
        return None if row is None else self._open(row[0], place)

    def __iter__(self) -> Iterator[bytes]:
        """Yield everything that is remembered, in no order and with flat memory.

        Raises:
            MalformedError: If an entry was changed.
        """
        after = b""
        while True:
            with self._reading():
                rows = self._base.execute(
                    f"SELECT place, data FROM {self._table} WHERE place > ? ORDER BY place LIMIT {_AT_ONCE}",
                    (after,),
                ).fetchall()
            for place, data in rows:
                yield self._open(data, bytes(place))
            if not rows:
                return
            after = bytes(rows[-1][0])

    def _place(self, of: str) -> bytes:
        return self._digest(f"{self._table} {of}")

    def _open(self, data: bytes, place: bytes) -> bytes:
        try:
            return self._cipher.decrypt(bytes(data[:_NONCE]), bytes(data[_NONCE:]), place)
        except (InvalidTag, ValueError) as error:
            raise MalformedError(f"{self._what}: it was changed, or is another owner's") from error
