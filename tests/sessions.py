"""Sessions of GitLab logins: the edge's own parts, a real GitLab and a real Redis, on one clock.

A deployment is what all replicas share. The clock is the test's, and moves when told to; GitLab's
own time does not, so a test says what has ended there.
"""

import asyncio
import secrets
import time
from collections.abc import AsyncIterator, Awaitable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Final

from pydantic import SecretStr

from extauthz.edge.access import AccessControl, ProjectAccess
from extauthz.edge.access_cache import Lifetimes
from extauthz.edge.credentials import SESSION_COOKIE, Credential, Kind
from extauthz.edge.fingerprints import Fingerprints
from extauthz.edge.gitlab import GitLab as Provider
from extauthz.edge.gitlab_access import GitLabAccess
from extauthz.edge.handshake import Handshake
from extauthz.edge.in_session import taken_apart
from extauthz.edge.jwks import SigningKeys
from extauthz.edge.mlflow import OwnedProjects
from extauthz.edge.oidc import Client, Oidc
from extauthz.edge.policy import Policy
from extauthz.edge.provider import User
from extauthz.edge.redis_store import RedisStore
from extauthz.edge.refusals import Refusal
from extauthz.edge.seal import Seal
from extauthz.edge.session import Session, Tokens
from extauthz.edge.session_store import CookieStore, SessionStore
from extauthz.edge.sessions import Held, Sessions
from extauthz.edge.site import Site
from extauthz.edge.upstream import Upstream, open_session
from extauthz.grant import GrantSigner
from tests import oidc_client
from tests.access import INSTANCE, KEY, SECRET, Calls, settled
from tests.gitlab import DEVELOPER, GitLab
from tests.gitlab_browser import Browser
from tests.oidc_client import CALLBACK, SCOPE, parameters_of
from tests.servers.redis import RedisServer
from tests.tenants import unique

PROJECT: Final = "acme/vision"
SITE: Final = Site.of("http://localhost:5000")
SEAL: Final = Seal([SECRET])
# In seconds: GitLab's access tokens live for two hours, and are due for new ones a little earlier.
DUE, ENDED = 6_901.0, 7_201.0
IDLE = 4 * 3_600.0
# After that nothing that GitLab has said of a caller, or of itself, is believed any more.
FORGOTTEN = 700.0
# After a failed refresh nobody asks for another so long, and the breaker waits for less.
PAUSE = 16.0
# Paths at GitLab.
TOKENS, REVOKE = "/oauth/token$", "/oauth/revoke$"


class Time:
    """What all clocks show; it passes when told to."""

    def __init__(self) -> None:
        self.passed = 0.0
        self._began = time.time()

    def wall(self) -> float:
        """Return the Unix time."""
        return self._began + self.passed

    def clock(self) -> float:
        """Return the time of a clock that nobody sets."""
        return 1_000.0 + self.passed


class Issuer:
    """GitLab as the issuer of tokens; keeps a copy of those that came by a refresh."""

    def __init__(self, oidc: Oidc, issued: list[Tokens]) -> None:
        self._oidc = oidc
        self._issued = issued

    async def refresh(self, token: SecretStr) -> Tokens:
        tokens = await self._oidc.refresh(token)
        self._issued.append(tokens)
        return tokens

    async def revoke(self, token: SecretStr) -> None:
        await self._oidc.revoke(token)


