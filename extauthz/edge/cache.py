"""The cache: bounded, and every entry with its own end."""

from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

from cachetools import TLRUCache

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class Cache(Generic[K, V]):
    """Keeps at most `size` values, each until its own time; the least recently used goes first."""

    def __init__(self, size: int, *, clock: Callable[[], float]) -> None:
        self._entries: TLRUCache[K, tuple[V, float], float] = TLRUCache(
            size, lambda _key, entry, _now: entry[1], timer=clock
        )

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, key: K) -> V | None:
        """Return the value, if it is there and its time is not over."""
        try:
            return self._entries[key][0]
        except KeyError:
            return None

    def put(self, key: K, value: V, *, until: float) -> None:
        """Keep a value until a time of the clock, in place of an older one."""
        self.drop(key)  # cachetools 6 keeps the older one if the new one has ended already
        self._entries[key] = (value, until)

    def drop(self, key: K) -> None:
        """Forget a value, if it is there."""
        self._entries.pop(key, None)
