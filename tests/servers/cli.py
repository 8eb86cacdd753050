"""`extauthz` as a user runs it."""

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

from tests.servers.ports import free_port

STARTED = "Everything is ready."


@dataclass(frozen=True, slots=True)
class Running:
    """A started `extauthz up` or `extauthz demo`; `runtime` is its TMPDIR."""

    process: subprocess.Popen[bytes]
    log: Path
    runtime: Path
    ports: Mapping[str, int]

    @property
    def url(self) -> str:
        return f"http://localhost:{self.ports['port']}"

    @property
    def output(self) -> str:
        return self.log.read_text()

    def until(self, text: str, *, times: int = 1, wait: float = 120) -> None:
        """Wait until the output holds a text so often."""
        deadline = time.monotonic() + wait
        while self.output.count(text) < times:
            assert self.process.poll() is None, self.output
            assert time.monotonic() < deadline, self.output
            time.sleep(0.1)

    def everything(self) -> list[psutil.Process]:
        """Return the process and all its descendants."""
        supervisor = psutil.Process(self.process.pid)
        return [supervisor, *supervisor.children(recursive=True)]


@contextmanager
def started(
    command: str,
    folder: Path,
    *flags: str,
    environ: Mapping[str, str | None] | None = None,
    ports: Mapping[str, int] | None = None,
) -> Iterator[Running]:
    """Start in `folder` on free ports and wait until it serves; ends it with Ctrl-C.

    `environ` is set above our own environment; None removes a variable.
    """
    names = ("port", "mlflow-port", "admin-port", *(["gitlab-port"] if command == "demo" else []))
    chosen = ports or {name: free_port() for name in names}
    given = [item for name, port in chosen.items() for item in (f"--{name}", str(port))]
    log = folder / "output"
    # Not below `folder`: a Unix socket's path may have 107 characters.
    with tempfile.TemporaryDirectory(prefix="e-") as runtime, log.open("wb") as out:
        wanted = {**os.environ, "TMPDIR": runtime, **(environ or {})}
        process = subprocess.Popen(
            [sys.executable, "-m", "extauthz", command, *given, *flags],
            cwd=folder,
            env={name: value for name, value in wanted.items() if value is not None},
            stdout=out,
            stderr=subprocess.STDOUT,
        )
        running = Running(process, log, Path(runtime), chosen)
        try:
            running.until(STARTED)
            yield running
        finally:
            process.send_signal(signal.SIGINT)
            process.wait(60)
