"""How much memory a worker of the edge takes when idle, and whether checks make it grow.

    .venv/bin/python -m benchmarks.memory

Starts a demo GitLab and an edge on 127.0.0.1 and makes 100,000 checks in ten rounds, the same in
each: of members and guests, in their project and elsewhere, and with a wrong token. What
the first round fills is kept; after that nothing may be added. Prints Markdown.
"""

import argparse
import asyncio
import platform
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import cycle, islice
from pathlib import Path

import grpc
import psutil

from benchmarks.asking import CHECK, PROJECT, check_of, status_of
from tests.gitlab import DEVELOPER, GUEST, GitLab
from tests.servers.edge import Edge, edge
from tests.servers.ports import free_port

MIB = 1 << 20
MOST_CHECKS = 1_000_000
ROUNDS = 10
AT_ONCE = 16
TIMEOUT = 10.0
MEMBERS = 100
# The target of an idle worker.
MOST_IDLE = 90.0


@dataclass(frozen=True, slots=True)
class Measured:
    """Memory in MiB: idle, and after each round; and the answers by status."""

    idle: float
    rounds: Sequence[float]
    allowed: int
    refused: int


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--checks", type=int, default=100_000)
    given = parser.parse_args()
    if not ROUNDS <= given.checks <= MOST_CHECKS:
        parser.error(f"between {ROUNDS} and {MOST_CHECKS} checks")
    with tempfile.TemporaryDirectory() as folder, GitLab.start() as gitlab:
        questions = [*people(gitlab)]
        nowhere = f"http://127.0.0.1:{free_port()}"
        with edge(Path(folder), gitlab_url=gitlab.url, mlflow_url=nowhere) as server:
            print(table(asyncio.run(measure(server, questions, given.checks)), given.checks))


def people(gitlab: GitLab) -> Iterator[bytes]:
    """Make a project and users; yields what each of them asks."""
    gitlab.create_project(PROJECT)
    for number in range(MEMBERS):
        name = f"user-{number}"
        gitlab.create_user(name)
        gitlab.add_member(PROJECT, name, GUEST if number % 2 else DEVELOPER)
        yield check_of(gitlab.token(name))
        yield check_of(gitlab.token(name), project="acme/nowhere")
    yield check_of("made-up")


async def measure(server: Edge, questions: Sequence[bytes], checks: int) -> Measured:
    process = psutil.Process(server.pid)
    idle = memory(process)
    rounds, statuses = [], {True: 0, False: 0}
    async with grpc.aio.insecure_channel(server.check) as channel:
        call = channel.unary_unary(CHECK)
        for _ in range(ROUNDS):
            turns = islice(cycle(questions), checks // ROUNDS)

            async def ask(turns: Iterator[bytes] = turns) -> None:
                for question in turns:
                    status = status_of(await call(question, timeout=TIMEOUT))
                    statuses[status < 400] += 1  # noqa: PLR2004 - HTTP

            await asyncio.gather(*(ask() for _ in range(AT_ONCE)))
            rounds.append(memory(process))
    return Measured(idle, rounds, statuses[True], statuses[False])


def memory(process: psutil.Process) -> float:
    return float(process.memory_info().rss) / MIB


def table(measured: Measured, checks: int) -> str:
    half = measured.rounds[ROUNDS // 2 - 1]
    rows = [
        ("idle", f"{measured.idle:.1f} MiB, target below {MOST_IDLE:.0f}"),
        *(
            (f"after {checks // ROUNDS * (number + 1):,} checks", f"{size:.1f} MiB")
            for number, size in enumerate(measured.rounds)
        ),
        ("growth in the second half", f"{measured.rounds[-1] - half:+.1f} MiB"),
        ("answers", f"{measured.allowed:,} allowed, {measured.refused:,} refused"),
        ("machine", f"{psutil.cpu_count()} cores, Python {platform.python_version()}"),
    ]
    return "\n".join(
        f"| {name} | {value} |" for name, value in [("memory", ""), ("---", "---"), *rows]
    )


if __name__ == "__main__":
    main()
