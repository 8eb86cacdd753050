from collections.abc import AsyncIterator
from typing import Any

import pytest

from extauthz.local.gitlab.instance import Instance
from tests.demo_gitlab import Client, serving

LEVEL = "query($p: ID!) { project(fullPath: $p) { maxAccessLevel { integerValue } } }"


@pytest.fixture
async def client() -> AsyncIterator[Client]:
    async with serving(Instance(), control=True) as client:
        yield client


async def changed(client: Client, name: str, **arguments: object) -> tuple[int, Any]:
    async with client.http.post(f"/-/demo/{name}", json=arguments) as answer:
        return answer.status, await (answer.json() if answer.status == 200 else answer.text())


async def test_a_world_is_built_from_outside(client: Client) -> None:
    assert (await changed(client, "create_user", username="ann"))[0] == 200
    assert (await changed(client, "create_group", path="guests"))[0] == 200
    _, project = await changed(
        client, "create_project", path="acme/vision", topics=["mlflow"], visibility="internal"
    )
    assert (project["id"], project["topics"], project["visibility"]) == (1, ["mlflow"], "internal")
    await changed(client, "add_member", path="guests", username="ann", level=40)
    await changed(client, "share", path="acme", group="guests", level=20)
    _, token = await changed(client, "create_token", username="ann", scopes=["read_api"])

    _, body = await client.graphql(LEVEL, token["secret"], {"p": "acme/vision"})
    assert body["data"]["project"]["maxAccessLevel"]["integerValue"] == 20


async def test_many_changes_are_made_in_one_call(client: Client) -> None:
    changes = [["create_project", {"path": f"acme/p{number}"}] for number in range(101)]

    async with client.http.post("/-/demo/batch", json=changes) as answer:
        assert [project["id"] for project in await answer.json()] == list(range(1, 102))


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("create_user", {"username": "ann", "hobby": "chess"}),
        ("create_user", {}),
        ("create_user", {"username": "ann", "state": "asleep"}),
        ("create_project", {"path": "alone"}),
        ("add_member", {"path": "none", "username": "nobody", "level": 30}),
        ("move_project", {"path": "none/none", "to": "a/b"}),
        ("update_token", {"secret": "glpat-none", "revoked": True}),
        ("set_version", {"version": "latest"}),
        ("no_such_change", {}),
        ("__init__", {}),
        ("reset", {"world": "upside down"}),
    ],
)
async def test_a_change_that_cannot_be_made_is_refused_with_a_reason(
    client: Client, name: str, arguments: dict[str, object]
) -> None:
    status, reason = await changed(client, name, **arguments)

    assert status == 422
    assert reason


async def test_a_body_that_is_no_json_is_refused(client: Client) -> None:
    async with client.http.post("/-/demo/create_user", data=b"{") as answer:
        assert answer.status == 422


async def test_the_same_thing_twice_is_refused(client: Client) -> None:
    assert (await changed(client, "create_project", path="acme/vision", id=7))[0] == 200
    assert (await changed(client, "create_project", path="Acme/Vision"))[0] == 422
    assert (await changed(client, "create_project", path="acme/other", id=7))[0] == 422
    assert (await changed(client, "create_user", username="acme"))[0] == 422


async def test_a_token_is_made_once(client: Client) -> None:
    await changed(client, "create_user", username="ann")

    assert (await changed(client, "create_token", username="ann", secret="glpat-x"))[0] == 200
    assert (await changed(client, "create_token", username="ann", secret="glpat-x"))[0] == 422


async def test_calls_are_logged_without_their_secrets(client: Client) -> None:
    await client.get("/api/v4/projects/a%2Fb", "glpat-secret", simple="true")
    await client.graphql("query { project(fullPath: 1) { id } me: currentUser { id } }")
    await client.graphql("{ broken")

    _, calls = await client.get("/-/demo/calls")
    assert [(call["method"], call["path"], call["operation"]) for call in calls] == [
        ("GET", "/api/v4/projects/a%2Fb?simple=true", ""),
        ("POST", "/api/graphql", "currentUser,project"),
        ("POST", "/api/graphql", ""),
    ]
    assert "authorization" in calls[0]["headers"]
    assert "glpat-secret" not in str(calls)


async def test_calls_are_found_by_path_and_forgotten(client: Client) -> None:
    await client.get("/api/v4/user")
    await client.graphql("{ currentUser { id } }")

    _, calls = await client.get("/-/demo/calls", path="graphql$")
    assert [call["path"] for call in calls] == ["/api/graphql"]
    async with client.http.delete("/-/demo/calls") as answer:
        assert answer.status == 200
    assert await client.get("/-/demo/calls") == (200, [])


async def test_a_reset_starts_all_over(client: Client) -> None:
    await changed(client, "create_user", username="ann")
    await changed(client, "faults", effect="error")
    await client.get("/api/v4/user")

    assert (await changed(client, "reset", world="demo"))[0] == 200
    assert (await client.get("/-/demo/calls"))[1] == []
    assert (await client.get("/api/v4/user", "glpat-demo-bob"))[1]["username"] == "bob"
    assert (await changed(client, "reset"))[0] == 200
    assert (await client.get("/api/v4/user", "glpat-demo-bob"))[0] == 401


async def test_without_control_nobody_changes_anything() -> None:
    async with serving(Instance()) as client:
        assert (await changed(client, "create_user", username="ann"))[0] == 404
        async with client.http.get("/-/demo/calls") as answer:
            assert answer.status == 404
