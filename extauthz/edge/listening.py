"""Listening: an aiohttp application on an address."""

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from aiohttp import web

from extauthz.edge.address import Address

# As much as Envoy lets through (see `envoy_http`): what aiohttp refuses by itself, it quotes.
_LONGEST_HEADER: Final = 96 * 1024


@asynccontextmanager
async def listening(app: web.Application, address: Address) -> AsyncIterator[None]:
    """Serve an application while the context is open; raises OSError where it cannot listen."""
    # What aiohttp logs of a malformed request quotes the request, cookies and all.
    silent = logging.getLogger("extauthz.listening")
    silent.disabled = True
    runner = web.AppRunner(
        app,
        access_log=None,
        logger=silent,
        max_field_size=_LONGEST_HEADER,
        max_line_size=_LONGEST_HEADER,
    )
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
