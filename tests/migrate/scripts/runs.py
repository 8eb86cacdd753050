"""Runs `extauthz migrate` as often as it is told to, each time in a process that it may kill.

Takes, a line each, the arguments and after how many seconds to kill it, and prints how it ended.
Loading MLflow takes longer than a migration, so that is done once, before.
"""

import json
import os
import signal
import sys
import time

import extauthz.migrate.command
import extauthz.migrate.folder
from extauthz.cli import main

LOADED = (extauthz.migrate.command, extauthz.migrate.folder)


def run(arguments: list[str], kill_after: float | None) -> int:
    process = os.fork()
    if process == 0:
        # What it prints is of no interest here.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        os._exit(main(arguments))
    if kill_after is not None:
        # Nothing is waited for: the moment is the test.
        time.sleep(kill_after)
        os.kill(process, signal.SIGKILL)
    return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])


for line in sys.stdin:
    sys.stdout.write(f"{run(*json.loads(line))}\n")
    sys.stdout.flush()
