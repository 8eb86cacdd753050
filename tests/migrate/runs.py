"""Runs of `extauthz migrate` that are killed."""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from tests.migrate.predecessor import SCRIPTS, Predecessor
from tests.servers.processes import clean_environment


class Runs:
    """The process that runs them."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._process = process

    def run(self, *arguments: str, kill_after: float | None = None) -> int:
        """Run it, and kill it after so many seconds if it has not ended; returns how it ended."""
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write(json.dumps([["migrate", *arguments], kill_after]) + "\n")
        self._process.stdin.flush()
        return int(self._process.stdout.readline())


@contextmanager
def runs(before: Predecessor) -> Iterator[Runs]:
    """Have a process that runs them until the block ends."""
    process = subprocess.Popen(
        [sys.executable, str(SCRIPTS / "runs.py")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=clean_environment() | before.environment,
        cwd=before.folder,
        text=True,
    )
    with process:
        assert process.stdin
        try:
            yield Runs(process)
        finally:
            process.stdin.close()
