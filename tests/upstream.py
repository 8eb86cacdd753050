"""An upstream before a server of the test's choice, on a clock that the test moves."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from extauthz.edge.breaker import Breaker
from extauthz.edge.operations import Operation
from extauthz.edge.upstream import Answer, Call, Upstream, open_session
from tests.access import TIMEOUT, Calls, Clock
from tests.servers.ports import free_port

TOKEN = "glpat-very-secret"
CALL = Call(
    Operation.PROJECT,
    "/api/v4/projects/acme%2Fsecret-project",
    {"Authorization": f"Bearer {TOKEN}"},
)
QUERY = Call(Operation.USER, "/api/graphql", {}, {"query": "{ currentUser { id } }"})
OK = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"


@dataclass(frozen=True)
class Observed:
    """An upstream, its clock, and everything that its observer was told."""

    upstream: Upstream
    clock: Clock
    calls: Calls

    async def ask(self, call: Call = CALL) -> Answer:
        """Make a call; raises Unavailable."""
        return await self.upstream.ask(call)


@asynccontextmanager
async def asking(url: str, *, seconds: float = TIMEOUT) -> AsyncIterator[Observed]:
    """Ask a server as the edge asks GitLab, for so many seconds at most."""
    clock, calls = Clock(), Calls()
    async with open_session() as session:
        upstream = Upstream(
            session,
            url,
            name="GitLab",
            observer=calls,
            breaker=Breaker(clock=clock),
            timeout=seconds,
        )
        yield Observed(upstream, clock, calls)


@asynccontextmanager
async def answered(*answers: bytes) -> AsyncIterator[Observed]:
    """Ask a server of raw bytes, one answer per request; the last one again and again."""
    left = list(answers)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while await reader.readuntil(b"\r\n\r\n"):
                answer = left.pop(0) if len(left) > 1 else left[0]
                writer.write(answer)
                await writer.drain()
                if b"Connection: close" in answer or not answer:
                    break
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    port = free_port()
    server = await asyncio.start_server(serve, "127.0.0.1", port)
    try:
        async with asking(f"http://127.0.0.1:{port}") as upstream:
            yield upstream
    finally:
        server.close()
