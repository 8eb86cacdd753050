"""The global view: one merged answer over the projects that MLflow knows, or none."""

import asyncio

import pytest
from aiohttp import web

from extauthz.edge.access import GlobalAccess
from extauthz.edge.gitlab import BATCH
from extauthz.edge.outage import Throttled
from extauthz.edge.policy import Policy
from extauthz.edge.provider import User
from extauthz.edge.refusals import Forbidden, Unauthenticated, Unavailable
from extauthz.edge.slots import Line
from tests.access import World, asked, credential, deciding
from tests.gitlab import DEVELOPER, GUEST, GitLab

PROJECTS = "currentUser,projects"


@pytest.fixture
def gitlab(running: GitLab) -> GitLab:
    """A GitLab with a user `ann`."""
    running.reset()
    running.create_user("ann")
    return running


def _projects(gitlab: GitLab, number: int) -> list[int]:
    """Make projects, of which `ann` may read every second one."""
    paths = [f"acme/p{each}" for each in range(number)]
    made = gitlab.batch(*[_change("create_project", path=path) for path in paths])
    gitlab.batch(
        *[_change("add_member", path=path, username="ann", level=GUEST) for path in paths[::2]]
    )
    return [project["id"] for project in made]


def _change(name: str, **arguments: object) -> tuple[str, dict[str, object]]:
    return name, arguments


def _known(world: World, token: str) -> GlobalAccess:
    access = world.access.everywhere(credential(token))
    assert isinstance(access, GlobalAccess)
    return access


