"""Run the demo GitLab: `python -m extauthz.local.gitlab --port 8080`."""

import argparse
import asyncio
import os
import signal
import sys
from ipaddress import IPv4Address, IPv6Address, ip_address

from aiohttp import web

from extauthz.local.gitlab.app import create_app
from extauthz.local.gitlab.instance import Instance
from extauthz.local.gitlab.world import CALLBACK, World, world_of


def main() -> int:
    """Serve until a signal comes; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m extauthz.local.gitlab")
    parser.add_argument("--host", type=ip_address, default=ip_address("127.0.0.1"))
    parser.add_argument("--port", type=int, default=8080)
    parser.add_argument("--world", type=World, choices=list(World), default=World.DEMO)
    parser.add_argument(
        "--callback", default=CALLBACK, help="where the demo's application takes its logins"
    )
    given = parser.parse_args()
    instance = world_of(given.world, given.callback)
    try:
        asyncio.run(_serve(given.host, given.port, instance))
    except OSError as error:
        reason = os.strerror(error.errno or 0)
        print(
            f"The demo GitLab cannot listen on {given.host}:{given.port}: {reason}", file=sys.stderr
        )
        return 1
    return 0


async def _serve(host: IPv4Address | IPv6Address, port: int, instance: Instance) -> None:
    stopped = _on_signal()
    # Whoever reaches the control endpoint owns this GitLab, so it stays on this machine.
    app = create_app(instance, control=host.is_loopback)
    runner = web.AppRunner(app, access_log=None, handler_cancellation=True, shutdown_timeout=0.2)
    await runner.setup()
    try:
        await web.TCPSite(runner, str(host), port).start()
        print(f"The demo GitLab listens on http://{host}:{port}", flush=True)
        await stopped.wait()
    finally:
        await runner.cleanup()


def _on_signal() -> asyncio.Event:
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopped.set)
    return stopped


if __name__ == "__main__":
    sys.exit(main())
