"""Several workers on one machine: a process and a Unix socket each, and one admin port."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import structlog
from prometheus_client.multiprocess import mark_process_dead

from extauthz.edge.address import Address
from extauthz.edge.admin import serve_admin
from extauthz.edge.child import die_with_parent
from extauthz.edge.metrics import Metrics, render_all

_RESTART_SECONDS: Final = 1.0
_STOP_SECONDS: Final = 15.0
_SECONDS_BETWEEN_READINGS: Final = 2.0


class Workers:
    """Starts the workers, restarts one that dies, and stops them all."""

    def __init__(
        self, argv: Sequence[str], addresses: Sequence[Address], *, pages: Address | None = None
    ) -> None:
        """`argv` starts one worker when its addresses are appended. The first has the pages."""
        self._argv = argv
        self._addresses = addresses
        self._pages = pages
        self._running: dict[Address, asyncio.subprocess.Process] = {}
        self._log = structlog.get_logger("extauthz.workers")

    async def run(self, admin: Address, stop: asyncio.Event) -> None:
        """Run until `stop` is set."""
        with TemporaryDirectory(prefix="extauthz-metrics-") as folder:
            ready = lambda: self._is_ready() and not stop.is_set()  # noqa: E731 - two words of glue
            async with (
                serve_admin(admin, ready=ready, metrics=lambda: render_all(Path(folder))),
                asyncio.TaskGroup() as tasks,
            ):
                keepers = [
                    tasks.create_task(self._keep(address, folder)) for address in self._addresses
                ]
                await stop.wait()
                for keeper in keepers:
                    keeper.cancel()

    def _listening(self, address: Address) -> list[str]:
        has_pages = address == self._addresses[0] and self._pages
        return [
            *("--listen", str(address)),
            *("--pages-listen", str(self._pages) if has_pages else "none"),
        ]

    def _is_ready(self) -> bool:
        return all(
            address in self._running and Path(address.path).is_socket()
            for address in self._addresses
        )

    async def _keep(self, address: Address, folder: str) -> None:
        while True:
            _remove_stale(address)
            process = await asyncio.create_subprocess_exec(
                *self._argv,
                *self._listening(address),
                env={**os.environ, "PROMETHEUS_MULTIPROC_DIR": folder},
                preexec_fn=die_with_parent,
            )
            self._running[address] = process
            try:
                code = await process.wait()
            except asyncio.CancelledError:
                await _stop(process)
                raise
            finally:
                del self._running[address]
                # What a worker counted stays; what it had goes with it.
                mark_process_dead(process.pid, folder)  # type: ignore[no-untyped-call] # theirs
            self._log.error("worker.exited", code=code)
            await asyncio.sleep(_RESTART_SECONDS)


def worker_argv(*, env_file: Path, drain_seconds: float) -> list[str]:
    """Return the command of one worker, but for its addresses."""
    return [
        *(sys.executable, "-m", "extauthz", "serve", "--env-file", str(env_file)),
        *("--drain-seconds", str(drain_seconds), "--admin-listen", "none"),
    ]


@asynccontextmanager
async def reading_gauges(metrics: Metrics) -> AsyncIterator[None]:
    """Write down now and then what the parent cannot look at, as long as the context is open."""

    async def read() -> None:
        while True:
            metrics.read_gauges()
            await asyncio.sleep(_SECONDS_BETWEEN_READINGS)

    reading = asyncio.create_task(read())
    try:
        yield
    finally:
        reading.cancel()


def _remove_stale(address: Address) -> None:
    """Remove the socket that a worker left behind when it was killed."""
    Path(address.path).unlink(missing_ok=True)


async def _stop(process: asyncio.subprocess.Process) -> None:
    process.terminate()
    try:
        async with asyncio.timeout(_STOP_SECONDS):
            await process.wait()
    except TimeoutError:
        process.kill()
        await process.wait()
