"""Runs of `extauthz migrate` that are killed."""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from signal import SIGKILL

from tests.migrate.predecessor import SCRIPTS, Predecessor
from tests.servers.processes import clean_environment


class Runs:
    """The process that runs them."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._process = process

    def run(self, *arguments: str, last: int | None = None) -> int:
        """Run it, and kill it after so many changes if it has not ended; returns how it ended."""
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write(json.dumps([["migrate", *arguments], last]) + "\n")
        self._process.stdin.flush()
        return int(self._process.stdout.readline())


def killed_ever_later(process: Runs, *arguments: str, stride: int = 1) -> Iterator[int]:
    """Run it again and again, with more changes each time until it is killed; yields those.

    So it is killed before each kind of change, in each state that an earlier run has left.
    """
    for last in count(0, stride):
        if (code := process.run(*arguments, last=last)) == 0:
            return
        assert code == -SIGKILL
        yield last


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
