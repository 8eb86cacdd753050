"""What a CI job may do: what its user may, in its own project, while its token is good."""

import pytest
from pydantic import SecretStr

from extauthz.edge.access import ProjectAccess
from extauthz.edge.credentials import Credential, Kind
from extauthz.edge.policy import Policy
from extauthz.edge.provider import User
from extauthz.edge.refusals import Forbidden, NotFound, Unauthenticated
from extauthz.grant import Why
from extauthz.levels import Role
from tests.access import asked
from tests.acme import OTHER, PATH, acme
from tests.gitlab import (
    DEVELOPER,
    GUEST,
    MAINTAINER,
    OWNER,
    PLANNER,
    REPORTER,
    SECURITY_MANAGER,
    GitLab,
)
from tests.job_access import AUDIENCE, FACTS, credential, deciding, minted
from tests.jwks import KEYS


@pytest.fixture
def gitlab(running: GitLab) -> GitLab:
    """A GitLab where `ann` develops two projects that `service` sees."""
    return acme(running, ann=DEVELOPER, service=REPORTER)


async def test_a_developers_job_writes_in_its_project(gitlab: GitLab) -> None:
    async with deciding(gitlab) as world:
        access = await world.in_project(minted(gitlab))

    assert access.user == User("gitlab:1", "ann")
    assert (access.project_id, access.project_path) == (1, PATH)
    assert (access.role, access.why) == (Role.WRITE, None)


@pytest.mark.parametrize(
    ("level", "role"),
    [
        (GUEST, Role.READ),
        (PLANNER, Role.READ),
        (REPORTER, Role.READ),
        (SECURITY_MANAGER, Role.READ),
        (DEVELOPER, Role.WRITE),
        (MAINTAINER, Role.WRITE),
        (OWNER, Role.WRITE),
    ],
)
async def test_a_job_may_do_what_its_user_may(gitlab: GitLab, level: int, role: Role) -> None:
    gitlab.add_member("acme", "ann", level)
    async with deciding(gitlab) as world:
        access = await world.in_project(minted(gitlab))

    assert (access.role, access.why) == (role, Why.GUEST if role is Role.READ else None)


@pytest.mark.parametrize("visitors_read", [False, True])
@pytest.mark.parametrize("level", [None, "minimal access", "robot"])
async def test_a_job_without_a_level_is_no_visitor(
    gitlab: GitLab, level: str | None, *, visitors_read: bool
) -> None:
    gitlab.update_project(PATH, visibility="public")
    token = minted(gitlab, user_access_level=level)
    async with deciding(gitlab, policy=Policy(visitors_read=visitors_read)) as world:
        await world.refusal(token, NotFound)

    assert asked(gitlab) == [KEYS]


async def test_another_project_is_as_if_it_did_not_exist(gitlab: GitLab) -> None:
    token = minted(gitlab)
    async with deciding(gitlab) as world:
        told = await world.refusal(token, NotFound, OTHER)
        assert told == await world.refusal(token, NotFound, "acme/nothing")
        assert asked(gitlab) == [KEYS]
        await world.in_project(token)

        with pytest.raises(NotFound):
            world.access.in_project(credential(token), OTHER)

    assert asked(gitlab) == [KEYS, FACTS]


@pytest.mark.parametrize("path", [f"{PATH}.", f"{PATH}/", "acme/vision", "detector", "1", ""])
async def test_a_path_that_looks_alike_is_another_project(gitlab: GitLab, path: str) -> None:
    token = minted(gitlab)
    async with deciding(gitlab) as world:
        await world.refusal(token, NotFound, path)


async def test_a_job_has_no_view_of_everything(gitlab: GitLab) -> None:
    async with deciding(gitlab) as world:
        with pytest.raises(Forbidden, match="/tracking") as caught:
            world.access.everywhere(credential(minted(gitlab)))

    assert "CI_PROJECT_PATH" in str(caught.value)
    assert not gitlab.calls()


async def test_a_new_project_at_a_freed_path_is_not_the_jobs(gitlab: GitLab) -> None:
    """Threat 41: the path is only an alias, so the id decides."""
    token = minted(gitlab)
    gitlab.move_project(PATH, "acme/vision/moved")
    gitlab.create_project(PATH)
    async with deciding(gitlab) as world:
        await world.refusal(token, NotFound)
        assert (await world.in_project(minted(gitlab))).project_id == 3


async def test_a_project_that_moved_while_its_job_runs_is_the_same(gitlab: GitLab) -> None:
    token = minted(gitlab)
    gitlab.move_project(PATH, "acme/vision/moved")
    async with deciding(gitlab) as world:
        access = await world.in_project(token)

    assert (access.project_id, access.project_path) == (1, "acme/vision/moved")


@pytest.mark.parametrize("overrides", [{"project_id": "2"}, {"project_id": "99"}])
async def test_an_id_of_another_project_is_refused(
    gitlab: GitLab, overrides: dict[str, object]
) -> None:
    token = minted(gitlab, job_project_id=None, job_project_path=None, **overrides)
    async with deciding(gitlab) as world:
        await world.refusal(token, NotFound)


