"""What the plugin costs: how long MLflow takes for its searches and reads, with it and without.

    .venv/bin/python -m benchmarks.search
    .venv/bin/python -m benchmarks.search --postgres

Starts two MLflows on 127.0.0.1, one with the plugin and one without, on databases with the same
5,000 experiments of 500 projects, and asks both in turn, with grants signed here, so that
whatever else the machine does falls on both. Prints the medians as Markdown.
"""

import argparse
import json
import platform
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import asdict, dataclass
from http import HTTPStatus
from http.client import HTTPConnection
from importlib.metadata import version
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

import psutil

from extauthz.grant import HEADER, Grant
from tests.mlflow_content import Content, fill, run_of
from tests.servers.mlflow import MLflow, everything, mlflow, plain_mlflow, project
from tests.servers.postgres import postgres

GRANTED = 10
PAGE = 100
PROJECT = 7
UNCOUNTED = 3
MOST_EXPERIMENTS, MOST_ROUNDS = 20_000, 10_000
V2, V3 = "/api/2.0/mlflow", "/api/3.0/mlflow"


@dataclass(frozen=True, slots=True)
class Options:
    """How much there is, and when to stop: after so many rounds or seconds."""

    experiments: int
    projects: int
    rounds: int
    seconds: float
    postgres: bool
    json: Path | None


@dataclass(frozen=True, slots=True)
class Request:
    """What both are asked."""

    name: str
    method: str
    path: str
    body: object = None


@dataclass(frozen=True, slots=True)
class Question:
    """A request, and how long ours may take for it, as a multiple of the other's time."""

    request: Request
    grant: Grant
    target: float | None = None

    @property
    def name(self) -> str:
        """What is asked, and in which view."""
        return f"{self.request.name}, {self.grant.view.value} view"


@dataclass(frozen=True, slots=True)
class Measured:
    """The medians of a question, in milliseconds."""

    name: str
    plain: float
    ours: float
    target: float | None

    @property
    def ratio(self) -> float:
        """What the plugin makes of the time."""
        return self.ours / self.plain


def main() -> None:
    options = read_options()
    content = Content(options.experiments, options.projects)
    with servers(content, on_postgres=options.postgres) as (ours, plain):
        measured, rounds = measure(ours, plain, questions(content), options)
    print(table(measured, options, rounds))
    if options.json:
        rows = [asdict(each) | {"ratio": each.ratio} for each in measured]
        report = {"benchmark": "search", "postgres": options.postgres, "rounds": rounds}
        options.json.write_text(json.dumps(report | {"milliseconds": rows}, indent=2))


def read_options() -> Options:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--experiments", type=int, default=5_000)
    parser.add_argument("--projects", type=int, default=500)
    parser.add_argument("--rounds", type=int, default=100)
    parser.add_argument("--seconds", type=float, default=300, help="stop asking after that long")
    parser.add_argument("--postgres", action="store_true", help="PostgreSQL 15, not SQLite")
    parser.add_argument("--json", type=Path, help="a file for the numbers")
    given = parser.parse_args()
    if not GRANTED <= given.projects <= given.experiments <= MOST_EXPERIMENTS:
        parser.error(
            f"{GRANTED} projects or more, each with an experiment, {MOST_EXPERIMENTS} in all"
        )
    if not 0 < given.rounds <= MOST_ROUNDS:
        parser.error(f"at most {MOST_ROUNDS} rounds")
    return Options(**vars(given))