@pytest.mark.parametrize("owned", [1, BATCH, BATCH + 1, 4 * BATCH + 1])
async def test_it_holds_what_may_be_read_for_one_call_a_batch(gitlab: GitLab, owned: int) -> None:
    ids = _projects(gitlab, owned)
    async with deciding(gitlab) as world:
        world.mlflow.ids = ids
        token = gitlab.token("ann")

        access = await world.everywhere(token)

        assert access.user == User("gitlab:1", "ann")
        assert access.projects == tuple(ids[::2])
        assert asked(gitlab) == [PROJECTS] * -(-owned // BATCH)
        assert _known(world, token) is access
    assert world.mlflow.calls == 1


async def test_projects_that_mlflow_does_not_know_are_not_asked_for(gitlab: GitLab) -> None:
    ids = _projects(gitlab, 5)
    async with deciding(gitlab) as world:
        world.mlflow.ids = ids[:1]

        assert (await world.everywhere(gitlab.token("ann"))).projects == (ids[0],)


async def test_an_empty_mlflow_still_proves_the_caller(gitlab: GitLab) -> None:
    _projects(gitlab, 3)
    async with deciding(gitlab) as world:
        token = gitlab.token("ann")
        access = await world.everywhere(token)
        assert (access.user.name, access.projects) == ("ann", ())
        _known(world, token)
        assert asked(gitlab) == ["currentUser"]

        with pytest.raises(Unauthenticated):
            await world.everywhere("made-up")


async def test_a_user_of_nothing_sees_nothing(gitlab: GitLab) -> None:
    gitlab.create_project("acme/open", visibility="public")
    async with deciding(gitlab) as world:
        world.mlflow.ids = [1]

        assert (await world.everywhere(gitlab.token("ann"))).projects == ()


async def test_visitors_and_topics_count_here_too(gitlab: GitLab) -> None:
    gitlab.create_project("acme/open", visibility="public", topics=["mlflow"])
    gitlab.create_project("acme/untagged", visibility="public")
    gitlab.create_project("acme/mine", topics=["mlflow"])
    gitlab.create_project("acme/archived", topics=["mlflow"], archived=True)
    for path in ("acme/mine", "acme/archived"):
        gitlab.add_member(path, "ann", DEVELOPER)
    policy = Policy(mandatory_topics=frozenset({"mlflow"}), visitors_read=True)
    async with deciding(gitlab, policy=policy) as world:
        world.mlflow.ids = [1, 2, 3, 4]

        assert (await world.everywhere(gitlab.token("ann"))).projects == (1, 3, 4)


async def test_concurrent_callers_share_one_question(gitlab: GitLab) -> None:
    ids = _projects(gitlab, 2 * BATCH)
    async with deciding(gitlab) as world:
        world.mlflow.ids = ids
        token = gitlab.token("ann")
        await asyncio.gather(*(world.everywhere(token) for _ in range(200)))

        assert (len(gitlab.calls()), world.mlflow.calls) == (2, 1)


async def test_what_mlflow_owns_is_asked_once_for_all_callers(gitlab: GitLab) -> None:
    async with deciding(gitlab) as world:
        tokens = [gitlab.token("ann") for _ in range(20)]
        await asyncio.gather(*(world.everywhere(token) for token in tokens))
        assert world.mlflow.calls == 1
        await world.everywhere(gitlab.token("ann"))
        assert world.mlflow.calls == 1
        world.clock.pass_by(30)
        await world.everywhere(gitlab.token("ann"))

        assert world.mlflow.calls == 2


async def test_it_is_asked_again_when_its_time_is_over(gitlab: GitLab) -> None:
    ids = _projects(gitlab, 3)
    async with deciding(gitlab) as world:
        token = gitlab.token("ann")
        world.mlflow.ids = ids[:1]
        first = await world.everywhere(token)
        world.mlflow.ids = ids
        world.clock.pass_by(29)
        assert _known(world, token) is first
        world.clock.pass_by(1)

        assert (await world.everywhere(token)).projects == (ids[0], ids[2])


async def test_a_batch_that_fails_is_never_left_out(gitlab: GitLab) -> None:
    ids = _projects(gitlab, 3 * BATCH)
    async with deciding(gitlab) as world:
        world.mlflow.ids = ids
        token = gitlab.token("ann")
        gitlab.faults("latency", times=2)
        gitlab.faults("error", status=502, times=1)
        with pytest.raises(Unavailable):
            await world.everywhere(token)

        assert (await world.everywhere(token)).projects == tuple(ids[::2])


async def test_made_up_tokens_whose_callers_leave_hold_nobody_up(gitlab: GitLab) -> None:
    ids = _projects(gitlab, 3 * BATCH)
    async with deciding(gitlab) as world:
        world.mlflow.ids = ids
        token = gitlab.token("ann")
        await world.everywhere(token)
        world.clock.pass_by(31)
        gitlab.forget_calls()
        gitlab.faults("latency", seconds=0.2)
        leaving = [
            asyncio.create_task(world.everywhere(f"made-up-{number}")) for number in range(2_000)
        ]
        await asyncio.sleep(0)
        for task in leaving:
            task.cancel()

        assert (await world.everywhere(token)).projects == tuple(ids[::2])
        await world.idle()

    assert len(gitlab.calls()) < 100


async def test_a_large_view_does_not_wait_in_line_for_itself(gitlab: GitLab) -> None:
    async with deciding(gitlab) as world:
        world.mlflow.ids = list(range(1, 8 * Line.VIEWS.slots * BATCH))
        gitlab.faults("latency", seconds=0.2)

        assert (await world.everywhere(gitlab.token("ann"))).projects == ()


async def test_in_an_outage_the_last_answer_serves(gitlab: GitLab) -> None:
    ids = _projects(gitlab, 2 * BATCH)
    async with deciding(gitlab) as world:
        world.mlflow.ids = ids
        token = gitlab.token("ann")
        before = await world.everywhere(token)
        gitlab.faults("error")
        world.clock.pass_by(31)
        assert await world.everywhere(token) is before
        world.clock.pass_by(600)

        with pytest.raises(Unavailable):
            await world.everywhere(token)


async def test_a_limited_token_gets_nothing_stale(gitlab: GitLab) -> None:
    async with deciding(gitlab) as world:
        world.mlflow.ids = _projects(gitlab, 1)
        token = gitlab.token("ann")
        await world.everywhere(token)
        gitlab.faults("throttle", seconds=9)
        world.clock.pass_by(31)

        with pytest.raises(Throttled):
            await world.everywhere(token)


async def test_refusals_of_the_credential_are_shared_with_the_project_view(gitlab: GitLab) -> None:
    token = gitlab.token("ann")
    gitlab.block("ann")
    async with deciding(gitlab) as world:
        with pytest.raises(Forbidden):
            await world.everywhere(token)
        calls = len(gitlab.calls())

        with pytest.raises(Forbidden):
            world.access.in_project(credential(token), "acme/p0")

    assert len(gitlab.calls()) == calls


async def test_a_fine_grained_token_gets_the_same_answer_by_rest(gitlab: GitLab) -> None:
    ids = _projects(gitlab, 4)
    permissions = ("Project: Read", "Member: Read")
    async with deciding(gitlab) as world:
        world.mlflow.ids = ids
        token = gitlab.token("ann", permissions=permissions)

        assert (await world.everywhere(token)).projects == (ids[0], ids[2])


@pytest.mark.parametrize(
    "answer",
    [
        web.Response(status=503),
        web.Response(status=403, body=b"{}", content_type="application/json"),
        web.Response(text="MLflow"),
        web.json_response({"projects": None}),
        web.json_response({"projects": ["1"]}),
        web.json_response({"projects": [2, 1]}),
        web.json_response({"projects": [1, 1]}),
        web.json_response({"projects": [True]}),
        web.json_response([1]),
    ],
    ids=range(9),
)
async def test_without_mlflows_answer_there_is_none(gitlab: GitLab, answer: web.Response) -> None:
    async with deciding(gitlab) as world:
        world.mlflow.answer = answer

        with pytest.raises(Unavailable, match="MLflow does not say"):
            await world.everywhere(gitlab.token("ann"))

    assert gitlab.calls() == []


async def test_trouble_with_mlflow_is_not_gitlabs(gitlab: GitLab) -> None:
    _projects(gitlab, 1)
    async with deciding(gitlab) as world:
        token = gitlab.token("ann")
        await world.everywhere(token)
        world.clock.pass_by(31)
        world.mlflow.answer = web.Response(status=503)
        with pytest.raises(Unavailable, match="MLflow"):
            await world.everywhere(token)

        assert (await world.in_project(token, "acme/p0")).project_id == 1
