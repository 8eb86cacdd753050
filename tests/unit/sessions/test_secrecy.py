"""A session is nobody else's, whatever is made up or swapped: cookies, tokens or records."""

import asyncio
import json
from base64 import urlsafe_b64decode

import pytest
from pydantic import SecretStr
from structlog.testing import capture_logs

from extauthz.edge.refusals import Unauthenticated, Unavailable
from extauthz.edge.seal import Seal
from tests.servers.redis import RedisServer
from tests.sessions import DUE, ENDED, SEAL, TOKENS, Deployment, Replica, held_after


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
