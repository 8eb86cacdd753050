"""A real Redis, as a process."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from redis import Redis
from redis.exceptions import ConnectionError as Unreachable

from tests.servers.ports import free_port
from tests.servers.processes import running, until


@dataclass(frozen=True, slots=True)
class RedisServer:
    """Where Redis listens, and the process that does."""

    port: int
    pid: int

    @property
    def url(self) -> str:
        """The address as SESSION_STORE_URL takes it."""
        return f"redis://127.0.0.1:{self.port}/0"

    def client(self) -> "Redis":
        """Return a connection for a look inside."""
        return Redis(port=self.port)


@contextmanager
def redis_server(folder: Path, *, port: int | None = None) -> Iterator[RedisServer]:
    """Run a Redis that keeps nothing on disk until the block ends."""
    port, log = port or free_port(), folder / "redis.log"
    argv = ["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--save", ""]
    with running([*argv, "--appendonly", "no", "--dir", str(folder)], log=log) as process:
        until(lambda: _answers(port), process, log=log)
        yield RedisServer(port, process.pid)


def _answers(port: int) -> bool:
    try:
        with Redis(port=port) as client:
            return bool(client.ping())
    except Unreachable:
        return False
