from collections.abc import AsyncIterator
from typing import Any

import pytest

from extauthz.local.gitlab.instance import Instance
from extauthz.local.gitlab.records import Visibility
from tests.demo_gitlab import Client, bearer, serving

PROJECT = """
query($path: ID!) {
  currentUser { id username name }
  project(fullPath: $path) {
    id fullPath name topics archived visibility maxAccessLevel { integerValue stringValue }
  }
}
"""


@pytest.fixture
def instance() -> Instance:
    instance = Instance()
    instance.create_user("ann")
    instance.create_user("bob")
    instance.create_project("Acme/Vision/Detector", topics=("mlflow",))
    instance.add_member("Acme", "ann", 30)
    instance.create_token("ann", secret="glpat-ann")
    instance.create_token("bob", secret="glpat-bob")
    return instance


@pytest.fixture
async def client(instance: Instance) -> AsyncIterator[Client]:
    async with serving(instance) as client:
        yield client


async def project_of(client: Client, token: str, path: str) -> Any:
    status, body = await client.graphql(PROJECT, token, {"path": path})
    assert status == 200
    assert "errors" not in body
    return body["data"]["project"]


@pytest.mark.parametrize("path", ["Acme/Vision/Detector", "acme/VISION/detector"])
async def test_a_project_in_any_letter_case_is_shown_under_its_canonical_path(
    client: Client, path: str
) -> None:
    assert await client.graphql(PROJECT, "glpat-ann", {"path": path}) == (
        200,
        {
            "data": {
                "currentUser": {"id": "gid://gitlab/User/1", "username": "ann", "name": "Ann"},
                "project": {
                    "id": "gid://gitlab/Project/1",
                    "fullPath": "Acme/Vision/Detector",
                    "name": "Detector",
                    "topics": ["mlflow"],
                    "archived": False,
                    "visibility": "private",
                    "maxAccessLevel": {"integerValue": 30, "stringValue": "DEVELOPER"},
                },
            }
        },
    )


@pytest.mark.parametrize(
    ("level", "name"), [(15, "PLANNER"), (25, "SECURITY_MANAGER"), (50, "OWNER"), (37, None)]
)
async def test_levels_have_a_number_and_known_ones_a_name(
    instance: Instance, client: Client, level: int, name: str | None
) -> None:
    instance.add_member("Acme/Vision/Detector", "bob", level)

    project = await project_of(client, "glpat-bob", "acme/vision/detector")
    assert project["maxAccessLevel"] == {"integerValue": level, "stringValue": name}


@pytest.mark.parametrize("path", ["acme/vision", "acme/vision/none", "none"])
async def test_what_is_no_project_is_null_without_an_error(client: Client, path: str) -> None:
    assert await project_of(client, "glpat-ann", path) is None


async def test_a_project_that_cannot_be_seen_is_null_without_an_error(client: Client) -> None:
    assert await project_of(client, "glpat-bob", "Acme/Vision/Detector") is None


async def test_a_moved_project_is_null_under_its_old_path(
    instance: Instance, client: Client
) -> None:
    instance.move_project("Acme/Vision/Detector", "Acme/Detector")

    assert await project_of(client, "glpat-ann", "Acme/Vision/Detector") is None
    assert (await project_of(client, "glpat-ann", "Acme/Detector"))["fullPath"] == "Acme/Detector"


async def test_strangers_and_nobody_see_a_public_project_at_level_0(
    instance: Instance, client: Client
) -> None:
    instance.update_project("Acme/Vision/Detector", visibility=Visibility.PUBLIC)

    for token in ("glpat-bob", ""):
        project = await project_of(client, token, "Acme/Vision/Detector")
        assert project["maxAccessLevel"] == {"integerValue": 0, "stringValue": "NO_ACCESS"}


async def test_a_fine_grained_token_nulls_the_project_with_an_error(
    instance: Instance, client: Client
) -> None:
    token = instance.create_token("ann", permissions=frozenset({"Project: Read"})).secret

    status, body = await client.graphql(PROJECT, token, {"path": "Acme/Vision/Detector"})
    assert status == 200
    assert body["data"]["project"] is None
    assert body["data"]["currentUser"]["username"] == "ann"
    assert [error["path"] for error in body["errors"]] == [["project", "maxAccessLevel"]]
    assert body["errors"][0]["message"].startswith("Access denied: ")


