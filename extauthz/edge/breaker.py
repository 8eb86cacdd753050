"""The circuit breaker: stops asking a server that is down, and finds out when it is back."""

import time
from collections.abc import Callable, Hashable
from enum import StrEnum


class State(StrEnum):
    """What the breaker lets through: everything, nothing, or one probe."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"


class Breaker:
    """Opens after failures for `threshold` callers in a row; lets one probe every `pause` seconds.

    A server can fail for one caller and be well for the others, so all his failures count as one;
    those of nobody in particular (None) count each. Whoever was admitted must report back with
    exactly one of `succeed`, `fail` and `abandon`.
    """

    def __init__(
        self,
        *,
        threshold: int = 5,
        pause: float = 5.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._threshold = threshold
        self._pause = pause
        self._clock = clock
        self._failing: set[Hashable] = set()
        self._failed_last: Hashable = None
        self._probe_at = 0.0
        self.state = State.CLOSED

    @property
    def wait(self) -> float:
        """Seconds until the next probe may go out; 0 when one may now."""
        return max(0.0, self._probe_at - self._clock()) if self.state is State.OPEN else 0.0

    def admit(self, who: Hashable = None) -> bool:
        """Say whether a call for a caller may go out now."""
        if self.state is State.OPEN and not self.wait and not self._leaves_it_to_others(who):
            self.state = State.HALF_OPEN
            return True
        return self.state is State.CLOSED

    def succeed(self) -> None:
        """Report that the server answered."""
        self._failing.clear()
        self.state = State.CLOSED

    def fail(self, who: Hashable = None, *, retry_after: float = 0) -> None:
        """Report that the server failed for a caller; it may have said for how many seconds."""
        self._failing.add(object() if who is None else who)
        self._failed_last = who
        spent = self.state is State.CLOSED and len(self._failing) >= self._threshold
        if spent or self.state is State.HALF_OPEN:
            self._open(max(self._pause, retry_after))

    def abandon(self) -> None:
        """Report that the call says nothing about the server; the next one may probe."""
        if self.state is State.HALF_OPEN:
            self._open(0)

    def _leaves_it_to_others(self, who: Hashable) -> bool:
        """Say whether a caller is the one who failed last, and others had no pause to probe yet."""
        others_until = self._probe_at + self._pause
        return who is not None and who == self._failed_last and self._clock() < others_until

    def _open(self, pause: float) -> None:
        self._failing.clear()
        self.state = State.OPEN
        self._probe_at = self._clock() + pause
