from collections.abc import AsyncIterator
from itertools import chain
from typing import Any

import pytest
from yarl import URL

from extauthz.local.gitlab.instance import Instance
from extauthz.local.gitlab.records import Visibility
from tests.demo_gitlab import Client, bearer, serving

NOT_FOUND = (404, {"message": "404 Project Not Found"})


@pytest.fixture
def instance() -> Instance:
    instance = Instance()
    instance.create_user("ann")
    instance.create_user("bob")
    instance.create_project("Acme/Vision/Detector", topics=("mlflow", "ai"))
    instance.add_member("Acme", "ann", 30)
    instance.create_token("ann", secret="glpat-ann")
    instance.create_token("bob", secret="glpat-bob")
    return instance


@pytest.fixture
async def client(instance: Instance) -> AsyncIterator[Client]:
    async with serving(instance) as client:
        yield client


@pytest.mark.parametrize(
    "name",
    ["1", "Acme%2FVision%2FDetector", "acme%2fvision%2fdetector", "ACME%2FVISION%2FDETECTOR"],
)
async def test_a_project_is_found_by_id_and_by_path_in_any_letter_case(
    client: Client, name: str
) -> None:
    async with client.http.get(
        URL(f"/api/v4/projects/{name}", encoded=True), headers=bearer("glpat-ann")
    ) as answer:
        project = await answer.json()

    assert project["id"] == 1
    assert project["path_with_namespace"] == "Acme/Vision/Detector"
    assert project["topics"] == ["ai", "mlflow"]
    assert (project["archived"], project["visibility"]) == (False, "private")
    assert project["permissions"] == {
        "project_access": None,
        "group_access": {"access_level": 30, "notification_level": 3},
    }


@pytest.mark.parametrize("name", ["2", "acme%2Fother", "acme", "acme%2FVision"])
async def test_what_is_no_project_is_not_found(client: Client, name: str) -> None:
    assert await client.get(f"/api/v4/projects/{name}", "glpat-ann") == NOT_FOUND


async def test_a_project_that_cannot_be_seen_is_not_found(client: Client) -> None:
    assert await client.get("/api/v4/projects/1", "glpat-bob") == NOT_FOUND
    assert await client.get("/api/v4/projects/1") == NOT_FOUND


async def test_a_path_with_slashes_that_are_not_encoded_is_no_route(client: Client) -> None:
    answer = await client.get("/api/v4/projects/Acme/Vision/Detector", "glpat-ann")

    assert answer == (404, {"error": "404 Not Found"})


async def test_an_anonymous_caller_is_shown_no_permissions(
    instance: Instance, client: Client
) -> None:
    instance.update_project("Acme/Vision/Detector", visibility=Visibility.PUBLIC)

    status, project = await client.get("/api/v4/projects/1")
    assert status == 200
    assert not {"permissions", "visibility", "archived"} & project.keys()


async def test_a_stranger_to_a_public_project_has_no_permissions(
    instance: Instance, client: Client
) -> None:
    instance.update_project("Acme/Vision/Detector", visibility=Visibility.PUBLIC)

    _, project = await client.get("/api/v4/projects/1", "glpat-bob")
    assert project["permissions"] == {"project_access": None, "group_access": None}


@pytest.mark.parametrize(
    ("route", "expected"),
    [
        ("/api/v4/projects/acme%2fvision%2fdetector", "/api/v4/projects/1"),
        (
            "/api/v4/projects/Acme%2FVision%2FDetector/members/all/1?x=%2F",
            "/api/v4/projects/1/members/all/1?x=%2F",
        ),
    ],
)
async def test_a_moved_project_redirects_to_its_id(
    instance: Instance, client: Client, route: str, expected: str
) -> None:
    instance.move_project("Acme/Vision/Detector", "Acme/Archive/Detector")

    async with client.http.get(
        URL(route, encoded=True), headers=bearer("glpat-ann"), allow_redirects=False
    ) as answer:
        assert answer.status == 301
        assert answer.headers["Location"] == str(client.http.make_url("/")).rstrip("/") + expected
    assert (await client.get("/api/v4/projects/1", "glpat-ann"))[0] == 200


async def test_a_moved_project_redirects_only_who_can_see_it(
    instance: Instance, client: Client
) -> None:
    instance.move_project("Acme/Vision/Detector", "Acme/Archive/Detector")

    assert await client.get("/api/v4/projects/Acme%2FVision%2FDetector", "glpat-bob") == NOT_FOUND


