"""Real Envoys: finding them, validating with them, running one."""

import asyncio
import json
import subprocess
import sysconfig
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from extauthz.edge.envoy_config import build
from extauthz.edge.envoy_options import EnvoyOptions

TOOLS = Path(__file__).parents[2] / ".tools"
# The oldest and a middle one of the supported versions that a package index has; then our own.
OLDER = ("1.36.4", "1.38.3")
DEFAULT = Path(sysconfig.get_path("scripts")) / "envoy"
ALL = {version: TOOLS / f"envoy-{version}/envoy/_bin/envoy" for version in OLDER} | {
    "1.40.0": DEFAULT
}


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer as a client received it; a repeated header is joined with a comma."""

    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


@dataclass(frozen=True, slots=True)
class Envoy:
    """A running Envoy and the access log it has written so far."""

    port: int
    log: list[dict[str, Any]] = field(default_factory=list)

    async def send(self, request: bytes, *, wait: float = 20) -> Answer:
        """Send raw bytes on a connection of their own and read the answer to its end."""
        async with asyncio.timeout(wait):
            reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
            writer.write(request)
            try:
                return await _read_answer(reader)
            finally:
                writer.close()

    async def get(self, target: str, *lines: str) -> Answer:
        """Send a GET with further header lines."""
        return await self.send(request("GET", target, *lines))


def request(method: str, target: str, *lines: str) -> bytes:
    """Return the bytes of a request without a body."""
    head = [f"{method} {target} HTTP/1.1", "host: public.example", *lines, "", ""]
    return "\r\n".join(head).encode("latin-1")


def validate(binary: Path, config: Path) -> subprocess.CompletedProcess[str]:
    """Let Envoy check a configuration."""
    command = [str(binary), "--mode", "validate", "-c", str(config), "-l", "error"]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


@asynccontextmanager
async def envoy(
    options: EnvoyOptions, folder: Path, *, binary: Path = DEFAULT
) -> AsyncIterator[Envoy]:
    """Run Envoy with a configuration of ours until the block ends."""
    config = folder / "envoy.yaml"
    config.write_text(build(options))
    process = await asyncio.create_subprocess_exec(
        *(binary, "-c", config, "--disable-hot-restart", "--concurrency", "1", "-l", "error"),
        stdout=asyncio.subprocess.PIPE,
    )
    running = Envoy(port=int(options.listen.rpartition(":")[2]))
    assert process.stdout is not None
    reading = asyncio.create_task(_read_log(process.stdout, running.log))
    try:
        await _ready(options.admin or "", process)
        yield running
    finally:
        process.terminate()
        await process.wait()
        await reading


async def _read_log(stream: asyncio.StreamReader, log: list[dict[str, Any]]) -> None:
    while line := await stream.readline():
        log.append(json.loads(line))


async def _ready(admin: str, process: asyncio.subprocess.Process) -> None:
    async with asyncio.timeout(20):
        while True:
            assert process.returncode is None, "Envoy has ended"
            if (await _admin(admin, "/ready")) == 200:
                return
            await asyncio.sleep(0.02)


async def _admin(address: str, target: str) -> int:
    try:
        reader, writer = await asyncio.open_unix_connection(address.removeprefix("unix:"))
    except OSError:
        return 0
    writer.write(request("GET", target))
    answer = await _read_answer(reader)
    writer.close()
    return answer.status


async def _read_answer(reader: asyncio.StreamReader) -> Answer:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    first, *lines = head.split("\r\n")[:-2]
    headers: dict[str, str] = {}
    for name, _, value in (line.partition(": ") for line in lines):
        before = headers.get(name.lower())
        headers[name.lower()] = value if before is None else f"{before}, {value}"
    status = int(first.split(" ")[1])
    if "content-length" in headers:
        return Answer(status, headers, await reader.readexactly(int(headers["content-length"])))
    return Answer(status, headers, b"")
