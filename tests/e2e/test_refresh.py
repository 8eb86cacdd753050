"""Sessions at the end of their tokens, in real processes: one refresh, and nobody refused.

What a process that is killed can take with it is the pair of tokens that GitLab has made for it and
that it has not written down yet: some milliseconds every two hours. There GitLab has ended the old
pair, and that one user signs in again.
"""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import grpc
import pytest
from aiohttp import UnixConnector

from extauthz._pb.external_auth_pb2 import AttributeContext, CheckRequest, CheckResponse
from extauthz.edge.cookies import values_of
from extauthz.edge.credentials import SESSION_COOKIE
from extauthz.edge.server import SERVICE
from extauthz.grant import HEADER, Grant, GrantKey, GrantSigner, View
from tests.gitlab import DEVELOPER, GitLab
from tests.servers.edge import GRANT_KEY, INSTANCE, Edge, edge
from tests.servers.ports import free_port
from tests.servers.redis import RedisServer, redis_server
from tests.tenants import unique

PROJECT = "acme/vision"
PUBLIC_URL = "http://localhost:5000"
TOKENS = "/oauth/token$"
# Seconds that a token lives where a test waits for its end.
LIFETIME = 2


@dataclass(frozen=True, slots=True)
class Answer:
    """The status of an answer, and the cookie that comes with it."""

    status: int
    cookie: str = ""


@dataclass(frozen=True, slots=True)
class Process:
    """A process of the edge, asked as Envoy asks it."""

    edge: Edge
    channel: grpc.aio.Channel

    async def check(self, cookie: str) -> Answer:
        call = self.channel.unary_unary(f"/{SERVICE}/Check")
        response = CheckResponse.FromString(await call(question(cookie), timeout=10))
        if response.status.code:
            return Answer(response.denied_response.status.code)
        headers = response.ok_response.response_headers_to_add
        given = [each.header.value for each in headers if each.header.key == "set-cookie"]
        return Answer(200, *(cookie_in(each) for each in given))

    async def sign_in(self, gitlab: GitLab, user: str) -> str:
        """Return the cookie of a session that began at the pages."""
        socket = UnixConnector(self.edge.pages.removeprefix("unix:"))
        async with aiohttp.ClientSession(
            "http://pages",
            connector=socket,
            headers={HEADER: public_grant()},
            cookie_jar=aiohttp.DummyCookieJar(),
        ) as pages:
            async with pages.get("/auth/login", allow_redirects=False) as login:
                handshake = login.headers["set-cookie"].partition(";")[0]
            callback = gitlab.sign_in(login.headers["location"], user)
            async with pages.get(
                callback.removeprefix(PUBLIC_URL),
                headers={"cookie": handshake},
                allow_redirects=False,
            ) as back:
                cookies = back.headers.getall("set-cookie")
        return next(filter(None, map(cookie_in, cookies)))

    def stop(self) -> None:
        """Keep the process from reading what it is answered."""
        os.kill(self.edge.pid, signal.SIGSTOP)

    def kill(self) -> None:
        """End the process without letting it do anything any more."""
        os.kill(self.edge.pid, signal.SIGKILL)


@pytest.fixture(scope="module")
def running() -> Iterator[GitLab]:
    with GitLab.start() as gitlab:
        gitlab.create_project(PROJECT)
        yield gitlab


@pytest.fixture
def gitlab(running: GitLab) -> GitLab:
    running.heal()
    running.tamper()
    running.forget_calls()
    return running


@pytest.fixture(scope="module")
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with redis_server(tmp_path_factory.mktemp("redis")) as server:
        yield server


async def test_two_processes_refresh_a_session_once_and_refuse_nobody(
    gitlab: GitLab, redis: RedisServer, tmp_path: Path
) -> None:
    async with processes(tmp_path, gitlab, redis, number=2) as (one, other):
        cookie = await with_tokens_that_have_ended(gitlab, one)

        answers = await asyncio.gather(*(each.check(cookie) for each in [one, other] * 50))

    assert {answer.status for answer in answers} == {200}
    assert refreshes(gitlab) == 1


