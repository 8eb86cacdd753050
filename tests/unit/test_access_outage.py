"""What is left of access while GitLab is in trouble, and how little anybody waits for it."""

import asyncio
from collections.abc import Iterator

import pytest

from extauthz.edge.errors import NotFound, Unauthenticated, Unavailable
from extauthz.edge.outage import Busy, Throttled
from extauthz.edge.slots import Line
from extauthz.grant import Why
from extauthz.levels import Role
from tests.access import TIMEOUT, World, asked, credential, deciding
from tests.gitlab import DEVELOPER, GUEST, GitLab

PATH, OTHER = "acme/vision/detector", "acme/vision/other"
OUTAGES = [
    ("error", {"status": 500}),
    ("error", {"status": 503}),
    ("html", {"status": 502}),
    ("html", {"status": 403}),
    ("reset", {}),
    ("hang", {}),
    ("truncate", {}),
    ("huge", {}),
    ("redirect", {"location": "https://evil.example.org/"}),
]
Fault = tuple[str, dict[str, object]]


@pytest.fixture(scope="module")
def running() -> Iterator[GitLab]:
    with GitLab.start() as gitlab:
        yield gitlab


@pytest.fixture
def gitlab(running: GitLab) -> GitLab:
    """A GitLab where `ann` is a developer and `guy` a guest of two projects."""
    running.reset()
    for path in (PATH, OTHER):
        running.create_project(path)
    for name, level in (("ann", DEVELOPER), ("guy", GUEST)):
        running.create_user(name)
        running.add_member("acme", name, level)
    return running


async def _go_down(world: World) -> None:
    """Let GitLab fail for so many callers that nobody asks it any more."""
    world.gitlab.faults("error", times=5)
    for _ in range(5):
        with pytest.raises(Unavailable):
            await world.in_project(world.gitlab.token("ann"), PATH)


@pytest.mark.parametrize("fault", OUTAGES, ids=range(len(OUTAGES)))
async def test_who_is_not_known_is_told_to_come_again(gitlab: GitLab, fault: Fault) -> None:
    gitlab.faults(fault[0], **fault[1])
    async with deciding(gitlab) as world:
        with pytest.raises(Unavailable) as caught:
            await world.in_project(gitlab.token("ann"), PATH)

    assert caught.value.retry_after >= 1


@pytest.mark.parametrize("fault", OUTAGES, ids=range(len(OUTAGES)))
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
        await _go_down(world)
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
        await _go_down(world)
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
        await _go_down(world)
        assert (await world.in_project(ann, PATH)).why is Why.STALE
        world.clock.pass_by(5)
        gitlab.faults("throttle", seconds=20)
        assert world.known_project(guy, PATH).why is Why.GUEST
        await world.idle()

        with pytest.raises(Throttled):
            world.access.in_project(credential(guy), PATH)
        assert world.known_project(ann, OTHER).why is Why.STALE


async def test_without_the_scopes_a_writer_is_not_known(gitlab: GitLab) -> None:
    token = gitlab.token("ann")
    async with deciding(gitlab) as world:
        gitlab.faults("error", path="self", times=1)
        with pytest.raises(Unavailable):
            await world.in_project(token, PATH)

        assert (await world.in_project(token, PATH)).role is Role.WRITE


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


async def test_a_credential_is_in_no_message(gitlab: GitLab) -> None:
    token = gitlab.token("ann")
    gitlab.faults("error")
    async with deciding(gitlab) as world:
        with pytest.raises(Unavailable) as caught:
            await world.in_project(token, PATH)

    assert token not in f"{caught.value!r} {credential(token)!r}"
