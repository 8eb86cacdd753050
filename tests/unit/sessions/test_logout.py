"""A logout ends a session everywhere and for good, whatever is under way."""

import asyncio

import pytest

from extauthz.edge.refusals import Unavailable
from tests.sessions import DUE, REVOKE, TOKENS, Answer, Deployment, Replica


@pytest.mark.parametrize("slow", [TOKENS, REVOKE, "/nothing"])
async def test_a_logout_that_meets_a_refresh_leaves_nothing_alive(
    deployment: Deployment, replica: Replica, slow: str
) -> None:
    """Threat 60, and the race in it: the pair that comes while the old one is revoked."""
    cookie = await replica.sign_in(deployment.user())
    first = (await replica.resume(cookie)).session.tokens
    deployment.gitlab.faults("latency", path=slow, seconds=0.3)
    deployment.pass_by(DUE)
    request, logout = replica.ask(cookie), replica.sign_out(cookie)
    order = [logout, request] if slow == REVOKE else [request, logout]

    earlier = asyncio.create_task(order[0])
    if slow != "/nothing":
        await deployment.asked_for(slow)
    await asyncio.gather(earlier, order[1])

    deployment.gitlab.heal()
    assert not any(map(deployment.alive, [first, *deployment.issued]))
    async with deployment.replica() as restarted:
        for each in (replica, restarted):
            assert (await each.ask(cookie)).status == 401


async def test_a_cookie_that_a_request_got_during_a_logout_is_worth_nothing(
    in_cookies: Deployment,
) -> None:
    async with in_cookies.replica() as replica:
        cookie = await replica.sign_in(in_cookies.user())
        in_cookies.gitlab.faults("latency", path="/oauth/", seconds=0.1)
        in_cookies.pass_by(DUE)
        logout = asyncio.create_task(replica.sign_out(cookie))
        answers = await asyncio.gather(*(_after(each / 50, replica, cookie) for each in range(20)))
        await logout

    async with in_cookies.replica() as restarted:
        for held in {answer.cookie for answer in answers}:
            assert (await restarted.ask(held)).status == 401


async def test_after_a_logout_a_copy_of_the_cookie_is_refused_at_once(
    deployment: Deployment, replica: Replica
) -> None:
    """Threat 60: SharingHub still accepts it. So does no access that was just looked up."""
    old = await replica.sign_in(deployment.user())
    deployment.pass_by(DUE)
    new = (await replica.ask(old)).cookie
    await replica.ask(new)

    await replica.sign_out(new)

    async with deployment.replica() as other:
        for each in (replica, other):
            assert [(await each.ask(copy)).status for copy in (old, new)] == [401, 401]
    assert replica.calls.events == ["begun", "refreshed", "ended"]


async def test_where_tokens_are_revoked_on_use_a_logout_ends_the_pair_before_as_well(
    in_cookies: Deployment,
) -> None:
    """GitLab revokes with the refresh; Doorkeeper can be told to wait for the new pair's use."""
    in_cookies.tamper(late_revocation=True)
    async with in_cookies.replica() as replica:
        old = await replica.sign_in(in_cookies.user())
        in_cookies.pass_by(DUE)
        new = (await replica.resume(old)).session.cookie
        await replica.sign_out(new)

    async with in_cookies.replica() as restarted:
        assert (await restarted.ask(old)).status == 401


async def test_a_logout_that_gitlab_does_not_hear_of_does_not_happen(
    deployment: Deployment, replica: Replica
) -> None:
    cookie = await replica.sign_in(deployment.user())
    await replica.ask(cookie)
    deployment.gitlab.faults("error", path=REVOKE, status=503)

    with pytest.raises(Unavailable):
        await replica.sign_out(cookie)

    assert (await replica.ask(cookie)).status == 200
    deployment.gitlab.heal()
    await replica.sign_out(cookie)
    assert (await replica.ask(cookie)).status == 401


async def _after(seconds: float, replica: Replica, cookie: str) -> Answer:
    await asyncio.sleep(seconds)
    return await replica.ask(cookie)
