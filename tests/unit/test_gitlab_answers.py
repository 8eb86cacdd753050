"""Answers of GitLab that are not what was asked for never become a user, a project or a level."""

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from extauthz.edge import gitlab_answers as answers
from extauthz.edge.gitlab_api import refusal_of
from extauthz.edge.outage import Outage
from extauthz.edge.provider import Project, Reach, Visibility
from extauthz.edge.refusals import Forbidden, NotFound, Refusal, Unauthenticated
from extauthz.edge.upstream import Answer

ASKED = "https://gitlab.example.org/git/api/v4/projects/acme%2Fvision"
NODE = {
    "id": "gid://gitlab/Project/42",
    "fullPath": "acme/vision",
    "topics": ["mlflow"],
    "archived": False,
    "visibility": "private",
    "maxAccessLevel": {"integerValue": 30},
}
ENTITY = {
    "id": 42,
    "path_with_namespace": "acme/vision",
    "topics": ["mlflow"],
    "archived": False,
    "visibility": "private",
    "permissions": {"project_access": {"access_level": 30}, "group_access": None},
}
DETECTOR = Project(
    id=42,
    path="acme/vision",
    level=30,
    topics=frozenset({"mlflow"}),
    archived=False,
    visibility=Visibility.PRIVATE,
)
READERS = [
    answers.page_of,
    answers.graphql_project,
    answers.rest_project,
    answers.rest_user,
    answers.rest_level,
    answers.personal_reach,
    lambda body: answers.oauth_reach(body, now=0),
]

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)


@pytest.mark.parametrize("read", READERS)
@given(body=json_values)
def test_any_other_json_is_an_outage(read: Callable[[object], object], body: object) -> None:
    with pytest.raises(Outage, match="could not be understood"):
        read(body)


@given(data=st.data())
@pytest.mark.parametrize(
    ("read", "body"), [(answers.graphql_project, NODE), (answers.rest_project, ENTITY)]
)
def test_a_project_with_any_value_replaced_is_either_refused_or_well_formed(
    read: Callable[[object], Project], body: dict[str, Any], data: st.DataObject
) -> None:
    name = data.draw(st.sampled_from(sorted(body)))
    changed = body | {name: data.draw(st.integers() | st.booleans() | json_values)}
    try:
        project = read(changed)
    except Outage:
        return
    assert type(project.level) is int
    assert type(project.id) is int
    assert project.id > 0
    assert all(type(topic) is str for topic in project.topics)


@pytest.mark.parametrize("missing", sorted(NODE))
def test_graphql_must_answer_every_field(missing: str) -> None:
    assert answers.graphql_project(NODE) == DETECTOR

    with pytest.raises(Outage):
        answers.graphql_project({name: NODE[name] for name in NODE if name != missing})


@pytest.mark.parametrize("missing", sorted(set(ENTITY) - {"permissions"}))
def test_rest_must_answer_every_field(missing: str) -> None:
    assert answers.rest_project(ENTITY) == DETECTOR

    with pytest.raises(Outage):
        answers.rest_project({name: ENTITY[name] for name in ENTITY if name != missing})


def test_a_project_without_permissions_gives_none() -> None:
    assert answers.rest_project(ENTITY | {"permissions": None}).level == 0
    assert answers.rest_project({n: ENTITY[n] for n in ENTITY if n != "permissions"}).level == 0


@pytest.mark.parametrize(
    "gid",
    [
        "",
        "42",
        "gid://gitlab/Project/",
        "gid://gitlab/Project/0",
        "gid://gitlab/Project/٣",
        "gid://gitlab/Project/1/2",
        "gid://gitlab/Project/42\n",
        "gid://evil/Project/42",
        "gid://gitlab/User/42",
    ],
)
def test_an_id_of_another_form_is_refused(gid: str) -> None:
    with pytest.raises(Outage):
        answers.graphql_project(NODE | {"id": gid})


