"""What becomes of a session: refreshed by one for all, never lost by an outage, ended by a logout.

GitLab's refresh tokens work once. Whoever asks twice, or does not keep the answer, signs people out
(oauth2-proxy #611, #1006, #1384, #1473, #1992).
"""

import asyncio
import json
import os
import signal
import time
from base64 import urlsafe_b64decode
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from pydantic import SecretStr
from structlog.testing import capture_logs

from extauthz.edge.access import ProjectAccess
from extauthz.edge.errors import Unauthenticated, Unavailable
from extauthz.edge.seal import Seal
from extauthz.edge.session import SECONDS_AT_MOST
from extauthz.edge.sessions import Held
from extauthz.grant import Why
from extauthz.levels import Role
from tests.gitlab import GitLab
from tests.oidc_client import CALLBACK, SCOPE
from tests.servers.redis import RedisServer, redis_server
from tests.sessions import (
    DUE,
    ENDED,
    FORGOTTEN,
    IDLE,
    PROJECT,
    SEAL,
    Answer,
    Deployment,
    Replica,
    held_after,
    session_credential,
    unsealed,
)

# After a failed refresh nobody asks for another so long, and the breaker waits for less.
PAUSE = 16.0
QUICK = 0.4
# Paths at GitLab.
TOKENS, REVOKE = "/oauth/token$", "/oauth/revoke$"


@pytest.fixture(scope="module")
def running() -> Iterator[GitLab]:
    with GitLab.start() as gitlab:
        gitlab.create_project(PROJECT)
        yield gitlab


@pytest.fixture(scope="module")
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with redis_server(tmp_path_factory.mktemp("redis")) as server:
        yield server


@pytest.fixture
def gitlab(running: GitLab) -> GitLab:
    running.heal()
    running.tamper()
    running.forget_calls()
    return running


@pytest.fixture
def in_cookies(gitlab: GitLab) -> Deployment:
    return Deployment.of(gitlab)


@pytest.fixture
def in_redis(gitlab: GitLab, redis: RedisServer) -> Deployment:
    with redis.client() as client:
        client.flushall()
    return Deployment.of(gitlab, redis)


@pytest.fixture(params=["in_cookies", "in_redis"])
def deployment(request: pytest.FixtureRequest) -> Deployment:
    store: Deployment = request.getfixturevalue(request.param)
    return store


@pytest.fixture
async def replica(deployment: Deployment) -> AsyncIterator[Replica]:
    async with deployment.replica() as replica:
        yield replica


async def test_a_fresh_session_in_a_cookie_answers_at_once(in_cookies: Deployment) -> None:
    async with in_cookies.replica() as replica:
        cookie = await replica.sign_in(in_cookies.user())
        asked = await replica.ask(cookie)

        looked = replica.accesses.in_project(session_credential(cookie), PROJECT)

        assert looked is asked.access
        assert isinstance(replica.sessions.resume(cookie), Held)


async def test_a_session_is_its_user_in_his_role(deployment: Deployment, replica: Replica) -> None:
    user = deployment.user()

    answer = await replica.ask(await replica.sign_in(user))

    assert (answer.access.user.name, answer.access.role) == (user, Role.WRITE)
    assert not answer.changed
    assert replica.calls.events == ["begun"]


async def test_each_login_begins_a_session_of_its_own(
    deployment: Deployment, replica: Replica
) -> None:
    """Session fixation (GHSA-f24x-5g9q-753f): nothing that a browser brings along lives on."""
    user = deployment.user()
    first, second = [await replica.sign_in(user) for _ in range(2)]

    await replica.sign_out(first)

    assert (await replica.resume(second)).session.user.name == user
    with pytest.raises(Unauthenticated):
        await replica.resume(first)


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


async def test_more_requests_at_once_than_redis_is_spoken_to_with_are_all_answered(
    in_redis: Deployment,
) -> None:
    """redis-py refuses the 101st connection, and whoever needed it was refused with it."""
    async with in_redis.replica() as replica:
        cookie = await replica.sign_in(in_redis.user())

        answers = await asyncio.gather(*(replica.ask(cookie) for _ in range(400)))

    assert {answer.status for answer in answers} == {200}


async def test_who_gives_up_waiting_does_not_end_the_refresh(
    deployment: Deployment, replica: Replica
) -> None:
    cookie = await replica.sign_in(deployment.user())
    deployment.gitlab.faults("latency", path=TOKENS, seconds=0.2)
    deployment.pass_by(ENDED)

    impatient = asyncio.create_task(replica.ask(cookie))
    patient = asyncio.create_task(replica.ask(cookie))
    await _asked_for(deployment, TOKENS)
    impatient.cancel()

    assert (await patient).status == 200
    assert deployment.refreshes() == 1


