"""Four rungs: an upstream alone, Envoy before it, an ext_authz that always allows, and the edge.

wrk asks through all of them in turn, on 1, 16 and 64 connections. The upstream is an Envoy that
answers by itself, so that it is not the limit. All four have Envoy's configuration in common, the
authorization apart, and Envoy has one thread.
"""

import asyncio
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from benchmarks.always import always
from benchmarks.core import TARGET, member
from benchmarks.edge import ask
from benchmarks.effort import Effort
from benchmarks.figures import Figures, markdown
from benchmarks.load import send_requests
from benchmarks.proxies import echo, proxy
from benchmarks.question import CLIENT, question
from benchmarks.timing import settings_of
from benchmarks.usage import busy
from tests.gitlab import GitLab
from tests.servers.edge import edge
from tests.servers.ports import free_port
from tests.servers.stack import Proxy

CONNECTIONS = (1, 16, 64)


@dataclass(frozen=True, slots=True)
class Rung:
    """Where wrk asks, and the processes whose time counts, by the name of what they are."""

    name: str
    port: int
    processes: dict[str, psutil.Process] = field(default_factory=dict)


def measure(figures: Figures, effort: Effort, folder: Path) -> None:
    """Climb all rungs in every round."""
    with GitLab.start() as gitlab:
        headers = {**CLIENT, "authorization": f"Bearer {member(gitlab)}"}
        with _rungs(folder, gitlab, headers) as rungs:
            for turn in range(effort.rounds + 1):
                for connections in CONNECTIONS:
                    for rung in rungs:
                        # The first round only warms up.
                        _climb(figures if turn else Figures(), effort, rung, connections, headers)
    for connections in CONNECTIONS:
        _compare(figures, connections)


@contextmanager
def _rungs(folder: Path, gitlab: GitLab, headers: dict[str, str]) -> Iterator[list[Rung]]:
    asked = asyncio.run(question(folder, TARGET, headers))
    with ExitStack() as stack:
        start = stack.enter_context
        upstream = start(echo(folder))
        alone = start(proxy(folder, "envoy", upstream=upstream.port))
        address, allowing = start(always(folder))
        allowed = start(proxy(folder, "allowed", upstream=upstream.port, check=address))
        nowhere, settings = f"http://127.0.0.1:{free_port()}", settings_of(gitlab.url)
        server = start(edge(folder, gitlab_url=gitlab.url, mlflow_url=nowhere, settings=settings))
        ask(server, asked)
        full = start(proxy(folder, "full", upstream=upstream.port, check=server.check))
        yield [
            Rung("upstream", upstream.port),
            Rung("envoy", alone.port, {"envoy": psutil.Process(alone.pid)}),
            _both("always", allowed, allowing),
            _both("edge", full, server.pid),
        ]


def _both(name: str, envoy: Proxy, authorizer: int) -> Rung:
    processes = {"envoy": psutil.Process(envoy.pid), "authz": psutil.Process(authorizer)}
    return Rung(name, envoy.port, processes)


def _climb(
    figures: Figures, effort: Effort, rung: Rung, connections: int, headers: dict[str, str]
) -> None:
    used = {name: busy(process) for name, process in rung.processes.items()}
    url = f"http://127.0.0.1:{rung.port}{TARGET}"
    sent = send_requests(url, connections=connections, seconds=effort.seconds, headers=headers)
    place = f"rungs.{rung.name}.c{connections}"
    figures.add(f"{place}.p50_ms", sent.p50)
    figures.add(f"{place}.p99_ms", sent.p99)
    figures.add(f"{place}.requests_per_second", sent.done / sent.seconds)
    for name, process in rung.processes.items():
        figures.add(f"{place}.{name}_cpu_us", (busy(process) - used[name]) / sent.done * 1e6)


def _compare(figures: Figures, connections: int) -> None:
    for percentile in ("p50", "p99"):
        end = f"c{connections}.{percentile}_ms"
        for rung, name in (("edge", "envoy"), ("always", "always")):
            added = f"{name}.added_{percentile}_ms_c{connections}"
            figures.difference(added, f"rungs.{rung}.{end}", f"rungs.envoy.{end}")


def tables(values: dict[str, float]) -> str:
    """Return what was measured, as Markdown."""
    names = {
        "upstream": "upstream alone",
        "envoy": "Envoy, no ext_authz",
        "always": "Envoy, an ext_authz that always allows",
        "edge": "Envoy and the edge",
    }
    columns = ("p50_ms", "p99_ms", "requests_per_second", "envoy_cpu_us", "authz_cpu_us")
    head = ("connections", "rung", "p50 ms", "p99 ms", "requests/s", "Envoy µs", "authz µs")
    rows = [
        (str(number), text, *(_cell(values, f"rungs.{rung}.c{number}.{each}") for each in columns))
        for number in CONNECTIONS
        for rung, text in names.items()
    ]
    added = [
        (
            str(number),
            *(
                f"{values[f'{name}.added_{percentile}_ms_c{number}']:.2f}"
                for percentile in ("p50", "p99")
                for name in ("envoy", "always")
            ),
        )
        for number in CONNECTIONS
    ]
    edge, allowing = "by the edge", "by one that always allows"
    compared = [
        "added to Envoy alone, connections",
        *(f"{each} ms {who}" for each in ("p50", "p99") for who in (edge, allowing)),
    ]
    return markdown(compared, added) + "\n\n" + markdown(head, rows)


def _cell(values: dict[str, float], name: str) -> str:
    if name not in values:
        return ""
    return f"{values[name]:,.0f}" if name.endswith(("_us", "_second")) else f"{values[name]:.3f}"
