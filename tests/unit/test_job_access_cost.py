"""What CI jobs cost GitLab: a call for the keys, and one for each project in its time."""

import asyncio

import pytest

from extauthz.edge.refusals import Unavailable
from extauthz.grant import Why
from extauthz.levels import Role
from tests.access import asked
from tests.acme import OTHER, PATH, acme
from tests.gitlab import DEVELOPER, GUEST, REPORTER, GitLab
from tests.job_access import FACTS, deciding, minted
from tests.jwks import KEYS


@pytest.fixture
def gitlab(running: GitLab) -> GitLab:
    """A GitLab where `ann` develops two projects that `service` sees."""
    return acme(running, ann=DEVELOPER, service=REPORTER)


async def test_a_new_project_costs_one_call_and_a_known_one_none(gitlab: GitLab) -> None:
    token = minted(gitlab)
    async with deciding(gitlab) as world:
        first = await world.in_project(token)
        assert asked(gitlab) == [KEYS, FACTS]

        for _ in range(50):
            assert world.known(token) is first
        assert world.known(token, PATH.upper()) is first

    assert len(gitlab.calls()) == 2


async def test_all_jobs_of_a_project_cost_one_call(gitlab: GitLab) -> None:
    gitlab.create_user("bob")
    gitlab.add_member("acme", "bob", GUEST)
    tokens = [minted(gitlab, PATH, user) for user in ("ann", "bob") * 10]
    async with deciding(gitlab) as world:
        for token in tokens:
            await world.in_project(token)
        names = [world.known(token).user.name for token in tokens]
        roles = [world.known(token).role for token in tokens]

    assert names == ["ann", "bob"] * 10
    assert roles == [Role.WRITE, Role.READ] * 10
    assert asked(gitlab) == [KEYS, FACTS]


async def test_jobs_that_come_at_once_share_the_call(gitlab: GitLab) -> None:
    gitlab.faults("latency", path="graphql", seconds=0.2)
    tokens = [minted(gitlab) for _ in range(20)]
    async with deciding(gitlab) as world:
        await asyncio.gather(*(world.in_project(token) for token in tokens * 5))

    assert asked(gitlab) == [KEYS, FACTS]


async def test_each_project_has_its_own_facts(gitlab: GitLab) -> None:
    gitlab.update_project(OTHER, archived=True)
    async with deciding(gitlab) as world:
        here = await world.in_project(minted(gitlab))
        there = await world.in_project(minted(gitlab, OTHER), OTHER)

    assert (here.role, there.role) == (Role.WRITE, Role.READ)
    assert asked(gitlab) == [KEYS, FACTS, FACTS]


async def test_the_facts_of_a_project_are_asked_for_anew_after_a_while(gitlab: GitLab) -> None:
    token = minted(gitlab)
    async with deciding(gitlab) as world:
        first = await world.in_project(token)
        gitlab.update_project(PATH, archived=True)
        world.pass_by(29.9)
        assert world.known(token) is first
        world.pass_by(0.1)

        access = await world.in_project(token)
        assert world.known(token) is access

    assert (access.role, access.why) == (Role.READ, Why.ARCHIVED)
    assert asked(gitlab) == [KEYS, FACTS, FACTS]


async def test_facts_are_never_older_than_their_time_for_a_job_that_comes_later(
    gitlab: GitLab,
) -> None:
    early, late = minted(gitlab), minted(gitlab)
    async with deciding(gitlab) as world:
        await world.in_project(early)
        world.pass_by(29)
        await world.in_project(late)
        gitlab.update_project(PATH, archived=True)
        world.pass_by(1)

        assert (await world.in_project(late)).why is Why.ARCHIVED
        assert (await world.in_project(early)).why is Why.ARCHIVED

    assert asked(gitlab) == [KEYS, FACTS, FACTS]


async def test_without_a_cache_time_every_check_asks(gitlab: GitLab) -> None:
    token = minted(gitlab)
    async with deciding(gitlab, fresh=0, stale=0) as world:
        for _ in range(3):
            await world.in_project(token)

    assert asked(gitlab) == [KEYS, FACTS, FACTS, FACTS]


async def test_a_new_key_is_known_after_one_call(gitlab: GitLab) -> None:
    async with deciding(gitlab) as world:
        await world.in_project(minted(gitlab))
        world.pass_by(10)
        gitlab.rotate_keys()
        for _ in range(5):
            await world.in_project(minted(gitlab))

    assert asked(gitlab) == [KEYS, FACTS, KEYS]


async def test_a_flood_of_made_up_keys_costs_next_to_nothing(gitlab: GitLab) -> None:
    """Threat 48."""
    token = minted(gitlab)
    async with deciding(gitlab) as world:
        await world.in_project(token)
        for number in range(30):
            gitlab.tamper(header={"kid": f"made-up-{number}"})
            await world.refusal(minted(gitlab), Unavailable)
        world.known(token)

    assert asked(gitlab) == [KEYS, FACTS]


async def test_a_caller_who_leaves_does_not_end_the_question_of_the_others(gitlab: GitLab) -> None:
    token = minted(gitlab)
    gitlab.faults("latency", seconds=0.2)
    async with deciding(gitlab) as world:
        leaving = asyncio.create_task(world.in_project(token))
        staying = asyncio.create_task(world.in_project(token))
        await asyncio.sleep(0)
        leaving.cancel()

        assert (await staying).role is Role.WRITE