async def test_a_project_without_the_topics_is_as_if_it_did_not_exist(gitlab: GitLab) -> None:
    gitlab.update_project(OTHER, topics=["mlflow", "x"])
    async with deciding(gitlab, policy=Policy(mandatory_topics=frozenset({"mlflow"}))) as world:
        await world.refusal(minted(gitlab), NotFound)

        assert (await world.in_project(minted(gitlab, OTHER), OTHER)).role is Role.WRITE


async def test_an_archived_project_is_read_only(gitlab: GitLab) -> None:
    gitlab.update_project(PATH, archived=True)
    async with deciding(gitlab) as world:
        access = await world.in_project(minted(gitlab))

    assert (access.role, access.why) == (Role.READ, Why.ARCHIVED)


@pytest.mark.parametrize(
    "overrides",
    [
        {"aud": "https://other.example.org"},
        {"iss": "https://gitlab.evil.example"},
        {"exp": 1},
        {"iat": 1},
        {"exp": None},
        {"user_id": None},
    ],
)
async def test_a_token_with_wrong_claims_is_refused(
    gitlab: GitLab, overrides: dict[str, object]
) -> None:
    """Threat 48: GitLab's signature alone proves nothing."""
    async with deciding(gitlab) as world:
        await world.refusal(minted(gitlab, **overrides), Unauthenticated)

    assert asked(gitlab) == [KEYS]


@pytest.mark.parametrize("tail", [".", "/", ".evil.example"])
async def test_an_issuer_that_looks_alike_is_refused(gitlab: GitLab, tail: str) -> None:
    """Threat 48."""
    async with deciding(gitlab) as world:
        await world.refusal(minted(gitlab, iss=gitlab.url + tail), Unauthenticated)


@pytest.mark.parametrize(
    "knobs",
    [
        {"algorithm": "none"},
        {"algorithm": "HS256"},
        {"unpublished_key": True},
        {"header": {"kid": "made-up"}},
        {"header": {"kid": None}},
        {"header": {"jwk": {"kty": "RSA"}}},
        {"header": {"jku": "https://evil.example.org/keys"}},
        {"header": {"x5u": "https://evil.example.org/chain"}},
    ],
)
async def test_a_token_that_gitlab_did_not_sign_is_refused_and_remembered(
    gitlab: GitLab, knobs: dict[str, object]
) -> None:
    """CVE-2026-28802, CVE-2026-27962 and the rest of threat 48; `test_jwks` has them all."""
    gitlab.tamper(**knobs)
    token = minted(gitlab)
    async with deciding(gitlab) as world:
        message = await world.refusal(token, Unauthenticated)
        calls = len(gitlab.calls())
        with pytest.raises(Unauthenticated):
            world.access.in_project(credential(token), PATH)

    assert "id_tokens" in message
    assert len(gitlab.calls()) == calls <= 1


async def test_a_gitlab_whose_clock_is_off_is_told_of(gitlab: GitLab) -> None:
    gitlab.tamper(clock_skew=120)
    async with deciding(gitlab) as world:
        assert "clocks" in await world.refusal(minted(gitlab), Unauthenticated)


@pytest.mark.parametrize(
    "fork", [{"project_path": "ann/detector", "project_id": "7"}, {"job_project_id": "7"}]
)
async def test_the_job_of_a_forks_merge_request_is_refused(
    gitlab: GitLab, fork: dict[str, object]
) -> None:
    """Threat 49."""
    token = minted(gitlab, **fork)
    async with deciding(gitlab) as world:
        for path in (PATH, "ann/detector"):
            assert "fork" in await world.refusal(token, Forbidden, path)

    assert asked(gitlab) == [KEYS]


async def test_a_token_is_good_for_a_quarter_of_an_hour_whatever_it_says(gitlab: GitLab) -> None:
    """Threat 50: nothing tells us that a job has ended."""
    token = gitlab.mint_id_token(PATH, "ann", AUDIENCE, timeout=86_400)
    async with deciding(gitlab) as world:
        for _ in range(29):
            assert (await world.in_project(token)).role is Role.WRITE
            world.pass_by(30)
        await world.in_project(token)
        world.pass_by(31)

        assert "15 minutes" in await world.refusal(token, Unauthenticated)


@pytest.mark.parametrize("seconds", [20, 10_000])
async def test_nothing_is_kept_beyond_the_end_of_a_token(gitlab: GitLab, seconds: int) -> None:
    """Threat 50."""
    token = gitlab.mint_id_token(PATH, "ann", AUDIENCE, timeout=seconds)
    lifetime = min(seconds, 900)
    async with deciding(gitlab, fresh=86_400) as world:
        await world.in_project(token)
        world.pass_by(lifetime - 5)
        world.known(token)
        # As much as clocks may differ comes on top, but is kept nowhere.
        world.pass_by(36)

        await world.refusal(token, Unauthenticated)


async def test_the_same_token_of_another_kind_shares_nothing(gitlab: GitLab) -> None:
    """CVE-2026-33496: a cache that did not tell kinds of credentials apart."""
    token = minted(gitlab)
    async with deciding(gitlab) as world:
        await world.in_project(token)
        other = world.access.in_project(Credential(Kind.TOKEN, SecretStr(token)), PATH)

        assert not isinstance(other, ProjectAccess)
        await other
