"""Workers: the same cached checks, shared by one, two and four processes of the edge.

Each worker has a socket and an h2load of its own. Where there are fewer cores than workers, more
workers can only share the ones there are: then look at the CPU per check.
"""

import asyncio
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import grpc
import psutil

from benchmarks.asking import CHECK, status_of
from benchmarks.core import TARGET, member
from benchmarks.effort import Effort
from benchmarks.figures import Figures, markdown
from benchmarks.load import finish_checks, start_checks
from benchmarks.question import question
from benchmarks.timing import settings_of
from benchmarks.usage import busy
from extauthz.edge.address import Address
from tests.gitlab import GitLab
from tests.servers.ports import free_port
from tests.servers.processes import answers, extauthz, running, until

WORKERS = (1, 2, 4)
_TIMEOUT = 10.0
_OK = 200


@dataclass(frozen=True, slots=True)
class Crew:
    """The workers of one edge."""

    addresses: tuple[str, ...]
    processes: tuple[psutil.Process, ...]

    def busy(self) -> float:
        """Return the seconds that they have had on a processor."""
        return sum(busy(process) for process in self.processes)


def measure(figures: Figures, effort: Effort, folder: Path) -> None:
    """Give each number of workers the same load in turn."""
    with GitLab.start() as gitlab, ExitStack() as stack:
        headers = {"authorization": f"Bearer {member(gitlab)}"}
        asked = asyncio.run(question(folder, TARGET, headers))
        crews = [stack.enter_context(_crew(folder, gitlab, number, asked)) for number in WORKERS]
        for _ in range(effort.rounds):
            for crew in crews:
                _load(figures, effort.checks, folder, crew, asked)
    for fewer, more in pairwise(WORKERS):
        figures.ratio(
            f"workers.{more}_ratio",
            f"workers.{more}.checks_per_second",
            f"workers.{fewer}.checks_per_second",
        )


@contextmanager
def _crew(folder: Path, gitlab: GitLab, number: int, asked: bytes) -> Iterator[Crew]:
    admin, log = free_port(), folder / f"workers-{number}.log"
    listen = Address(path=f"{folder}/check-of-{number}.sock")
    argv = extauthz("serve", "--workers", str(number), "--listen", str(listen))
    argv += ["--admin-listen", f"127.0.0.1:{admin}", "--pages-listen", "none"]
    argv += ["--drain-seconds", "0"]
    env = settings_of(gitlab.url) | {"MLFLOW_URL": f"http://127.0.0.1:{free_port()}"}
    with running(argv, log=log, env=env, cwd=folder) as process:
        until(lambda: answers(admin, "/readyz"), process, log=log)
        edge = psutil.Process(process.pid)
        several = number > 1
        found = tuple(edge.children()) if several else (edge,)
        addresses = [str(listen.for_worker(each) if several else listen) for each in range(number)]
        for address in addresses:
            with grpc.insecure_channel(address) as channel:
                answer = channel.unary_unary(CHECK)(asked, timeout=_TIMEOUT, wait_for_ready=True)
            if status_of(answer) != _OK:
                raise AssertionError("the benchmark's own question must be allowed")
        yield Crew(tuple(addresses), found)


def _load(figures: Figures, checks: int, folder: Path, crew: Crew, asked: bytes) -> None:
    number = len(crew.addresses)
    share, used = checks // number, crew.busy()
    under_way = [start_checks(each, asked, folder, count=share) for each in crew.addresses]
    sent = [finish_checks(each, share) for each in under_way]
    place = f"workers.{number}"
    figures.add(f"{place}.checks_per_second", share * number / max(each.seconds for each in sent))
    figures.add(f"{place}.cpu_us_per_check", (crew.busy() - used) / (share * number) * 1e6)


def tables(values: dict[str, float]) -> str:
    """Return what was measured, as Markdown."""
    rows = [
        (
            str(number),
            f"{values[f'workers.{number}.checks_per_second']:,.0f}",
            f"{values[f'workers.{number}.cpu_us_per_check']:.0f}",
        )
        for number in WORKERS
    ]
    return markdown(("workers", "checks/s", "CPU per check, µs"), rows)
