"""The decision: bytes of a CheckRequest in, bytes of a CheckResponse out.

Transport-free, and synchronous when everything it needs is cached.
"""

import asyncio
import re
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Final, Protocol

import structlog

from extauthz.edge.access import GlobalAccess, ProjectAccess
from extauthz.edge.answers import Allow, Decision, Deny, Found, Moved, ToPages, encode
from extauthz.edge.credentials import Credential
from extauthz.edge.csrf import (
    refuse_foreign,
    refuse_header_cookies,
    refuse_unexplained,
    refuse_unnamed,
)
from extauthz.edge.in_session import Answered, Looked, taken_apart
from extauthz.edge.login import Login
from extauthz.edge.mint import Mint
from extauthz.edge.record import Record
from extauthz.edge.refusals import (
    BadRequest,
    MethodNotAllowed,
    Refusal,
    TooManyAttempts,
    Unavailable,
)
from extauthz.edge.request import Request
from extauthz.edge.routes import is_public
from extauthz.edge.scope import Page, Redirect, Scope, Tracking, scope_of
from extauthz.edge.site import Site
from extauthz.edge.tarpit import Tarpit
from extauthz.grant import HEADER
from extauthz.headers import REMOVED

# Below the 5 s that Envoy waits, so that a slow provider still gets an answer of ours.
DEADLINE: Final = 4.5
# Paths that are parsed once, as clients come back to them, and how many characters these have.
_MOST_PATHS: Final = 2048
_USUAL_PATH: Final = 256
_METHODS: Final = frozenset({"DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT"})
# Anything else does not survive the way to us byte for byte.
_QUERY: Final = re.compile(r"[\x21-\x7e]*")
_NEVER_WITH_UNDERSCORES: Final = frozenset({HEADER, "host", *REMOVED})

Access = ProjectAccess | GlobalAccess
# Finds the one credential in the headers of a request; raises a Refusal.
CredentialOf = Callable[[Mapping[str, str]], Credential]


class Accesses(Protocol):
    """Where access is looked up; a cached answer comes at once, another one is awaited."""

    def in_project(self, credential: Credential, path: str) -> Looked[ProjectAccess]:
        """Return the caller's access to a project; raises a Refusal."""

    def by_number(self, credential: Credential, number: int) -> Looked[ProjectAccess]:
        """Return the caller's access to the project with an id; raises a Refusal."""

    def everywhere(self, credential: Credential) -> Looked[GlobalAccess]:
        """Return what the caller may read; raises a Refusal."""


class Observer(Protocol):
    """Who is told about decisions."""

    def check_decided(self, record: Record) -> None:
        """Take note of a decision."""


@dataclass(frozen=True, slots=True)
class _Asked:
    """As much of a question as was understood, and the time at which it came."""

    request: Request | None
    scope: Scope | None
    started: float


