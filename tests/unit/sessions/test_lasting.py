"""A session is its user's, from the login until it is idle, or old, or revoked at GitLab."""

import asyncio

import pytest

from extauthz.edge.refusals import Unauthenticated
from extauthz.edge.session import SECONDS_AT_MOST
from extauthz.edge.sessions import Held
from extauthz.levels import Role
from tests.sessions import DUE, IDLE, PROJECT, Deployment, Replica, session_credential, unsealed


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


def test_a_cookie_holds_what_it_must_and_no_more(in_cookies: Deployment) -> None:
    async def cookie_of(user: str) -> str:
        async with in_cookies.replica() as replica:
            return await replica.sign_in(user)

    cookie = asyncio.run(cookie_of(in_cookies.user()))

    assert len(cookie) < 700
    assert unsealed(cookie).generation == 0