async def test_a_freed_path_belongs_to_who_takes_it_next(
    instance: Instance, client: Client
) -> None:
    instance.move_project("Acme/Vision/Detector", "Acme/Archive/Detector")
    instance.create_project("acme/vision/detector")

    _, project = await client.get("/api/v4/projects/Acme%2FVision%2FDetector", "glpat-ann")
    assert project["id"] == 2


async def test_a_project_that_moves_back_redirects_no_more(
    instance: Instance, client: Client
) -> None:
    instance.move_project("Acme/Vision/Detector", "Acme/Archive/Detector")
    instance.move_project("Acme/Archive/Detector", "Acme/Vision/Detector")

    assert (await client.get("/api/v4/projects/Acme%2FVision%2FDetector", "glpat-ann"))[0] == 200


async def test_a_deleted_project_leaves_no_redirect(instance: Instance, client: Client) -> None:
    instance.move_project("Acme/Vision/Detector", "Acme/Archive/Detector")
    instance.delete_project("Acme/Archive/Detector")

    assert await client.get("/api/v4/projects/Acme%2FVision%2FDetector", "glpat-ann") == NOT_FOUND


async def test_members_shows_the_effective_level_shares_included(
    instance: Instance, client: Client
) -> None:
    instance.create_group("guests")
    instance.add_member("guests", "bob", 40)
    instance.share("Acme/Vision/Detector", "guests", 20)

    status, member = await client.get("/api/v4/projects/1/members/all/2", "glpat-bob")
    assert status == 200
    assert (member["id"], member["username"], member["access_level"]) == (2, "bob", 20)


@pytest.mark.parametrize("user", ["2", "99"])
async def test_who_is_no_member_is_not_found_in_other_words(client: Client, user: str) -> None:
    answer = await client.get(f"/api/v4/projects/1/members/all/{user}", "glpat-ann")

    assert answer == (404, {"message": "404 Not found"})


async def test_members_needs_a_user_and_a_visible_project(
    instance: Instance, client: Client
) -> None:
    route = "/api/v4/projects/1/members/all/1"
    assert await client.get(route, "glpat-bob") == NOT_FOUND

    instance.update_project("Acme/Vision/Detector", visibility=Visibility.PUBLIC)
    assert (await client.get(route))[0] == 401
    assert (await client.get("/api/v4/projects/1/members/all/x", "glpat-ann"))[0] == 400


class TestList:
    @pytest.fixture(autouse=True)
    def _projects(self, instance: Instance) -> None:
        instance.create_project("acme/b", topics=("mlflow",), archived=True)
        instance.create_project("acme/c", visibility=Visibility.INTERNAL)
        instance.create_project("other/d", visibility=Visibility.PUBLIC)
        instance.create_project("other/e")

    async def ids(self, client: Client, token: str = "glpat-ann", **query: str) -> list[int]:
        status, projects = await client.get("/api/v4/projects", token, **query)
        assert status == 200, projects
        return [project["id"] for project in projects]

    async def test_it_has_what_the_caller_sees_newest_first(self, client: Client) -> None:
        assert await self.ids(client) == [4, 3, 2, 1]
        assert await self.ids(client, "glpat-bob") == [4, 3]
        assert await self.ids(client, "") == [4]

    @pytest.mark.parametrize(
        ("query", "expected"),
        [
            ({"sort": "asc"}, [1, 2, 3, 4]),
            ({"membership": "true"}, [3, 2, 1]),
            ({"min_access_level": "30"}, [3, 2, 1]),
            ({"min_access_level": "40"}, []),
            ({"topic": "mlflow"}, [2, 1]),
            ({"topic": "mlflow, ai"}, [1]),
            ({"topic": "MLflow"}, []),
            ({"archived": "true"}, [2]),
            ({"archived": "false"}, [4, 3, 1]),
            ({"visibility": "internal"}, [3]),
        ],
    )
    async def test_it_is_filtered(
        self, client: Client, query: dict[str, str], expected: list[int]
    ) -> None:
        assert await self.ids(client, **query) == expected

    async def test_anonymous_is_authorized_nowhere(self, client: Client) -> None:
        assert await self.ids(client, "", min_access_level="10") == []
        assert await self.ids(client, "", membership="true") == []

    async def test_an_administrators_view_is_no_authorization(
        self, instance: Instance, client: Client
    ) -> None:
        instance.update_user("bob", admin=True)

        assert await self.ids(client, "glpat-bob") == [5, 4, 3, 2, 1]
        assert await self.ids(client, "glpat-bob", min_access_level="10") == []

    async def test_its_permissions_look_at_the_immediate_group_only(self, client: Client) -> None:
        _, projects = await client.get("/api/v4/projects", "glpat-ann", sort="asc")

        access = {each["id"]: each["permissions"]["group_access"] for each in projects}
        assert access[1] is None
        assert access[2] == {"access_level": 30, "notification_level": 3}

    async def test_simple_shows_no_permissions(self, client: Client) -> None:
        _, projects = await client.get("/api/v4/projects", "glpat-ann", simple="true")

        assert all("permissions" not in project for project in projects)
        assert {"id", "path_with_namespace", "topics"} <= projects[0].keys()

    @pytest.mark.parametrize(
        "query", [{"min_access_level": "x"}, {"visibility": "secret"}, {"per_page": "x"}]
    )
    async def test_a_bad_parameter_is_refused(self, client: Client, query: dict[str, str]) -> None:
        assert (await client.get("/api/v4/projects", "glpat-ann", **query))[0] == 400


