"""An outage of GitLab, or a mistake of ours, signs nobody out and lets nobody wait."""

from structlog.testing import capture_logs

from extauthz.edge.access import ProjectAccess
from extauthz.grant import Why
from extauthz.levels import Role
from tests.oidc_client import CALLBACK, SCOPE
from tests.sessions import DUE, ENDED, FORGOTTEN, IDLE, PAUSE, TOKENS, Deployment, Replica

QUICK = 0.4


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

    first, seconds = await replica.timed(cookie)
    assert first.status == 200
    assert 0.9 < seconds < 2

    for _ in range(20):
        answer, seconds = await replica.timed(cookie)
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

    answer, seconds = await replica.timed(cookie)

    assert answer.status == 503
    assert seconds < 4


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
