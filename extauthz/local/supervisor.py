"""Starts the parts together, watches them, stops them in reverse order."""

import asyncio
from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import asynccontextmanager
from typing import Final

from extauthz.local.part import Part
from extauthz.local.process import Process
from extauthz.local.terminal import Terminal

GRACE: Final = 10.0


class PartError(Exception):
    """A part has ended that nobody stopped."""


class Supervisor:
    """Runs parts as processes; each has `grace` seconds to end before it is killed."""

    def __init__(self, parts: Sequence[Part], terminal: Terminal, *, grace: float = GRACE) -> None:
        self._grace = grace
        self._parts = {part.name: part for part in parts}
        self._terminal = terminal
        self._running: dict[str, Process] = {}
        self._watching: set[asyncio.Task[None]] = set()
        self._ends: asyncio.Queue[PartError] = asyncio.Queue()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Start everything, and stop it again whatever happens inside."""
        try:
            for part in self._parts.values():
                await self._start(part)
            yield
        finally:
            for name in reversed(self._parts):
                await self._stop(name)

    async def ready(self) -> None:
        """Wait until every part serves."""
        for part in self._parts.values():
            await part.ready.wait()
            self._terminal.say(f"{part.name} is ready")

    async def end(self) -> PartError:
        """Wait for a part to end by itself."""
        return await self._ends.get()

    async def restart(self, names: Collection[str]) -> list[str]:
        """Stop some parts and start them again; returns those that are ours."""
        ours = [name for name in self._parts if name in names]
        for name in ours:
            await self._stop(name)
            await self._start(self._parts[name])
        return ours

    async def _start(self, part: Part) -> None:
        process = await Process.start(part, lambda text: self._terminal.line(part.name, text))
        self._running[part.name] = process
        watching = asyncio.create_task(self._watch(part.name, process))
        self._watching.add(watching)
        watching.add_done_callback(self._watching.discard)

    async def _stop(self, name: str) -> None:
        if process := self._running.pop(name, None):
            await process.stop(self._grace)

    async def _watch(self, name: str, process: Process) -> None:
        code = await process.wait()
        if self._running.get(name) is process:
            self._ends.put_nowait(PartError(f"{name} has ended with {_reason(code)}"))


def _reason(code: int) -> str:
    return f"exit code {code}" if code >= 0 else f"signal {-code}"
