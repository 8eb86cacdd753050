"""A GitLab behind a proxy that changes what is asked or answered must not fool the provider."""

from collections.abc import AsyncIterator

import pytest
from aiohttp import ClientSession, web
from aiohttp.test_utils import TestServer

from extauthz.edge.gitlab import GitLab as Provider
from extauthz.edge.outage import Outage
from extauthz.edge.refusals import Unauthenticated
from extauthz.edge.upstream import Upstream, open_session
from tests.access import Calls, asker
from tests.gitlab import OWNER, GitLab
from tests.servers.ports import free_port

OPEN, MINE = "acme/open", "acme/mine"


class Proxy:
    """Passes requests on, without the token or with an answer from its memory if told to."""

    def __init__(self, gitlab: GitLab, session: ClientSession) -> None:
        self._gitlab = gitlab
        self._session = session
        self._kept: web.Response | None = None
        self.strips_tokens = False
        self.repeats_itself = False

    async def __call__(self, request: web.Request) -> web.Response:
        if self.repeats_itself and self._kept:
            return _copy(self._kept)
        token = {} if self.strips_tokens else {"Authorization": request.headers["Authorization"]}
        async with self._session.request(
            request.method,
            f"{self._gitlab.url}{request.raw_path}",
            data=await request.read(),
            headers=token,
        ) as answer:
            self._kept = web.Response(
                status=answer.status,
                body=await answer.read(),
                content_type=answer.content_type,
            )
            return _copy(self._kept)


def _copy(answer: web.Response) -> web.Response:
    return web.Response(status=answer.status, body=answer.body, content_type=answer.content_type)


@pytest.fixture
def gitlab(running: GitLab) -> GitLab:
    """A GitLab with a public project and one that `ann` owns."""
    running.reset()
    running.create_user("ann")
    running.create_project(OPEN, visibility="public")
    running.create_project(MINE)
    running.add_member(MINE, "ann", OWNER)
    return running


@pytest.fixture
async def session() -> AsyncIterator[ClientSession]:
    async with open_session() as session:
        yield session


@pytest.fixture
async def proxy(gitlab: GitLab, session: ClientSession) -> Proxy:
    return Proxy(gitlab, session)


@pytest.fixture
async def provider(proxy: Proxy, session: ClientSession) -> AsyncIterator[Provider]:
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", proxy.__call__)
    async with TestServer(app, port=free_port()) as server:
        base = str(server.make_url("")).rstrip("/")
        yield Provider(Upstream(session, base, name="GitLab", observer=Calls()))


@pytest.mark.parametrize("version", ["19.2", "16.8"])
async def test_an_answer_to_nobody_proves_nobody(
    gitlab: GitLab, proxy: Proxy, provider: Provider, version: str
) -> None:
    gitlab.set_version(version)
    ann = asker(gitlab.token("ann"))
    await provider.project(ann, OPEN)
    proxy.strips_tokens = True

    with pytest.raises(Unauthenticated):
        await provider.project(ann, OPEN)
    with pytest.raises(Unauthenticated):
        await provider.projects(ann, [1])


async def test_an_answer_about_another_project_is_no_answer(
    gitlab: GitLab, proxy: Proxy, provider: Provider
) -> None:
    # What SharingHub can be brought to (its level belongs to a path that was not asked for).
    ann = asker(gitlab.token("ann"))
    assert (await provider.project(ann, MINE))[1].level == OWNER
    proxy.repeats_itself = True

    with pytest.raises(Outage, match="could not be understood"):
        await provider.project(ann, OPEN)


async def test_projects_that_were_not_asked_for_are_left_out(
    gitlab: GitLab, proxy: Proxy, provider: Provider
) -> None:
    ann = asker(gitlab.token("ann"))
    await provider.projects(ann, [1, 2])
    proxy.repeats_itself = True

    _, found = await provider.projects(ann, [1])

    assert [project.id for project in found] == [1]
