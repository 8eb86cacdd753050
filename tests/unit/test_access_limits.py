"""What a caller whom GitLab limits is told, and that nobody else suffers."""

import pytest

from extauthz.edge.outage import Throttled
from extauthz.grant import Why
from extauthz.levels import Role
from tests.access import credential, deciding
from tests.acme import OTHER, PATH, acme
from tests.gitlab import DEVELOPER, GUEST, GitLab


@pytest.fixture
def gitlab(running: GitLab) -> GitLab:
    """A GitLab where `ann` is a developer and `guy` a guest of two projects."""
    return acme(running, ann=DEVELOPER, guy=GUEST)


async def test_a_limited_token_is_told_for_how_long_and_nobody_else_suffers(
    gitlab: GitLab,
) -> None:
    ann, guy = gitlab.token("ann"), gitlab.token("guy")
    async with deciding(gitlab) as world:
        await world.in_project(ann, PATH)
        world.clock.pass_by(31)
        gitlab.faults("throttle", seconds=20, times=1)
        for _ in range(2):
            with pytest.raises(Throttled) as caught:
                await world.in_project(ann, PATH)
            assert caught.value.retry_after == 20
        assert (await world.in_project(guy, PATH)).role is Role.READ
        calls = len(gitlab.calls())
        world.clock.pass_by(19)
        with pytest.raises(Throttled):
            await world.in_project(ann, OTHER)
        assert len(gitlab.calls()) == calls
        world.clock.pass_by(1)

        assert (await world.in_project(ann, PATH)).role is Role.WRITE


async def test_a_limited_token_keeps_what_is_fresh(gitlab: GitLab) -> None:
    token = gitlab.token("ann")
    async with deciding(gitlab) as world:
        await world.in_project(token, PATH)
        gitlab.faults("throttle", seconds=20, times=1)
        with pytest.raises(Throttled):
            await world.in_project(token, OTHER)

        assert world.known_project(token, PATH).role is Role.WRITE


async def test_a_limit_in_the_middle_of_an_outage_ends_staleness(gitlab: GitLab) -> None:
    token = gitlab.token("ann")
    async with deciding(gitlab) as world:
        await world.in_project(token, PATH)
        gitlab.faults("error", times=1)
        gitlab.faults("throttle", seconds=20)
        world.clock.pass_by(31)
        assert (await world.in_project(token, PATH)).why is Why.STALE
        world.clock.pass_by(1)
        assert world.known_project(token, PATH).why is Why.STALE
        await world.idle()

        with pytest.raises(Throttled):
            world.access.in_project(credential(token), PATH)


async def test_a_limited_token_ends_the_outage_for_nobody_else(gitlab: GitLab) -> None:
    ann, guy = gitlab.token("ann"), gitlab.token("guy")
    async with deciding(gitlab) as world:
        for token, path in ((ann, PATH), (ann, OTHER), (guy, PATH)):
            await world.in_project(token, path)
        world.clock.pass_by(31)
        await world.lose_gitlab()
        assert (await world.in_project(ann, PATH)).why is Why.STALE
        world.clock.pass_by(5)
        gitlab.faults("throttle", seconds=20)
        assert world.known_project(guy, PATH).why is Why.GUEST
        await world.idle()

        with pytest.raises(Throttled):
            world.access.in_project(credential(guy), PATH)
        assert world.known_project(ann, OTHER).why is Why.STALE
