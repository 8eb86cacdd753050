"""Sessions: begun by a login, kept alive by refreshing their tokens, ended by a logout.

GitLab's access tokens live for two hours, and each refresh token works once: whoever loses a pair
has lost the session. So one refresh serves all who wait for it, in this process and in others.
"""

import asyncio
import secrets
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import partial
from typing import Final, Protocol

import structlog
from pydantic import SecretStr

from extauthz.edge.cache import Cache
from extauthz.edge.cookies import own_cookie
from extauthz.edge.credentials import SESSION_COOKIE, Credential
from extauthz.edge.flights import Flights, landed
from extauthz.edge.oidc import LoginRefused
from extauthz.edge.provider import User
from extauthz.edge.refusals import Refusal, Unauthenticated, Unavailable
from extauthz.edge.session import SECONDS_AT_MOST, Session, Tokens
from extauthz.edge.session_store import SessionStore
from extauthz.edge.site import Site

# In seconds. While the old tokens are good nobody waits longer than this for new ones, and after a
# failure not at all for a while.
_PATIENCE: Final = 1.0
_PAUSE: Final = 15.0
# A refresh under way is not abandoned when the process ends.
_LAST_WAIT: Final = 4.0
# GitLab has given the new pair to us alone.
_SECONDS_TO_KEEP: Final = 4.0
_BETWEEN_TRIES: Final = 0.25
_MOST_PAUSED: Final = 20_000


class Issuer(Protocol):
    """Gives and takes back tokens."""

    async def refresh(self, token: SecretStr) -> Tokens:
        """Exchange a refresh token; raises LoginRefused, Unavailable."""

    async def revoke(self, token: SecretStr) -> None:
        """Take back a pair of tokens; raises Unavailable."""


class Event(StrEnum):
    """What becomes of a session. LOST is one that GitLab does not give new tokens to."""

    BEGUN = "begun"
    REFRESHED = "refreshed"
    REFRESH_FAILED = "refresh_failed"
    LOST = "lost"
    ENDED = "ended"


class Observer(Protocol):
    """Is told what becomes of sessions."""

    def session_changed(self, event: Event) -> None:
        """Count an event."""


@dataclass(frozen=True, slots=True)
class Held:
    """A session that a request is made in, and what the browser has to learn of it."""

    session: Session
    cookies: tuple[str, ...] = ()

    @property
    def credential(self) -> Credential:
        """What GitLab is asked with."""
        return self.session.credential


