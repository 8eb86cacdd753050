"""The pages where people sign in and out with GitLab, and find their projects.

Envoy leads here what the check has let pass; the grant in a request proves that it did.
"""

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final, Protocol

import structlog
from aiohttp import web
from pydantic import SecretStr

from extauthz.edge.access import Directory
from extauthz.edge.address import Address
from extauthz.edge.answers import PRIVATE
from extauthz.edge.cookies import own_name, values_of
from extauthz.edge.credentials import SESSION_COOKIE, Credential, Kind, two_sessions
from extauthz.edge.gitlab_login import PROJECT, TARGET, login_address
from extauthz.edge.handshake import Handshake, Handshakes
from extauthz.edge.in_session import Looked, taken_apart
from extauthz.edge.listening import listening
from extauthz.edge.oidc import LoginRefused, Oidc, refusal_of
from extauthz.edge.page import (
    SECURITY_POLICY,
    Link,
    projects_page,
    refusal_page,
    sign_out_page,
    signed_out_page,
)
from extauthz.edge.provider import User
from extauthz.edge.refusals import (
    BadRequest,
    Forbidden,
    MethodNotAllowed,
    NotFound,
    Refusal,
    TooManyAttempts,
    Unauthenticated,
    Unavailable,
)
from extauthz.edge.request import client_of
from extauthz.edge.session import Tokens
from extauthz.edge.session_store import SessionTooLarge
from extauthz.edge.sessions import Held, Sessions
from extauthz.edge.site import Site
from extauthz.edge.throttle import Throttle
from extauthz.edge.wanted import own_address, project_address
from extauthz.grant import HEADER, GrantError, GrantVerifier, View

# In seconds: a login asks GitLab up to four times.
_DEADLINE: Final = 12.0
# A page of thousands would keep those waiting whose requests are checked meanwhile.
_MOST_LISTED: Final = 500
BEGUN: Final = "begun"
COMPLETED: Final = "completed"
_CODE: Final = re.compile(r"[\x21-\x7e]{1,512}")
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Observer(Protocol):
    """Is told of logins."""

    def login_changed(self, outcome: str) -> None:
        """Count what became of a login: begun, completed, or the reason of a refusal."""


