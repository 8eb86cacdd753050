"""An upstream that records each request as it came over the wire."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from types import MappingProxyType


def _answer(body: str) -> bytes:
    head = "HTTP/1.1 200 OK\r\nserver: uvicorn\r\ncontent-type: application/json\r\n"
    return f"{head}content-length: {len(body)}\r\n\r\n{body}".encode()


@dataclass(frozen=True, slots=True)
class Seen:
    """One request head."""

    method: str
    target: str
    headers: tuple[tuple[str, str], ...]

    def values(self, name: str) -> list[str]:
        return [value for key, value in self.headers if key == name]


@dataclass(frozen=True, slots=True)
class Upstream:
    """Where the upstream listens, and what it has seen."""

    port: int
    seen: list[Seen] = field(default_factory=list)


@asynccontextmanager
async def upstream(
    port: int, answers: Mapping[str, str] = MappingProxyType({})
) -> AsyncIterator[Upstream]:
    """Serve on `port` until the block ends; `answers` has the bodies of targets, else `ok`."""
    record = Upstream(port)
    open_writers: set[asyncio.StreamWriter] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        open_writers.add(writer)
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                request = _parse(head)
                record.seen.append(request)
                await reader.readexactly(int((request.values("content-length") or ["0"])[0]))
                writer.write(_answer(answers.get(request.target, "ok")))
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            open_writers.discard(writer)
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", port, limit=1024 * 1024)
    try:
        yield record
    finally:
        server.close()
        for writer in tuple(open_writers):
            writer.close()
            await writer.wait_closed()


def _parse(head: bytes) -> Seen:
    first, *lines = head.decode("latin-1").split("\r\n")[:-2]
    method, target, _ = first.split(" ")
    pairs = (line.partition(": ") for line in lines)
    return Seen(method, target, tuple((name.lower(), value) for name, _, value in pairs))
