"""A session's tokens are refreshed ahead of their end, by one request for all.

GitLab's refresh tokens work once. Whoever asks twice, or does not keep the answer, signs people out
(oauth2-proxy #611, #1006, #1384, #1473, #1992).
"""

import asyncio

from tests.sessions import DUE, ENDED, TOKENS, Deployment, Replica


async def test_tokens_are_refreshed_ahead_of_their_end(
    deployment: Deployment, replica: Replica
) -> None:
    cookie = await replica.sign_in(deployment.user())
    deployment.pass_by(DUE - 10)
    before = await replica.resume(cookie)
    assert deployment.refreshes() == 0

    deployment.pass_by(10)
    after = await replica.resume(cookie)

    assert deployment.refreshes() == 1
    assert after.session.tokens == deployment.issued[0]
    assert after.session.tokens.ends > before.session.tokens.ends
    assert deployment.alive(after.session.tokens)
    assert not deployment.alive(before.session.tokens)
    assert replica.calls.events == ["begun", "refreshed"]


async def test_a_hundred_requests_of_a_due_session_make_one_refresh(
    deployment: Deployment, replica: Replica
) -> None:
    cookie = await replica.sign_in(deployment.user())
    deployment.gitlab.faults("latency", path=TOKENS, seconds=0.2)
    deployment.pass_by(DUE)

    held = await asyncio.gather(*(replica.resume(cookie) for _ in range(100)))

    assert deployment.refreshes() == 1
    assert {one.session.tokens.access.get_secret_value() for one in held} == {
        deployment.issued[0].access.get_secret_value()
    }
    assert len({one.cookies for one in held}) == 1
    assert bool(held[0].cookies) is deployment.in_cookies


async def test_replicas_share_one_refresh(in_redis: Deployment) -> None:
    async with in_redis.replica() as one, in_redis.replica() as other:
        cookie = await one.sign_in(in_redis.user())
        in_redis.gitlab.faults("latency", path=TOKENS, seconds=0.2)
        in_redis.pass_by(ENDED)

        answers = await asyncio.gather(*(each.ask(cookie) for each in [one, other] * 50))

    assert {answer.status for answer in answers} == {200}
    assert in_redis.refreshes() == 1
    assert sorted(one.calls.events + other.calls.events) == ["begun", "refreshed"]


async def test_who_gives_up_waiting_does_not_end_the_refresh(
    deployment: Deployment, replica: Replica
) -> None:
    cookie = await replica.sign_in(deployment.user())
    deployment.gitlab.faults("latency", path=TOKENS, seconds=0.2)
    deployment.pass_by(ENDED)

    impatient = asyncio.create_task(replica.ask(cookie))
    patient = asyncio.create_task(replica.ask(cookie))
    await deployment.asked_for(TOKENS)
    impatient.cancel()

    assert (await patient).status == 200
    assert deployment.refreshes() == 1


async def test_a_process_that_is_told_to_end_keeps_the_tokens_that_it_has_asked_for(
    in_redis: Deployment,
) -> None:
    async with in_redis.replica() as replica:
        cookie = await replica.sign_in(in_redis.user())
        asked = await replica.refreshing(cookie)
        asked.cancel()

    async with in_redis.replica() as replica:
        assert (await replica.ask(cookie)).status == 200
    assert in_redis.refreshes() == 1


async def test_an_old_cookie_leads_to_the_refreshed_session(in_cookies: Deployment) -> None:
    async with in_cookies.replica() as replica:
        old = await replica.sign_in(in_cookies.user())
        in_cookies.pass_by(DUE)
        first = await replica.ask(old)

        again = await replica.ask(old)

        assert again.status == 200
        assert again.cookie == first.cookie != old
        assert not (await replica.ask(first.cookie)).changed
        assert in_cookies.refreshes() == 1


async def test_a_refused_request_still_hands_out_the_refreshed_session(
    in_cookies: Deployment,
) -> None:
    async with in_cookies.replica() as replica:
        old = await replica.sign_in(in_cookies.user())
        in_cookies.pass_by(DUE)

        refused = await replica.ask(old, "acme/nowhere")

        assert (refused.status, refused.changed) == (404, True)
    async with in_cookies.replica() as replica:
        assert (await replica.ask(refused.cookie)).status == 200
    assert in_cookies.refreshes() == 1


async def test_after_a_restart_an_old_cookie_does_not_end_the_session_of_the_new_one(
    in_cookies: Deployment,
) -> None:
    """A request that was on its way meanwhile, or whoever has copied an old cookie."""
    async with in_cookies.replica() as replica:
        old = await replica.sign_in(in_cookies.user())
        in_cookies.pass_by(DUE)
        new = (await replica.ask(old)).cookie

    async with in_cookies.replica() as replica:
        assert (await replica.ask(old)).status == 401
        assert (await replica.ask(new)).status == 200
        in_cookies.pass_by(DUE - 100)
        new = (await replica.ask(new)).cookie
    async with in_cookies.replica() as replica:
        in_cookies.pass_by(200)
        late, answer = await asyncio.gather(replica.ask(old), replica.ask(new))

        assert (late.status, answer.status) == (401, 200)
        assert (await replica.ask(answer.cookie)).status == 200


async def test_a_lost_answer_of_gitlab_costs_the_session(
    deployment: Deployment, replica: Replica
) -> None:
    """The one way in which nobody has the new pair: GitLab made it, and nobody heard."""
    cookie = await replica.sign_in(deployment.user())
    deployment.gitlab.faults("truncate", path=TOKENS, times=1)
    deployment.pass_by(ENDED)
    assert (await replica.ask(cookie)).status == 503

    assert (await replica.ask(cookie)).status == 401


async def test_a_lost_answer_costs_nothing_where_tokens_are_revoked_on_use(
    deployment: Deployment, replica: Replica
) -> None:
    deployment.tamper(late_revocation=True)
    cookie = await replica.sign_in(deployment.user())
    deployment.gitlab.faults("truncate", path=TOKENS, times=1)
    deployment.pass_by(DUE)
    assert (await replica.ask(cookie)).status == 200

    deployment.pass_by(ENDED - DUE)

    assert (await replica.ask(cookie)).status == 200
    assert "lost" not in replica.calls.events


async def test_a_request_that_asks_with_tokens_that_another_refreshes_succeeds(
    deployment: Deployment, replica: Replica
) -> None:
    cookie = await replica.sign_in(deployment.user())
    deployment.gitlab.faults("latency", path="/api/graphql", seconds=0.4, times=1)
    deployment.pass_by(DUE - 10)
    slow = asyncio.create_task(replica.ask(cookie))
    await deployment.asked_for("/api/graphql")

    deployment.pass_by(20)
    quick = await replica.ask(cookie)

    assert quick.status == 200
    assert not slow.done()
    assert (await slow).status == 200
    assert (await slow).cookie == quick.cookie
    assert deployment.refreshes() == 1


async def test_tokens_that_live_for_seconds_are_not_refreshed_by_every_request(
    deployment: Deployment, replica: Replica
) -> None:
    deployment.tamper(access_token_lifetime=10)
    cookie = await replica.sign_in(deployment.user())

    for _ in range(60):
        deployment.pass_by(1)
        answers = [await replica.ask(cookie) for _ in range(3)]
        assert {answer.status for answer in answers} == {200}
        cookie = answers[-1].cookie

    assert 10 <= deployment.refreshes() <= 12