class Accesses(Protocol):
    """Where it is looked up what somebody may read."""

    def directory(self, credential: Credential) -> Looked[Directory]:
        """Return the projects the caller may read; raises a Refusal."""

    def forget(self, credential: Credential) -> None:
        """Forget everything about a credential that has ended."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pages:
    """Everything the pages need, and the pages. `gitlab` is where GitLab is for people."""

    site: Site
    gitlab: str
    oidc: Oidc
    handshakes: Handshakes
    sessions: Sessions
    accesses: Accesses
    throttle: Throttle
    observer: Observer
    verifier: GrantVerifier

    @asynccontextmanager
    async def serving(self, address: Address) -> AsyncIterator[None]:
        """Serve while the context is open."""
        app = web.Application(middlewares=[self._answered])
        app.add_routes(
            [
                web.get(self._path("/auth"), self.projects),
                web.get(self._path("/auth/"), self.projects),
                web.get(self._path("/auth/login"), self.login),
                web.get(self._path("/auth/authorize"), self.authorize),
                web.get(self._path("/auth/logout"), self.ask_to_sign_out),
                web.post(self._path("/auth/logout"), self.logout),
            ]
        )
        async with listening(app, address):
            yield

    async def projects(self, request: web.Request) -> web.Response:
        """List the projects of whoever is signed in."""
        credential = self._session(request)
        outcome = self.accesses.directory(credential)
        found = await outcome if isinstance(outcome, Awaitable) else outcome
        directory, cookies = taken_apart(found)
        hidden = len(directory.paths) - _MOST_LISTED
        text = projects_page(
            name=directory.user.name,
            projects=[Link(path, self.site.view(path)) for path in directory.paths[:_MOST_LISTED]],
            everything=Link("All projects together", self.site.view(None)),
            sign_out=self._path("/auth/logout"),
            example=self.site.view("<group>/<project>", ""),
            more=f"{hidden} more are not listed: open them by their address." if hidden > 0 else "",
        )
        return _page(text, cookies)

    async def login(self, request: web.Request) -> web.Response:
        """Send a browser to GitLab."""
        target = self._target(request)
        handshake, cookies = self.handshakes.begin(target, _cookies(request))
        try:
            address = await self.oidc.authorization_url(handshake)
        except Refusal as refusal:
            self.observer.login_changed(refusal.reason)
            return _refused(refusal, request, self._again(target))
        self.observer.login_changed(BEGUN)
        return _go(address, cookies)

    async def authorize(self, request: web.Request) -> web.Response:
        """Take a browser back from GitLab, and to where it wanted to go."""
        try:
            handshake = self._handshake(request)
        except Refusal as refusal:
            self.observer.login_changed(refusal.reason)
            raise
        used_up = self.handshakes.finish(handshake)
        try:
            session = await self._signed_in(request, handshake)
        except Refusal as refusal:
            self.observer.login_changed(refusal.reason)
            return _refused(refusal, request, self._again(handshake.target), [used_up])
        self.observer.login_changed(COMPLETED)
        return _go(handshake.target, [session, used_up])

    async def ask_to_sign_out(self, request: web.Request) -> web.Response:
        """Ask whether to sign out; tell who has."""
        held = await self._held(request)
        if held is not None:
            action, home = self._path("/auth/logout"), self._path("/auth/")
            text = sign_out_page(name=held.session.user.name, action=action, home=home)
            return _page(text, held.cookies)
        sign_in = Link("Sign in with GitLab", self._path("/auth/login"))
        return _page(signed_out_page(sign_in=sign_in, provider=Link("GitLab", self.gitlab)))

    async def logout(self, request: web.Request) -> web.Response:
        """End the session, first at GitLab and then here."""
        for cookie in self._session_cookies(request):
            ended = await self.sessions.end(cookie)
            if ended is not None:
                self.accesses.forget(ended.credential)
        # See Other: what is seen then is got, not posted (RFC 9110, 15.4.4).
        answer = _go(self._path("/auth/logout"), [self.sessions.forgotten()])
        answer.set_status(HTTPStatus.SEE_OTHER)
        return answer

    @web.middleware
    async def _answered(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Answer refusals, and everything that goes wrong, with a page."""
        way_in = Link("Sign in with GitLab", self._path("/auth/login"))
        try:
            self._check(request)
            async with asyncio.timeout(_DEADLINE):
                return await handler(request)
        except Refusal as refusal:
            return _refused(refusal, request, way_in)
        except web.HTTPMethodNotAllowed as error:
            answer = _refused(MethodNotAllowed("This page has no use for it."), request, way_in)
            answer.headers["allow"] = error.headers["allow"]
            return answer
        except web.HTTPException:
            return _refused(NotFound("There is no such page."), request, way_in)
        except TimeoutError:
            return _refused(Unavailable("That took too long. Try again."), request, way_in)
        except Exception as error:  # noqa: BLE001 - fail closed, and with a page
            # Only the kind of error: its text could quote a token.
            structlog.get_logger("extauthz.pages").error("page.failed", error=type(error).__name__)
            sorry = Unavailable("The page could not be shown because of an internal error.")
            return _refused(sorry, request, way_in)

    def _check(self, request: web.Request) -> None:
        """Refuse what comes past Envoy, or past the check; raises Forbidden."""
        try:
            grant = self.verifier.open(request.headers.get(HEADER, ""))
        except GrantError:
            grant = None
        if grant is None or grant.view is not View.PUBLIC:
            raise Forbidden("This page can only be reached through Envoy, which checks requests.")

    def _path(self, path: str) -> str:
        return f"{self.site.prefix}{path}"

    def _again(self, target: str) -> Link:
        return Link("Try again", login_address(self.site, target))

    def _target(self, request: web.Request) -> str:
        """Return where somebody goes once he has signed in: always a place of ours."""
        target, project = request.query.get(TARGET, ""), request.query.get(PROJECT, "")
        wanted = own_address(target, self.site) or project_address(project, self.site)
        return wanted or self.site.view(None, "/auth/")

    def _handshake(self, request: web.Request) -> Handshake:
        states = request.query.getall("state", [])
        handshake = self.handshakes.find(states[0], _cookies(request)) if len(states) == 1 else None
        if handshake is None:
            raise BadRequest(
                "This sign-in was not begun in this browser, is used up, or took longer than ten "
                "minutes. Sign in again; the browser must take cookies from this site."
            )
        return handshake

    async def _signed_in(self, request: web.Request, handshake: Handshake) -> str:
        """Return the Set-Cookie value of a new session; raises a Refusal."""
        query = request.query
        # RFC 9207: an answer of another server must not be redeemed at this one.
        if query.get("iss", self.oidc.issuer).rstrip("/") != self.oidc.issuer:
            raise Forbidden("The answer did not come from our GitLab, so nobody signed in.")
        if "error" in query:
            raise refusal_of(query["error"])
        code = query.get("code", "")
        if not _CODE.fullmatch(code):
            raise BadRequest("The answer of GitLab lacks its code. Try again.")
        # A handshake costs nothing, and a made-up code a call that GitLab charges to us.
        with self.throttle.attempt_from(client_of(request.headers)):
            user, tokens = await self._redeemed(code, handshake)
        try:
            return await self.sessions.begin(user, tokens)
        except SessionTooLarge:
            raise Unavailable(
                "GitLab's tokens are too large for a cookie. Tell your administrator to set "
                "SESSION_STORE_URL."
            ) from None

    async def _redeemed(self, code: str, handshake: Handshake) -> tuple[User, Tokens]:
        try:
            return await self.oidc.redeem(code, handshake)
        except LoginRefused:
            raise Unauthenticated(
                "GitLab does not take the answer it gave your browser: it works once, and for a "
                "few minutes. Try again."
            ) from None

    def _session(self, request: web.Request) -> Credential:
        cookies = self._session_cookies(request)
        if not cookies:
            raise Unauthenticated("Sign in to see your projects.")
        if len(cookies) > 1:
            raise two_sessions(own_name(SESSION_COOKIE, self.site), self.site)
        return Credential(Kind.SESSION, SecretStr(cookies[0]))

    def _session_cookies(self, request: web.Request) -> list[str]:
        return values_of(own_name(SESSION_COOKIE, self.site), _cookies(request))

    async def _held(self, request: web.Request) -> Held | None:
        """Return the session of whoever is signed in."""
        for cookie in self._session_cookies(request):
            with suppress(Unauthenticated):
                held = self.sessions.resume(cookie)
                return await held if isinstance(held, Awaitable) else held
        return None


