"""Whose level in a project GitLab's provider tells, and of which project."""

from collections.abc import AsyncIterator

import pytest

from extauthz.edge.gitlab import GitLab as Provider
from extauthz.edge.outage import Outage
from extauthz.edge.refusals import NotFound
from tests.access import asked, asker
from tests.acme import PATH
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
from tests.provider import ESCAPED, FINE_GRAINED, ONE_CALL, anns, level_of, providing

LEVELS = [GUEST, PLANNER, REPORTER, SECURITY_MANAGER, DEVELOPER, MAINTAINER, OWNER]


@pytest.fixture
def gitlab(running: GitLab) -> GitLab:
    return anns(running)


@pytest.fixture
async def provider(gitlab: GitLab) -> AsyncIterator[Provider]:
    async with providing(gitlab) as provider:
        yield provider


@pytest.mark.parametrize("permissions", [None, FINE_GRAINED], ids=["graphql", "rest"])
@pytest.mark.parametrize("level", LEVELS)
async def test_every_level_is_passed_on_as_it_is(
    gitlab: GitLab, provider: Provider, level: int, permissions: tuple[str, ...] | None
) -> None:
    gitlab.add_member(PATH, "ann", level)

    assert await level_of(provider, gitlab.token("ann", permissions=permissions)) == level


@pytest.mark.parametrize("permissions", [None, FINE_GRAINED], ids=["graphql", "rest"])
async def test_the_highest_of_all_memberships_counts(
    gitlab: GitLab, provider: Provider, permissions: tuple[str, ...] | None
) -> None:
    token = gitlab.token("ann", permissions=permissions)
    gitlab.add_member(PATH, "ann", GUEST)
    assert await level_of(provider, token) == GUEST

    gitlab.add_member("acme", "ann", REPORTER)
    assert await level_of(provider, token) == REPORTER

    gitlab.create_group("partners")
    gitlab.add_member("partners", "ann", OWNER)
    gitlab.share("acme/vision", "partners", DEVELOPER)
    assert await level_of(provider, token) == DEVELOPER

    gitlab.share(PATH, "partners", MAINTAINER)
    assert await level_of(provider, token) == MAINTAINER


@pytest.mark.parametrize("permissions", [None, FINE_GRAINED], ids=["graphql", "rest"])
async def test_who_only_sees_a_project_has_no_level(
    gitlab: GitLab, provider: Provider, permissions: tuple[str, ...] | None
) -> None:
    gitlab.update_project(PATH, visibility="public")

    assert await level_of(provider, gitlab.token("ann", permissions=permissions)) == 0


async def test_an_administrator_has_the_level_of_his_membership(
    gitlab: GitLab, provider: Provider
) -> None:
    gitlab.update_user("ann", admin=True)

    assert await level_of(provider, gitlab.token("ann")) == 0


@pytest.mark.parametrize("kind", ["personal", "oauth"])
async def test_personal_and_oauth_tokens_are_known(
    gitlab: GitLab, provider: Provider, kind: str
) -> None:
    gitlab.add_member(PATH, "ann", GUEST)

    assert await level_of(provider, gitlab.token("ann", kind=kind)) == GUEST


@pytest.mark.parametrize("place", [PATH, "acme"])
async def test_project_and_group_tokens_are_their_own_users(
    gitlab: GitLab, provider: Provider, place: str
) -> None:
    token = gitlab.access_token(place, DEVELOPER)

    user, project = await provider.project(asker(token), PATH)

    assert project.level == DEVELOPER
    assert user.subject == "gitlab:2"


async def test_the_letter_case_of_a_path_does_not_matter(
    gitlab: GitLab, provider: Provider
) -> None:
    """Threat 40."""
    gitlab.add_member(PATH, "ann", GUEST)

    _, project = await provider.project(asker(gitlab.token("ann")), PATH.upper())

    assert (project.id, project.path) == (1, PATH)
    assert asked(gitlab) == ONE_CALL


@pytest.mark.parametrize("permissions", [None, FINE_GRAINED], ids=["graphql", "rest"])
async def test_an_old_path_leads_to_the_moved_project(
    gitlab: GitLab, provider: Provider, permissions: tuple[str, ...] | None
) -> None:
    """Threat 41."""
    gitlab.add_member(PATH, "ann", GUEST)
    gitlab.move_project(PATH, "contoso/eyes")

    _, project = await provider.project(asker(gitlab.token("ann", permissions=permissions)), PATH)

    assert (project.id, project.path, project.level) == (1, "contoso/eyes", GUEST)
    assert asked(gitlab)[:3] == [
        "currentUser,project",
        f"/api/v4/projects/{ESCAPED}",
        "currentUser,projects",
    ]


async def test_a_new_project_at_an_old_path_is_the_one_that_counts(
    gitlab: GitLab, provider: Provider
) -> None:
    """Threat 41."""
    gitlab.add_member(PATH, "ann", OWNER)
    gitlab.move_project(PATH, "contoso/eyes")
    second = gitlab.create_project(PATH, visibility="public")

    _, project = await provider.project(asker(gitlab.token("ann")), PATH)

    assert (project.id, project.level) == (second, 0)


@pytest.mark.parametrize("path", ["acme/vision/nothing", "acme/vision", PATH])
async def test_missing_and_invisible_projects_are_alike(
    gitlab: GitLab, provider: Provider, path: str
) -> None:
    with pytest.raises(NotFound, match="no such project, or you are not a member"):
        await provider.project(asker(gitlab.token("ann")), path)

    assert len(gitlab.calls()) == 2


async def test_a_redirect_to_another_host_is_not_believed(
    gitlab: GitLab, provider: Provider
) -> None:
    """Threat 74."""
    gitlab.faults("redirect", path="/projects/", location="https://evil.org/api/v4/projects/1")

    with pytest.raises(Outage):
        await provider.project(asker(gitlab.token("ann")), PATH)

    assert len(gitlab.calls()) == 2


async def test_a_project_that_moved_out_of_sight_is_missing(
    gitlab: GitLab, provider: Provider
) -> None:
    gitlab.faults("redirect", path="/projects/", location="/api/v4/projects/1")

    with pytest.raises(NotFound):
        await provider.project(asker(gitlab.token("ann")), PATH)
