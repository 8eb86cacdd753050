from collections.abc import AsyncIterator
from typing import Any

import pytest

from extauthz.local.gitlab.instance import Instance
from extauthz.local.gitlab.records import Visibility
from tests.demo_gitlab import Client, serving


@pytest.fixture
def instance() -> Instance:
    instance = Instance()
    instance.create_user("ann")
    instance.create_project("Acme/Vision/Detector", topics=("mlflow",))
    instance.add_member("Acme", "ann", 30)
    instance.create_token("ann", secret="glpat-ann")
    return instance


@pytest.fixture
async def client(instance: Instance) -> AsyncIterator[Client]:
    async with serving(instance) as client:
        yield client


class TestProjects:
    @pytest.fixture(autouse=True)
    def _projects(self, instance: Instance) -> None:
        instance.create_project("acme/b", topics=("mlflow", "ai"), archived=True)
        instance.create_project("other/c", visibility=Visibility.PUBLIC)
        instance.create_project("other/d")

    async def ids(self, client: Client, arguments: str, token: str = "glpat-ann") -> list[int]:
        query = f"{{ projects{arguments} {{ nodes {{ id }} }} }}"
        status, body = await client.graphql(query, token)
        assert status == 200
        nodes = body["data"]["projects"]["nodes"]
        return [int(node["id"].rpartition("/")[2]) for node in nodes]

    @pytest.mark.parametrize(
        ("arguments", "expected"),
        [
            ("", [3, 2, 1]),
            ('(sort: "id_asc")', [1, 2, 3]),
            ("(membership: true)", [2, 1]),
            ("(minAccessLevel: DEVELOPER)", [2, 1]),
            ("(minAccessLevel: MAINTAINER)", []),
            ('(topics: ["mlflow", "ai"])', [2]),
            ("(archived: EXCLUDE)", [3, 1]),
            ("(archived: ONLY)", [2]),
            ("(archived: INCLUDE)", [3, 2, 1]),
            ('(fullPaths: ["ACME/b", "other/d"])', [2]),
            ('(ids: ["gid://gitlab/Project/4", "gid://gitlab/Project/1"])', [1]),
            ("(ids: [])", []),
        ],
    )
    async def test_it_has_what_the_caller_sees_filtered(
        self, client: Client, arguments: str, expected: list[int]
    ) -> None:
        assert await self.ids(client, arguments) == expected

    async def test_anonymous_is_authorized_nowhere(self, client: Client) -> None:
        assert await self.ids(client, "", "") == [3]
        assert await self.ids(client, "(membership: true)", "") == []
        assert await self.ids(client, "(minAccessLevel: GUEST)", "") == []

    async def test_each_has_the_right_level(self, client: Client) -> None:
        query = "{ projects { nodes { fullPath maxAccessLevel { integerValue } } } }"

        _, body = await client.graphql(query, "glpat-ann")
        levels = {
            node["fullPath"]: node["maxAccessLevel"]["integerValue"]
            for node in body["data"]["projects"]["nodes"]
        }
        assert levels == {"other/c": 0, "acme/b": 30, "Acme/Vision/Detector": 30}

    async def test_a_fine_grained_token_nulls_each_of_them(
        self, instance: Instance, client: Client
    ) -> None:
        token = instance.create_token("ann", permissions=frozenset()).secret

        _, body = await client.graphql(
            "{ projects { nodes { maxAccessLevel { integerValue } } } }", token
        )
        assert body["data"]["projects"]["nodes"] == [None, None, None]
        assert len(body["errors"]) == 3

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            ('(ids: ["7"])', '"7" is not a valid GitLab ID.'),
            (
                '(ids: ["gid://gitlab/User/1"])',
                '"gid://gitlab/User/1" does not represent an instance of Project',
            ),
            ('(after: "?")', "Please provide a valid cursor"),
            (
                f"(fullPaths: {['a/b'] * 51})".replace("'", '"'),
                "You cannot provide more than 50 full_paths",
            ),
        ],
    )
    async def test_a_bad_argument_nulls_the_list_with_an_error(
        self, client: Client, arguments: str, message: str
    ) -> None:
        status, body = await client.graphql(f"{{ projects{arguments} {{ count }} }}", "glpat-ann")

        assert status == 200
        assert body["data"] == {"projects": None}
        assert [error["message"] for error in body["errors"]] == [message]


class TestPages:
    QUERY = """
    query($first: Int, $after: String) {
      projects(first: $first, after: $after, sort: "id_asc") {
        count
        edges { cursor node { id } }
        pageInfo { hasNextPage hasPreviousPage startCursor endCursor }
      }
    }
    """

    @pytest.fixture(autouse=True)
    def _projects(self, instance: Instance) -> None:
        for number in range(2, 206):
            instance.create_project(f"acme/p{number}")

    async def page(self, client: Client, first: int | None, after: str | None = None) -> Any:
        variables = {"first": first, "after": after}
        _, body = await client.graphql(self.QUERY, "glpat-ann", variables)
        return body["data"]["projects"]

    async def test_cursors_lead_through_all(self, client: Client) -> None:
        sizes, after = [], None
        while True:
            page = await self.page(client, 100, after)
            sizes.append(len(page["edges"]))
            assert page["pageInfo"]["hasPreviousPage"] is (after is not None)
            after = page["pageInfo"]["endCursor"]
            assert after == page["edges"][-1]["cursor"]
            if not page["pageInfo"]["hasNextPage"]:
                break

        assert sizes == [100, 100, 5]
        assert page["count"] == 205

    @pytest.mark.parametrize(("first", "expected"), [(None, 100), (500, 100), (3, 3), (0, 0)])
    async def test_a_page_holds_at_most_a_hundred(
        self, client: Client, first: int | None, expected: int
    ) -> None:
        assert len((await self.page(client, first))["edges"]) == expected
