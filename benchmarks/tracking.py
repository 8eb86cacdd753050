"""MLflow behind everything, against the same Envoy without ext_authz, and against bare MLflow.

One client asks all three in turn on connections that it keeps, in both orders, and takes the time
from the first byte sent to the last one received. All three are asked for the same rows.
"""

from contextlib import ExitStack
from http.client import HTTPConnection
from itertools import count
from pathlib import Path

from benchmarks.effort import Effort
from benchmarks.figures import Figures, markdown
from benchmarks.line import Request, ask, line
from benchmarks.ways import OWN, PROJECT, Way, ways
from tests.mlflow_content import Content, run_of

_V2 = "/api/2.0/mlflow"
_PAGE = 100
_UNCOUNTED = 3
_METRICS = 10
# What is asked, and in whose name the ratio is kept.
_NAMES = {
    "get": "experiments/get",
    "get_run": "runs/get",
    "search_project": "experiments/search, project view",
    "search_global10": f"experiments/search, global view of {OWN} projects",
    "search_runs": "runs/search, project view",
    "log_batch": f"runs/log-batch, {_METRICS} metrics",
}


def measure(figures: Figures, effort: Effort, folder: Path) -> None:
    """Ask everything in every round."""
    content = Content(effort.experiments, effort.owners)
    with ways(folder, content) as there, ExitStack() as stack:
        lines = {way.name: stack.enter_context(line(way.port)) for way in there}
        numbers = count()
        for turn in range(-_UNCOUNTED, effort.questions):
            for name in _NAMES:
                request = _request(name, content, next(numbers))
                for way in there[:: 1 if turn % 2 else -1]:
                    seen = figures if turn >= 0 else Figures()
                    seen.add(f"mlflow.{name}_ms_{way.name}", _milliseconds(lines, way, request))
    for name in _NAMES:
        compare(figures, f"mlflow.{name}", "ms")


def compare(figures: Figures, name: str, unit: str) -> None:
    """Let the ratios follow from what was measured on the three ways."""
    figures.ratio(f"{name}_ratio", f"{name}_{unit}_full", f"{name}_{unit}_envoy")
    figures.ratio(f"{name}_ratio_bare", f"{name}_{unit}_full", f"{name}_{unit}_bare")


def _milliseconds(lines: dict[str, HTTPConnection], way: Way, request: Request) -> float:
    prefix = "" if request.name == "search_global10" else way.prefix
    seconds, _ = ask(lines[way.name], request, way.headers, prefix)
    return seconds * 1000


def _request(name: str, content: Content, number: int) -> Request:
    own = content.of(PROJECT)
    page = {"max_results": _PAGE}
    match name:
        case "get":
            return Request(name, "GET", f"{_V2}/experiments/get?experiment_id={own[0]}")
        case "get_run":
            return Request(name, "GET", f"{_V2}/runs/get?run_id={run_of(own[0])}")
        case "search_project" | "search_global10":
            return Request(name, "POST", f"{_V2}/experiments/search", page)
        case "search_runs":
            found = {**page, "experiment_ids": [str(each) for each in own]}
            return Request(name, "POST", f"{_V2}/runs/search", found)
        case _:
            metrics = [
                {"key": f"metric-{each}", "value": 0.5, "timestamp": number, "step": number}
                for each in range(_METRICS)
            ]
            body = {"run_id": run_of(own[0], 1), "metrics": metrics}
            return Request(name, "POST", f"{_V2}/runs/log-batch", body)


def tables(values: dict[str, float]) -> str:
    """Return what was measured, as Markdown."""
    return table(values, {f"mlflow.{name}": text for name, text in _NAMES.items()}, "ms")


def table(values: dict[str, float], names: dict[str, str], unit: str) -> str:
    """Return ratios, then the three ways' medians."""
    three = [f"{way}, {unit}" for way in ("full stack", "Envoy alone", "bare")]
    head = ["request", "ratio to Envoy alone", "ratio to bare MLflow", *three]
    rows = [
        (
            text,
            f"**{values[f'{name}_ratio']:.2f}**",
            f"**{values[f'{name}_ratio_bare']:.2f}**",
            *(f"{values[f'{name}_{unit}_{way}']:.2f}" for way in ("full", "envoy", "bare")),
        )
        for name, text in names.items()
    ]
    return markdown(head, rows)