@pytest.mark.parametrize(
    ("body", "user", "sound"),
    [
        ({"data": {"currentUser": None, "project": None}}, None, True),
        ({"data": {"currentUser": {"id": "gid://gitlab/User/7", "username": "a"}}}, 7, True),
        (
            {
                "data": {"currentUser": {"id": "gid://gitlab/User/7", "username": "a"}},
                "errors": [{"message": "Access denied"}],
            },
            7,
            False,
        ),
        ({"errors": [{"message": "Field 'maxAccessLevel' doesn't exist"}]}, None, False),
        ({"data": None, "errors": [{"message": "Timeout"}]}, None, False),
    ],
)
def test_a_page_says_who_asked_and_whether_its_nulls_mean_anything(
    body: object, user: int | None, *, sound: bool
) -> None:
    page = answers.page_of(body)

    assert (page.user and page.user.subject) == (user and f"gitlab:{user}")
    assert page.sound is sound


@pytest.mark.parametrize(
    "caller",
    [7, "ann", {}, {"id": "7", "username": "ann"}, {"id": "gid://gitlab/User/7"}],
    ids=str,
)
def test_a_caller_of_another_form_is_no_answer(caller: object) -> None:
    with pytest.raises(Outage):
        answers.page_of({"data": {"currentUser": caller}})


@pytest.mark.parametrize("nodes", [None, {}, {"nodes": None}, {"nodes": [None]}], ids=str)
def test_projects_of_another_form_are_no_answer(nodes: object) -> None:
    with pytest.raises(Outage):
        answers.graphql_projects({"projects": nodes})


@pytest.mark.parametrize(
    "location",
    [
        "https://gitlab.example.org/git/api/v4/projects/42",
        "/git/api/v4/projects/42",
        "42",
    ],
)
def test_a_moved_project_is_found_on_the_same_gitlab(location: str) -> None:
    assert answers.moved_to(ASKED, location) == 42


@pytest.mark.parametrize(
    "location",
    [
        "",
        "https://evil.example.org/git/api/v4/projects/42",
        "https://gitlab.example.org.evil.org/git/api/v4/projects/42",
        "https://gitlab.example.org@evil.org/git/api/v4/projects/42",
        "http://gitlab.example.org/git/api/v4/projects/42",
        "//evil.example.org/git/api/v4/projects/42",
        "/api/v4/projects/42",
        "/git/api/v4/projects/42/members",
        "/git/api/v4/projects/42?private_token=x",
        "/git/api/v4/projects/acme%2Fother",
        "/git/api/v4/projects/0",
        "/git/users/sign_in",
    ],
)
def test_any_other_redirect_is_no_answer(location: str) -> None:
    with pytest.raises(Outage):
        answers.moved_to(ASKED, location)


def test_a_personal_token_that_never_ends_has_no_end() -> None:
    assert answers.personal_reach({"scopes": ["api"], "expires_at": None}) == Reach(writes=True)


@pytest.mark.parametrize("day", ["tomorrow", "2026-13-01", ""])
def test_an_end_that_is_no_date_is_no_answer(day: str) -> None:
    with pytest.raises(Outage):
        answers.personal_reach({"scopes": ["api"], "expires_at": day})


@pytest.mark.parametrize(
    ("status", "body", "refusal"),
    [
        (401, {"message": "401 Unauthorized"}, Unauthenticated),
        (401, {"error": "invalid_token"}, Unauthenticated),
        (403, {"error": "insufficient_scope", "scope": "api read_api"}, Forbidden),
        (403, {"message": "403 Forbidden - Your account has been blocked."}, Forbidden),
        (403, {"errors": [{"message": "API not accessible for user"}]}, Forbidden),
        (403, {"error": "insufficient_granular_scope"}, NotFound),
        (404, {"message": "404 Project Not Found"}, NotFound),
        (403, {"ray_id": "7", "blocked": True}, Outage),
        (403, [], Outage),
        (403, None, Outage),
        (302, None, Outage),
        (418, {"message": "teapot"}, Outage),
    ],
)
def test_only_what_gitlab_worded_is_a_refusal(
    status: int, body: object, refusal: type[Refusal]
) -> None:
    assert type(refusal_of(Answer(status, body))) is refusal
