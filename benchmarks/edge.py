"""The edge alone, as a process: checks over gRPC, and what a user costs who was not there before.

h2load asks the same cached question on one connection, 32 at once, as Envoy does. CPU per check is
the time that the edge's process had, divided by the checks that it answered.
"""

import asyncio
import time
from pathlib import Path

import grpc
import psutil

from benchmarks.asking import CHECK, PROJECT, check_of, status_of
from benchmarks.core import TARGET, member
from benchmarks.effort import Effort
from benchmarks.figures import Figures, markdown
from benchmarks.load import send_checks
from benchmarks.question import question
from benchmarks.timing import settings_of
from benchmarks.usage import busy
from tests.gitlab import DEVELOPER, GUEST, GitLab
from tests.servers.edge import Edge, edge
from tests.servers.ports import free_port

PROVIDER_SECONDS = 0.02
AT_ONCE = 100
_TIMEOUT = 10.0
_OK = 200


def measure(figures: Figures, effort: Effort, folder: Path) -> None:
    """Measure cached checks under load, then cold ones with a provider that takes 20 ms."""
    nowhere = f"http://127.0.0.1:{free_port()}"
    with GitLab.start() as gitlab:
        token = member(gitlab)
        asked = asyncio.run(question(folder, TARGET, {"authorization": f"Bearer {token}"}))
        settings = settings_of(gitlab.url)
        with edge(folder, gitlab_url=gitlab.url, mlflow_url=nowhere, settings=settings) as server:
            ask(server, asked)
            _cached(figures, effort, folder, server, asked)
            gitlab.faults("latency", path="/api/", seconds=PROVIDER_SECONDS)
            _cold(figures, effort, gitlab, server)


def ask(server: Edge, *questions: bytes) -> float:
    """Ask all at once; returns how many milliseconds that takes. Each must be allowed."""
    with grpc.insecure_channel(server.check) as channel:
        check = channel.unary_unary(CHECK)
        grpc.channel_ready_future(channel).result(_TIMEOUT)
        began = time.perf_counter()
        under_way = [check.future(each, timeout=_TIMEOUT) for each in questions]
        found = [each.result() for each in under_way]
        milliseconds = (time.perf_counter() - began) * 1000
    if {status_of(answer) for answer in found} != {_OK}:
        raise AssertionError("the benchmark's own question must be allowed")
    return milliseconds


def _cached(figures: Figures, effort: Effort, folder: Path, server: Edge, asked: bytes) -> None:
    process = psutil.Process(server.pid)
    send_checks(server.check, asked, folder, count=effort.checks // 5)
    for _ in range(effort.rounds):
        used = busy(process)
        sent = send_checks(server.check, asked, folder, count=effort.checks)
        used = busy(process) - used
        figures.add("edge.cpu_us_per_check", used / sent.done * 1e6)
        figures.add("edge.checks_per_second", sent.done / sent.seconds)
        # Of one core that the edge would have to itself.
        figures.add("edge.checks_per_second_per_core", sent.done / used)
        figures.add("edge.warm_ms", ask(server, asked))


def _cold(figures: Figures, effort: Effort, gitlab: GitLab, server: Edge) -> None:
    """Ask for users who have never been there: readers, writers, and one a hundred times at once.

    The demo GitLab counts the calls.
    """
    kinds = {"": (GUEST, 1), "_writer": (DEVELOPER, 1), "_100_at_once": (GUEST, AT_ONCE)}
    for number in range(effort.strangers):
        for kind, (level, times) in kinds.items():
            name = f"stranger{kind}-{number}"
            gitlab.create_user(name)
            gitlab.add_member(PROJECT, name, level)
            asked = check_of(gitlab.token(name))
            gitlab.forget_calls()
            milliseconds = ask(server, *[asked] * times)
            figures.add(f"edge.cold_provider_calls{kind}", len(gitlab.calls("/api/")))
            figures.add(f"edge.cold_ms{kind}", milliseconds)


def tables(values: dict[str, float]) -> str:
    """Return what was measured, as Markdown."""
    cached = [
        ("CPU per check", f"{values['edge.cpu_us_per_check']:.0f} µs"),
        ("checks per second and core", f"{values['edge.checks_per_second_per_core']:,.0f}"),
        ("checks per second, beside h2load", f"{values['edge.checks_per_second']:,.0f}"),
        ("one check alone, cached", f"{values['edge.warm_ms']:.2f} ms"),
    ]
    names = {
        "": "a new reader",
        "_writer": "a new writer, whose token's scopes matter too",
        "_100_at_once": f"a new reader, {AT_ONCE} checks at once",
    }
    cold = [
        (
            text,
            f"{values[f'edge.cold_provider_calls{kind}']:.0f}",
            f"{values[f'edge.cold_ms{kind}']:.1f}",
        )
        for kind, text in names.items()
    ]
    head = "cold check, provider takes 20 ms", "calls to the provider", "ms"
    return markdown(("edge alone", ""), cached) + "\n\n" + markdown(head, cold)
