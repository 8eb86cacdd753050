"""Views, checks and strangers wait for their like only."""

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager

import pytest

from extauthz.edge.gitlab import GitLab as Provider
from extauthz.edge.operations import Operation
from extauthz.edge.refusals import Unauthenticated
from extauthz.edge.slots import Line
from extauthz.edge.upstream import Call
from tests.access import asked, asker
from tests.acme import PATH
from tests.gitlab import GUEST, GitLab
from tests.provider import ANN, ONE_CALL, anns
from tests.upstream import Observed, asking


@pytest.fixture
def gitlab(running: GitLab) -> GitLab:
    return anns(running)


@pytest.fixture
async def patient(gitlab: GitLab) -> AsyncIterator[Observed]:
    """An upstream whose calls end when a test ends them, however slow the machine is."""
    async with asking(gitlab.url, seconds=600) as upstream:
        yield upstream


async def test_a_bad_token_is_not_explained_while_strangers_wait(
    gitlab: GitLab, patient: Observed
) -> None:
    provider = Provider(patient.upstream)
    strangers = [
        provider.reach(asker(f"made-up-{number}")) for number in range(Line.STRANGERS.slots)
    ]

    async with _hanging(gitlab, "self", *strangers):
        with pytest.raises(Unauthenticated):
            await provider.project(asker("glpat-made-up", proven=True), PATH)

        assert len(gitlab.calls("self")) == Line.STRANGERS.slots


async def test_a_view_holds_no_check_and_no_stranger_up(gitlab: GitLab, patient: Observed) -> None:
    provider = Provider(patient.upstream)
    gitlab.add_member(PATH, "ann", GUEST)
    token = gitlab.token("ann")
    call = Call(Operation.USER, "/api/v4/version", {}, line=Line.VIEWS)
    view = asker(token, proven=True, view=True)

    async with _hanging(gitlab, "version", *(patient.ask(call) for _ in range(Line.VIEWS.slots))):
        waiting = asyncio.create_task(provider.projects(view, [1]))
        await provider.project(asker(token, proven=True), PATH)
        await provider.projects(asker(token, view=True), [1])

        assert asked(gitlab)[Line.VIEWS.slots :] == [*ONE_CALL, "currentUser,projects"]
        waiting.cancel()
        await asyncio.wait([waiting])

    assert (await provider.projects(view, [1]))[0] == ANN


@asynccontextmanager
async def _hanging(
    gitlab: GitLab, path: str, *calls: Coroutine[object, object, object]
) -> AsyncIterator[None]:
    """Have calls under way at GitLab until the block ends, which none of them does by itself."""
    gitlab.faults("hang", path=path)
    under_way = [asyncio.create_task(call) for call in calls]
    while len(gitlab.calls(path)) < len(calls):  # noqa: ASYNC110 - it happens in another process
        await asyncio.sleep(0.01)
    yield
    assert not any(task.done() for task in under_way)
    for task in under_way:
        task.cancel()
    await asyncio.wait(under_way)
