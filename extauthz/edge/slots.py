"""Slots: only so many calls are under way at once; the others wait in line, and not for long."""

import asyncio
from enum import Enum
from types import TracebackType
from typing import Final

from extauthz.edge.outage import Busy

# In seconds.
QUEUE_TIMEOUT: Final = 1.0


class Line(Enum):
    """Where a call waits, and how many of its kind are under way at once: no line holds another up.

    Anybody can make up credentials, so those that were never accepted wait only for each other.
    """

    CHECKS = "checks", 16
    VIEWS = "views", 8
    STRANGERS = "strangers", 8

    @property
    def slots(self) -> int:
        """Return how many calls are under way at once."""
        return self.value[1]


class Slots:
    """Lets so many in at once; raises Busy for those who wait in vain."""

    def __init__(self, number: int) -> None:
        self._free = asyncio.Semaphore(number)

    @property
    def full(self) -> bool:
        """Say whether whoever comes now has to wait."""
        return self._free.locked()

    async def __aenter__(self) -> None:
        try:
            async with asyncio.timeout(QUEUE_TIMEOUT):
                await self._free.acquire()
        except TimeoutError:
            raise Busy from None

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._free.release()