async def test_a_process_that_is_told_to_end_keeps_the_tokens_that_it_has_asked_for(
    in_redis: Deployment,
) -> None:
    async with in_redis.replica() as replica:
        cookie = await replica.sign_in(in_redis.user())
        in_redis.gitlab.faults("latency", path=TOKENS, seconds=0.3)
        in_redis.pass_by(ENDED)
        asked = asyncio.create_task(replica.ask(cookie))
        await _asked_for(in_redis, TOKENS)
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


async def test_an_outage_of_gitlab_signs_nobody_out(
    deployment: Deployment, replica: Replica
) -> None:
    cookie = await replica.sign_in(deployment.user())
    deployment.pass_by(DUE - 20)
    cookie = (await replica.ask(cookie)).cookie
    deployment.gitlab.faults("error", status=503)

    deployment.pass_by(25)
    while_good = await replica.ask(cookie)
    deployment.pass_by(ENDED - DUE)
    after_the_end = [await replica.ask(while_good.cookie) for _ in range(3)]

    assert while_good.status == 200
    assert {answer.status for answer in after_the_end} == {503}
    assert "lost" not in replica.calls.events
    deployment.gitlab.heal()
    deployment.pass_by(PAUSE)
    recovered = await replica.ask(after_the_end[-1].cookie)
    assert (recovered.access.role, recovered.access.why) == (Role.WRITE, None)


async def test_who_keeps_trying_in_an_outage_is_not_idle(
    deployment: Deployment, replica: Replica
) -> None:
    cookie = await replica.sign_in(deployment.user())
    deployment.gitlab.faults("error", status=503)
    for _ in range(8):
        deployment.pass_by(IDLE / 4)
        cookie = (await replica.ask(cookie)).cookie

    deployment.gitlab.heal()
    deployment.pass_by(PAUSE)

    assert (await replica.ask(cookie)).status == 200


async def test_while_gitlab_hangs_one_request_waits_a_little_and_the_others_not_at_all(
    deployment: Deployment, replica: Replica
) -> None:
    cookie = await replica.sign_in(deployment.user())
    deployment.gitlab.faults("hang", path=TOKENS)
    deployment.pass_by(DUE)

    first, seconds = await _timed(replica, cookie)
    assert first.status == 200
    assert 0.9 < seconds < 2

    for _ in range(20):
        answer, seconds = await _timed(replica, cookie)
        assert answer.status == 200
        assert seconds < QUICK

    deployment.gitlab.heal()
    await replica.idle()
    deployment.pass_by(PAUSE)
    assert (await replica.ask(cookie)).status == 200
    assert len(deployment.issued) == 1


async def test_once_the_tokens_have_ended_a_gitlab_that_hangs_is_an_outage(
    deployment: Deployment, replica: Replica
) -> None:
    cookie = await replica.sign_in(deployment.user())
    deployment.gitlab.faults("hang", path=TOKENS)
    deployment.pass_by(ENDED)

    answer, seconds = await _timed(replica, cookie)

    assert answer.status == 503
    assert seconds < 4


async def test_a_refresh_that_gitlab_refuses_ends_the_session(
    deployment: Deployment, replica: Replica
) -> None:
    user = deployment.user()
    cookie = await replica.sign_in(user)
    deployment.gitlab.revoke_applications(user)
    deployment.pass_by(DUE)

    answers = [await replica.ask(cookie) for _ in range(3)]

    assert {answer.status for answer in answers} == {401}
    assert deployment.refreshes() == 1
    assert replica.calls.events == ["begun", "lost"]
    again = await replica.sign_in(user)
    assert (await replica.ask(again)).status == 200


async def test_what_a_user_revokes_at_gitlab_is_gone_within_the_cache_time(
    deployment: Deployment, replica: Replica
) -> None:
    """A revoked token is refused although it was just good (SharingHub serves it on)."""
    user = deployment.user()
    cookie = await replica.sign_in(user)
    assert (await replica.ask(cookie)).status == 200

    deployment.gitlab.revoke_applications(user)
    deployment.pass_by(31)

    assert (await replica.ask(cookie)).status == 401


