"""Where sessions are kept: in the browser's cookie alone, as long as one process serves."""

import asyncio
import math
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import replace
from typing import Final, Protocol
from weakref import WeakValueDictionary

from extauthz.edge.cache import Cache
from extauthz.edge.seal import Seal, SealBroken
from extauthz.edge.session import SECONDS_AT_MOST, Session

# A browser keeps 4 KiB of a cookie (RFC 6265, 6.1): name, value and attributes.
LONGEST_COOKIE: Final = 3_500
_PURPOSE: Final = "session"
_MOST: Final = 20_000
# A browser is told of its own activity no more often than this share of the time to idle.
_SHARE: Final = 1 / 20


class SessionTooLarge(Exception):  # noqa: N818 - named for what happened
    """A session that no browser would keep in a cookie."""


class SessionStore(Protocol):
    """Keeps sessions; raises Unavailable where it cannot be reached."""

    def find(self, cookie: str) -> Awaitable[Session | None] | Session | None:
        """Return the newest state of the session that a cookie names, None once it has ended.

        Where its own cookie differs from the given one, the browser should get it.
        """

    async def add(self, session: Session) -> Session:
        """Keep a new session; returns it with its cookie."""

    async def renew(self, session: Session) -> Session | None:
        """Keep a newer state of a session, None if it has ended meanwhile."""

    async def remove(self, session: Session) -> None:
        """End a session: no cookie names it any more."""

    async def give_up(self, session: Session) -> None:
        """End a session whose refresh token is dead, unless a cookie holds a newer one."""

    def lock(self, session: Session) -> AbstractAsyncContextManager[object]:
        """Return what only one at a time can enter for a session, wherever it runs."""

    async def close(self) -> None:
        """Let go of connections."""


class CookieStore:
    """Seals sessions into cookies.

    What browsers have not learned yet is remembered here: tokens that were refreshed, and sessions
    that have ended. So it serves one process; after a restart GitLab has revoked what ended.
    """

    def __init__(
        self,
        seal: Seal,
        *,
        idle: float,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        """`idle` is the number of seconds after which a session nobody uses ends."""
        self._seal = seal
        self._idle = idle
        self._clock = clock
        self._wall = wall
        self._newest: Cache[str, Session] = Cache(_MOST, clock=clock)
        # The generations that have ended: all up to this one.
        self._ended: Cache[str, float] = Cache(_MOST, clock=clock)
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    def find(self, cookie: str) -> Session | None:
        """Return the newest state, or None; its cookie is new if the browser should have it."""
        sent = self._opened(cookie)
        if sent is None:
            return None
        newest = self._newest.get(sent.id)
        session = newest if newest and newest.generation > sent.generation else sent
        if self._has_ended(session):
            return None
        now = self._wall()
        last_seen = max(session.seen, sent.seen)
        if now - last_seen > self._idle:
            return None
        if now - last_seen > self._idle * _SHARE:
            return self._remembered(replace(session, seen=now))
        return session

    async def add(self, session: Session) -> Session:
        """Return a new session with its cookie; raises SessionTooLarge."""
        return self._sealed(session)

    async def renew(self, session: Session) -> Session | None:
        """Keep a newer state until the browser has it."""
        if self._has_ended(session):
            return None
        return self._remembered(session)

    async def remove(self, session: Session) -> None:
        """Remember that a session has ended."""
        self._end(session, generation=math.inf)

    async def give_up(self, session: Session) -> None:
        """Remember that a state has ended: after a restart an old cookie may name one."""
        self._end(session, generation=session.generation)

    @asynccontextmanager
    async def lock(self, session: Session) -> AsyncIterator[None]:
        """Let one in at a time: a logout must not overtake a refresh."""
        lock = self._locks.setdefault(session.id, asyncio.Lock())
        async with lock:
            yield

    async def close(self) -> None:
        """Do nothing: there are no connections."""

    def _end(self, session: Session, *, generation: float) -> None:
        self._newest.drop(session.id)
        self._ended.put(session.id, generation, until=self._clock() + SECONDS_AT_MOST)

    def _has_ended(self, session: Session) -> bool:
        ended = self._ended.get(session.id)
        return ended is not None and session.generation <= ended

    def _opened(self, cookie: str) -> Session | None:
        try:
            return Session.unpack(self._seal.open(_PURPOSE, cookie), cookie)
        except (SealBroken, ValueError):
            return None

    def _remembered(self, session: Session) -> Session:
        sealed = self._sealed(session)
        if sealed.generation:
            self._newest.put(session.id, sealed, until=self._clock() + self._idle)
        return sealed

    def _sealed(self, session: Session) -> Session:
        cookie = self._seal.close(_PURPOSE, session.pack())
        if len(cookie) > LONGEST_COOKIE:
            raise SessionTooLarge
        return replace(session, cookie=cookie)
