"""The tarpit: who is over his limit waits for his refusal, so that a flood slows itself down.

A client sends its next request when it has the answer to the last one. Answered at once, a few of
them keep an event loop busy, and everybody else waits in the same line.
"""

import asyncio
from collections.abc import Callable
from random import uniform
from typing import Final

# Far from both Envoy's deadline and the 4,096 checks that Envoy has under way.
MOST_HELD: Final = 1_000
_SHORTEST, _LONGEST = 0.5, 1.5


class Tarpit:
    """Holds refusals up, so many at once; any more are not held at all."""

    def __init__(
        self, *, most: int = MOST_HELD, seconds: Callable[[], float] | None = None
    ) -> None:
        """`seconds` tells how long the next one is held; by default they end scattered."""
        self._most = most
        self._seconds = seconds or (lambda: uniform(_SHORTEST, _LONGEST))  # noqa: S311 - no secret
        self.held = 0

    async def hold(self) -> None:
        """Wait a moment, if there is room to."""
        if self.held >= self._most:
            return
        self.held += 1
        try:
            await asyncio.sleep(self._seconds())
        finally:
            self.held -= 1
