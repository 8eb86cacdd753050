"""The circuit breaker: stops asking a server that is down, and finds out when it is back."""

import time
from collections.abc import Callable
from enum import StrEnum


class State(StrEnum):
    """What the breaker lets through: everything, nothing, or one probe."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"


class Breaker:
    """Opens after `threshold` failures in a row, and lets one probe through every `pause` seconds.

    Whoever was admitted must report back with exactly one of `succeed`, `fail` and `abandon`.
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
        self._failures = 0
        self._probe_at = 0.0
        self.state = State.CLOSED

    @property
    def wait(self) -> float:
        """Seconds until the next probe may go out; 0 when one may now."""
        return max(0.0, self._probe_at - self._clock()) if self.state is State.OPEN else 0.0

    def admit(self) -> bool:
        """Say whether a call may go out now."""
        if self.state is State.OPEN and not self.wait:
            self.state = State.HALF_OPEN
            return True
        return self.state is State.CLOSED

    def succeed(self) -> None:
        """Report that the server answered."""
        self._failures = 0
        self.state = State.CLOSED

    def fail(self, *, retry_after: float = 0) -> None:
        """Report that the server is down; it may have said for how many seconds."""
        self._failures += 1
        spent = self.state is State.CLOSED and self._failures >= self._threshold
        if spent or self.state is State.HALF_OPEN:
            self._open(max(self._pause, retry_after))

    def abandon(self) -> None:
        """Report that the call says nothing about the server; the next one may probe."""
        if self.state is State.HALF_OPEN:
            self._open(0)

    def _open(self, pause: float) -> None:
        self.state = State.OPEN
        self._probe_at = self._clock() + pause
