from collections.abc import AsyncIterator
from datetime import UTC, datetime, time, timedelta

import pytest

from extauthz.local.gitlab.instance import Instance
from extauthz.local.gitlab.records import State, TokenKind, Visibility
from tests.demo_gitlab import Client, serving

ME = "{ currentUser { username } }"


@pytest.fixture
def instance() -> Instance:
    instance = Instance()
    instance.create_user("ann")
    instance.create_project("acme/vision")
    instance.add_member("acme", "ann", 30)
    return instance


@pytest.fixture
async def client(instance: Instance) -> AsyncIterator[Client]:
    async with serving(instance) as client:
        yield client


@pytest.mark.parametrize("kind", [TokenKind.PERSONAL, TokenKind.OAUTH])
async def test_a_bearer_token_proves_its_user(
    instance: Instance, client: Client, kind: TokenKind
) -> None:
    token = instance.create_token("ann", kind=kind).secret

    status, user = await client.get("/api/v4/user", token)
    assert (status, user["username"], user["state"]) == (200, "ann", "active")
    assert await client.graphql(ME, token) == (200, {"data": {"currentUser": {"username": "ann"}}})


async def test_a_personal_token_may_come_in_its_own_header(
    instance: Instance, client: Client
) -> None:
    headers = {"PRIVATE-TOKEN": instance.create_token("ann").secret}

    async with client.http.get("/api/v4/user", headers=headers) as answer:
        assert (await answer.json())["username"] == "ann"


async def test_an_oauth_token_is_none_in_the_header_of_personal_tokens(
    instance: Instance, client: Client
) -> None:
    headers = {"PRIVATE-TOKEN": instance.create_token("ann", kind=TokenKind.OAUTH).secret}

    async with client.http.get("/api/v4/user", headers=headers) as answer:
        assert answer.status == 401


async def test_basic_authenticates_nobody(instance: Instance, client: Client) -> None:
    headers = {"Authorization": "Basic YW5uOmdscGF0LXg="}

    async with client.http.get("/api/v4/user", headers=headers) as answer:
        assert answer.status == 401


async def test_an_unknown_token_is_unauthorized(client: Client) -> None:
    assert await client.get("/api/v4/user", "glpat-unknown") == (
        401,
        {"message": "401 Unauthorized"},
    )
    assert await client.graphql(ME, "glpat-unknown") == (
        401,
        {"errors": [{"message": "Invalid token"}]},
    )


async def test_nobody_is_not_a_user(client: Client) -> None:
    assert await client.get("/api/v4/user") == (401, {"message": "401 Unauthorized"})
    assert await client.graphql(ME) == (200, {"data": {"currentUser": None}})


async def test_rest_says_that_a_token_is_expired_and_graphql_does_not(
    instance: Instance, client: Client
) -> None:
    token = instance.create_token("ann", expires_in=-1).secret

    status, body = await client.get("/api/v4/user", token)
    assert (status, body["error"]) == (401, "invalid_token")
    assert "expired" in body["error_description"]
    assert await client.graphql(ME, token) == (401, {"errors": [{"message": "Invalid token"}]})


async def test_rest_says_that_a_token_was_revoked(instance: Instance, client: Client) -> None:
    token = instance.create_token("ann").secret
    instance.update_token(token, revoked=True)

    status, body = await client.get("/api/v4/user", token)
    assert (status, body["error"]) == (401, "invalid_token")
    assert "revoked" in body["error_description"]
    assert (await client.graphql(ME, token))[0] == 401


@pytest.mark.parametrize(
    ("scope", "statuses"),
    [
        ("api", [200, 200, 200, 200]),
        ("read_api", [200, 200, 200, 200]),
        ("read_user", [200, 403, 403, 401]),
        ("read_repository", [403, 403, 403, 401]),
    ],
)
async def test_a_scope_opens_what_it_says(
    instance: Instance, client: Client, scope: str, statuses: list[int]
) -> None:
    token = instance.create_token("ann", scopes=(scope,)).secret
    routes = ("/api/v4/user", "/api/v4/projects/1", "/api/v4/projects")

    answers = [
        *[await client.get(route, token) for route in routes],
        await client.graphql(ME, token),
    ]
    assert [status for status, _ in answers] == statuses


async def test_a_refusal_for_scope_names_the_wanted_ones(
    instance: Instance, client: Client
) -> None:
    token = instance.create_token("ann", scopes=("read_user",)).secret

    _, body = await client.get("/api/v4/projects/1", token)
    assert (body["error"], body["scope"]) == ("insufficient_scope", "api read_api")


