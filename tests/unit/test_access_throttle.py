"""What an address that keeps sending bad credentials costs GitLab, and whom it holds up."""

import asyncio
from collections import Counter
from dataclasses import replace

import pytest
from pydantic import SecretStr

from extauthz._pb.external_auth_pb2 import CheckResponse
from extauthz.edge.access import ProjectAccess
from extauthz.edge.answers import Deny, encode
from extauthz.edge.assembly import open_access
from extauthz.edge.credentials import VISITOR, Credential, Kind
from extauthz.edge.refusals import (
    Forbidden,
    NotFound,
    TooManyAttempts,
    Unauthenticated,
    Unavailable,
)
from extauthz.edge.settings import Settings
from extauthz.edge.throttle import MOST_REFUSALS, SECONDS_PER_REFUSAL
from extauthz.grant import GrantSigner, Why
from extauthz.levels import Role
from tests.access import INSTANCE, KEY, SECRET, Calls, World, credential, decided, deciding, settled
from tests.gitlab import DEVELOPER, GUEST, GitLab
from tests.sharinghub import CONTRIBUTOR, SharingHub

PATH, OTHER = "acme/vision/detector", "acme/vision/other"
HERE, THERE = "192.0.2.1", "2001:db8::1"


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


def _sent(token: str, client: str) -> Credential:
    return replace(credential(token), client=client)


async def _access(
    world: World, token: str, *, client: str = HERE, path: str = PATH
) -> ProjectAccess:
    return await settled(world.access.in_project(_sent(token, client), path))


async def _flood(
    world: World, number: int, *, prefix: str = "made-up", client: str = HERE
) -> list[type]:
    """Send so many tokens at once that are none; returns how each ended."""
    outcomes = await asyncio.gather(
        *(_access(world, f"{prefix}-{each}", client=client) for each in range(number)),
        return_exceptions=True,
    )
    return [type(outcome) for outcome in outcomes]


@pytest.mark.parametrize(
    ("prefix", "calls"),
    # GitLab is asked why it refuses what looks like one of its own tokens, if nobody waits.
    [("made-up", range(20, 21)), ("glpat", range(20, 41))],
)
async def test_two_hundred_made_up_tokens_cost_what_twenty_cost(
    gitlab: GitLab, prefix: str, calls: range
) -> None:
    async with deciding(gitlab) as world:
        outcomes = await _flood(world, 200, prefix=prefix)

    assert outcomes.count(Unauthenticated) == MOST_REFUSALS
    assert outcomes.count(TooManyAttempts) == 200 - MOST_REFUSALS
    assert len(gitlab.calls()) in calls


async def test_one_after_the_other_they_cost_no_more(gitlab: GitLab) -> None:
    async with deciding(gitlab) as world:
        for number in range(200):
            with pytest.raises((Unauthenticated, TooManyAttempts)):
                await _access(world, f"made-up-{number}")

    assert len(gitlab.calls()) == MOST_REFUSALS


async def test_as_time_passes_more_are_tried(gitlab: GitLab) -> None:
    async with deciding(gitlab) as world:
        await _flood(world, 200)
        world.clock.pass_by(5 * SECONDS_PER_REFUSAL)

        assert (await _flood(world, 200, prefix="other")).count(Unauthenticated) == 5

    assert len(gitlab.calls()) == MOST_REFUSALS + 5


async def test_who_is_known_is_served_and_asked_about_all_the_same(gitlab: GitLab) -> None:
    ann = gitlab.token("ann")
    async with deciding(gitlab) as world:
        before = await _access(world, ann)
        await _flood(world, 200)
        assert world.access.in_project(_sent(ann, HERE), PATH) is before
        assert (await _access(world, ann, path=OTHER)).role is Role.WRITE
        world.clock.pass_by(SECONDS_PER_REFUSAL * MOST_REFUSALS)
        await _flood(world, 200, prefix="other")
        gitlab.forget_calls()

        after = await _access(world, ann)

    assert after is not before
    assert len(gitlab.calls()) == 1


async def test_the_last_refusal_of_a_known_caller_is_not_held_up_either(gitlab: GitLab) -> None:
    ann = gitlab.token("ann")
    async with deciding(gitlab) as world:
        await _access(world, ann)
        gitlab.revoke(ann)
        await _flood(world, 200)
        with pytest.raises(Unauthenticated):
            await _access(world, ann, path=OTHER)
        world.clock.pass_by(SECONDS_PER_REFUSAL - 1)

        with pytest.raises(Unauthenticated):
            world.access.in_project(_sent(ann, HERE), PATH)


async def test_other_addresses_are_let_in(gitlab: GitLab) -> None:
    ann, guy = gitlab.token("ann"), gitlab.token("guy")
    async with deciding(gitlab) as world:
        flood = asyncio.create_task(_flood(world, 200))
        await asyncio.sleep(0)

        assert (await _access(world, ann, client=THERE)).role is Role.WRITE
        await flood
        assert (await _access(world, guy, client=THERE)).role is Role.READ


async def test_a_newcomer_from_there_is_told_when_to_come_again(gitlab: GitLab) -> None:
    ann = gitlab.token("ann")
    async with deciding(gitlab) as world:
        await _flood(world, 200)
        with pytest.raises(TooManyAttempts) as caught:
            await _access(world, ann)
        world.clock.pass_by(caught.value.retry_after)

        assert (await _access(world, ann)).role is Role.WRITE

    answer = CheckResponse.FromString(encode(Deny(caught.value))).denied_response
    headers = {option.header.key: option.header.value for option in answer.headers}
    assert (answer.status.code, headers["retry-after"]) == (429, "3")