def _cookies(request: web.Request) -> str:
    return "; ".join(request.headers.getall("cookie", []))


def _go(location: str, cookies: Sequence[str]) -> web.Response:
    return _answer(HTTPStatus.FOUND, cookies, location=location)


def _page(text: str, cookies: Sequence[str] = (), status: int = HTTPStatus.OK) -> web.Response:
    answer = _answer(status, cookies, **{"content-security-policy": SECURITY_POLICY})
    answer.content_type, answer.charset, answer.text = "text/html", "utf-8", text
    return answer


def _refused(
    refusal: Refusal, request: web.Request, link: Link, cookies: Sequence[str] = ()
) -> web.Response:
    text = refusal_page(refusal, request_id=request.headers.get("x-request-id", ""), link=link)
    answer = _page(text, [*refusal.cookies, *cookies], refusal.status)
    if isinstance(refusal, TooManyAttempts | Unavailable):
        answer.headers["retry-after"] = str(refusal.retry_after)
    return answer


def _answer(status: int, cookies: Sequence[str], **headers: str) -> web.Response:
    answer = web.Response(status=status, headers=headers)
    answer.headers["cache-control"] = PRIVATE
    answer.headers["x-content-type-options"] = "nosniff"
    # With no-referrer a form of ours would be sent with `Origin: null` (Fetch Standard).
    answer.headers["referrer-policy"] = "same-origin"
    for cookie in cookies:
        answer.headers.add("set-cookie", cookie)
    return answer