async def test_a_fine_grained_token_reads_the_other_fields(
    instance: Instance, client: Client
) -> None:
    token = instance.create_token("ann", permissions=frozenset({"Project: Read"})).secret

    _, body = await client.graphql('{ project(fullPath: "acme/vision/detector") { id } }', token)
    assert body == {"data": {"project": {"id": "gid://gitlab/Project/1"}}}


async def test_an_older_gitlab_does_not_know_the_field(instance: Instance, client: Client) -> None:
    instance.set_version("16.8")

    status, body = await client.graphql(PROJECT, "glpat-ann", {"path": "acme/vision/detector"})
    assert status == 200
    assert "data" not in body
    assert body["errors"] == [
        {
            "message": "Field 'maxAccessLevel' doesn't exist on type 'Project'",
            "locations": [{"line": 5, "column": 49}],
            "path": ["query", "project", "maxAccessLevel"],
            "extensions": {
                "code": "undefinedField",
                "typeName": "Project",
                "fieldName": "maxAccessLevel",
            },
        }
    ]


@pytest.mark.parametrize(
    ("version", "argument", "known"),
    [
        ("17.4", "minAccessLevel: GUEST", False),
        ("17.5", "minAccessLevel: GUEST", True),
        ("16.5", 'fullPaths: ["a/b"]', False),
        ("16.6", 'fullPaths: ["a/b"]', True),
        ("17.3", "archived: INCLUDE", False),
        ("17.4", "archived: INCLUDE", True),
    ],
)
async def test_an_older_gitlab_does_not_know_the_argument(
    instance: Instance, client: Client, version: str, argument: str, *, known: bool
) -> None:
    instance.set_version(version)

    _, body = await client.graphql(f"query Mine {{ mine: projects({argument}) {{ count }} }}")
    if known:
        assert "errors" not in body
    else:
        name = argument.partition(":")[0]
        (error,) = body["errors"]
        assert error["message"] == f"Field 'projects' doesn't accept argument '{name}'"
        assert error["path"] == ["query Mine", "mine", name]
        assert error["extensions"]["code"] == "argumentNotAccepted"


@pytest.mark.parametrize(
    "query",
    [
        "query($path: ID!) { project(fullPath: $path) { id } }",
        "{ project { id } }",
        "{ project(fullPath: 1.5) { id } }",
        "{ currentUser }",
        "{ currentUser @skip(unless: true) { id } }",
        "{ oops",
        "",
    ],
)
async def test_a_bad_query_is_answered_200_with_errors_and_no_data(
    client: Client, query: str
) -> None:
    status, body = await client.graphql(query, "glpat-ann")

    assert status == 200
    assert body["errors"][0]["message"]
    assert not body.get("data")


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"{", 400),
        (b"3", 400),
        (b'{"query": "{ currentUser { id } }", "variables": "{"}', 422),
        (b'{"query": "{ currentUser { id } }", "variables": [1]}', 422),
        (b'{"query": "{ currentUser { id } }", "variables": "{}"}', 200),
        (b'{"query": "{ currentUser { id } %s"}' % (b" " * 10_000), 422),
    ],
)
async def test_what_is_no_request_is_refused(client: Client, body: bytes, status: int) -> None:
    async with client.http.post("/api/graphql", data=body) as answer:
        assert answer.status == status
        assert (status == 200) == ("data" in await answer.json())


async def test_several_queries_are_answered_in_order(client: Client) -> None:
    queries = [
        {"query": "{ currentUser { username } }"},
        {"query": PROJECT, "variables": {"path": "none"}},
    ]

    async with client.http.post(
        "/api/graphql", json=queries, headers=bearer("glpat-ann")
    ) as answer:
        first, second = await answer.json()
    assert first == {"data": {"currentUser": {"username": "ann"}}}
    assert second["data"]["project"] is None