class Sessions:
    """Everything that can happen to a session."""

    def __init__(
        self,
        store: SessionStore,
        issuer: Issuer,
        site: Site,
        observer: Observer,
        *,
        wall: Callable[[], float] = time.time,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store = store
        self._issuer = issuer
        self._site = site
        self._observer = observer
        self._wall = wall
        self._clock = clock
        self._refreshes: Flights[tuple[str, int], Session] = Flights()
        self._paused: Cache[str, bool] = Cache(_MOST_PAUSED, clock=clock)
        self._log = structlog.get_logger("extauthz.sessions")

    async def begin(self, user: User, tokens: Tokens) -> str:
        """Keep a new session; returns the Set-Cookie value. Raises Unavailable."""
        now = self._wall()
        session = Session(secrets.token_urlsafe(18), user, tokens, created=now, seen=now)
        session = await self._store.add(session)
        self._note(Event.BEGUN)
        return self._set_cookie(session)

    def resume(self, cookie: str) -> Held | Awaitable[Held]:
        """Return the session that a cookie names, with tokens that have not ended.

        At once where everything needed is here. Raises Unauthenticated, Unavailable.
        """
        found = self._store.find(cookie)
        if isinstance(found, Awaitable):
            return self._resume_later(cookie, found)
        session = self._alive(found)
        if self._is_due(session):
            return self._refreshed(cookie, session)
        return self._held(cookie, session)

    async def renewed(self, cookie: str, held: Held) -> Held | None:
        """Return the session with newer tokens, where it has some by now.

        To be asked when GitLab refuses those of a session: a refresh that somebody else has made
        ends them.
        """
        session = self._alive(await _settled(self._store.find(cookie)))
        if self._is_due(session):
            session = await landed(self._refresh(session))
        newer = session.generation > held.session.generation
        return self._held(cookie, session) if newer else None

    async def end(self, cookie: str) -> Session | None:
        """Have GitLab revoke the tokens, then end the session; returns it.

        Raises Unavailable, and then the session goes on: its tokens would outlive it unseen.
        """
        session = await _settled(self._store.find(cookie))
        if session is None:
            return None
        async with self._store.lock(session):
            session = await _settled(self._store.find(cookie)) or session
            await self._issuer.revoke(session.tokens.access)
            await self._store.remove(session)
        self._note(Event.ENDED)
        return session

    def forgotten(self) -> str:
        """Return the Set-Cookie value that makes a browser forget its session."""
        return own_cookie(SESSION_COOKIE, "", self._site, seconds=0)

    async def close(self) -> None:
        """Finish what is under way, and let go of connections."""
        await self._refreshes.land(seconds=_LAST_WAIT)
        await self._refreshes.close()
        await self._store.close()

    async def _resume_later(self, cookie: str, pending: Awaitable[Session | None]) -> Held:
        session = self._alive(await pending)
        if self._is_due(session):
            return await self._refreshed(cookie, session)
        return self._held(cookie, session)

    async def _refreshed(self, cookie: str, session: Session) -> Held:
        """Return the session with new tokens, or while GitLab has none with those it has."""
        lives = session.tokens.ends > self._wall()
        if lives and self._paused.get(session.id):
            return self._held(cookie, session)
        try:
            session = await landed(self._refresh(session), patience=_PATIENCE if lives else None)
        except TimeoutError:
            self._pause(session)
        except Unavailable as refusal:
            if not lives:
                # Whoever keeps trying is not idle, and his browser has to know.
                refusal.cookies = self._held(cookie, session).cookies
                raise
            self._pause(session)
        return self._held(cookie, session)

    def _pause(self, session: Session) -> None:
        self._paused.put(session.id, True, until=self._clock() + _PAUSE)  # noqa: FBT003 - a set

    def _refresh(self, session: Session) -> asyncio.Task[Session | Refusal]:
        # After a restart an old cookie may name a state that a newer one must not fail with.
        state = session.id, session.generation
        return self._refreshes.join(state, partial(self._ask_for_tokens, session))

    async def _ask_for_tokens(self, session: Session) -> Session:
        async with self._store.lock(session):
            # Another process may have had the lock, and the tokens.
            session = self._alive(await _settled(self._store.find(session.cookie)))
            if not self._is_due(session):
                return session
            try:
                tokens = await self._issuer.refresh(session.tokens.refresh)
            except LoginRefused:
                await self._store.give_up(session)
                self._note(Event.LOST)
                raise _ended() from None
            except Unavailable:
                self._note(Event.REFRESH_FAILED)
                raise
            now = self._wall()
            kept = await self._keep(
                replace(session, tokens=tokens, seen=now, generation=session.generation + 1)
            )
            if kept is None:
                await self._give_back(tokens)
        session = self._alive(kept)
        self._note(Event.REFRESHED)
        return session

    async def _keep(self, session: Session) -> Session | None:
        until = self._clock() + _SECONDS_TO_KEEP
        while True:
            try:
                return await self._store.renew(session)
            except Unavailable:
                if self._clock() >= until:
                    self._note(Event.LOST)
                    await self._give_back(session.tokens)
                    raise
                await asyncio.sleep(_BETWEEN_TRIES)

    async def _give_back(self, tokens: Tokens) -> None:
        """Have GitLab revoke what nobody knows: somebody has signed out, or it cannot be kept."""
        with suppress(Unavailable):
            await self._issuer.revoke(tokens.access)

    def _alive(self, session: Session | None) -> Session:
        if session is None or self._wall() - session.created > SECONDS_AT_MOST:
            raise _ended()
        return session

    def _is_due(self, session: Session) -> bool:
        return session.tokens.due <= self._wall()

    def _held(self, cookie: str, session: Session) -> Held:
        known = session.cookie == cookie
        return Held(session, () if known else (self._set_cookie(session),))

    def _set_cookie(self, session: Session) -> str:
        left = session.created + SECONDS_AT_MOST - self._wall()
        return own_cookie(SESSION_COOKIE, session.cookie, self._site, seconds=left)

    def _note(self, event: Event) -> None:
        self._observer.session_changed(event)
        self._log.info(f"session.{event}")


def _ended() -> Unauthenticated:
    return Unauthenticated("Your session has ended. Sign in again.")


async def _settled(answer: Awaitable[Session | None] | Session | None) -> Session | None:
    return await answer if isinstance(answer, Awaitable) else answer
