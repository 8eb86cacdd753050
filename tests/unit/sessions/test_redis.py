"""A Redis that is away, slow or empty lets nobody in and signs nobody out."""

import asyncio
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from extauthz.edge.refusals import Unavailable
from tests.gitlab import GitLab
from tests.servers.redis import RedisServer, redis_server
from tests.sessions import Deployment


@pytest.fixture
def mortal(tmp_path: Path) -> Iterator[RedisServer]:
    """A Redis of the test's own, which it may stop."""
    with redis_server(tmp_path) as redis:
        yield redis


async def test_more_requests_at_once_than_redis_is_spoken_to_with_are_all_answered(
    in_redis: Deployment,
) -> None:
    """redis-py refuses the 101st connection, and whoever needed it was refused with it."""
    async with in_redis.replica() as replica:
        cookie = await replica.sign_in(in_redis.user())

        answers = await asyncio.gather(*(replica.ask(cookie) for _ in range(150)))

    assert {answer.status for answer in answers} == {200}


async def test_a_session_that_is_gone_from_redis_does_not_come_back_with_a_refresh(
    in_redis: Deployment, redis: RedisServer
) -> None:
    async with in_redis.replica() as replica:
        cookie = await replica.sign_in(in_redis.user())
        asked = await replica.refreshing(cookie)
        with redis.client() as client:
            client.flushall()

        assert (await asked).status == 401
        assert not any(map(in_redis.alive, in_redis.issued))
        assert (await replica.ask(cookie)).status == 401


async def test_without_redis_nobody_is_let_in_and_nobody_signed_out(
    gitlab: GitLab, mortal: RedisServer
) -> None:
    deployment = Deployment.of(gitlab, mortal)
    async with deployment.replica() as replica:
        cookie = await replica.sign_in(deployment.user())
        tokens = (await replica.resume(cookie)).session.tokens

        os.kill(mortal.pid, signal.SIGSTOP)
        silent, seconds = await replica.timed(cookie)
        with pytest.raises(Unavailable):
            await replica.sign_out(cookie)
        os.kill(mortal.pid, signal.SIGCONT)

        assert silent.status == 503
        assert seconds < 2.5
        assert deployment.alive(tokens)
        assert (await replica.ask(cookie)).status == 200


async def test_a_redis_that_comes_back_empty_has_everybody_sign_in_again(
    gitlab: GitLab, mortal: RedisServer, tmp_path: Path
) -> None:
    deployment = Deployment.of(gitlab, mortal)
    async with deployment.replica() as replica:
        user = deployment.user()
        cookie = await replica.sign_in(user)
        os.kill(mortal.pid, signal.SIGKILL)

        gone, seconds = await replica.timed(cookie)
        with pytest.raises(Unavailable):
            await replica.sign_in(user)

        assert gone.status == 503
        assert seconds < 2.5
        with redis_server(tmp_path, port=mortal.port):
            assert (await replica.ask(cookie)).status == 401
            assert (await replica.ask(await replica.sign_in(user))).status == 200


async def test_a_redis_that_fails_just_after_a_refresh_is_asked_again_to_keep_it(
    gitlab: GitLab, mortal: RedisServer
) -> None:
    deployment = Deployment.of(gitlab, mortal)
    async with deployment.replica() as replica:
        cookie = await replica.sign_in(deployment.user())
        asked = await replica.refreshing(cookie)
        os.kill(mortal.pid, signal.SIGSTOP)
        await asyncio.sleep(1.6)
        os.kill(mortal.pid, signal.SIGCONT)

        assert (await asked).status == 200
        assert deployment.refreshes() == 1


async def test_a_pair_that_redis_does_not_take_is_given_back_to_gitlab(
    gitlab: GitLab, mortal: RedisServer
) -> None:
    """Nobody would ever use it again, and nobody could revoke it."""
    deployment = Deployment.of(gitlab, mortal)
    async with deployment.replica() as replica:
        cookie = await replica.sign_in(deployment.user())
        asked = await replica.refreshing(cookie)
        os.kill(mortal.pid, signal.SIGSTOP)
        await _given(deployment)
        deployment.time.passed += 5

        assert (await asked).status == 503
        assert not any(map(deployment.alive, deployment.issued))
        os.kill(mortal.pid, signal.SIGCONT)
        assert (await replica.ask(cookie)).status == 401


async def _given(deployment: Deployment) -> None:
    """Wait until GitLab has answered a refresh."""
    while not deployment.issued:  # noqa: ASYNC110 - it tells nobody
        await asyncio.sleep(0.01)
