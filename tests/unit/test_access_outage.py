"""What is left of access while GitLab is in trouble, and for how long."""

import pytest

from extauthz.edge.refusals import NotFound, Unauthenticated, Unavailable
from extauthz.grant import Why
from extauthz.levels import Role
from tests.access import credential, deciding
from tests.acme import OTHER, PATH, acme
from tests.gitlab import DEVELOPER, GUEST, GitLab
from tests.outages import OUTAGES, Fault

FAULTS = [*OUTAGES, ("error", {"status": 503}), ("html", {"status": 403})]


@pytest.fixture
def gitlab(running: GitLab) -> GitLab:
    """A GitLab where `ann` is a developer and `guy` a guest of two projects."""
    return acme(running, ann=DEVELOPER, guy=GUEST)


@pytest.mark.parametrize("fault", FAULTS, ids=range(len(FAULTS)))
async def test_who_is_not_known_is_told_to_come_again(gitlab: GitLab, fault: Fault) -> None:
    gitlab.faults(fault[0], **fault[1])
    async with deciding(gitlab) as world:
        with pytest.raises(Unavailable) as caught:
            await world.in_project(gitlab.token("ann"), PATH)

    assert caught.value.retry_after >= 1


@pytest.mark.parametrize("fault", FAULTS, ids=range(len(FAULTS)))
async def test_a_known_writer_reads_in_an_outage(gitlab: GitLab, fault: Fault) -> None:
    token = gitlab.token("ann")
    async with deciding(gitlab) as world:
        await world.in_project(token, PATH)
        gitlab.faults(fault[0], **fault[1])
        assert world.known_project(token, PATH).role is Role.WRITE
        world.clock.pass_by(31)

        access = await world.in_project(token, PATH)

    assert (access.project_id, access.role, access.why) == (1, Role.READ, Why.STALE)


async def test_who_only_reads_anyway_keeps_the_reason(gitlab: GitLab) -> None:
    token = gitlab.token("guy")
    async with deciding(gitlab) as world:
        before = await world.in_project(token, PATH)
        gitlab.faults("error")
        world.clock.pass_by(31)

        assert await world.in_project(token, PATH) is before
    assert before.why is Why.GUEST


async def test_the_same_stale_object_is_returned_all_the_time(gitlab: GitLab) -> None:
    token = gitlab.token("ann")
    async with deciding(gitlab) as world:
        await world.in_project(token, PATH)
        gitlab.faults("error")
        world.clock.pass_by(31)
        stale = await world.in_project(token, PATH)
        for _ in range(10):
            world.clock.pass_by(1)
            assert await world.in_project(token, PATH) is stale


async def test_stale_ends_after_its_time(gitlab: GitLab) -> None:
    token = gitlab.token("ann")
    async with deciding(gitlab, fresh=30, stale=600) as world:
        await world.in_project(token, PATH)
        gitlab.faults("error")
        world.clock.pass_by(629)
        assert (await world.in_project(token, PATH)).why is Why.STALE

        world.clock.pass_by(1)

        with pytest.raises(Unavailable):
            await world.in_project(token, PATH)


async def test_stale_ends_with_the_token(gitlab: GitLab) -> None:
    token = gitlab.token("ann", kind="oauth", expires_in=100)
    async with deciding(gitlab) as world:
        await world.in_project(token, PATH)
        gitlab.faults("error")
        world.clock.pass_by(90)
        assert (await world.in_project(token, PATH)).why is Why.STALE

        world.clock.pass_by(10)

        with pytest.raises(Unavailable):
            await world.in_project(token, PATH)


async def test_nothing_is_stale_where_the_operator_does_not_want_it(gitlab: GitLab) -> None:
    token = gitlab.token("ann")
    async with deciding(gitlab, stale=0) as world:
        await world.in_project(token, PATH)
        gitlab.faults("error")
        world.clock.pass_by(31)

        with pytest.raises(Unavailable):
            await world.in_project(token, PATH)


async def test_the_end_of_an_outage_is_found_out_in_the_background(gitlab: GitLab) -> None:
    token = gitlab.token("ann")
    async with deciding(gitlab) as world:
        await world.in_project(token, PATH)
        gitlab.faults("error", times=1)
        world.clock.pass_by(31)
        await world.in_project(token, PATH)
        world.clock.pass_by(1)
        assert world.known_project(token, PATH).why is Why.STALE
        await world.idle()

        assert world.known_project(token, PATH).role is Role.WRITE


async def test_what_one_caller_found_out_is_good_for_all(gitlab: GitLab) -> None:
    token = gitlab.token("ann")
    async with deciding(gitlab) as world:
        for path in (PATH, OTHER):
            await world.in_project(token, path)
        world.clock.pass_by(31)
        await world.lose_gitlab()
        assert (await world.in_project(token, PATH)).why is Why.STALE
        world.clock.pass_by(5)
        # A caller who is not known asks GitLab in any case, and finds it well.
        await world.in_project(gitlab.token("guy"), PATH)

        assert (await world.in_project(token, OTHER)).role is Role.WRITE


async def test_an_outage_that_is_long_over_makes_nobody_stale(gitlab: GitLab) -> None:
    token = gitlab.token("ann")
    async with deciding(gitlab) as world:
        await world.in_project(token, PATH)
        gitlab.faults("error", times=1)
        world.clock.pass_by(31)
        assert (await world.in_project(token, PATH)).why is Why.STALE
        world.clock.pass_by(60)

        assert (await world.in_project(token, PATH)).role is Role.WRITE


async def test_a_definite_refusal_ends_what_was_stale(gitlab: GitLab) -> None:
    token = gitlab.token("ann")
    async with deciding(gitlab) as world:
        await world.in_project(token, PATH)
        gitlab.revoke(token)
        world.clock.pass_by(31)
        with pytest.raises(Unauthenticated):
            await world.in_project(token, PATH)
        gitlab.faults("error")
        world.clock.pass_by(31)

        with pytest.raises(Unavailable):
            await world.in_project(token, PATH)


async def test_a_lost_project_is_not_stale(gitlab: GitLab) -> None:
    token = gitlab.token("ann")
    async with deciding(gitlab) as world:
        for path in (PATH, OTHER):
            await world.in_project(token, path)
        gitlab.delete_project(PATH)
        world.clock.pass_by(31)
        with pytest.raises(NotFound):
            await world.in_project(token, PATH)
        gitlab.faults("error")
        world.clock.pass_by(16)

        with pytest.raises(Unavailable):
            await world.in_project(token, PATH)
        assert (await world.in_project(token, OTHER)).why is Why.STALE


async def test_without_the_scopes_a_writer_is_not_known(gitlab: GitLab) -> None:
    token = gitlab.token("ann")
    async with deciding(gitlab) as world:
        gitlab.faults("error", path="self", times=1)
        with pytest.raises(Unavailable):
            await world.in_project(token, PATH)

        assert (await world.in_project(token, PATH)).role is Role.WRITE


async def test_a_credential_is_in_no_message(gitlab: GitLab) -> None:
    token = gitlab.token("ann")
    gitlab.faults("error")
    async with deciding(gitlab) as world:
        with pytest.raises(Unavailable) as caught:
            await world.in_project(token, PATH)

    assert token not in f"{caught.value!r} {credential(token)!r}"