class Checker:
    """Decides about requests."""

    def __init__(
        self,
        accesses: Accesses,
        mint: Mint,
        observers: Sequence[Observer],
        *,
        credential_of: CredentialOf,
        login: Login,
        site: Site,
        framed_by: Sequence[str] = (),
        tarpit: Tarpit | None = None,
        deadline: float = DEADLINE,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._accesses = accesses
        self._mint = mint
        self._observers = observers
        self._credential_of = credential_of
        self._login = login
        self._site = site
        self._framed_by = framed_by
        self._tarpit = tarpit or Tarpit()
        self._deadline = deadline
        self._clock = clock
        self._log = structlog.get_logger("extauthz.check")
        self._usual_scope = lru_cache(_MOST_PATHS)(self._scope_of)

    def check(self, payload: bytes) -> bytes | Awaitable[bytes]:
        """Answer a serialised CheckRequest; whatever goes wrong is a refusal."""
        started = self._clock()
        request: Request | None = None
        scope: Scope | None = None
        try:
            request = Request.parse(payload)
            _refuse_unsafe(request)
            # First: what refuses a cookie names the path in its answer.
            scope = self._scope(request.path)
            refuse_header_cookies(request, self._site)
            decision = self._decide(request, scope)
        except Exception as error:  # noqa: BLE001 - fail closed: no error may become an empty answer
            decision = self._denial(error, request)
        asked = _Asked(request, scope, started)
        if isinstance(decision, Awaitable):
            return self._finish_later(asked, decision)
        return self._finish(asked, decision)

    def _scope(self, path: str) -> Scope:
        return self._usual_scope(path) if len(path) <= _USUAL_PATH else self._scope_of(path)

    def _scope_of(self, path: str) -> Scope:
        return scope_of(path, prefix=self._site.prefix)

    def _decide(self, request: Request, scope: Scope) -> Decision | Awaitable[Decision]:
        match scope:
            case Redirect(path):
                return Moved(_target(path, request))
            case Tracking(_, path) if is_public(request.method, path):
                return Allow(self._mint.public(), _target(path, request))
        refuse_foreign(request, self._site)
        if isinstance(scope, Page) and scope.number is None:
            return self._page(request, scope)
        credential = self._credential_of(request.headers).sent_from(request.client)
        refuse_unexplained(request, credential)
        looked = self._look_up(credential, scope)
        if isinstance(looked, Awaitable):
            return self._grant_later(request, scope, looked)
        return self._grant(request, scope, looked)

    def _page(self, request: Request, page: Page) -> Decision:
        # What a page changes hangs on a cookie.
        refuse_unnamed(request)
        decision = self._login.page(page, request)
        if isinstance(decision, ToPages):
            return replace(decision, grant=self._mint.public())
        return decision

    def _look_up(self, credential: Credential, scope: Tracking | Page) -> Looked[Access]:
        match scope:
            case Page(number=int(number)):
                return self._accesses.by_number(credential, number)
            case Tracking(project=str(project)):
                return self._accesses.in_project(credential, project)
            case _:
                return self._accesses.everywhere(credential)

    def _grant(
        self, request: Request, scope: Tracking | Page, answered: Answered[Access]
    ) -> Decision:
        access: Access
        access, cookies = taken_apart(answered)
        match scope, access:
            case Tracking(path=path), _:
                grant = self._granted(access, cookies)
                return Allow(grant, _target(path, request), cookies, access.user.subject)
            case Page(), ProjectAccess(project_path=project):
                return Found(self._site.view(project), cookies)
        raise AssertionError("a page with a number is about one project")

    def _granted(self, access: Access, cookies: Sequence[str]) -> str:
        try:
            return self._mint.for_access(access)
        except Refusal as refusal:
            refusal.cookies = cookies
            raise

    async def _grant_later(
        self, request: Request, scope: Tracking | Page, pending: Awaitable[Answered[Access]]
    ) -> Decision:
        async with asyncio.timeout(self._deadline):
            return self._grant(request, scope, await pending)

    async def _finish_later(self, asked: _Asked, pending: Awaitable[Decision]) -> bytes:
        try:
            decision = await pending
        except Exception as error:  # noqa: BLE001 - fail closed, as above
            decision = self._denial(error, asked.request)
        answer = self._finish(asked, decision)
        match decision:
            case Deny(TooManyAttempts()):
                await self._tarpit.hold()
        return answer

    def _denial(self, error: Exception, request: Request | None) -> Decision:
        refusal = self._refusal(error, request)
        return Deny(refusal) if request is None else self._login.refuse(refusal, request)

    def _refusal(self, error: Exception, request: Request | None) -> Refusal:
        if isinstance(error, Refusal):
            return error
        if isinstance(error, TimeoutError):
            return Unavailable("Permissions could not be checked in time. Try again in a moment.")
        # Only the kind of error: its text could quote a credential.
        self._log.error(
            "check.failed", error=type(error).__name__, request=request.id if request else ""
        )
        return Unavailable("Permissions could not be checked because of an internal error.")

    def _finish(self, asked: _Asked, decision: Decision) -> bytes:
        answer = encode(decision, framed_by=self._framed_by)
        seconds = self._clock() - asked.started
        record = Record.of(decision, request=asked.request, scope=asked.scope, seconds=seconds)
        for observer in self._observers:
            observer.check_decided(record)
        return answer


def _refuse_unsafe(request: Request) -> None:
    if request.method not in _METHODS:
        raise MethodNotAllowed("MLflow has no use for this HTTP method.")
    if "," in request.host:
        raise BadRequest("The request names two hosts.")
    if "upgrade" in request.headers:
        raise BadRequest("MLflow has no use for a protocol upgrade.")
    if request.query is not None and not _QUERY.fullmatch(request.query):
        raise BadRequest("The query holds a character that must be escaped.")
    for name in request.headers:
        # A server behind us may fold `_` into `-` and see two of one header (CVE-2025-64484).
        if "_" in name and name.replace("_", "-") in _NEVER_WITH_UNDERSCORES:
            raise BadRequest("The request has a header whose name differs only by an underscore.")


def _target(path: str, request: Request) -> str:
    return path if request.query is None else f"{path}?{request.query}"
