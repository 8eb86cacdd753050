"""One run of a part: a process group that does not outlive us."""

import asyncio
import contextlib
import os
import signal
from collections.abc import AsyncIterator, Callable
from typing import Final, Self

from extauthz.edge.child import die_with_parent
from extauthz.local.part import Part

_CHUNK: Final = 64 * 1024
_LAST_WORDS: Final = 2.0  # seconds


class Process:
    """A started part."""

    def __init__(self, process: asyncio.subprocess.Process, reading: asyncio.Task[None]) -> None:
        self._process = process
        self._reading = reading

    @classmethod
    async def start(cls, part: Part, write: Callable[[str], None]) -> Self:
        """Start a part, and `write` each line that it prints."""
        process = await asyncio.create_subprocess_exec(
            *part.argv,
            env=part.environ,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            # Ctrl-C reaches us alone, so that we can stop the parts in order.
            process_group=0,
            preexec_fn=die_with_parent,
        )
        if process.stdout is None:
            raise AssertionError("the output is a pipe")
        return cls(process, asyncio.create_task(_copy(process.stdout, write)))

    async def wait(self) -> int:
        """Wait for the end; returns the exit code, negative after a signal."""
        return await self._process.wait()

    async def stop(self, grace: float) -> None:
        """End the process politely, and after `grace` seconds the whole group for certain."""
        with contextlib.suppress(ProcessLookupError):
            self._process.terminate()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(grace):
                await self._process.wait()
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        await self._process.wait()
        # Whoever has left the group may still hold the pipe.
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_LAST_WORDS):
                await self._reading


async def _copy(stream: asyncio.StreamReader, write: Callable[[str], None]) -> None:
    async for line in _lines(stream):
        write(line)


async def _lines(stream: asyncio.StreamReader) -> AsyncIterator[str]:
    """Split a stream into lines; one without an end comes in pieces."""
    rest = b""
    while chunk := await stream.read(_CHUNK):
        *lines, rest = (rest + chunk).split(b"\n")
        for line in lines:
            yield line.decode(errors="replace")
        if len(rest) >= _CHUNK:
            yield rest.decode(errors="replace")
            rest = b""
    if rest:
        yield rest.decode(errors="replace")