class TestPages:
    @pytest.fixture(autouse=True)
    def _projects(self, instance: Instance) -> None:
        for number in range(2, 206):
            instance.create_project(f"acme/p{number}")

    async def pages(self, client: Client, **query: str) -> list[list[int]]:
        url: URL | None = client.http.make_url("/api/v4/projects").with_query(query)
        pages = []
        while url is not None:
            async with client.http.get(url.relative(), headers=bearer("glpat-ann")) as answer:
                pages.append([project["id"] for project in await answer.json()])
                following = answer.links["next"]["url"] if "next" in answer.links else None
                url = URL(str(following)) if following else None
        return pages

    @pytest.mark.parametrize(("sort", "order"), [("asc", 1), ("desc", -1)])
    async def test_the_links_of_keyset_pagination_lead_through_all_to_an_empty_page(
        self, client: Client, sort: str, order: int
    ) -> None:
        pages = await self.pages(
            client, pagination="keyset", order_by="id", sort=sort, per_page="100"
        )

        assert [len(page) for page in pages] == [100, 100, 5, 0]
        assert list(chain(*pages))[::order] == list(range(1, 206))

    async def test_keyset_pagination_keeps_the_filter(
        self, instance: Instance, client: Client
    ) -> None:
        instance.update_project("acme/p7", topics=("mlflow",))
        query = {"pagination": "keyset", "order_by": "id", "sort": "asc", "topic": "mlflow"}

        assert await self.pages(client, **query) == [[1, 7], []]

    async def test_keyset_pagination_orders_by_id_only(self, client: Client) -> None:
        status, body = await client.get("/api/v4/projects", "glpat-ann", pagination="keyset")

        assert status == 405
        assert "Keyset pagination" in body["error"]

    async def test_the_links_of_offset_pagination_end_with_the_last_page(
        self, client: Client
    ) -> None:
        pages = await self.pages(client, sort="asc", per_page="100")

        assert [len(page) for page in pages] == [100, 100, 5]
        assert list(chain(*pages)) == list(range(1, 206))

    @pytest.mark.parametrize(
        ("query", "expected"), [({}, 20), ({"per_page": "500"}, 100), ({"per_page": "3"}, 3)]
    )
    async def test_a_page_holds_twenty_and_at_most_a_hundred(
        self, client: Client, query: dict[str, str], expected: int
    ) -> None:
        _, projects = await client.get("/api/v4/projects", "glpat-ann", **query)

        assert len(projects) == expected

    async def test_offset_pagination_counts(self, client: Client) -> None:
        async with client.http.get(
            "/api/v4/projects?page=2&per_page=100", headers=bearer("glpat-ann")
        ) as answer:
            counts: dict[str, Any] = {
                name: value for name, value in answer.headers.items() if name.startswith("X-")
            }

        assert counts == {
            "X-Page": "2",
            "X-Per-Page": "100",
            "X-Next-Page": "3",
            "X-Prev-Page": "1",
            "X-Total": "205",
            "X-Total-Pages": "3",
        }


async def test_readiness_is_answered(client: Client) -> None:
    assert await client.get("/-/readiness") == (200, {"status": "ok"})
