"""The demo GitLab inside a test's own process, for the tests of the demo GitLab itself."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from aiohttp.test_utils import TestClient, TestServer

from extauthz.local.gitlab.app import create_app
from extauthz.local.gitlab.instance import Instance
from tests.servers.ports import free_port


class Client:
    """Asks a served instance, with or without a token."""

    def __init__(self, http: TestClient[Any, Any]) -> None:
        self.http = http

    async def get(self, path: str, token: str = "", /, **query: str) -> tuple[int, Any]:
        """Return status and JSON of a GET, not following redirects."""
        async with self.http.get(
            path, params=query, headers=bearer(token), allow_redirects=False
        ) as answer:
            return answer.status, await answer.json()

    async def graphql(
        self, query: str, token: str = "", variables: dict[str, Any] | None = None
    ) -> tuple[int, Any]:
        """Return status and JSON of a GraphQL query."""
        body = {"query": query, "variables": variables}
        async with self.http.post("/api/graphql", json=body, headers=bearer(token)) as answer:
            return answer.status, await answer.json()


@asynccontextmanager
async def serving(instance: Instance, *, control: bool = False) -> AsyncIterator[Client]:
    """Serve an instance on a real port."""
    server = TestServer(create_app(instance, control=control), port=free_port())
    async with TestClient(server) as http:
        yield Client(http)


def bearer(token: str) -> dict[str, str]:
    """Return the header that carries a token, none for no token."""
    return {"Authorization": f"Bearer {token}"} if token else {}
