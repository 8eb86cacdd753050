"""Access decided against a demo GitLab and a small MLflow, both over real HTTP."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TypeVar

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from pydantic import SecretStr

from extauthz.edge.access import AccessControl, GlobalAccess, ProjectAccess
from extauthz.edge.access_cache import Lifetimes, Result
from extauthz.edge.breaker import Breaker
from extauthz.edge.credentials import Credential, Kind
from extauthz.edge.fingerprints import Fingerprints
from extauthz.edge.gitlab import GitLab as Provider
from extauthz.edge.in_session import Looked, taken_apart
from extauthz.edge.mlflow import OwnedProjects
from extauthz.edge.operations import Called, Operation
from extauthz.edge.policy import Policy
from extauthz.edge.provider import Asker
from extauthz.edge.refusals import Unavailable
from extauthz.edge.upstream import Upstream, open_session
from extauthz.grant import HEADER, GrantKey, GrantSigner, GrantVerifier, View
from tests.acme import PATH
from tests.gitlab import GitLab
from tests.servers.ports import free_port

T = TypeVar("T")
SECRET = SecretStr("0123456789abcdef0123456789abcdef")
INSTANCE = "gitlab.example.org"
KEY = GrantKey(SECRET)
# Short enough for tests of silence, long enough for an answer on a busy machine.
TIMEOUT = 1.0


class Clock:
    """Time that passes when told to."""

    def __init__(self, now: float = 1_000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now

    def pass_by(self, seconds: float) -> None:
        """Let time pass."""
        self.now += seconds


@dataclass
class Calls:
    """Everything an upstream told its observer."""

    seen: list[tuple[str, str]] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    events: list[str] = field(default_factory=list)
    servers: dict[str, Callable[[], bool]] = field(default_factory=dict)
    caches: dict[str, Callable[[], int]] = field(default_factory=dict)
    lookups: list[tuple[str, Result]] = field(default_factory=list)

    def provider_call(self, operation: Operation, outcome: Called, seconds: float) -> None:
        """Take note of a call."""
        self.seen.append((operation, outcome))
        self.seconds.append(seconds)

    def provider_retry(self, operation: Operation) -> None:
        """Take note of a call that is made once more."""
        self.events.append("retry")

    def server_added(self, server: str, is_down: Callable[[], bool]) -> None:
        """Take note of a server."""
        self.servers[server] = is_down

    def cache_opened(self, cache: str, entries: Callable[[], int]) -> None:
        """Take note of a cache."""
        self.caches[cache] = entries

    def looked_up(self, cache: str, result: Result) -> None:
        """Take note of a look-up."""
        self.lookups.append((cache, result))

    def login_changed(self, outcome: str) -> None:
        """Take note of a login."""
        self.events.append(f"login {outcome}")

    def session_changed(self, event: str) -> None:
        """Take note of what happened to a session."""
        self.events.append(event)

    @property
    def outcomes(self) -> list[str]:
        """Return how the calls ended."""
        return [outcome for _, outcome in self.seen]


class MLflow:
    """What the plugin's route for the edge answers, to a system grant and to nothing else."""

    def __init__(self) -> None:
        self.ids: list[int] = []
        self.calls = 0
        self.answer: web.Response | None = None
        self.url = ""

    async def projects(self, request: web.Request) -> web.Response:
        """Answer which projects own rows."""
        self.calls += 1
        verifier = GrantVerifier([KEY], instance=INSTANCE)
        if verifier.open(request.headers[HEADER]).view is not View.SYSTEM:
            raise web.HTTPForbidden
        return self.answer or web.json_response({"projects": self.ids})

    @classmethod
    @asynccontextmanager
    async def serving(cls) -> AsyncIterator["MLflow"]:
        """Serve on a free port."""
        mlflow = cls()
        app = web.Application()
        app.router.add_get("/extauthz/v1/projects", mlflow.projects)
        async with TestServer(app, port=free_port()) as server:
            mlflow.url = str(server.make_url("")).rstrip("/")
            yield mlflow


@dataclass(frozen=True)
class World:
    """The edge's access side, and the two servers it asks."""

    access: AccessControl
    gitlab: GitLab
    mlflow: MLflow
    clock: Clock

    async def in_project(self, token: str, path: str) -> ProjectAccess:
        """Return the access to a project, at once or after a while."""
        return await settled(self.access.in_project(credential(token), path))

    async def everywhere(self, token: str) -> GlobalAccess:
        """Return the access to everything, at once or after a while."""
        return await settled(self.access.everywhere(credential(token)))

    async def idle(self) -> None:
        """Wait until nothing is asked in the background any more."""
        caches = (self.access._projects, self.access._everywhere)
        while any(cache._flights._flights for cache in caches):  # noqa: ASYNC110 - it tells nobody
            await asyncio.sleep(0.001)

    async def lose_gitlab(self) -> None:
        """Let GitLab fail for so many callers that nobody asks it any more."""
        self.gitlab.faults("error", times=5)
        for _ in range(5):
            with pytest.raises(Unavailable):
                await self.in_project(self.gitlab.token("ann"), PATH)

    def known_project(self, token: str, path: str) -> ProjectAccess:
        """Return the access to a project, which must not need waiting for."""
        access = self.access.in_project(credential(token), path)
        assert isinstance(access, ProjectAccess)
        return access


@asynccontextmanager
async def deciding(
    gitlab: GitLab,
    *,
    policy: Policy | None = None,
    fresh: float = 30,
    stale: float = 600,
    patience: float = 3.5,
    calls: Calls | None = None,
) -> AsyncIterator[World]:
    """Decide about access as the edge does, on a clock that the test moves."""
    clock = Clock()
    async with MLflow.serving() as mlflow, open_session() as session:
        owned = OwnedProjects(
            Upstream(session, mlflow.url, name="MLflow", observer=Calls()),
            GrantSigner(KEY),
            instance=INSTANCE,
            seconds_fresh=fresh,
            clock=clock,
        )
        upstream = Upstream(
            session,
            gitlab.url,
            name="GitLab",
            observer=Calls(),
            breaker=Breaker(clock=clock),
            timeout=TIMEOUT,
        )
        access = AccessControl(
            Provider(upstream),
            owned,
            policy=policy or Policy(),
            fingerprints=Fingerprints(SECRET, gitlab.url),
            lifetimes=Lifetimes(fresh=fresh, stale=stale, patience=patience),
            observer=calls or Calls(),
            clock=clock,
        )
        yield World(access, gitlab, mlflow, clock)
        await access.close()
        await owned.close()


def credential(token: str) -> Credential:
    """Return the credential that a bearer token is."""
    return Credential(Kind.TOKEN, SecretStr(token))


def asker(token: str, *, proven: bool = False, view: bool = False) -> Asker:
    """Return who asks with a bearer token."""
    return Asker(credential(token), token.encode(), proven=proven, view=view)


async def settled(answer: T | Awaitable[T]) -> T:
    """Return an answer, whether it is there already or has to be awaited."""
    return await answer if isinstance(answer, Awaitable) else answer


async def decided(looked: Looked[T]) -> T:
    """Return the access that a look-up leads to."""
    access: T
    access, _ = taken_apart(await looked if isinstance(looked, Awaitable) else looked)
    return access


def asked(gitlab: GitLab) -> list[str]:
    """Return GitLab's log of calls in short: the GraphQL fields asked for, or the REST path."""
    return [call.operation or call.path for call in gitlab.calls()]
