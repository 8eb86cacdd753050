import asyncio
from collections.abc import AsyncIterator
from time import monotonic
from typing import Any

import pytest
from aiohttp import ClientConnectionError, ClientPayloadError

from extauthz.local.gitlab.instance import Instance
from tests.demo_gitlab import Client, bearer, serving

USER = "/api/v4/user"


@pytest.fixture
async def client() -> AsyncIterator[Client]:
    instance = Instance()
    instance.create_user("ann")
    instance.create_token("ann", secret="glpat-ann")
    async with serving(instance, control=True) as client:
        yield client


async def broken(client: Client, effect: str, **details: object) -> None:
    async with client.http.post("/-/demo/faults", json={"effect": effect, **details}) as answer:
        assert answer.status == 200


async def status_of(client: Client, path: str = USER) -> int:
    async with client.http.get(path, headers=bearer("glpat-ann")) as answer:
        return answer.status


async def test_latency_delays_the_real_answer(client: Client) -> None:
    await broken(client, "latency", seconds=0.2)

    start = monotonic()
    assert await status_of(client) == 200
    assert monotonic() - start >= 0.2


async def test_a_throttled_call_says_when_to_come_back_in_plain_text(client: Client) -> None:
    await broken(client, "throttle", seconds=7)

    async with client.http.get(USER) as answer:
        assert (answer.status, answer.content_type) == (429, "text/plain")
        assert answer.headers["Retry-After"] == "7"
        assert answer.headers["RateLimit-Remaining"] == "0"
        assert {"RateLimit-Name", "RateLimit-Limit", "RateLimit-Observed"} <= answer.headers.keys()
        assert {"RateLimit-Reset", "RateLimit-ResetTime"} <= answer.headers.keys()


@pytest.mark.parametrize("status", [500, 502, 503])
async def test_an_error_has_a_json_body(client: Client, status: int) -> None:
    await broken(client, "error", status=status)

    answered, body = await client.get(USER)
    assert answered == status
    assert body["message"].startswith(str(status))


@pytest.mark.parametrize("status", [200, 403, 502])
async def test_a_page_comes_with_any_status(client: Client, status: int) -> None:
    await broken(client, "html", status=status)

    async with client.http.get(USER) as answer:
        assert (answer.status, answer.content_type) == (status, "text/html")


async def test_a_reset_is_no_answer(client: Client) -> None:
    await broken(client, "reset")

    with pytest.raises(ClientConnectionError):
        await status_of(client)


async def test_a_hanging_call_never_ends(client: Client) -> None:
    await broken(client, "hang")

    with pytest.raises(TimeoutError):
        await asyncio.wait_for(status_of(client), 0.2)


async def test_a_truncated_body_is_shorter_than_announced(client: Client) -> None:
    await broken(client, "truncate")

    async with client.http.get(USER, headers=bearer("glpat-ann")) as answer:
        assert answer.status == 200
        with pytest.raises(ClientPayloadError):
            await answer.read()


async def test_a_huge_body_has_the_wanted_size(client: Client) -> None:
    await broken(client, "huge", size=1_000_000)

    async with client.http.get(USER) as answer:
        size = sum([len(chunk) async for chunk in answer.content.iter_any()])
    assert size == 1_000_000


async def test_a_redirect_leads_where_it_is_told(client: Client) -> None:
    await broken(client, "redirect", location="http://elsewhere.example/")

    async with client.http.get(USER, allow_redirects=False) as answer:
        assert (answer.status, answer.headers["Location"]) == (302, "http://elsewhere.example/")


async def test_a_fault_is_played_as_often_as_told(client: Client) -> None:
    await broken(client, "error", times=2)

    assert [await status_of(client) for _ in range(3)] == [500, 500, 200]


async def test_a_fault_is_played_on_matching_paths_only(client: Client) -> None:
    await broken(client, "error", path="^/api/graphql$")

    assert await status_of(client) == 200
    assert (await client.graphql("{ currentUser { id } }"))[0] == 500


async def test_faults_follow_each_other(client: Client) -> None:
    await broken(client, "error", status=500, times=1)
    await broken(client, "error", status=503, times=1)

    assert [await status_of(client) for _ in range(3)] == [500, 503, 200]


async def test_faults_end_when_cleared(client: Client) -> None:
    await broken(client, "reset")
    async with client.http.delete("/-/demo/faults") as answer:
        assert answer.status == 200

    assert await status_of(client) == 200


async def test_faults_leave_readiness_and_the_control_endpoint_alone(client: Client) -> None:
    await broken(client, "error")

    assert await status_of(client, "/-/readiness") == 200
    assert await status_of(client, "/-/demo/calls") == 200


@pytest.mark.parametrize(
    "fault",
    [
        {},
        {"effect": "sorrow"},
        {"effect": "hang", "pathh": "x"},
        {"effect": "hang", "path": "("},
        {"effect": "error", "status": 99},
    ],
)
async def test_a_fault_that_is_not_known_is_refused(client: Client, fault: dict[str, Any]) -> None:
    async with client.http.post("/-/demo/faults", json=fault) as answer:
        assert answer.status == 422

    assert await status_of(client) == 200


async def test_a_broken_call_is_logged_as_well(client: Client) -> None:
    await broken(client, "reset", times=1)
    with pytest.raises(ClientConnectionError):
        await status_of(client)

    _, calls = await client.get("/-/demo/calls")
    assert [call["path"] for call in calls] == [USER]
