"""Who may do what in a project: GitLab's facts, seen in what MLflow lets a caller do."""

from collections.abc import Callable

import pytest

from tests.caller import Caller
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
from tests.polling import eventually
from tests.tenants import Project, Tenants, unique

READS, WRITES = (200, 403), (200, 200)
ABSENT, UNKNOWN, REFUSED = (404, 404), (401, 401), (403, 403)


def may(caller: Caller) -> tuple[int, int]:
    """Return the statuses of a read and of a write."""
    read = caller.call("POST experiments/search", max_results=1)
    write = caller.call("POST experiments/create", name=unique("experiment"))
    return read.status, write.status


@pytest.mark.parametrize(
    ("level", "expected"),
    [
        (GUEST, READS),
        (PLANNER, READS),
        (REPORTER, READS),
        (SECURITY_MANAGER, READS),
        (DEVELOPER, WRITES),
        (MAINTAINER, WRITES),
        (OWNER, WRITES),
        (35, WRITES),
        (5, ABSENT),
    ],
)
def test_each_level_of_a_direct_member(
    tenants: Tenants, level: int, expected: tuple[int, int]
) -> None:
    project = tenants.project()
    assert may(project.caller(tenants.token(project.member(level)))) == expected


def test_membership_comes_from_every_group_above_and_the_highest_counts(tenants: Tenants) -> None:
    group = unique("group")
    project, user = tenants.project(f"{group}/team/deep/project"), tenants.user()
    tenants.stack.gitlab.add_member(group, user, DEVELOPER)
    tenants.stack.gitlab.add_member(f"{group}/team/deep", user, GUEST)
    assert may(project.caller(tenants.token(user))) == WRITES
    sibling = tenants.project(f"{group}/other/project")
    assert may(sibling.caller(tenants.token(user))) == WRITES
    inner = tenants.user()
    tenants.stack.gitlab.add_member(f"{group}/team", inner, DEVELOPER)
    assert may(project.caller(tenants.token(inner))) == WRITES
    assert may(sibling.caller(tenants.token(inner))) == ABSENT


@pytest.mark.parametrize(
    ("own", "shared", "expected"),
    [
        (DEVELOPER, MAINTAINER, WRITES),
        (DEVELOPER, REPORTER, READS),
        (GUEST, DEVELOPER, READS),
    ],
)
@pytest.mark.parametrize("with_group", [False, True])
def test_an_invited_group_brings_at_most_the_level_of_the_invitation(
    tenants: Tenants, own: int, shared: int, expected: tuple[int, int], *, with_group: bool
) -> None:
    gitlab, invited, project = tenants.stack.gitlab, unique("invited"), tenants.project()
    gitlab.create_group(invited)
    user = tenants.user()
    gitlab.add_member(invited, user, own)
    caller = project.caller(tenants.token(user))
    shared_path = project.path.rpartition("/")[0] if with_group else project.path
    gitlab.share(shared_path, invited, shared)
    assert may(caller) == expected
    gitlab.unshare(shared_path, invited)
    eventually(lambda: may(caller), ABSENT)


def test_a_personal_project_is_its_owners(tenants: Tenants) -> None:
    owner = tenants.user()
    project = tenants.project(f"{owner}/notebook")
    assert may(project.caller(tenants.token(owner))) == WRITES
    assert may(project.caller(tenants.token(tenants.user()))) == ABSENT


@pytest.mark.parametrize("visibility", ["private", "internal", "public"])
def test_a_stranger_and_an_administrator_see_nothing(tenants: Tenants, visibility: str) -> None:
    project = tenants.project(visibility=visibility)
    administrator = unique("administrator")
    tenants.stack.gitlab.create_user(administrator, admin=True)
    for user in (tenants.user(), administrator):
        assert may(project.caller(tenants.token(user))) == ABSENT


def test_nobody_is_told_to_identify_himself(tenants: Tenants) -> None:
    project = tenants.project(visibility="public")
    nobody = Caller(project.guest().port, project.guest().prefix, ())
    assert may(nobody) == UNKNOWN
    answer = nobody.call("POST experiments/search", max_results=1)
    assert answer.headers["www-authenticate"].startswith("Bearer")
    assert answer.json()["error_code"] == "UNAUTHENTICATED"
    assert "MLFLOW_TRACKING_TOKEN" in answer.json()["message"]


def lowered(gitlab: GitLab, project: Project, user: str, _: str) -> None:
    gitlab.add_member(project.path, user, GUEST)


def removed(gitlab: GitLab, project: Project, user: str, _: str) -> None:
    gitlab.remove_member(project.path, user)


def blocked(gitlab: GitLab, _: Project, user: str, __: str) -> None:
    gitlab.block(user)


def revoked(gitlab: GitLab, _: Project, __: str, token: str) -> None:
    gitlab.revoke(token)


def archived(gitlab: GitLab, project: Project, _: str, __: str) -> None:
    gitlab.update_project(project.path, archived=True)


def deleted(gitlab: GitLab, project: Project, _: str, __: str) -> None:
    gitlab.delete_project(project.path)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lowered, READS),
        (removed, ABSENT),
        (blocked, REFUSED),
        (revoked, UNKNOWN),
        (archived, READS),
        (deleted, ABSENT),
    ],
)
def test_what_gitlab_takes_away_is_gone_with_the_cached_answer(
    tenants: Tenants,
    change: Callable[[GitLab, Project, str, str], None],
    expected: tuple[int, int],
) -> None:
    project = tenants.project()
    user = project.member(DEVELOPER)
    token = tenants.token(user)
    caller = project.caller(token)
    assert may(caller) == WRITES
    change(tenants.stack.gitlab, project, user, token)
    eventually(lambda: may(caller), expected, wait=10)
    before = tenants.stack.mlflow.contents()
    assert [may(caller) for _ in range(3)] == [expected] * 3
    assert tenants.stack.mlflow.contents() == before


def test_what_gitlab_gives_is_there_with_the_next_answer(tenants: Tenants) -> None:
    project, gitlab = tenants.project(archived=True), tenants.stack.gitlab
    user = project.member(DEVELOPER)
    caller = project.caller(tenants.token(user))
    answer = caller.call("POST experiments/create", name="new")
    assert (answer.status, "archived" in answer.json()["message"]) == (403, True)
    gitlab.update_project(project.path, archived=False)
    eventually(lambda: may(caller), WRITES)
    gitlab.add_member(project.path, user, GUEST)
    eventually(lambda: may(caller), READS)
    gitlab.add_member(project.path, user, MAINTAINER)
    eventually(lambda: may(caller), WRITES)