@contextmanager
def servers(content: Content, *, on_postgres: bool) -> Iterator[tuple[MLflow, MLflow]]:
    """Run MLflow with the plugin and without, each with a database of its own that is full."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory()))
        (folder / "ours").mkdir()
        (folder / "plain").mkdir()
        urls = {name: f"sqlite:///{folder / name / 'mlflow.db'}" for name in ("ours", "plain")}
        if on_postgres:
            server = stack.enter_context(postgres(folder / "postgres.log"))
            urls = {name: server.create(name) for name in urls}
        env = {name: {"MLFLOW_BACKEND_STORE_URI": url} for name, url in urls.items()}
        ours = stack.enter_context(mlflow(folder / "ours", env=env["ours"]))
        plain = stack.enter_context(plain_mlflow(folder / "plain", env=env["plain"]))
        for name, url in urls.items():
            fill(url, content, workspaces=name == "ours")
        yield ours, plain


def questions(content: Content) -> list[Question]:
    """Return what to ask; a search finds a page, or all that the project has."""
    one, several = project(PROJECT), everything(*range(1, GRANTED + 1))
    own, page = [str(number) for number in content.of(PROJECT)], {"max_results": PAGE}
    where = [{"type": "MLFLOW_EXPERIMENT", "mlflow_experiment": {"experiment_id": n}} for n in own]
    experiments = Request("experiments/search", "POST", f"{V2}/experiments/search", page)
    models = "registered-models/search"
    models_page = Request(models, "GET", f"{V2}/{models}?max_results={PAGE}")
    experiment = Request("experiments/get", "GET", f"{V2}/experiments/get?experiment_id={own[0]}")
    run = Request("runs/get", "GET", f"{V2}/runs/get?run_id={run_of(int(own[0]))}")
    runs = Request("runs/search", "POST", f"{V2}/runs/search", {**page, "experiment_ids": own})
    traces = Request("traces/search", "POST", f"{V3}/traces/search", {**page, "locations": where})
    return [
        Question(experiments, one, 1.0),
        Question(experiments, several, 1.3),
        Question(models_page, several, 1.5),
        Question(experiment, one, 1.1),
        Question(experiment, several, 1.1),
        Question(run, one, 1.1),
        Question(run, several, 1.1),
        *(Question(each, one) for each in (models_page, runs, traces)),
        *(Question(each, several) for each in (runs, traces)),
    ]


def measure(
    ours: MLflow, plain: MLflow, asked: Sequence[Question], options: Options
) -> tuple[list[Measured], int]:
    """Ask both in turn; returns the medians and the number of rounds."""
    times: dict[tuple[str, str], list[float]] = {
        (which, each.name): [] for each in asked for which in ("ours", "plain")
    }
    deadline, rounds = time.monotonic() + options.seconds, -UNCOUNTED
    with client(ours) as our_line, client(plain) as plain_line:
        while rounds < options.rounds and time.monotonic() < deadline:
            for each in asked:
                header = {HEADER: ours.signer.sign(each.grant)}
                turns = [("ours", our_line, header), ("plain", plain_line, {})]
                for which, line, headers in turns[:: 1 if rounds % 2 else -1]:
                    seconds = ask(line, each.request, headers)
                    if rounds >= 0:
                        times[which, each.name].append(seconds * 1000)
            rounds += 1
    medians = {key: median(each) for key, each in times.items()}
    return [
        Measured(each.name, medians["plain", each.name], medians["ours", each.name], each.target)
        for each in asked
    ], rounds


@contextmanager
def client(server: MLflow) -> Iterator[HTTPConnection]:
    with closing(HTTPConnection("127.0.0.1", server.port, timeout=60)) as line:
        yield line


def ask(line: HTTPConnection, request: Request, headers: Mapping[str, str]) -> float:
    """Return how long an answer takes, in seconds."""
    body = None if request.body is None else json.dumps(request.body)
    began = time.perf_counter()
    line.request(
        request.method, request.path, body, {"Content-Type": "application/json", **headers}
    )
    answer = line.getresponse()
    content = answer.read()
    seconds = time.perf_counter() - began
    if answer.status != HTTPStatus.OK:
        sys.exit(f"{request.name} was answered {answer.status}: {content.decode()}")
    return seconds


def table(measured: Sequence[Measured], options: Options, rounds: int) -> str:
    lines = ["| request | plain | with the plugin | ratio | target |", "|---|---|---|---|---|"]
    for each in measured:
        target = f"at most {each.target:.1f}" if each.target else ""
        ratio = f"{each.ratio:.2f}" + " **missed**" * bool(each.target and each.ratio > each.target)
        lines.append(
            f"| {each.name} | {each.plain:.1f} ms | {each.ours:.1f} ms | {ratio} | {target} |"
        )
    kept = "PostgreSQL 15" if options.postgres else "SQLite"
    circumstances = (
        f"Medians of {rounds} rounds; {options.experiments:,} experiments and as many models in "
        f"{options.projects} projects, {GRANTED} of them granted in the global view, pages of "
        f"{PAGE}; {kept}, MLflow {version('mlflow')}, {psutil.cpu_count()} cores, "
        f"Python {platform.python_version()}."
    )
    return "\n".join((*lines, "", circumstances))


if __name__ == "__main__":
    main()