async def test_one_process_refreshes_a_session_in_a_cookie_once_and_tells_everybody(
    gitlab: GitLab, tmp_path: Path
) -> None:
    async with processes(tmp_path, gitlab, None, number=1) as (process,):
        cookie = await with_tokens_that_have_ended(gitlab, process)

        answers = await asyncio.gather(*(process.check(cookie) for _ in range(100)))

    assert {answer.status for answer in answers} == {200}
    assert refreshes(gitlab) == 1
    (new,) = {answer.cookie for answer in answers}
    assert new not in ("", cookie)
    async with processes(tmp_path / "again", gitlab, None, number=1) as (restarted,):
        assert (await restarted.check(new)).status == 200


async def test_tokens_that_end_all_the_time_are_refreshed_under_load_and_refuse_nobody(
    gitlab: GitLab, redis: RedisServer, tmp_path: Path
) -> None:
    async with processes(tmp_path, gitlab, redis, number=2) as both:
        gitlab.tamper(access_token_lifetime=LIFETIME)
        cookies = [await both[0].sign_in(gitlab, developer(gitlab)) for _ in range(3)]

        async with load(both, cookies) as answers:
            await asyncio.sleep(3 * LIFETIME)

    assert {answer.status for answer in answers} == {200}
    # After each half of a life, and no more often.
    assert 3 * len(cookies) <= refreshes(gitlab) <= 7 * len(cookies)


async def test_a_process_killed_in_the_middle_of_a_refresh_signs_nobody_out(
    gitlab: GitLab, redis: RedisServer, tmp_path: Path
) -> None:
    async with processes(tmp_path, gitlab, redis, number=2) as both:
        doomed, other = both
        gitlab.tamper(access_token_lifetime=LIFETIME)
        cookies = [await doomed.sign_in(gitlab, developer(gitlab)) for _ in range(4)]
        await the_end_of_tokens(gitlab)
        await until_served(other, cookies[1:])

        async with load(both, cookies[1:]) as answers:
            gitlab.faults("hang", path=TOKENS, times=1)
            hanging = asyncio.create_task(doomed.check(cookies[0]))
            await eventually(lambda: refreshes(gitlab) == len(cookies))
            doomed.kill()
            with pytest.raises(grpc.aio.AioRpcError):
                await hanging
            # His turn comes once the lock of the dead process has ended; for him it is an outage.
            assert (await other.check(cookies[0])).status == 503
            let_locks_end(redis)
            await until_served(other, cookies)

        assert {answer.status for answer in answers} == {200}
    assert refreshes(gitlab) == len(cookies) + 1


@pytest.mark.parametrize(("late_revocation", "status"), [(False, 401), (True, 200)])
async def test_only_a_pair_that_gitlab_made_for_the_killed_process_is_lost(
    gitlab: GitLab, redis: RedisServer, tmp_path: Path, *, late_revocation: bool, status: int
) -> None:
    """GitLab ends the old pair with the refresh, unless it waits until the new one is used."""
    async with processes(tmp_path, gitlab, redis, number=2) as (doomed, other):
        gitlab.tamper(access_token_lifetime=LIFETIME)
        unlucky, lucky = [await doomed.sign_in(gitlab, developer(gitlab)) for _ in range(2)]
        await the_end_of_tokens(gitlab, late_revocation=late_revocation)
        gitlab.faults("latency", path=TOKENS, seconds=0.3, times=1)
        asked = asyncio.create_task(doomed.check(unlucky))
        await eventually(lambda: refreshes(gitlab) == 1)

        doomed.stop()
        await asyncio.sleep(1.5)
        doomed.kill()
        with pytest.raises(grpc.aio.AioRpcError):
            await asked
        let_locks_end(redis)

        assert (await other.check(unlucky)).status == status
        assert (await other.check(lucky)).status == 200


