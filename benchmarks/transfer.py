"""Artifacts up and down on the same three ways: many of 1 MiB, and one of 1 GiB that is streamed.

While the large one is under way, after the small ones, the resident memory of every process and of
its descendants is looked at fifty times a second.
"""

import json
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from http import HTTPStatus
from http.client import HTTPConnection
from pathlib import Path
from shutil import rmtree
from typing import Any

from benchmarks.effort import Effort
from benchmarks.figures import Figures, markdown
from benchmarks.line import Refused, Request, ask, line
from benchmarks.tracking import compare, table
from benchmarks.usage import MIB, watching
from benchmarks.ways import OWN, Way, ways
from tests.mlflow_content import Content

_V2 = "/api/2.0/mlflow"
_ARTIFACTS = "/api/2.0/mlflow-artifacts/artifacts"
_BLOCK = bytes(range(256)) * (MIB // 256)
_UNCOUNTED = 2
_NAMES = {"up": "1 MiB up", "down": "1 MiB down"}


@dataclass(frozen=True, slots=True)
class Place:
    """A run of its own on a way, where artifacts are put."""

    way: Way
    root: str

    def path(self, name: str) -> str:
        """Return the path of an artifact."""
        return f"{_ARTIFACTS}/{self.root}/{name}"


def measure(figures: Figures, effort: Effort, folder: Path) -> None:
    """Send small files, then large ones, each on every way in turn."""
    with ways(folder, Content(OWN, OWN)) as there:
        places = [_place(way) for way in there]
        with ExitStack() as stack:
            lines = {way.name: stack.enter_context(line(way.port)) for way in there}
            for turn in range(-_UNCOUNTED, effort.files):
                for place in places[:: 1 if turn % 2 else -1]:
                    _small(figures if turn >= 0 else Figures(), place, lines[place.way.name])
        for _ in range(effort.streams):
            for place in places:
                _large(figures, effort.stream, place)
                for each in ("ours", "plain"):
                    rmtree(folder / each / "artifacts", ignore_errors=True)
        figures.add("transfer.stream_mib", effort.stream / MIB)
    for name in (*(f"mlflow.artifact_{each}" for each in _NAMES), *_LARGE):
        compare(figures, name, "ms")


def _place(way: Way) -> Place:
    def create(noun: str, **body: object) -> Any:
        request = Request(noun, "POST", f"{_V2}/{noun}/create", body)
        with line(way.port) as connection:
            return json.loads(ask(connection, request, way.headers, way.prefix)[1])

    experiment = create("experiments", name=f"transfer-{way.name}")["experiment_id"]
    run = create("runs", experiment_id=experiment)["run"]["info"]
    return Place(way, run["artifact_uri"].removeprefix("mlflow-artifacts:/"))


def _small(figures: Figures, place: Place, connection: HTTPConnection) -> None:
    way, path = place.way, place.path("small")
    up, down = Request("up", "PUT", path, _BLOCK), Request("down", "GET", path)
    for request in (up, down):
        seconds, _ = ask(connection, request, way.headers, way.prefix)
        figures.add(f"mlflow.artifact_{request.name}_ms_{way.name}", seconds * 1000)


_LARGE = {"mlflow.stream_up": "up", "mlflow.stream_down": "down"}


def _large(figures: Figures, size: int, place: Place) -> None:
    for name, move in (("up", _upload), ("down", _download)):
        # Servers close a line on which nothing has come for some seconds.
        with watching(place.way.pids) as seen, line(place.way.port) as connection:
            began = time.perf_counter()
            move(place, connection, size)
            milliseconds = (time.perf_counter() - began) * 1000
        figures.add(f"mlflow.stream_{name}_ms_{place.way.name}", milliseconds)
        for process, growth in seen.items():
            figures.add(f"transfer.{place.way.name}.{process}.{name}_grown_mib", growth.grown)
            figures.add(f"transfer.{place.way.name}.{process}.{name}_most_mib", growth.most)


def _upload(place: Place, connection: HTTPConnection, size: int) -> None:
    headers = {**place.way.headers, "Content-Length": str(size)}
    path = place.way.prefix + place.path("large")
    connection.request("PUT", path, _blocks(size), headers)
    answer = connection.getresponse()
    if answer.status != HTTPStatus.OK:
        raise Refused(f"an upload was answered {answer.status}")
    answer.read()


def _download(place: Place, connection: HTTPConnection, size: int) -> None:
    connection.request("GET", place.way.prefix + place.path("large"), headers=place.way.headers)
    answer, received = connection.getresponse(), 0
    while block := answer.read(MIB):
        received += len(block)
    if answer.status != HTTPStatus.OK or received != size:
        raise Refused(f"a download was answered {answer.status} with {received} bytes")


def _blocks(size: int) -> Iterator[bytes]:
    for _ in range(size // MIB):
        yield _BLOCK


def tables(values: dict[str, float]) -> str:
    """Return what was measured, as Markdown."""
    large = f"{values['transfer.stream_mib']:,.0f} MiB"
    names = {f"mlflow.artifact_{name}": text for name, text in _NAMES.items()}
    names |= {name: f"{large} {direction}" for name, direction in _LARGE.items()}
    processes = {
        "full": ("edge", "envoy", "mlflow"),
        "envoy": ("envoy", "mlflow"),
        "bare": ("mlflow",),
    }
    rows = [
        (
            {"full": "full stack", "envoy": "Envoy alone", "bare": "bare"}[way],
            process,
            *(
                f"{values[f'transfer.{way}.{process}.{each}_{what}_mib']:.1f}"
                for each in _NAMES
                for what in ("grown", "most")
            ),
        )
        for way, several in processes.items()
        for process in several
    ]
    head = [f"MiB of memory while {large} go", "process"]
    head += ["grown, up", "at most", "grown, down", "at most"]
    return table(values, names, "ms") + "\n\n" + markdown(head, rows)
