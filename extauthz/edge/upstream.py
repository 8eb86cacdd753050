"""The upstream: how the edge calls another server, and when it gives up on it."""

import asyncio
import json
import math
import re
import time
from collections.abc import AsyncIterator, Callable, Hashable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final, Protocol

import structlog
from aiohttp import (
    ClientConnectionError,
    ClientConnectorError,
    ClientError,
    ClientResponse,
    ClientSession,
    DummyCookieJar,
    TCPConnector,
)
from yarl import URL

from extauthz.edge.breaker import Breaker, State
from extauthz.edge.operations import Called, Operation
from extauthz.edge.outage import Busy, Down, Outage, Skipped, Throttled, Unreachable
from extauthz.edge.refusals import Unavailable
from extauthz.edge.slots import Line, Slots

# In seconds; waiting for a slot comes on top.
CALL_TIMEOUT: Final = 2.5
LARGEST_BODY: Final = 1024 * 1024
LONGEST_RETRY_AFTER: Final = 60
_RETRY_AFTER: Final = 5
_REDIRECTS: Final = range(300, 400)


class Observer(Protocol):
    """Is told of servers, and of every call."""

    def server_added(self, server: str, is_down: Callable[[], bool]) -> None:
        """Take note of a server, and of how to find out whether the breaker is open."""

    def provider_call(self, operation: Operation, outcome: Called, seconds: float) -> None:
        """Take note of one call."""

    def provider_retry(self, operation: Operation) -> None:
        """Take note of a call that is made once more."""


@dataclass(frozen=True, slots=True)
class Call:
    """One request. `operation` names it for people; `path` is escaped already.

    A `form` is encoded already, and posted just once: unlike a `body` it may change something.
    `who` tells callers apart. What is `optional` does not wait in its line. `definite` tells by the
    JSON of a 5xx that it is an answer all the same, and no trouble.
    """

    operation: Operation
    path: str
    headers: Mapping[str, str]
    body: object = None
    form: str | None = None
    who: Hashable = None
    line: Line = Line.CHECKS
    optional: bool = False
    definite: Callable[[Any], bool] | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """A definite answer: a status and its JSON, or a redirect that was not followed."""

    status: int
    body: Any = None
    location: str = ""


@asynccontextmanager
async def open_session(*, pooled: bool = True) -> AsyncIterator[ClientSession]:
    """Open the connection pool that upstreams share.

    Without a pool each call has a connection of its own, which no server has closed meanwhile.
    """
    async with ClientSession(
        connector=TCPConnector(limit=0, force_close=not pooled),  # Upstream counts
        cookie_jar=DummyCookieJar(),
        # A small answer gains nothing from compression, and a compressed one could unpack to
        # far more than LARGEST_BODY.
        headers={
            "Accept": "application/json",
            "Accept-Encoding": "identity",
            "User-Agent": "extauthz",
        },
        auto_decompress=False,
        trust_env=False,
    ) as session:
        yield session