@dataclass
class Deployment:
    """What all replicas share; without a Redis, sessions are in cookies."""

    gitlab: GitLab
    application: oidc_client.Client
    redis: RedisServer | None = None
    idle: float = IDLE
    time: Time = field(default_factory=Time)
    issued: list[Tokens] = field(default_factory=list)
    _knobs: dict[str, object] = field(default_factory=dict)
    _wrong: dict[str, object] | None = None
    _browsers: dict[str, Browser] = field(default_factory=dict)

    @classmethod
    def of(cls, gitlab: GitLab, redis: RedisServer | None = None) -> "Deployment":
        """Return one with an application of its own that never asks for consent."""
        return cls(gitlab, oidc_client.Client.registered(gitlab, trusted=True), redis)

    @property
    def in_cookies(self) -> bool:
        """Whether sessions are in cookies alone."""
        return self.redis is None

    def pass_by(self, seconds: float) -> None:
        """Let time pass, for Redis as well."""
        self.time.passed += seconds
        if self.redis:
            _age(self.redis, seconds)

    def user(self, name: str = "user") -> str:
        """Make a developer of the project; returns his name."""
        return self.users(name)[0]

    def users(self, *names: str) -> list[str]:
        """Make developers of the project; returns their names."""
        made = [unique(name) for name in names]
        for name in made:
            member = {"path": PROJECT, "username": name, "level": DEVELOPER}
            self.gitlab.batch(("create_user", {"username": name}), ("add_member", member))
        return made

    def tamper(self, **knobs: object) -> None:
        """Let GitLab be wrong in these ways and no others; its clock is always right."""
        self._knobs = knobs
        wrong = {**knobs, "clock_skew": int(self.time.passed)}
        if wrong != self._wrong:
            self.gitlab.tamper(**wrong)
            self._wrong = wrong

    def code(self, url: str, user: str) -> str:
        """Return the code of a login; the browser stays signed in at GitLab."""
        self.tamper(**self._knobs)
        browser = self._browsers.setdefault(user, Browser(self.gitlab.url))
        return parameters_of(self.gitlab.sign_in(url, user, browser=browser))["code"]

    def refreshes(self) -> int:
        """Count how often GitLab was asked for a refresh."""
        calls = self.gitlab.calls(TOKENS)
        return sum(call.operation == "refresh_token" for call in calls)

    async def asked_for(self, path: str) -> None:
        """Wait until GitLab has got one more call."""
        before = len(self.gitlab.calls(path))
        while len(self.gitlab.calls(path)) == before:  # noqa: ASYNC110 - it tells nobody
            await asyncio.sleep(0.01)

    def alive(self, tokens: Tokens) -> bool:
        """Tell whether GitLab still takes an access token."""
        token = tokens.access.get_secret_value()
        return bool(self.application.post("introspect", token=token).body["active"])

    def store(self) -> SessionStore:
        """Return what a replica keeps sessions in."""
        if self.redis:
            url = SecretStr(self.redis.url)
            return RedisStore(url, SEAL, idle=self.idle, wall=self.time.wall)
        return CookieStore(SEAL, idle=self.idle, clock=self.time.clock, wall=self.time.wall)

    @asynccontextmanager
    async def replica(self) -> AsyncIterator["Replica"]:
        """Run what a process of the edge does about sessions."""
        async with AsyncExitStack() as stack:
            pool = await stack.enter_async_context(open_session())
            single = await stack.enter_async_context(open_session(pooled=False))
            calls = Calls()
            clock, wall = self.time.clock, self.time.wall
            owned = OwnedProjects(
                Upstream(pool, "http://127.0.0.1:9", name="MLflow", observer=calls),
                GrantSigner(KEY),
                instance=INSTANCE,
                seconds_fresh=30,
            )
            facts = Upstream(pool, self.gitlab.url, name="GitLab", observer=calls, clock=clock)
            control = AccessControl(
                Provider(facts, wall=wall),
                owned,
                policy=Policy(),
                fingerprints=Fingerprints(SECRET, self.gitlab.url),
                lifetimes=Lifetimes(fresh=30, stale=600),
                clock=clock,
                wall=wall,
            )
            stack.push_async_callback(control.close)
            logins = Upstream(single, self.gitlab.url, name="GitLab", observer=calls, clock=clock)
            keys = SigningKeys(logins, clock=clock)
            stack.push_async_callback(keys.close)
            secret = SecretStr(self.application.secret)
            client = Client(self.application.client_id, secret, SCOPE, CALLBACK)
            oidc = Oidc(logins, keys, client, wall=wall, clock=clock)
            stack.push_async_callback(oidc.close)
            sessions = Sessions(
                self.store(), Issuer(oidc, self.issued), SITE, calls, wall=wall, clock=clock
            )
            stack.push_async_callback(sessions.close)
            accesses = GitLabAccess(control, sessions=sessions, jobs=None)
            yield Replica(self, oidc, sessions, accesses, calls)