async def test_a_refusal_that_is_known_costs_nothing(gitlab: GitLab) -> None:
    async with deciding(gitlab) as world:
        for _ in range(10 * MOST_REFUSALS):
            with pytest.raises(Unauthenticated):
                await _access(world, "made-up")

        assert (await _flood(world, 200)).count(Unauthenticated) == MOST_REFUSALS - 1


async def test_who_joins_a_question_costs_nothing(gitlab: GitLab) -> None:
    ann = gitlab.token("ann")
    async with deciding(gitlab) as world:
        accesses = await asyncio.gather(*(_access(world, ann) for _ in range(200)))
        bad = [_access(world, "made-up") for _ in range(200)]
        outcomes = await asyncio.gather(*bad, return_exceptions=True)

        assert (await _flood(world, 200)).count(Unauthenticated) == MOST_REFUSALS - 1
    assert len(set(map(id, accesses))) == 1
    assert {type(outcome) for outcome in outcomes} == {Unauthenticated}


async def test_newcomers_who_are_good_cost_nothing(gitlab: GitLab) -> None:
    tokens = [gitlab.token("guy") for _ in range(3 * MOST_REFUSALS)]
    async with deciding(gitlab) as world:
        for token in tokens:
            await _access(world, token)

        assert (await _flood(world, 200)).count(Unauthenticated) == MOST_REFUSALS


@pytest.mark.parametrize("refusal", [NotFound, Forbidden])
async def test_who_is_proven_and_gets_nothing_costs_nothing(
    gitlab: GitLab, refusal: type[NotFound | Forbidden]
) -> None:
    tokens = [gitlab.token("ann") for _ in range(3 * MOST_REFUSALS)]
    gitlab.remove_member("acme", "ann")
    if refusal is Forbidden:
        gitlab.block("ann")
    async with deciding(gitlab) as world:
        for token in tokens:
            with pytest.raises(refusal):
                await _access(world, token)

        assert (await _flood(world, 200)).count(Unauthenticated) == MOST_REFUSALS


async def test_an_outage_costs_nothing(gitlab: GitLab) -> None:
    async with deciding(gitlab) as world:
        gitlab.faults("html", status=403)
        for number in range(3 * MOST_REFUSALS):
            with pytest.raises(Unavailable):
                await _access(world, f"unlucky-{number}")
        gitlab.heal()

        assert (await _flood(world, 200)).count(Unauthenticated) == MOST_REFUSALS


async def test_the_global_view_is_no_way_around_it(gitlab: GitLab) -> None:
    ann = gitlab.token("ann")
    async with deciding(gitlab) as world:
        world.mlflow.ids = [1, 2]
        await settled(world.access.everywhere(_sent(ann, HERE)))
        await _flood(world, 200)

        with pytest.raises(TooManyAttempts):
            await settled(world.access.everywhere(_sent("made-up", HERE)))
        world.clock.pass_by(SECONDS_PER_REFUSAL)
        with pytest.raises(Unauthenticated):
            await settled(world.access.everywhere(_sent("made-up", HERE)))
        with pytest.raises(TooManyAttempts):
            await _access(world, "another")
        assert (await _access(world, ann)).role is Role.WRITE


async def test_without_an_address_nobody_is_held_up(gitlab: GitLab) -> None:
    async with deciding(gitlab) as world:
        outcomes = await _flood(world, 60, client="")

    assert set(outcomes) == {Unauthenticated}


async def test_forged_sessions_and_made_up_tokens_cost_sharinghub_as_little() -> None:
    """They are counted together, and neither visitors nor the tokens in good sessions are."""
    with SharingHub.start() as hub:
        hub.project(101, PATH, dev=CONTRIBUTOR, robot=CONTRIBUTOR)
        hub.anonymous(default_token=hub.token("robot"))
        settings = Settings.load(
            {
                "SHARINGHUB_URL": hub.url,
                "MLFLOW_URL": "http://127.0.0.1:9",
                "SECRET_KEY": SECRET.get_secret_value(),
                "INSTANCE_ID": INSTANCE,
                "SHARINGHUB_AUTH_DEFAULT_TOKEN": "true",
            }
        )
        async with open_access(settings, signer=GrantSigner(KEY), observer=Calls()) as parts:
            access = parts.accesses
            dev = _session(hub.session(hub.token("dev")))
            before = await decided(access.in_project(dev, PATH))
            visitor = replace(VISITOR, client=HERE)
            bad = [
                made_up
                for number in range(50)
                for made_up in (_session(f"forged-{number}"), _sent(f"made-up-{number}", HERE))
            ]
            outcomes = await asyncio.gather(
                *(decided(access.in_project(made_up, PATH)) for made_up in bad),
                return_exceptions=True,
            )

            assert access.in_project(dev, PATH) is before
            assert (await decided(access.in_project(visitor, PATH))).why is Why.VISITOR
            with pytest.raises(TooManyAttempts):
                await decided(access.in_project(_session(hub.session(hub.token("dev"))), PATH))
    # A forged session makes a visitor.
    half = MOST_REFUSALS // 2
    assert Counter(map(type, outcomes)) == {
        ProjectAccess: half,
        Unauthenticated: half,
        TooManyAttempts: len(bad) - 2 * half,
    }


def _session(value: str) -> Credential:
    return Credential(Kind.SHARINGHUB_SESSION, SecretStr(value), client=HERE)
