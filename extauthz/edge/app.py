"""The edge, put together and run."""

import asyncio
import signal
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import structlog
import uvloop

from extauthz.edge.address import Address
from extauthz.edge.admin import serve_admin
from extauthz.edge.assembly import credential_reader, login_of, open_access
from extauthz.edge.check import Checker
from extauthz.edge.decision_log import DecisionLog
from extauthz.edge.metrics import Metrics
from extauthz.edge.mint import Mint
from extauthz.edge.server import Server
from extauthz.edge.settings import Settings, SettingsError
from extauthz.edge.workers import Workers, reading_gauges, worker_argv
from extauthz.grant import GrantKey, GrantSigner


@dataclass(frozen=True, slots=True, kw_only=True)
class ServeOptions:
    """How to listen.

    `admin` is None for a worker, whose parent has the admin port, and `pages` for all but one of
    them. Workers read their settings from the environment and `env_file` themselves.
    """

    listen: Address
    admin: Address | None
    pages: Address | None = None
    workers: int = 1
    drain_seconds: float = 5.0
    env_file: Path = Path(".env")


def serve(settings: Settings, options: ServeOptions) -> int:
    """Run until SIGTERM or SIGINT; returns the exit code."""
    if options.workers < 1:
        raise SettingsError("--workers must be at least 1")
    settings.check_workers(options.workers)
    several = options.workers > 1
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(_serve_workers(options) if several else _serve_one(settings, options))


@asynccontextmanager
async def checker(
    settings: Settings, metrics: Metrics, *, pages: Address | None = None
) -> AsyncIterator[Checker]:
    """Build the decision core with its connections, and serve the pages; closes them at the end."""
    signer = GrantSigner(GrantKey(settings.grant_key))
    async with AsyncExitStack() as stack:
        deciding = await stack.enter_async_context(
            open_access(settings, signer=signer, observer=metrics)
        )
        if deciding.pages and pages:
            await stack.enter_async_context(deciding.pages.serving(pages))
        yield Checker(
            deciding.accesses,
            Mint(settings, signer),
            [metrics, DecisionLog(subjects=settings.log_subjects)],
            credential_of=credential_reader(settings),
            login=login_of(settings),
            site=settings.site,
            framed_by=settings.framed_by,
        )


async def _serve_one(settings: Settings, options: ServeOptions) -> int:
    metrics = Metrics(provider="sharinghub" if settings.sharinghub_url else "gitlab")
    stop = _stop_on_signals()
    log = structlog.get_logger("extauthz.edge")
    async with AsyncExitStack() as stack:
        core = await stack.enter_async_context(checker(settings, metrics, pages=options.pages))
        server = Server(core, options.listen)
        await stack.enter_async_context(server.running())
        if options.admin:
            ready = lambda: not stop.is_set()  # noqa: E731 - one word of glue
            await stack.enter_async_context(
                serve_admin(options.admin, ready=ready, metrics=metrics.render)
            )
        else:
            await stack.enter_async_context(reading_gauges(metrics))
        log.info("edge.started", listen=str(options.listen), provider=settings.provider_url)
        await stop.wait()
        log.info("edge.draining", seconds=options.drain_seconds)
        await server.drain(options.drain_seconds)
    log.info("edge.stopped")
    return 0


async def _serve_workers(options: ServeOptions) -> int:
    if options.admin is None:
        raise SettingsError("--workers needs --admin-listen")
    addresses = [options.listen.for_worker(number) for number in range(options.workers)]
    argv = worker_argv(env_file=options.env_file, drain_seconds=options.drain_seconds)
    await Workers(argv, addresses, pages=options.pages).run(options.admin, _stop_on_signals())
    return 0


def _stop_on_signals() -> asyncio.Event:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    return stop