@pytest.mark.parametrize(
    ("state", "reason"), [(State.BLOCKED, "blocked"), (State.DEACTIVATED, "deactivated")]
)
async def test_an_account_that_may_not_be_used_is_forbidden(
    instance: Instance, client: Client, state: State, reason: str
) -> None:
    token = instance.create_token("ann").secret
    instance.update_user("ann", state=state)

    status, body = await client.get("/api/v4/projects/1", token)
    assert status == 403
    assert body["message"].startswith("403 Forbidden - ")
    assert reason in body["message"]
    assert await client.graphql(ME, token) == (
        403,
        {"errors": [{"message": "API not accessible for user"}]},
    )


async def test_a_job_token_is_anonymous_on_rest_and_refused_by_graphql(
    instance: Instance, client: Client
) -> None:
    token = instance.create_token("ann", kind=TokenKind.JOB).secret
    instance.create_project("acme/open", visibility=Visibility.PUBLIC)

    assert (await client.get("/api/v4/projects/acme%2Fopen", token))[0] == 200
    assert (await client.get("/api/v4/projects/acme%2Fvision", token))[0] == 404
    assert (await client.get("/api/v4/user", token))[0] == 401
    assert (await client.graphql(ME, token))[0] == 401


async def test_a_fine_grained_token_needs_the_permission_of_each_route(
    instance: Instance, client: Client
) -> None:
    token = instance.create_token("ann", permissions=frozenset({"Project: Read"})).secret

    assert (await client.get("/api/v4/projects/1", token))[0] == 200
    status, body = await client.get("/api/v4/user", token)
    assert (status, body["error"]) == (403, "insufficient_granular_scope")
    assert "[User: Read]" in body["error_description"]


async def test_a_personal_token_describes_itself_with_any_scope(
    instance: Instance, client: Client
) -> None:
    token = instance.create_token("ann", scopes=("read_registry",), expires_in=86_400)

    status, body = await client.get("/api/v4/personal_access_tokens/self", token.secret)
    assert status == 200
    assert (body["scopes"], body["user_id"], body["active"]) == (["read_registry"], 1, True)
    assert token.expires is not None
    assert body["expires_at"] == token.expires.date().isoformat()


def test_a_personal_token_ends_at_the_midnight_after_its_time(instance: Instance) -> None:
    token = instance.create_token("ann", expires_in=3600)

    assert token.expires is not None
    assert token.expires.time() == time.min
    assert timedelta(seconds=3590) < token.expires - datetime.now(UTC) < timedelta(days=2)


async def test_a_fine_grained_token_calls_itself_granular(
    instance: Instance, client: Client
) -> None:
    token = instance.create_token("ann", permissions=frozenset()).secret

    _, body = await client.get("/api/v4/personal_access_tokens/self", token)
    assert (body["granular"], body["scopes"]) == (True, ["granular"])


@pytest.mark.parametrize("path", ["/api/v4/personal_access_tokens/self", "/oauth/token/info"])
async def test_nobody_has_no_token_to_describe(client: Client, path: str) -> None:
    assert (await client.get(path))[0] == 401


async def test_an_oauth_token_is_no_personal_token(instance: Instance, client: Client) -> None:
    token = instance.create_token("ann", kind=TokenKind.OAUTH).secret

    status, body = await client.get("/api/v4/personal_access_tokens/self", token)
    assert status == 400
    assert body["message"].startswith("400 Bad request")


async def test_an_oauth_token_describes_itself_elsewhere(
    instance: Instance, client: Client
) -> None:
    token = instance.create_token(
        "ann", kind=TokenKind.OAUTH, scopes=("read_api", "openid"), expires_in=7200
    )

    status, body = await client.get("/oauth/token/info", token.secret)
    assert status == 200
    assert (body["resource_owner_id"], body["scope"]) == (1, ["read_api", "openid"])
    assert 7190 < body["expires_in"] <= 7200


async def test_an_oauth_token_without_end_says_null(instance: Instance, client: Client) -> None:
    token = instance.create_token("ann", kind=TokenKind.OAUTH).secret

    assert (await client.get("/oauth/token/info", token))[1]["expires_in"] is None


@pytest.mark.parametrize("kind", [TokenKind.PERSONAL, TokenKind.JOB])
async def test_other_tokens_are_invalid_there(
    instance: Instance, client: Client, kind: TokenKind
) -> None:
    token = instance.create_token("ann", kind=kind).secret

    status, body = await client.get("/oauth/token/info", token)
    assert (status, body["error"]) == (401, "invalid_token")


async def test_a_token_works_for_its_bot(instance: Instance, client: Client) -> None:
    token = instance.create_access_token("acme/vision", 30).secret

    _, user = await client.get("/api/v4/user", token)
    assert user["bot"]
    assert user["username"].startswith("project_1_bot_")
