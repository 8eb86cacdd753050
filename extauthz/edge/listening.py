"""Listening: an aiohttp application on an address."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiohttp import web

from extauthz.edge.address import Address


@asynccontextmanager
async def listening(app: web.Application, address: Address) -> AsyncIterator[None]:
    """Serve an application while the context is open; raises OSError where it cannot listen."""
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        site: web.BaseSite
        if address.path:
            site = web.UnixSite(runner, address.path)
        else:
            site = web.TCPSite(runner, address.host.strip("[]"), address.port)
        await site.start()
        yield
    finally:
        await runner.cleanup()