async def test_a_wrong_client_secret_is_our_fault_and_signs_nobody_out(
    deployment: Deployment, replica: Replica
) -> None:
    cookie = await replica.sign_in(deployment.user())
    _register(deployment, secret="gloas-rotated-without-telling-us")
    deployment.pass_by(DUE)

    with capture_logs() as logs:
        assert (await replica.ask(cookie)).status == 200
    deployment.pass_by(ENDED - DUE)
    assert (await replica.ask(cookie)).status == 503

    assert {"log_level": "error", "event": "oidc.refused", "status": 401} | {
        "error": "invalid_client"
    } in logs
    _register(deployment, secret=deployment.application.secret)
    assert (await replica.ask(cookie)).status == 200


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
    await _asked_for(deployment, "/api/graphql")

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


async def test_a_session_that_nobody_uses_ends(deployment: Deployment, replica: Replica) -> None:
    cookie = await replica.sign_in(deployment.user())
    for _ in range(3):
        deployment.pass_by(IDLE * 0.9)
        answer = await replica.ask(cookie)
        assert answer.status == 200
        cookie = answer.cookie

    deployment.pass_by(IDLE + 60)

    assert (await replica.ask(cookie)).status == 401


async def test_a_session_ends_after_a_week_however_busy(
    deployment: Deployment, replica: Replica
) -> None:
    cookie = await replica.sign_in(deployment.user())
    step = IDLE * 0.9
    steps, rest = divmod(SECONDS_AT_MOST - 60, step)
    for seconds in [step] * int(steps) + [rest]:
        deployment.pass_by(seconds)
        answer = await replica.ask(cookie)
        assert answer.status == 200
        cookie = answer.cookie

    deployment.pass_by(120)

    assert (await replica.ask(cookie)).status == 401


async def test_a_browser_is_told_of_its_activity_now_and_then(
    deployment: Deployment, replica: Replica
) -> None:
    cookie, changes = await replica.sign_in(deployment.user()), 0
    for _ in range(100):
        deployment.pass_by(60)
        answer = await replica.ask(cookie)
        cookie, changes = answer.cookie, changes + answer.changed

    assert changes == (7 if deployment.in_cookies else 0)


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
        await _asked_for(deployment, slow)
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


async def test_sessions_never_mix(deployment: Deployment, replica: Replica) -> None:
    users = [deployment.user() for _ in range(2)] * 3
    cookies = [await replica.sign_in(user) for user in users]
    for _ in range(3):
        deployment.pass_by(DUE)
        asked = [(user, cookie) for user, cookie in zip(users, cookies, strict=True)] * 5
        answers = await asyncio.gather(*(replica.ask(cookie) for _, cookie in asked))

        assert [answer.access.user.name for answer in answers] == [user for user, _ in asked]
        cookies = [answer.cookie for answer in answers[: len(users)]]

    assert deployment.refreshes() == 3 * len(users)


async def test_tokens_that_are_somebody_elses_are_refused(
    deployment: Deployment, replica: Replica
) -> None:
    ann, _ = await replica.redeemed(deployment.user("ann"))
    _, tokens_of_bob = await replica.redeemed(deployment.user("bob"))
    cookie = held_after(await replica.sessions.begin(ann, tokens_of_bob))

    assert [(await replica.ask(cookie)).status for _ in range(3)] == [401] * 3


async def test_tokens_that_become_somebody_elses_are_refused(
    deployment: Deployment, replica: Replica
) -> None:
    _, tokens_of_bob = await replica.redeemed(deployment.user("bob"))
    cookie = await replica.sign_in(deployment.user("ann"))
    assert (await replica.ask(cookie)).status == 200
    access_token = tokens_of_bob.access.get_secret_value()
    deployment.tamper(token_response={"access_token": access_token})
    deployment.pass_by(DUE)

    answer = await replica.ask(cookie)

    assert answer.status == 401
    assert "not yours" in str(answer.outcome)


async def test_a_damaged_or_forged_cookie_is_nobodys(
    deployment: Deployment, replica: Replica
) -> None:
    """Threat 57 and CVE-2026-47775: what is not sealed by us is not even read."""
    cookie = await replica.sign_in(deployment.user())
    flipped = [
        f"{cookie[:at]}{'A' if cookie[at] != 'A' else 'B'}{cookie[at + 1 :]}" for at in (0, 30)
    ]
    content = SEAL.open("session" if deployment.in_cookies else "ticket", cookie)
    elsewhere = Seal([SecretStr("a secret of somebody else, long enough")])
    forged = [
        elsewhere.close("session", content),
        elsewhere.close("ticket", content),
        SEAL.close("handshake", content),
        SEAL.close("ticket" if deployment.in_cookies else "session", content),
        SEAL.close("session", b"[]"),
        SEAL.close("ticket", b"[]"),
        SEAL.close("ticket", b'["id", "not base64"]'),
    ]

    for each in [*flipped, cookie[:-1], cookie[:40], f"{cookie}A", "x", *forged]:
        with pytest.raises(Unauthenticated):
            await replica.resume(each)
    assert (await replica.ask(cookie)).status == 200