class Upstream:
    """One server that is asked: pooled, limited in time, size and number, behind a breaker."""

    def __init__(
        self,
        session: ClientSession,
        base: str,
        *,
        name: str,
        observer: Observer,
        breaker: Breaker | None = None,
        timeout: float = CALL_TIMEOUT,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.base: Final = base
        self._session = session
        self._name = name
        self._observer = observer
        self._breaker = breaker or Breaker(clock=clock)
        self._timeout = timeout
        self._clock = clock
        observer.server_added(name, lambda: self._breaker.state is not State.CLOSED)
        self._slots = {line: Slots(line.slots) for line in Line}
        self._answers = 0
        self._log = structlog.get_logger("extauthz.upstream")

    async def ask(self, call: Call) -> Answer:
        """Make a call: GET, or POST when it has a body or a form.

        Raises Throttled for a 429, Busy where we ask too much at once, and Outage for everything
        else that is no definite answer. Their messages name neither the path nor the credential.
        """
        started, outcome = self._clock(), Called.CANCELLED
        try:
            answer = await self._through_breaker(call)
        except Throttled:
            outcome = Called.THROTTLED
            raise
        except Busy:
            outcome = Called.BUSY
            raise
        except Skipped:
            outcome = Called.SKIPPED
            raise
        except Outage:
            outcome = Called.TROUBLE
            raise
        else:
            outcome = Called.ANSWERED
            return answer
        finally:
            self._observer.provider_call(call.operation, outcome, self._clock() - started)

    async def _through_breaker(self, call: Call) -> Answer:
        if not self._breaker.admit(call.who):
            pause = max(1, math.ceil(self._breaker.wait))
            raise Skipped(f"{self._name} is down.", retry_after=pause)
        try:
            answer = await self._in_turn(call)
        except Down as down:
            nobody = isinstance(down, Unreachable)
            self._breaker.fail(None if nobody else call.who, retry_after=down.retry_after)
            self._note(call, down)
            raise
        except BaseException as error:
            # Throttled, refused by something in between, cancelled: says nothing about the server.
            self._breaker.abandon()
            self._note(call, error)
            raise
        self._breaker.succeed()
        self._answers += 1
        return answer

    def _note(self, call: Call, error: BaseException) -> None:
        if isinstance(error, Unavailable):
            self._log.warning("upstream.call_failed", operation=call.operation, cause=str(error))

    async def _in_turn(self, call: Call) -> Answer:
        slots = self._slots[call.line]
        if call.optional and slots.full:
            raise Busy
        answers = self._answers
        try:
            async with slots:
                return await self._in_time(call)
        except Busy:
            # All that time the server answered nobody: it is the one that is slow, not we.
            if self._answers == answers:
                raise self._outage("does not answer") from None
            raise

    async def _in_time(self, call: Call) -> Answer:
        try:
            async with asyncio.timeout(self._timeout):
                return await self._twice(call)
        except TimeoutError:
            raise self._down("did not answer in time") from None
        except ClientConnectorError as error:
            message = f"{self._name} could not be asked ({type(error).__name__})."
            raise Unreachable(message) from None
        except ClientError as error:
            # aiohttp puts URLs into its messages; the type says enough.
            raise self._down(f"could not be asked ({type(error).__name__})") from None

    async def _twice(self, call: Call) -> Answer:
        """Try again once if the server closed the pooled connection while it was idle.

        aiohttp does so itself for a GET; a POST with a body changes nothing either.
        """
        try:
            return await self._once(call)
        except ClientConnectionError:
            if call.body is None:
                raise
            self._observer.provider_retry(call.operation)
            return await self._once(call)

    async def _once(self, call: Call) -> Answer:
        url, headers = URL(self.base + call.path, encoded=True), call.headers
        if call.form is not None:
            headers = {**headers, "Content-Type": "application/x-www-form-urlencoded"}
        async with self._session.request(
            "GET" if call.body is None and call.form is None else "POST",
            url,
            headers=headers,
            json=call.body,
            data=call.form,
            allow_redirects=False,
        ) as response:
            return await self._judged(call, response)

    async def _judged(self, call: Call, response: ClientResponse) -> Answer:
        match response.status:
            case HTTPStatus.TOO_MANY_REQUESTS:
                # Also when it is our address that asks too often: GitLab charges that limit with
                # tokens it does not know, and a revoked one must not be served stale.
                message = f"{self._name} limits how often this credential may ask."
                raise Throttled(message, retry_after=_retry_after(response))
            case status if status in _REDIRECTS and call.body is None and call.form is None:
                return Answer(status, location=response.headers.get("Location", ""))
            case status if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
                return await self._failure(call, response)
            case status if status in _REDIRECTS:
                # Only what is got can have moved.
                raise self._outage("redirected the question")
            case status if response.content_type != "application/json":
                raise self._outage(f"answered {status} without JSON")
            case status:
                return Answer(status, await self._json(response))

    async def _failure(self, call: Call, response: ClientResponse) -> Answer:
        if call.definite is not None and response.content_type == "application/json":
            with suppress(Outage):
                if call.definite(body := await self._json(response)):
                    return Answer(response.status, body)
        raise self._down(f"answered {response.status}", retry_after=_retry_after(response))

    async def _json(self, response: ClientResponse) -> Any:
        body = bytearray()
        async for chunk in response.content.iter_any():
            body += chunk
            if len(body) > LARGEST_BODY:
                raise self._outage("answered too much")
        try:
            return json.loads(body)
        except (ValueError, RecursionError):
            raise self._outage("answered broken JSON") from None

    def _outage(self, what: str) -> Outage:
        return Outage(f"{self._name} {what}.")

    def _down(self, what: str, *, retry_after: int = _RETRY_AFTER) -> Down:
        return Down(f"{self._name} {what}.", retry_after=retry_after)


def _retry_after(response: ClientResponse) -> int:
    """Read the seconds of Retry-After, which is bounded lest one answer silence us for hours."""
    value = response.headers.get("Retry-After", "")
    if not re.fullmatch("[0-9]{1,9}", value):
        return _RETRY_AFTER
    return min(max(int(value), 1), LONGEST_RETRY_AFTER)
