"""What the operator may set about projects: mandatory topics, and visitors who read."""

from collections.abc import Iterator

import pytest

from tests.caller import Caller
from tests.gitlab import DEVELOPER
from tests.polling import eventually
from tests.servers.stack import Stack, gateway
from tests.tenants import Project, Tenants, unique

TOPICS = ("mlflow", "production")


@pytest.fixture(scope="module")
def gateways(
    whole_stack: Stack, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Stack, Stack]]:
    """Return an edge and an Envoy for each setting, before the GitLab and the MLflow of all."""
    gitlab, server = whole_stack.gitlab, whole_stack.mlflow
    topics = {"GITLAB_MANDATORY_TOPICS": ", ".join(TOPICS)}
    visitors = {"VISITOR_ACCESS": "read"}
    with (
        gateway(tmp_path_factory.mktemp("topics"), gitlab, server, topics) as one,
        gateway(tmp_path_factory.mktemp("visitors"), gitlab, server, visitors) as other,
    ):
        yield one, other


@pytest.fixture
def by_topic(gateways: tuple[Stack, Stack]) -> Tenants:
    """The users and projects where topics are mandatory."""
    return Tenants(gateways[0])


@pytest.fixture
def open_house(gateways: tuple[Stack, Stack]) -> Tenants:
    """The users and projects where visitors read."""
    return Tenants(gateways[1])


def writes(caller: Caller) -> int:
    return caller.call("POST experiments/create", name=unique("experiment")).status


def seen(caller: Caller) -> list[str]:
    """Return the names of experiments, or the status if there is no answer."""
    answer = caller.call("POST experiments/search", max_results=1000)
    if answer.status != 200:
        return [str(answer.status)]
    return sorted(experiment["name"] for experiment in answer.json().get("experiments", []))


def marked(project: Project) -> list[str]:
    """Make an experiment that tells the project from others; returns what a member sees."""
    name = f"of-{project.id}"
    project.developer().post("experiments/create", name=name)
    return [name]


@pytest.mark.parametrize(
    "topics", [(), ("mlflow",), ("production",), ("MLflow", "production"), ("mlflow, production",)]
)
def test_a_project_without_all_topics_does_not_exist(
    by_topic: Tenants, topics: tuple[str, ...]
) -> None:
    """GitLab's topics are compared in exact case."""
    project = by_topic.project(topics=["another", *TOPICS])
    user = project.member(DEVELOPER)
    caller, everywhere = project.caller(by_topic.token(user)), by_topic.everywhere
    assert writes(caller) == 200
    eventually(lambda: len(seen(everywhere(by_topic.token(user)))), 1)
    by_topic.stack.gitlab.update_project(project.path, topics=list(topics))
    eventually(lambda: (seen(caller), writes(caller)), (["404"], 404))
    assert seen(everywhere(by_topic.token(user))) == []


@pytest.mark.parametrize("visibility", ["public", "internal"])
def test_a_visitor_reads_what_gitlab_shows_him(open_house: Tenants, visibility: str) -> None:
    project = open_house.project(visibility=visibility)
    expected, visitor = marked(project), open_house.user()
    caller = project.caller(open_house.token(visitor))
    assert seen(caller) == expected
    answer = caller.call("POST experiments/create", name="new")
    assert answer.status == 403
    assert "visitors only read" in answer.json()["message"]
    assert seen(caller) == expected
    everywhere = open_house.everywhere(open_house.token(visitor))
    eventually(lambda: expected[0] in seen(everywhere), wanted=True)
    assert writes(everywhere) == 403


def test_a_visitor_reads_no_private_project(open_house: Tenants) -> None:
    private, public = open_house.project(), open_house.project(visibility="public")
    hidden, shown = marked(private), marked(public)
    token = open_house.token(open_house.user())
    caller, everywhere = private.caller(token), open_house.everywhere(token)
    assert (seen(caller), writes(caller)) == (["404"], 404)
    eventually(lambda: shown[0] in seen(everywhere), wanted=True)
    assert hidden[0] not in seen(everywhere)


def test_an_external_user_visits_public_projects_only(open_house: Tenants) -> None:
    external = unique("external")
    open_house.stack.gitlab.create_user(external, external=True)
    token = open_house.token(external)
    public, internal = (open_house.project(visibility=v) for v in ("public", "internal"))
    expected = marked(public)
    marked(internal)
    assert seen(public.caller(token)) == expected
    assert seen(internal.caller(token)) == ["404"]


def test_nobody_without_a_token_is_a_visitor(open_house: Tenants) -> None:
    project = open_house.project(visibility="public")
    marked(project)
    nobody = Caller(open_house.stack.envoy.port, f"/{project.path}/tracking", ())
    assert (seen(nobody), writes(nobody)) == (["401"], 401)


def test_a_member_is_more_than_a_visitor(open_house: Tenants) -> None:
    project = open_house.project(visibility="public")
    assert writes(project.developer()) == 200
    assert writes(project.guest()) == 403
