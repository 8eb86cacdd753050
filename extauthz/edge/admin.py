"""The admin port: liveness, readiness and metrics, never routed by Envoy."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from aiohttp import web

from extauthz.edge.address import Address
from extauthz.edge.listening import listening
from extauthz.edge.metrics import CONTENT_TYPE


@asynccontextmanager
async def serve_admin(
    address: Address, *, ready: Callable[[], bool], metrics: Callable[[], bytes]
) -> AsyncIterator[None]:
    """Serve /livez, /readyz and /metrics while the context is open."""

    async def livez(_: web.Request) -> web.Response:
        return web.Response(text="ok\n")

    async def readyz(_: web.Request) -> web.Response:
        if ready():
            return web.Response(text="ok\n")
        return web.Response(status=503, text="not ready\n")

    async def exposition(_: web.Request) -> web.Response:
        return web.Response(body=metrics(), headers={"content-type": CONTENT_TYPE})

    app = web.Application()
    app.add_routes(
        [web.get("/livez", livez), web.get("/readyz", readyz), web.get("/metrics", exposition)]
    )
    async with listening(app, address):
        yield
