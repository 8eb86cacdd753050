"""Where sessions are kept: in Redis, for any number of processes.

A cookie holds a ticket: the session's id and a key of its own. Redis holds the session under the
id, encrypted with that key, so that neither is worth anything without the other.
"""

import json
import os
import time
from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error as Base64Error
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Final

import structlog
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from pydantic import SecretStr
from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.lock import Lock
from redis.exceptions import LockError, RedisError

from extauthz.edge.refusals import Unavailable
from extauthz.edge.seal import Seal, SealBroken
from extauthz.edge.session import Session

_PURPOSE: Final = "ticket"
_PREFIX: Final = "extauthz:session:"
_LOCK_PREFIX: Final = "extauthz:refresh:"
_NONCE: Final = 12
_KEY_BITS: Final = 256
# In seconds. A lock outlives the slowest refresh, and nobody waits for it longer than for GitLab.
_TIMEOUT: Final = 1.0
_LOCKED_AT_MOST: Final = 20.0
_WAIT_FOR_LOCK: Final = 4.0
_POLL: Final = 0.05
_MOST_CONNECTIONS: Final = 32


@dataclass(frozen=True, slots=True)
class _Ticket:
    """What a cookie holds."""

    id: str
    key: bytes

    @property
    def name(self) -> str:
        return f"{_PREFIX}{self.id}"


class RedisStore:
    """Keeps sessions in Redis until they have been idle for too long."""

    def __init__(
        self, url: SecretStr, seal: Seal, *, idle: float, wall: Callable[[], float] = time.time
    ) -> None:
        """`idle` is the number of seconds after which a session nobody uses ends."""
        self._seal = seal
        self._seconds = int(idle)
        self._wall = wall
        # Whoever finds all connections in use waits for one.
        pool = BlockingConnectionPool.from_url(
            url.get_secret_value(),
            max_connections=_MOST_CONNECTIONS,
            timeout=_TIMEOUT,
            socket_timeout=_TIMEOUT,
            socket_connect_timeout=_TIMEOUT,
            health_check_interval=30,
        )
        self._redis = Redis.from_pool(pool)
        self._log = structlog.get_logger("extauthz.sessions")

    async def find(self, cookie: str) -> Session | None:
        """Return a session and let it live on; raises Unavailable."""
        ticket = self._ticket(cookie)
        if ticket is None:
            return None
        async with self._reached():
            kept = await self._redis.getex(ticket.name, ex=self._seconds)
        if not isinstance(kept, bytes):
            return None
        session = _decrypted(kept, ticket, cookie)
        # Redis counts how long it has been idle.
        return session and replace(session, seen=self._wall())

    async def add(self, session: Session) -> Session:
        """Keep a new session; returns it with its cookie. Raises Unavailable."""
        ticket = _Ticket(session.id, AESGCM.generate_key(_KEY_BITS))
        content = json.dumps([ticket.id, urlsafe_b64encode(ticket.key).decode()])
        session = replace(session, cookie=self._seal.close(_PURPOSE, content.encode()))
        async with self._reached():
            await self._redis.set(ticket.name, _encrypted(session, ticket), ex=self._seconds)
        return session

    async def renew(self, session: Session) -> Session | None:
        """Keep a newer state under the same cookie, if the session is still there."""
        ticket = self._ticket(session.cookie)
        if ticket is None:
            return None
        async with self._reached():
            # XX: a session that was ended meanwhile does not come back.
            kept = await self._redis.set(
                ticket.name, _encrypted(session, ticket), ex=self._seconds, xx=True
            )
        return session if kept else None

    async def remove(self, session: Session) -> None:
        """End a session, everywhere and at once; raises Unavailable."""
        async with self._reached():
            await self._redis.delete(f"{_PREFIX}{session.id}")

    async def give_up(self, session: Session) -> None:
        """End a session: there is no newer state than the one in Redis."""
        await self.remove(session)

    @asynccontextmanager
    async def lock(self, session: Session) -> AsyncIterator[None]:
        """Let one in at a time, over all processes; raises Unavailable after some seconds."""
        lock = self._redis.lock(
            f"{_LOCK_PREFIX}{session.id}",
            timeout=_LOCKED_AT_MOST,
            blocking_timeout=_WAIT_FOR_LOCK,
            sleep=_POLL,
        )
        async with self._reached():
            if not await lock.acquire():
                raise Unavailable("Your session is being renewed. Try again in a moment.")
        try:
            yield
        finally:
            await self._released(lock)

    async def close(self) -> None:
        """Close the connections."""
        await self._redis.aclose()

    def _ticket(self, cookie: str) -> _Ticket | None:
        try:
            id_, key = json.loads(self._seal.open(_PURPOSE, cookie))
            return _Ticket(id_, urlsafe_b64decode(key))
        except (SealBroken, ValueError, TypeError, Base64Error):
            return None

    @asynccontextmanager
    async def _reached(self) -> AsyncIterator[None]:
        try:
            yield
        except (RedisError, OSError, TimeoutError) as error:
            # Its text may quote the address, which may hold a password.
            self._log.error("session.store_failed", error=type(error).__name__)
            raise Unavailable(
                "Sessions cannot be read right now. Try again in a moment, or use a GitLab token."
            ) from None

    async def _released(self, lock: Lock) -> None:
        try:
            await lock.release()
        except LockError:
            self._log.warning("session.lock_expired")
        except (RedisError, OSError, TimeoutError) as error:
            # It ends by itself.
            self._log.error("session.store_failed", error=type(error).__name__)


def _encrypted(session: Session, ticket: _Ticket) -> bytes:
    nonce = os.urandom(_NONCE)
    return nonce + AESGCM(ticket.key).encrypt(nonce, session.pack(), ticket.id.encode())


def _decrypted(kept: bytes, ticket: _Ticket, cookie: str) -> Session | None:
    """Return a session, None where somebody else has written to Redis."""
    try:
        packed = AESGCM(ticket.key).decrypt(kept[:_NONCE], kept[_NONCE:], ticket.id.encode())
        session = Session.unpack(packed, cookie)
    except (InvalidTag, ValueError):
        return None
    return session if session.id == ticket.id else None
