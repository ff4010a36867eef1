"""What was made and may be asked for again, as long as there is room for it."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from typing import Any, Generic, TypeVar

V = TypeVar("V")


class Cache(Generic[V]):
    """What was made, the least used forgotten first; several threads may use it.

    Args:
        size: Returns the bytes of one thing.
        most_bytes: Of all together; what is larger is made and not kept.
    """

    def __init__(self, size: Callable[[V], int], *, most_bytes: int) -> None:
        self._made: OrderedDict[Any, V] = OrderedDict()
        self._bytes_of, self._most_bytes = size, most_bytes
        self._size = 0
        self._lock = threading.Lock()

    def get(self, key: Any, make: Callable[[], V]) -> V:
        """Return what was made before, or make it."""
        with self._lock:
            if key in self._made:
                self._made.move_to_end(key)
                return self._made[key]
        made = make()
        self.keep(key, made, replaces=False)
        return made

    def keep(self, key: Any, made: V, *, replaces: bool = True) -> None:
        """Keep what was made, if there is room for it.

        Args:
            replaces: Whether it takes the place of what another thread has made meanwhile.
        """
        size = self._bytes_of(made)
        with self._lock:
            if key in self._made and replaces:
                self._size -= self._bytes_of(self._made.pop(key))
            if key not in self._made and size <= self._most_bytes:
                self._made[key] = made
                self._size += size
            while self._size > self._most_bytes:
                self._size -= self._bytes_of(self._made.popitem(last=False)[1])
