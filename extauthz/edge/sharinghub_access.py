"""Access in SharingHub mode: sessions become tokens, and what is no session becomes a visitor."""

import time
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Final, TypeVar

from extauthz.edge.access import AccessControl, GlobalAccess, ProjectAccess
from extauthz.edge.access_cache import AccessCache, Clock, Lifetimes, Observer, Unobserved
from extauthz.edge.callers import Callers
from extauthz.edge.credentials import VISITOR, Credential, Kind
from extauthz.edge.fingerprints import Fingerprints
from extauthz.edge.provider import Asker
from extauthz.edge.refusals import Unauthenticated
from extauthz.edge.sharinghub import SharingHub, sign_in

A = TypeVar("A")
_MOST_SESSIONS: Final = 20_000
# A session is the same wherever it is used.
_EVERYWHERE: Final = "*"


class SharingHubAccess:
    """Looks up access by the token that a session holds.

    A session proves nothing by itself: its token does, like any other. Forged, ended and empty
    ones are all the one visitor, and share his entries in the cache.
    """

    def __init__(
        self,
        access: AccessControl,
        hub: SharingHub,
        *,
        visitors: bool,
        fingerprints: Fingerprints,
        lifetimes: Lifetimes,
        observer: Observer | None = None,
        clock: Clock = time.monotonic,
    ) -> None:
        """`visitors` says whether SharingHub may be asked what it shows without a credential."""
        self._access = access
        self._hub = hub
        self._visitors = visitors
        self._fingerprints = fingerprints
        self._callers = Callers(clock=clock)
        self._tokens: AccessCache[Credential] = AccessCache(
            _MOST_SESSIONS,
            callers=self._callers,
            lifetimes=lifetimes,
            # In an outage the token is still the same, and its access only reads.
            weaken=lambda token: token,
            name="session_token",
            observer=observer or Unobserved(),
            clock=clock,
        )

    def in_project(
        self, credential: Credential, path: str
    ) -> ProjectAccess | Awaitable[ProjectAccess]:
        """Return the caller's access to a project, at once if it is known; raises a Refusal."""
        return self._with_token(credential, lambda who: self._access.in_project(who, path))

    def by_number(
        self, credential: Credential, number: int
    ) -> ProjectAccess | Awaitable[ProjectAccess]:
        """Return the caller's access to the project with an id; raises a Refusal."""
        return self._with_token(credential, lambda who: self._access.by_number(who, number))

    def everywhere(self, credential: Credential) -> GlobalAccess | Awaitable[GlobalAccess]:
        """Return what the caller may read, at once if it is known; raises a Refusal."""
        return self._with_token(credential, self._access.everywhere)

    async def close(self) -> None:
        """End the questions under way."""
        await self._tokens.close()
        await self._access.close()

    def _with_token(
        self, credential: Credential, look_up: Callable[[Credential], A | Awaitable[A]]
    ) -> A | Awaitable[A]:
        if credential.kind is not Kind.SHARINGHUB_SESSION:
            return look_up(self._admitted(credential))
        try:
            token = self._token(credential)
        except Unauthenticated:
            token = VISITOR
        if isinstance(token, Credential):
            return look_up(self._admitted(token))
        return self._with_token_later(token, look_up)

    async def _with_token_later(
        self, pending: Awaitable[Credential], look_up: Callable[[Credential], A | Awaitable[A]]
    ) -> A:
        try:
            token = await pending
        except Unauthenticated:
            token = VISITOR
        access = look_up(self._admitted(token))
        return await access if isinstance(access, Awaitable) else access

    def _token(self, session: Credential) -> Credential | Awaitable[Credential]:
        who = self._fingerprints.of(session)
        return self._tokens.look_up(who, _EVERYWHERE, partial(self._ask, session, who))

    async def _ask(self, session: Credential, who: bytes) -> tuple[Credential, float]:
        asker = Asker(session, who, proven=self._callers.knows(who))
        # The token comes without an address: one that a session holds is not made up.
        with self._access.throttle.attempt(asker):
            return await self._hub.token(asker), float("inf")

    def _admitted(self, credential: Credential) -> Credential:
        if credential.kind is Kind.VISITOR and not self._visitors:
            raise sign_in()
        return credential