async def test_nothing_of_a_token_is_logged(deployment: Deployment, replica: Replica) -> None:
    with capture_logs() as logs:
        cookie = await replica.sign_in(deployment.user())
        first = (await replica.resume(cookie)).session
        deployment.pass_by(DUE)
        second = (await replica.resume(cookie)).session
        deployment.gitlab.faults("html", path=TOKENS, status=502)
        deployment.pass_by(ENDED)
        with pytest.raises(Unavailable):
            await replica.resume(second.cookie)
        deployment.gitlab.heal()
        await replica.sign_out(second.cookie)

    text = json.dumps(logs, default=str) + repr(first) + repr(second)
    for session in (first, second):
        for secret in (session.tokens.access, session.tokens.refresh):
            assert secret.get_secret_value() not in text
        assert session.cookie not in text


async def test_redis_alone_tells_nothing(in_redis: Deployment, redis: RedisServer) -> None:
    async with in_redis.replica() as replica:
        user = in_redis.user()
        session = (await replica.resume(await replica.sign_in(user))).session

    with redis.client() as client:
        everything = b"".join(key + client.get(key) for key in client.scan_iter())
    _, key = json.loads(SEAL.open("ticket", session.cookie))
    for secret in (
        session.tokens.access.get_secret_value().encode(),
        session.tokens.refresh.get_secret_value().encode(),
        session.cookie.encode(),
        key.encode(),
        urlsafe_b64decode(key),
        user.encode(),
    ):
        assert secret not in everything


async def test_a_cookie_alone_tells_nothing_either(in_redis: Deployment) -> None:
    async with in_redis.replica() as replica:
        cookie = await replica.sign_in(in_redis.user())
        session = (await replica.resume(cookie)).session

    content = SEAL.open("ticket", cookie).decode()
    for secret in (session.tokens.access, session.tokens.refresh):
        assert secret.get_secret_value() not in content


async def test_records_that_somebody_has_swapped_in_redis_are_refused(
    in_redis: Deployment, redis: RedisServer
) -> None:
    async with in_redis.replica() as replica:
        cookies = [await replica.sign_in(in_redis.user()) for _ in range(2)]
        names = [f"extauthz:session:{(await replica.resume(each)).session.id}" for each in cookies]
        with redis.client() as client:
            records = client.mget(names)
            client.mset(dict(zip(names, reversed(records), strict=True)))

        assert [(await replica.ask(each)).status for each in cookies] == [401, 401]


@pytest.mark.parametrize("record", [b"", b"x", bytes(100), b"{}"])
async def test_a_record_that_somebody_has_made_up_in_redis_is_refused(
    in_redis: Deployment, redis: RedisServer, record: bytes
) -> None:
    async with in_redis.replica() as replica:
        cookie = await replica.sign_in(in_redis.user())
        session = (await replica.resume(cookie)).session
        with redis.client() as client:
            client.set(f"extauthz:session:{session.id}", record)

        assert (await replica.ask(cookie)).status == 401


async def test_a_session_that_is_gone_from_redis_does_not_come_back_with_a_refresh(
    in_redis: Deployment, redis: RedisServer
) -> None:
    async with in_redis.replica() as replica:
        cookie = await replica.sign_in(in_redis.user())
        in_redis.gitlab.faults("latency", path=TOKENS, seconds=0.3)
        in_redis.pass_by(DUE)
        asked = asyncio.create_task(replica.ask(cookie))
        await _asked_for(in_redis, TOKENS)
        with redis.client() as client:
            client.flushall()

        assert (await asked).status == 401
        assert not any(map(in_redis.alive, in_redis.issued))
        assert (await replica.ask(cookie)).status == 401


async def test_without_redis_nobody_is_let_in_and_nobody_signed_out(
    gitlab: GitLab, tmp_path: Path
) -> None:
    with redis_server(tmp_path) as redis:
        deployment = Deployment.of(gitlab, redis)
        async with deployment.replica() as replica:
            cookie = await replica.sign_in(deployment.user())
            tokens = (await replica.resume(cookie)).session.tokens

            os.kill(redis.pid, signal.SIGSTOP)
            silent, seconds = await _timed(replica, cookie)
            with pytest.raises(Unavailable):
                await replica.sign_out(cookie)
            os.kill(redis.pid, signal.SIGCONT)

            assert silent.status == 503
            assert seconds < 2.5
            assert deployment.alive(tokens)
            assert (await replica.ask(cookie)).status == 200


