"""Processes under test: started, waited for, and stopped by their process id."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from http.client import HTTPConnection, HTTPException
from pathlib import Path


@contextmanager
def running(
    argv: Sequence[str],
    *,
    log: Path,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    user: str | None = None,
    stop: signal.Signals = signal.SIGTERM,
) -> Iterator[subprocess.Popen[bytes]]:
    """Run a process in a group of its own until the block ends; its output goes to `log`."""
    with log.open("ab") as output:
        process = subprocess.Popen(
            argv,
            stdout=output,
            stderr=output,
            env=clean_environment() | dict(env or {}),
            cwd=cwd,
            start_new_session=True,
            user=user,
        )
    try:
        yield process
    finally:
        process.send_signal(stop)
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, 9)
            process.wait()


def clean_environment() -> dict[str, str]:
    """Return the environment without anything that extauthz or MLflow would read."""
    ours = ("GITLAB", "SHARINGHUB", "MLFLOW", "EXTAUTHZ", "GRANT", "SECRET", "PUBLIC_URL", "LOG_")
    return {name: value for name, value in os.environ.items() if not name.startswith(ours)}


def extauthz(*arguments: str) -> list[str]:
    """Return the command line of extauthz."""
    return [sys.executable, "-m", "extauthz", *arguments]


def until(
    ready: Callable[[], bool], process: subprocess.Popen[bytes], *, log: Path, wait: float = 90
) -> None:
    """Wait until a process is ready; fails with its output when it ends or takes too long."""
    deadline = time.monotonic() + wait
    while not ready():
        assert process.poll() is None, f"it ended:\n{log.read_text()}"
        assert time.monotonic() < deadline, f"it is not ready after {wait} s:\n{log.read_text()}"
        time.sleep(0.05)


def answers(port: int, path: str) -> bool:
    """Tell whether a server answers 200."""
    connection = HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", path)
        return connection.getresponse().status == 200
    except (OSError, HTTPException):
        return False
    finally:
        connection.close()
