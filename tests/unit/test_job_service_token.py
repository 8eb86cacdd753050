"""The token by which GitLab tells of the projects of jobs, and what may be wrong with it."""

import pytest
from structlog.testing import capture_logs

from extauthz.edge.outage import Throttled
from extauthz.edge.refusals import NotFound, Unavailable
from extauthz.levels import Role
from tests.access import asked
from tests.acme import OTHER, PATH, acme
from tests.gitlab import DEVELOPER, GUEST, OWNER, REPORTER, GitLab
from tests.job_access import FACTS, credential, deciding, minted
from tests.jwks import KEYS


@pytest.fixture
def gitlab(running: GitLab) -> GitLab:
    """A GitLab where `ann` develops two projects that `service` sees."""
    return acme(running, ann=DEVELOPER, service=REPORTER)


async def test_a_refused_service_token_is_not_the_callers_fault(gitlab: GitLab) -> None:
    token = minted(gitlab)
    async with deciding(gitlab) as world:
        gitlab.revoke(world.service_token)
        with capture_logs() as logs:
            message = await world.refusal(token, Unavailable)
            with pytest.raises(Unavailable):
                world.access.in_project(credential(token), PATH)

    assert "administrator" in message
    assert [(log["event"], log["log_level"]) for log in logs] == [
        ("job.service_token_refused", "error")
    ]
    assert world.service_token not in str(logs)


async def test_a_blocked_service_account_is_not_the_callers_fault(gitlab: GitLab) -> None:
    async with deciding(gitlab) as world:
        gitlab.block("service")
        with capture_logs() as logs:
            await world.refusal(minted(gitlab), Unavailable)

    assert [log["event"] for log in logs] == ["job.service_token_refused"]


async def test_a_refused_service_token_leaves_nothing_stale(gitlab: GitLab) -> None:
    here, there = minted(gitlab), minted(gitlab, OTHER)
    async with deciding(gitlab) as world:
        await world.in_project(here)
        await world.in_project(there, OTHER)
        gitlab.revoke(world.service_token)
        world.pass_by(31)
        await world.refusal(here, Unavailable)
        gitlab.faults("error")

        for token, path in ((here, PATH), (there, OTHER)):
            await world.refusal(token, Unavailable, path)
            world.pass_by(31)
            await world.refusal(token, Unavailable, path)


async def test_a_service_token_that_works_again_is_found_out_after_half_a_minute(
    gitlab: GitLab,
) -> None:
    token = minted(gitlab)
    async with deciding(gitlab) as world:
        gitlab.block("service")
        await world.refusal(token, Unavailable)
        gitlab.update_user("service", state="active")
        calls = len(gitlab.calls())
        world.pass_by(29)
        await world.refusal(token, Unavailable)
        assert len(gitlab.calls()) == calls
        world.pass_by(1)

        assert (await world.in_project(token)).role is Role.WRITE


async def test_a_project_that_the_service_token_does_not_see_is_logged(gitlab: GitLab) -> None:
    gitlab.create_project("ann/notebook")
    token = minted(gitlab, "ann/notebook")
    async with deciding(gitlab) as world:
        with capture_logs() as logs:
            await world.refusal(token, NotFound, "ann/notebook")

    assert [(log["event"], log["project"]) for log in logs] == [("job.project_not_shown", 3)]


async def test_what_the_service_token_lacks_is_for_the_log_only(gitlab: GitLab) -> None:
    weak = gitlab.token("service", permissions=["Job: Read"])
    async with deciding(gitlab, service_token=weak) as world:
        with capture_logs() as logs:
            message = await world.refusal(minted(gitlab), NotFound)

    assert "fine-grained" not in message
    assert [(log["event"], "fine-grained" in log["cause"]) for log in logs] == [
        ("job.project_not_shown", True)
    ]


async def test_a_limited_service_token_is_not_asked_with_until_its_pause_is_over(
    gitlab: GitLab,
) -> None:
    token = minted(gitlab)
    gitlab.faults("throttle", path="graphql", seconds=20, times=1)
    async with deciding(gitlab) as world:
        await world.refusal(token, Throttled)
        world.pass_by(19)
        await world.refusal(token, Throttled)
        world.pass_by(1)

        assert (await world.in_project(token)).role is Role.WRITE

    assert asked(gitlab) == [KEYS, FACTS, FACTS]


async def test_the_service_token_is_never_shown_to_be_the_jobs_user(gitlab: GitLab) -> None:
    """The facts come with the service account's own name and level, which mean nothing here."""
    gitlab.add_member("acme", "service", OWNER)
    gitlab.add_member("acme", "ann", GUEST)
    async with deciding(gitlab) as world:
        access = await world.in_project(minted(gitlab))

    assert (access.user.name, access.role) == ("ann", Role.READ)
