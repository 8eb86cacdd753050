"""GitLab's signing keys: how seldom they are asked for, and what counts when that fails."""

import asyncio

import pytest
from joserfc.jwk import RSAKey

from extauthz.edge.jwks import BadToken
from extauthz.edge.outage import Busy, Outage, Throttled
from extauthz.edge.refusals import Unavailable
from tests.acme import PATH, acme
from tests.gitlab import DEVELOPER, GitLab
from tests.jwks import KEYS, publishing, reading, signed
from tests.outages import OUTAGES, Fault

AUDIENCE = "https://mlflow.example.org"
HOUR = 3_600


FAULTS = [*OUTAGES, ("error", {"status": 404}), ("html", {"status": 200})]


@pytest.fixture
def gitlab(running: GitLab) -> GitLab:
    """A GitLab where `ann` is a developer."""
    return acme(running, ann=DEVELOPER)


@pytest.fixture(scope="module")
def key() -> RSAKey:
    return RSAKey.generate_key(2048)


async def test_a_token_that_gitlab_signed_tells_its_claims(gitlab: GitLab) -> None:
    async with reading(gitlab.url) as reader:
        claims = await reader.keys.verified(minted(gitlab))

    assert (claims["iss"], claims["aud"]) == (gitlab.url, AUDIENCE)
    assert reader.calls.seen == [("keys", "answered")]


async def test_the_keys_are_read_once_in_an_hour(gitlab: GitLab) -> None:
    token = minted(gitlab)
    async with reading(gitlab.url) as reader:
        for _ in range(10):
            await reader.keys.verified(token)
            reader.clock.pass_by(HOUR / 10 - 1)
        assert fetches(gitlab) == 1
        reader.clock.pass_by(10)

        await reader.keys.verified(token)

    assert fetches(gitlab) == 2


async def test_many_who_come_at_once_share_one_call(gitlab: GitLab) -> None:
    token = minted(gitlab)
    gitlab.faults("latency", path=KEYS, seconds=0.2)
    async with reading(gitlab.url) as reader:
        await asyncio.gather(*(reader.keys.verified(token) for _ in range(100)))

    assert fetches(gitlab) == 1


async def test_a_new_key_is_known_after_one_call(gitlab: GitLab) -> None:
    async with reading(gitlab.url) as reader:
        await reader.keys.verified(minted(gitlab))
        reader.clock.pass_by(10)
        gitlab.rotate_keys()

        for _ in range(10):
            await reader.keys.verified(minted(gitlab))

    assert fetches(gitlab) == 2


async def test_a_withdrawn_key_counts_no_more_once_the_keys_are_read_again(
    gitlab: GitLab,
) -> None:
    old = minted(gitlab)
    async with reading(gitlab.url) as reader:
        await reader.keys.verified(old)
        gitlab.rotate_keys()
        await reader.keys.verified(old)
        reader.clock.pass_by(HOUR)

        assert "does not publish" in await reader.refusal(old)

    assert fetches(gitlab) == 2


async def test_a_flood_of_made_up_keys_costs_one_call_in_ten_seconds(gitlab: GitLab) -> None:
    """Threat 48: anybody can name a key, so naming one must cost GitLab nothing."""
    token = minted(gitlab)
    flood = [minted(gitlab, header={"kid": f"made-up-{number}"}) for number in range(20)]
    async with reading(gitlab.url) as reader:
        await reader.keys.verified(token)
        for made_up in flood:
            with pytest.raises(Busy):
                await reader.keys.verified(made_up)
        assert fetches(gitlab) == 1
        reader.clock.pass_by(10)

        for number, made_up in enumerate(flood):
            with pytest.raises(Busy if number else BadToken):
                await reader.keys.verified(made_up)
            await reader.keys.verified(token)

    assert fetches(gitlab) == 2


async def test_a_new_key_waits_behind_a_flood_for_ten_seconds_at_most(gitlab: GitLab) -> None:
    made_up = minted(gitlab, header={"kid": "made-up"})
    async with reading(gitlab.url) as reader:
        await reader.refusal(made_up)
        gitlab.rotate_keys()
        token = minted(gitlab)
        with pytest.raises(Unavailable) as caught:
            await reader.keys.verified(token)
        assert caught.value.retry_after >= 1
        reader.clock.pass_by(10)

        await reader.keys.verified(token)

    assert fetches(gitlab) == 2


@pytest.mark.parametrize("fault", FAULTS, ids=range(len(FAULTS)))
async def test_in_an_outage_the_keys_that_are_known_still_count(
    gitlab: GitLab, fault: Fault
) -> None:
    token, unknown = minted(gitlab), minted(gitlab, header={"kid": "made-up"})
    async with reading(gitlab.url) as reader:
        await reader.keys.verified(token)
        gitlab.faults(fault[0], **fault[1])
        reader.clock.pass_by(2 * HOUR)

        for _ in range(10):
            await reader.keys.verified(token)
        with pytest.raises(Unavailable):
            await reader.keys.verified(unknown)
        assert reader.calls.outcomes[1:] in (["trouble"], ["answered"])
        gitlab.heal()
        reader.clock.pass_by(10)
        await reader.refusal(unknown)

    assert len(reader.calls.seen) == 3


@pytest.mark.parametrize("fault", FAULTS, ids=range(len(FAULTS)))
async def test_in_an_outage_an_unknown_key_is_no_definite_answer(
    gitlab: GitLab, fault: Fault
) -> None:
    token = minted(gitlab)
    async with reading(gitlab.url) as reader:
        gitlab.faults(fault[0], **fault[1])
        with pytest.raises(Outage):
            await reader.keys.verified(token)
        gitlab.heal()
        for _ in range(10):
            with pytest.raises(Busy):
                await reader.keys.verified(token)
        assert len(reader.calls.seen) == 1
        reader.clock.pass_by(1)

        await reader.keys.verified(token)


async def test_a_gitlab_that_limits_us_is_no_definite_answer(gitlab: GitLab) -> None:
    token = minted(gitlab)
    gitlab.faults("throttle", path=KEYS, seconds=7)
    async with reading(gitlab.url) as reader:
        with pytest.raises(Throttled):
            await reader.keys.verified(token)


async def test_who_waits_for_keys_is_told_when_the_server_stops(gitlab: GitLab) -> None:
    token = minted(gitlab)
    gitlab.faults("hang", path=KEYS)
    async with reading(gitlab.url) as reader:
        waiting = asyncio.create_task(reader.keys.verified(token))
        await asyncio.sleep(0.1)
        await reader.keys.close()

        with pytest.raises(Unavailable, match="shutting down"):
            await waiting


@pytest.mark.parametrize("body", [{}, {"keys": {}}, {"keys": None}, [], None, "keys"])
async def test_an_answer_that_is_no_set_of_keys_is_an_outage(key: RSAKey, body: object) -> None:
    async with publishing(body) as reader:
        with pytest.raises(Outage):
            await reader.keys.verified(signed(key))


def minted(gitlab: GitLab, **knobs: object) -> str:
    gitlab.tamper(**knobs)
    return gitlab.mint_id_token(PATH, "ann", AUDIENCE)


def fetches(gitlab: GitLab) -> int:
    return len(gitlab.calls(KEYS))