async def test_a_redis_that_comes_back_empty_has_everybody_sign_in_again(
    gitlab: GitLab, tmp_path: Path
) -> None:
    with redis_server(tmp_path) as redis:
        deployment = Deployment.of(gitlab, redis)
        async with deployment.replica() as replica:
            user = deployment.user()
            cookie = await replica.sign_in(user)
            os.kill(redis.pid, signal.SIGKILL)

            gone, seconds = await _timed(replica, cookie)
            with pytest.raises(Unavailable):
                await replica.sign_in(user)

            assert gone.status == 503
            assert seconds < 2.5
            with redis_server(tmp_path, port=redis.port):
                assert (await replica.ask(cookie)).status == 401
                assert (await replica.ask(await replica.sign_in(user))).status == 200


async def test_a_redis_that_fails_just_after_a_refresh_is_asked_again_to_keep_it(
    gitlab: GitLab, tmp_path: Path
) -> None:
    with redis_server(tmp_path) as redis:
        deployment = Deployment.of(gitlab, redis)
        async with deployment.replica() as replica:
            cookie = await replica.sign_in(deployment.user())
            gitlab.faults("latency", path=TOKENS, seconds=0.3)
            deployment.pass_by(ENDED)
            asked = asyncio.create_task(replica.ask(cookie))
            await _asked_for(deployment, TOKENS)
            os.kill(redis.pid, signal.SIGSTOP)
            await asyncio.sleep(1.6)
            os.kill(redis.pid, signal.SIGCONT)

            assert (await asked).status == 200
            assert deployment.refreshes() == 1


async def test_a_pair_that_redis_does_not_take_is_given_back_to_gitlab(
    gitlab: GitLab, tmp_path: Path
) -> None:
    """Nobody would ever use it again, and nobody could revoke it."""
    with redis_server(tmp_path) as redis:
        deployment = Deployment.of(gitlab, redis)
        async with deployment.replica() as replica:
            cookie = await replica.sign_in(deployment.user())
            gitlab.faults("latency", path=TOKENS, seconds=0.3)
            deployment.pass_by(ENDED)
            asked = asyncio.create_task(replica.ask(cookie))
            await _asked_for(deployment, TOKENS)
            os.kill(redis.pid, signal.SIGSTOP)
            await _given(deployment)
            deployment.time.passed += 5

            assert (await asked).status == 503
            assert not any(map(deployment.alive, deployment.issued))
            os.kill(redis.pid, signal.SIGCONT)
            assert (await replica.ask(cookie)).status == 401


async def test_access_in_an_outage_is_reading_only_in_a_session_too(
    deployment: Deployment, replica: Replica
) -> None:
    cookie = await replica.sign_in(deployment.user())
    await replica.ask(cookie)
    deployment.gitlab.faults("error", status=503)
    deployment.pass_by(60)

    access = (await replica.ask(cookie)).access

    assert isinstance(access, ProjectAccess)
    assert (access.role, access.why) == (Role.READ, Why.STALE)
    deployment.pass_by(FORGOTTEN)
    assert (await replica.ask(cookie)).status == 503


def test_a_cookie_holds_what_it_must_and_no_more(in_cookies: Deployment) -> None:
    async def cookie_of(user: str) -> str:
        async with in_cookies.replica() as replica:
            return await replica.sign_in(user)

    cookie = asyncio.run(cookie_of(in_cookies.user()))

    assert len(cookie) < 700
    assert unsealed(cookie).generation == 0


async def _timed(replica: Replica, cookie: str) -> tuple[Answer, float]:
    started = time.monotonic()
    answer = await replica.ask(cookie)
    return answer, time.monotonic() - started


async def _after(seconds: float, replica: Replica, cookie: str) -> Answer:
    await asyncio.sleep(seconds)
    return await replica.ask(cookie)


async def _asked_for(deployment: Deployment, path: str) -> None:
    """Wait until GitLab has got a call."""
    before = len(deployment.gitlab.calls(path))
    while len(deployment.gitlab.calls(path)) == before:  # noqa: ASYNC110 - it tells nobody
        await asyncio.sleep(0.01)


async def _given(deployment: Deployment) -> None:
    """Wait until GitLab has answered a refresh."""
    while not deployment.issued:  # noqa: ASYNC110 - it tells nobody
        await asyncio.sleep(0.01)


def _register(deployment: Deployment, *, secret: str) -> None:
    """Give the application another secret at GitLab."""
    deployment.gitlab.change(
        "create_application",
        redirect_uris=[CALLBACK],
        scopes=SCOPE.split(),
        client_id=deployment.application.client_id,
        secret=secret,
        trusted=True,
    )
