"""A front that ends TLS, as a load balancer does, and hands on every byte to Envoy."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from tests.certificates import certificate

_CHUNK = 64 * 1024


@asynccontextmanager
async def tls_front(context: ssl.SSLContext, *, port: int, to: int) -> AsyncIterator[None]:
    """Listen with TLS on one port and forward to another until the block ends."""

    async def carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        inside, outside = await asyncio.open_connection("127.0.0.1", to)
        await asyncio.gather(_pump(reader, outside), _pump(inside, writer))

    server = await asyncio.start_server(carry, "127.0.0.1", port, ssl=context)
    try:
        yield
    finally:
        server.close()


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Forward until one side hangs up."""
    with suppress(ConnectionError, ssl.SSLError):
        while data := await reader.read(_CHUNK):
            writer.write(data)
            await writer.drain()
    writer.close()


def serving_context(folder: Path, hosts: Sequence[str]) -> ssl.SSLContext:
    """Return what serves a certificate that nobody has signed, for these hosts."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate(folder / "front.pem", hosts))
    return context
