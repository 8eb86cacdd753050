"""How little anybody waits for a GitLab in trouble, or for others, and how seldom it is asked."""

import asyncio

import pytest

from extauthz.edge.outage import Busy
from extauthz.edge.refusals import NotFound, Unauthenticated, Unavailable
from extauthz.edge.slots import Line
from extauthz.grant import Why
from extauthz.levels import Role
from tests.access import TIMEOUT, asked, deciding
from tests.acme import OTHER, PATH, acme
from tests.gitlab import DEVELOPER, GUEST, GitLab
from tests.outages import Fault


@pytest.fixture
def gitlab(running: GitLab) -> GitLab:
    """A GitLab where `ann` is a developer and `guy` a guest of two projects."""
    return acme(running, ann=DEVELOPER, guy=GUEST)


async def test_while_gitlab_hangs_nobody_waits_twice(gitlab: GitLab) -> None:
    ann, guy = gitlab.token("ann"), gitlab.token("guy")
    known = [(token, path) for token in (ann, guy) for path in (PATH, OTHER)]
    async with deciding(gitlab) as world:
        for token, path in known:
            await world.in_project(token, path)
        gitlab.faults("hang")
        world.clock.pass_by(31)
        await asyncio.gather(*(world.in_project(token, path) for token, path in known))

        for _ in range(5):
            world.clock.pass_by(1)
            for path in (PATH, OTHER):
                assert world.known_project(ann, path).why is Why.STALE
                assert world.known_project(guy, path).why is Why.GUEST


async def test_once_gitlab_is_down_for_all_nobody_waits_even_once(gitlab: GitLab) -> None:
    token = gitlab.token("ann")
    async with deciding(gitlab) as world:
        for path in (PATH, OTHER):
            await world.in_project(token, path)
        world.clock.pass_by(31)
        await world.lose_gitlab()
        calls = len(gitlab.calls())

        assert (await world.in_project(token, PATH)).why is Why.STALE
        assert world.known_project(token, OTHER).why is Why.STALE
        await world.idle()

    assert len(gitlab.calls()) == calls


async def test_a_caller_for_whom_gitlab_fails_costs_nobody_else_anything(gitlab: GitLab) -> None:
    ann, guy = gitlab.token("ann"), gitlab.token("guy")
    async with deciding(gitlab) as world:
        for path in (PATH, OTHER):
            await world.in_project(ann, path)
        world.clock.pass_by(31)
        gitlab.faults("error", times=20)
        for number in range(20):
            with pytest.raises(Unavailable):
                await world.in_project(guy, f"acme/p{number}")

        assert (await world.in_project(ann, PATH)).role is Role.WRITE
        assert (await world.in_project(ann, OTHER)).role is Role.WRITE


async def test_that_we_ask_too_much_at_once_is_no_outage(gitlab: GitLab) -> None:
    ann, guy = gitlab.token("ann"), gitlab.token("guy")
    async with deciding(gitlab) as world:
        for token in (ann, guy):
            await world.in_project(token, PATH)
        gitlab.remove_member("acme", "ann")
        world.clock.pass_by(31)
        gitlab.faults("latency", seconds=TIMEOUT * 0.4)
        paths = [f"acme/p{number}" for number in range(6 * Line.CHECKS.slots)]
        flood = [asyncio.create_task(world.in_project(guy, path)) for path in paths]
        await asyncio.sleep(0)
        with pytest.raises(Busy):
            await world.in_project(ann, PATH)
        gitlab.heal()
        await asyncio.gather(*flood, return_exceptions=True)

        with pytest.raises(NotFound):
            await world.in_project(ann, PATH)


async def test_made_up_tokens_keep_no_known_caller_waiting(gitlab: GitLab) -> None:
    token = gitlab.token("ann")
    async with deciding(gitlab) as world:
        await world.in_project(token, PATH)
        world.clock.pass_by(31)
        gitlab.forget_calls()
        gitlab.faults("latency", seconds=TIMEOUT * 0.2)
        flood = [
            asyncio.create_task(world.in_project(f"made-up-{number}", PATH))
            for number in range(2_000)
        ]
        await asyncio.sleep(0)

        assert (await world.in_project(token, PATH)).role is Role.WRITE
        # Two thousand in eight slots: he has not waited for them.
        assert not all(task.done() for task in flood)
        outcomes = await asyncio.gather(*flood, return_exceptions=True)

    assert {type(outcome) for outcome in outcomes} == {Busy, Unauthenticated}
    assert len(gitlab.calls()) < 100


@pytest.mark.parametrize(
    ("fault", "calls"),
    [
        # Five until the breaker opens, and then one every five seconds.
        (("error", {"status": 500}), 5 + 60 / 5),
        # The breaker stays closed: GitLab, or a firewall in front of it, does answer.
        (("html", {"status": 403}), 5 * (1 + 60)),
    ],
    ids=["down", "banned"],
)
async def test_an_outage_is_not_hammered(gitlab: GitLab, fault: Fault, calls: float) -> None:
    tokens = [gitlab.token("ann") for _ in range(5)]
    async with deciding(gitlab) as world:
        for token in tokens:
            await world.in_project(token, PATH)
        world.clock.pass_by(31)
        gitlab.faults(fault[0], **fault[1])
        gitlab.forget_calls()
        for _ in range(240):
            for token in tokens:
                assert (await world.in_project(token, PATH)).why is Why.STALE
            await world.idle()
            world.clock.pass_by(0.25)

    assert calls * 0.8 <= len(gitlab.calls()) <= calls


async def test_a_slow_gitlab_is_not_waited_for_without_end_and_its_answer_is_kept(
    gitlab: GitLab,
) -> None:
    gitlab.faults("latency", seconds=TIMEOUT * 0.6)
    token = gitlab.token("ann")
    async with deciding(gitlab, patience=TIMEOUT * 0.8) as world:
        with pytest.raises(Unavailable, match="in time"):
            await world.in_project(token, PATH)

        assert (await world.in_project(token, PATH)).role is Role.WRITE
    assert len(asked(gitlab)) == 2


async def test_that_an_answer_takes_many_calls_is_no_outage(gitlab: GitLab) -> None:
    token = gitlab.token("ann")
    async with deciding(gitlab, patience=TIMEOUT * 0.8) as world:
        await world.in_project(token, PATH)
        # Too old for one call.
        gitlab.set_version("16.8")
        gitlab.faults("latency", seconds=TIMEOUT * 0.3)
        world.clock.pass_by(31)

        with pytest.raises(Busy, match="in time"):
            await world.in_project(token, PATH)

        await world.idle()
        assert world.known_project(token, PATH).role is Role.WRITE


async def test_the_event_loop_is_never_blocked(
    gitlab: GitLab, caplog: pytest.LogCaptureFixture
) -> None:
    token, paths = gitlab.token("ann"), [PATH, OTHER, "acme/nothing"]
    gitlab.faults("hang", path="nothing")
    loop = asyncio.get_running_loop()
    loop.set_debug(True)
    loop.slow_callback_duration = TIMEOUT * 0.9
    async with deciding(gitlab) as world:
        outcomes = await asyncio.gather(
            *(world.in_project(token, path) for path in paths * 50), return_exceptions=True
        )
    loop.set_debug(False)

    assert len(outcomes) == 150
    assert not [record for record in caplog.records if record.name == "asyncio"]
