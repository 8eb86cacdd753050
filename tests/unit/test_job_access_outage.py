"""What is left of the access of CI jobs while GitLab is in trouble."""

import pytest

from extauthz.edge.refusals import Unauthenticated, Unavailable
from extauthz.grant import Why
from extauthz.levels import Role
from tests.acme import PATH, acme
from tests.gitlab import DEVELOPER, GUEST, REPORTER, GitLab
from tests.job_access import AUDIENCE, deciding, minted
from tests.jwks import KEYS


@pytest.fixture
def gitlab(running: GitLab) -> GitLab:
    """A GitLab where `ann` develops two projects that `service` sees."""
    return acme(running, ann=DEVELOPER, service=REPORTER)


async def test_in_an_outage_a_known_job_reads(gitlab: GitLab) -> None:
    token = minted(gitlab)
    async with deciding(gitlab) as world:
        await world.in_project(token)
        gitlab.faults("error")
        assert world.known(token).role is Role.WRITE
        world.pass_by(31)

        stale = await world.in_project(token)
        world.pass_by(5)
        assert await world.in_project(token) is stale
        gitlab.heal()
        world.pass_by(31)
        assert (await world.in_project(token)).role is Role.WRITE

    assert (stale.project_id, stale.role, stale.why) == (1, Role.READ, Why.STALE)


async def test_in_an_outage_a_reader_keeps_his_reason(gitlab: GitLab) -> None:
    gitlab.add_member("acme", "ann", GUEST)
    token = minted(gitlab)
    async with deciding(gitlab) as world:
        await world.in_project(token)
        gitlab.faults("error")
        world.pass_by(31)

        assert (await world.in_project(token)).why is Why.GUEST


async def test_in_an_outage_a_new_job_of_a_known_project_reads(gitlab: GitLab) -> None:
    async with deciding(gitlab) as world:
        await world.in_project(minted(gitlab))
        gitlab.faults("error")
        world.pass_by(31)

        assert (await world.in_project(minted(gitlab))).why is Why.STALE


async def test_facts_are_stale_for_their_time_and_no_longer(gitlab: GitLab) -> None:
    """One stale answer must not make another one fresh again."""
    token = minted(gitlab)
    async with deciding(gitlab, fresh=30, stale=300) as world:
        await world.in_project(token)
        gitlab.faults("error")
        for _ in range(10):
            world.pass_by(32)
            assert (await world.in_project(token)).why is Why.STALE
        world.pass_by(10)

        await world.refusal(token, Unavailable)


async def test_stale_ends_with_the_token(gitlab: GitLab) -> None:
    """Threat 50: not even in an outage."""
    token = gitlab.mint_id_token(PATH, "ann", AUDIENCE, timeout=100)
    async with deciding(gitlab) as world:
        await world.in_project(token)
        gitlab.faults("error")
        world.pass_by(90)
        assert (await world.in_project(token)).why is Why.STALE
        world.pass_by(41)

        await world.refusal(token, Unauthenticated)


async def test_in_an_outage_nobody_is_proven_without_keys(gitlab: GitLab) -> None:
    token = minted(gitlab)
    gitlab.faults("error")
    async with deciding(gitlab) as world:
        await world.refusal(token, Unavailable)
        gitlab.heal()
        world.pass_by(1)

        assert (await world.in_project(token)).role is Role.WRITE


async def test_in_an_outage_of_the_keys_alone_those_that_are_known_count(gitlab: GitLab) -> None:
    async with deciding(gitlab) as world:
        await world.in_project(minted(gitlab))
        gitlab.faults("error", path=KEYS)
        world.clock.pass_by(4_000)

        assert (await world.in_project(minted(gitlab))).role is Role.WRITE