@dataclass(frozen=True)
class Answer:
    """What a browser gets, and the cookie by which it knows its session afterwards."""

    outcome: ProjectAccess | Refusal
    cookie: str
    changed: bool

    @property
    def access(self) -> ProjectAccess:
        """The access that was asked for."""
        assert isinstance(self.outcome, ProjectAccess), self.outcome
        return self.outcome

    @property
    def status(self) -> int:
        """The HTTP status."""
        return self.outcome.status if isinstance(self.outcome, Refusal) else 200


@dataclass(frozen=True)
class Replica:
    """The part of one process; `calls` is what its observers were told."""

    deployment: Deployment
    oidc: Oidc
    sessions: Sessions
    accesses: GitLabAccess
    calls: Calls

    async def sign_in(self, user: str) -> str:
        """Sign a user in; returns the cookie."""
        return held_after(await self.sessions.begin(*await self.redeemed(user)))

    async def redeemed(self, user: str) -> tuple[User, Tokens]:
        """Return who signs in and his tokens, without a session of his."""
        state, nonce, verifier = (secrets.token_urlsafe(48) for _ in range(3))
        handshake = Handshake(state, nonce, verifier, "/", self.deployment.time.wall())
        url = await self.oidc.authorization_url(handshake)
        return await self.oidc.redeem(self.deployment.code(url, user), handshake)

    async def resume(self, cookie: str) -> Held:
        """Return the session of a cookie; raises a Refusal."""
        return await settled(self.sessions.resume(cookie))

    async def ask(self, cookie: str, path: str = PROJECT) -> Answer:
        """Ask for a project as the browser with a cookie."""
        try:
            looked = self.accesses.in_project(session_credential(cookie), path)
            outcome = await looked if isinstance(looked, Awaitable) else looked
        except Refusal as refusal:
            return _answer(refusal, cookie, tuple(refusal.cookies))
        access, cookies = taken_apart(outcome)
        return _answer(access, cookie, cookies)

    async def timed(self, cookie: str) -> tuple[Answer, float]:
        """Ask for the project; returns the seconds that took as well."""
        started = time.monotonic()
        answer = await self.ask(cookie)
        return answer, time.monotonic() - started

    async def refreshing(self, cookie: str) -> asyncio.Task[Answer]:
        """Ask once the tokens have ended; returns while GitLab, which is slow, makes new ones."""
        self.deployment.gitlab.faults("latency", path=TOKENS, seconds=0.3)
        self.deployment.pass_by(ENDED)
        asked = asyncio.create_task(self.ask(cookie))
        await self.deployment.asked_for(TOKENS)
        return asked

    async def sign_out(self, cookie: str) -> None:
        """End a session, as the page does; raises Unavailable."""
        ended = await self.sessions.end(cookie)
        if ended is not None:
            self.accesses.forget(ended.credential)

    async def idle(self) -> None:
        """Wait until no refresh is under way."""
        await self.sessions._refreshes.land(seconds=30)

    async def crash(self) -> None:
        """Drop everything that is under way, as the end of a process does."""
        await self.sessions._refreshes.close()


def session_credential(cookie: str) -> Credential:
    """Return the credential that the cookie of a session is."""
    return Credential(Kind.SESSION, SecretStr(cookie))


def held_after(*set_cookies: str, before: str = "") -> str:
    """Return the cookie that a browser holds after an answer."""
    cookie = before
    for each in set_cookies:
        pair, *attributes = each.split("; ")
        name, _, value = pair.partition("=")
        assert name == SESSION_COOKIE
        assert {"Path=/", "HttpOnly", "SameSite=Lax"} <= set(attributes)
        assert any(attribute.startswith("Max-Age=") for attribute in attributes)
        cookie = value
    return cookie


def unsealed(cookie: str) -> Session:
    """Return the session that is sealed into a cookie."""
    return Session.unpack(SEAL.open("session", cookie), cookie)


def _answer(outcome: ProjectAccess | Refusal, cookie: str, cookies: tuple[str, ...]) -> Answer:
    return Answer(outcome, held_after(*cookies, before=cookie), changed=bool(cookies))


def _age(redis: RedisServer, seconds: float) -> None:
    """Let everything in Redis be so much closer to its end."""
    with redis.client() as client:
        for key in client.scan_iter():
            client.pexpire(key, client.pttl(key) - int(seconds * 1_000))
