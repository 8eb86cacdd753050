"""Sessions in cookies and in Redis, before a GitLab that all of these tests share."""

from collections.abc import AsyncIterator, Iterator

import pytest

from tests.gitlab import GitLab
from tests.servers.redis import RedisServer, redis_server
from tests.sessions import PROJECT, Deployment, Replica


@pytest.fixture(scope="session")
def running() -> Iterator[GitLab]:
    with GitLab.start() as gitlab:
        gitlab.create_project(PROJECT)
        yield gitlab


@pytest.fixture(scope="session")
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with redis_server(tmp_path_factory.mktemp("redis")) as server:
        yield server


@pytest.fixture
def gitlab(running: GitLab) -> GitLab:
    running.heal()
    running.tamper()
    running.forget_calls()
    return running


@pytest.fixture
def in_cookies(gitlab: GitLab) -> Deployment:
    return Deployment.of(gitlab)


@pytest.fixture
def in_redis(gitlab: GitLab, redis: RedisServer) -> Deployment:
    with redis.client() as client:
        client.flushall()
    return Deployment.of(gitlab, redis)


@pytest.fixture(params=["in_cookies", "in_redis"])
def deployment(request: pytest.FixtureRequest) -> Deployment:
    store: Deployment = request.getfixturevalue(request.param)
    return store


@pytest.fixture
async def replica(deployment: Deployment) -> AsyncIterator[Replica]:
    async with deployment.replica() as replica:
        yield replica
