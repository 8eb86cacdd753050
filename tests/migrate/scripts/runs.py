"""Runs `extauthz migrate` as often as it is told to, each time in a process that may kill itself.

Takes, a line each, the arguments and before which change to kill it, and prints how it ended.
Loading MLflow takes longer than a migration, so that is done once, before.
"""

import json
import os
import signal
import sys
from typing import Any

from sqlalchemy import Engine, event
from sqlalchemy.orm import configure_mappers

import extauthz.migrate.command
import extauthz.migrate.folder
import extauthz.migrate.s3
from extauthz.cli import main

LOADED = (extauthz.migrate.command, extauthz.migrate.folder, extauthz.migrate.s3)
FILES = frozenset({"os.link", "os.mkdir", "os.remove", "os.rename", "os.rmdir"})
REQUESTS = (b"PUT ", b"POST ", b"DELETE ")
READING = ("SELECT", "PRAGMA")


class Changes:
    """Counts what changes the database or the files, and kills the process before one of it."""

    def __init__(self, last: int) -> None:
        self._left = last

    def count(self) -> None:
        if self._left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        self._left -= 1

    def audit(self, name: str, arguments: tuple[Any, ...]) -> None:
        sent = arguments[1] if name == "http.client.send" else b""
        if name in FILES or (isinstance(sent, bytes) and sent.startswith(REQUESTS)):
            self.count()

    def execute(self, *arguments: Any) -> None:
        if not arguments[2].lstrip().startswith(READING):
            self.count()

    def commit(self, _: object) -> None:
        self.count()


def run(arguments: list[str], last: int | None) -> int:
    process = os.fork()
    if process == 0:
        # What it prints is of no interest here.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if last is not None:
            changes = Changes(last)
            sys.addaudithook(changes.audit)
            event.listen(Engine, "before_cursor_execute", changes.execute)
            event.listen(Engine, "commit", changes.commit)
        os._exit(main(arguments))
    return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])


configure_mappers()
for line in sys.stdin:
    sys.stdout.write(f"{run(*json.loads(line))}\n")
    sys.stdout.flush()
