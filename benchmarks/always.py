"""An authorization server that always allows: what ext_authz over grpc.aio costs by itself.

python -m benchmarks.always unix:/path/of.sock
"""

import asyncio
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import uvloop

from extauthz._pb.external_auth_pb2 import CheckRequest, CheckResponse, Status
from tests.servers.authz import authz
from tests.servers.processes import running, until

_ALLOWED = CheckResponse(status=Status(code=0)).SerializeToString()


@contextmanager
def always(folder: Path) -> Iterator[tuple[str, int]]:
    """Run one until the block ends; yields its address and its process id."""
    path, log = folder / "always.sock", folder / "always.log"
    argv = [sys.executable, "-m", "benchmarks.always", f"unix:{path}"]
    with running(argv, log=log, cwd=Path(__file__).parents[1]) as process:
        until(path.is_socket, process, log=log)
        yield f"unix:{path}", process.pid


async def allow(_: CheckRequest) -> bytes:
    return _ALLOWED


async def serve(address: str) -> None:
    over = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, over.set)
    async with authz(address, allow):
        await over.wait()


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(serve(sys.argv[1]))
