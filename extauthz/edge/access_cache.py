"""The access cache: what a caller may do, asked once, kept for a while, stale in an outage."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from typing import Final, Generic, Protocol, TypeVar

from extauthz.edge.cache import Cache
from extauthz.edge.callers import Caller, Callers
from extauthz.edge.flights import MOST, Flights, landed
from extauthz.edge.outage import Busy, Outage, Throttled, Unreachable
from extauthz.edge.refusals import NotFound, Refusal

A = TypeVar("A")
Clock = Callable[[], float]
# What a question returns: the access, and the time of the clock at which the credential ends.
Ask = Callable[[], Awaitable[tuple[A, float]]]

# How long a caller waits; the flight goes on, so that his next request finds its answer. Longer
# than the wait for a slot and the call itself, which so say themselves which of them it was.
PATIENCE: Final = 4.0
# Leaves as many for callers who are known.
_MOST_OF_STRANGERS: Final = MOST // 2
# After an outage was seen, entries are served stale at once for so long, and ask again behind the
# caller's back so often.
_SECONDS_OF_TROUBLE: Final = 30.0
_SECONDS_BETWEEN_RETRIES: Final = 1.0


class Result(StrEnum):
    """How a look-up ended: at once with what is known, or with a question."""

    HIT = "hit"
    REFUSED = "refused"
    STALE = "stale"
    MISS = "miss"


class Observer(Protocol):
    """Is told of caches, each by the name of what it keeps, and of look-ups."""

    def cache_opened(self, cache: str, entries: Callable[[], int]) -> None:
        """Take note of a cache, and of how to find out how many entries it has."""

    def looked_up(self, cache: str, result: Result) -> None:
        """Count a look-up. Who has asked and is served stale then counts as both."""


class Unobserved:
    """Takes note of nothing."""

    def cache_opened(self, cache: str, entries: Callable[[], int]) -> None:
        """Take no note of a cache."""

    def looked_up(self, cache: str, result: Result) -> None:
        """Count nothing."""


@dataclass(frozen=True, slots=True)
class Lifetimes:
    """How many seconds an answer is fresh, and how many more it may be served in an outage."""

    fresh: float = 30
    stale: float = 600
    patience: float = PATIENCE


@dataclass(slots=True)
class _Entry(Generic[A]):
    """An answer, and what is left of it in an outage. In trouble it is served stale at once."""

    access: A
    stale: A
    fresh_until: float
    troubled_until: float = 0.0
    retry_at: float = 0.0


class AccessCache(Generic[A]):
    """Answers at once from what is known, and otherwise asks, once for all who want to know."""

    def __init__(
        self,
        size: int,
        *,
        name: str,
        callers: Callers,
        lifetimes: Lifetimes,
        weaken: Callable[[A], A],
        observer: Observer,
        clock: Clock = time.monotonic,
    ) -> None:
        """`weaken` makes of an access what is left of it in an outage."""
        self._name = name
        self._callers = callers
        self._lifetimes = lifetimes
        self._weaken = weaken
        self._observer = observer
        self._clock = clock
        self._entries: Cache[tuple[Caller | None, str], _Entry[A]] = Cache(size, clock=clock)
        observer.cache_opened(name, self._entries.__len__)
        # Until then nobody waits to find out for himself that the provider is down.
        self._down_until = 0.0
        self._flights: Flights[tuple[bytes, str], A] = Flights()

    def look_up(self, who: bytes, place: str, ask: Ask[A]) -> A | Awaitable[A]:
        """Return the access of a credential to a place.

        A known refusal is raised at once; raises a Refusal.
        """
        entry, now = self._entry(who, place), self._clock()
        if entry is not None and now < entry.fresh_until:
            self._note(Result.HIT)
            return entry.access
        try:
            self._callers.check(who, place)
        except Refusal:
            self._note(Result.REFUSED)
            raise
        if entry is not None and now < max(entry.troubled_until, self._down_until):
            self._retry(entry, who, place, ask)
            self._note(Result.STALE)
            return entry.stale
        self._note(Result.MISS)
        return self._wait(who, place, ask)

    async def close(self) -> None:
        """End the questions under way."""
        await self._flights.close()

    def _note(self, result: Result) -> None:
        self._observer.looked_up(self._name, result)

    def _entry(self, who: bytes, place: str) -> _Entry[A] | None:
        return self._entries.get((self._callers.get(who), place))

    def _retry(self, entry: _Entry[A], who: bytes, place: str, ask: Ask[A]) -> None:
        """Ask again without letting the caller wait, if it is time to."""
        now = self._clock()
        if now >= entry.retry_at:
            entry.retry_at = now + _SECONDS_BETWEEN_RETRIES
            with suppress(Busy):
                self._join(who, place, ask)

    def _join(self, who: bytes, place: str, ask: Ask[A]) -> asyncio.Task[A | Refusal]:
        most = MOST if self._callers.knows(who) else _MOST_OF_STRANGERS
        return self._flights.join((who, place), partial(self._ask, who, place, ask), most=most)

    async def _wait(self, who: bytes, place: str, ask: Ask[A]) -> A:
        flight = self._join(who, place, ask)
        try:
            return await landed(flight, patience=self._lifetimes.patience)
        except TimeoutError:
            # Not one call that hangs: too many, each of which is answered. That is no outage.
            raise Busy("The answer did not come in time. Try again in a moment.") from None

    async def _ask(self, who: bytes, place: str, ask: Ask[A]) -> A:
        try:
            access, ends = await ask()
        except Outage as outage:
            if isinstance(outage, Unreachable):
                self._down_until = self._clock() + _SECONDS_OF_TROUBLE
            return self._in_outage(who, place, outage)
        except Refusal as refusal:
            self._forget(who, place, refusal)
            raise
        self._keep(who, place, access, ends)
        return access

    def _in_outage(self, who: bytes, place: str, outage: Outage) -> A:
        entry = self._entry(who, place)
        if entry is None:
            raise outage
        now = self._clock()
        entry.troubled_until = now + _SECONDS_OF_TROUBLE
        entry.retry_at = now + _SECONDS_BETWEEN_RETRIES
        self._note(Result.STALE)
        return entry.stale

    def _forget(self, who: bytes, place: str, refusal: Refusal) -> None:
        entry = self._entry(who, place)
        self._callers.refuse(who, place, refusal)
        match refusal:
            case NotFound():
                self._entries.drop((self._callers.get(who), place))
            case Throttled() if entry is not None:
                # An answer to this credential, so it is not served stale any more.
                entry.troubled_until = 0.0

    def _keep(self, who: bytes, place: str, access: A, ends: float) -> None:
        self._down_until = 0.0
        fresh_until = self._clock() + self._lifetimes.fresh
        until = min(fresh_until + self._lifetimes.stale, ends)
        caller = self._callers.accept(who, until=until)
        entry = _Entry(access, self._weaken(access), fresh_until)
        self._entries.put((caller, place), entry, until=until)