@asynccontextmanager
async def processes(
    folder: Path, gitlab: GitLab, redis: RedisServer | None, *, number: int
) -> AsyncIterator[Sequence[Process]]:
    """Run processes of the edge that share their settings."""
    client_id, secret = gitlab.create_application([f"{PUBLIC_URL}/auth/authorize"], trusted=True)
    settings = {
        "PUBLIC_URL": PUBLIC_URL,
        "GITLAB_OAUTH_CLIENT_ID": client_id,
        "GITLAB_OAUTH_CLIENT_SECRET": secret,
        "SESSION_STORE_URL": redis.url if redis else "",
    }
    nowhere = f"http://127.0.0.1:{free_port()}"
    with ExitStack() as stack:
        edges = []
        for each in range(number):
            own = folder / str(each)
            own.mkdir(parents=True)
            process = edge(own, gitlab_url=gitlab.url, mlflow_url=nowhere, settings=settings)
            edges.append(stack.enter_context(process))
        async with AsyncExitStack() as channels:
            yield [
                Process(
                    each,
                    await channels.enter_async_context(grpc.aio.insecure_channel(each.check)),
                )
                for each in edges
            ]


@asynccontextmanager
async def load(both: Sequence[Process], cookies: Sequence[str]) -> AsyncIterator[list[Answer]]:
    """Ask with every cookie all the time, of one process after the other; yields the answers."""
    answers: list[Answer] = []

    async def keep_asking(cookie: str) -> None:
        while True:
            for process in both:
                # Envoy goes on to the next one.
                with suppressed_death():
                    answers.append(await process.check(cookie))
            await asyncio.sleep(0.03)

    tasks = [asyncio.create_task(keep_asking(cookie)) for cookie in cookies for _ in range(4)]
    try:
        yield answers
    finally:
        for task in tasks:
            task.cancel()
        ended = await asyncio.gather(*tasks, return_exceptions=True)
    assert all(isinstance(each, asyncio.CancelledError) for each in ended), ended


@contextmanager
def suppressed_death() -> Iterator[None]:
    """Do not mind a process that is dead."""
    try:
        yield
    except grpc.aio.AioRpcError as error:
        if error.code() is not grpc.StatusCode.UNAVAILABLE:
            raise


async def with_tokens_that_have_ended(gitlab: GitLab, process: Process) -> str:
    """Return the cookie of such a session."""
    gitlab.tamper(access_token_lifetime=LIFETIME)
    cookie = await process.sign_in(gitlab, developer(gitlab))
    await the_end_of_tokens(gitlab)
    return cookie


async def the_end_of_tokens(gitlab: GitLab, **knobs: object) -> None:
    """Wait until the tokens made so far have ended; later ones live for two hours."""
    gitlab.tamper(**knobs)
    await asyncio.sleep(LIFETIME + 0.1)


async def until_served(process: Process, cookies: Sequence[str]) -> None:
    """Ask until everybody is let in; nobody may be asked to sign in on the way."""
    async with asyncio.timeout(20):
        for cookie in cookies:
            while (answer := await process.check(cookie)).status != 200:
                assert answer.status == 503
                await asyncio.sleep(0.05)


async def eventually(happened: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not happened():  # noqa: ASYNC110 - it tells nobody
            await asyncio.sleep(0.02)


def developer(gitlab: GitLab) -> str:
    user = unique("user")
    gitlab.create_user(user)
    gitlab.add_member(PROJECT, user, DEVELOPER)
    return user


def refreshes(gitlab: GitLab) -> int:
    return sum(call.operation == "refresh_token" for call in gitlab.calls(TOKENS))


def let_locks_end(redis: RedisServer) -> None:
    """Do what Redis does by itself after some seconds."""
    with redis.client() as client:
        client.delete(*client.scan_iter("extauthz:refresh:*"))


def public_grant() -> str:
    return GrantSigner(GrantKey(GRANT_KEY)).sign(Grant(view=View.PUBLIC, instance=INSTANCE))


def question(cookie: str) -> bytes:
    http = AttributeContext.HttpRequest(
        method="GET",
        host="localhost:5000",
        path=f"/{PROJECT}/tracking/api/2.0/mlflow/experiments/get?experiment_id=1",
        headers={"cookie": f"{SESSION_COOKIE}={cookie}"},
    )
    return CheckRequest(
        attributes=AttributeContext(request=AttributeContext.Request(http=http))
    ).SerializeToString()


def cookie_in(set_cookie: str) -> str:
    """Return the session that a browser is told to keep, if it is."""
    return next(iter(values_of(SESSION_COOKIE, set_cookie)), "")
