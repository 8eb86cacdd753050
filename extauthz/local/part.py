"""One part of the stack, and how to tell that it serves."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass

from extauthz.edge.address import Address

_PATIENCE = 2.0  # seconds for one probe
_POLL = 0.1
_OK = b" 200 "


@dataclass(frozen=True, slots=True)
class Probe:
    """A GET that answers 200 once a part serves."""

    address: Address
    path: str

    async def wait(self) -> None:
        """Ask until it passes."""
        while not await self.passes():  # noqa: ASYNC110 - another process sends no event
            await asyncio.sleep(_POLL)

    async def passes(self) -> bool:
        """Ask once."""
        try:
            async with asyncio.timeout(_PATIENCE):
                return _OK in (await self._answer()).partition(b"\r\n")[0]
        except (OSError, TimeoutError):
            return False

    async def _answer(self) -> bytes:
        if self.address.path:
            reader, writer = await asyncio.open_unix_connection(self.address.path)
        else:
            reader, writer = await asyncio.open_connection(self.address.host, self.address.port)
        try:
            writer.write(
                f"GET {self.path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n".encode()
            )
            return await reader.read()
        finally:
            writer.close()


@dataclass(frozen=True, slots=True)
class Part:
    """A program to run, with the whole of its environment."""

    name: str
    argv: tuple[str, ...]
    environ: Mapping[str, str]
    ready: Probe
