"""Requests of a project's developer beside those of another's, and what their answers show.

Both projects use the same names, and each developer asks about both: what is his own, what is not,
and several ids at once of which some are.
"""

import json
import re
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from random import Random
from typing import Any
from urllib.parse import urlencode

from extauthz.grant import View
from extauthz.plugin.rules import OTLP
from tests.plugin.endpoint import TWINS, Endpoint
from tests.plugin.endpoints import READS, WRITES
from tests.plugin.endpoints_traces import location
from tests.plugin.world import API, ARTIFACTS, World
from tests.plugin.world_traces import API as V3
from tests.plugin.world_traces import feedback, new_trace, span, spans, trace_info

ROUNDS = 2
_AT_ONCE = 24
# Ids as MLflow makes them, whatever is before them.
_ID = re.compile(r"[0-9a-f]{32}")
_EXPERIMENTS = frozenset({"experiment_id", "experimentId", "experiment_ids", "experimentIds"})
COUNT = {
    "view_type": "TRACES",
    "metric_name": "trace_count",
    "aggregations": [{"aggregation_type": "COUNT"}],
}
_RUNS = (
    "query SearchRuns($data: MlflowSearchRunsInput!) {"
    " mlflowSearchRuns(input: $data) { runs { info { runUuid experimentId } } } }"
)
_RUNS_OF = "{ mlflowSearchRuns(input: {experimentIds: %s}) { runs { info { runUuid } } } }"


@dataclass(frozen=True, slots=True)
class Asked:
    """A request, and the status that it must get."""

    method: str
    path: str
    body: object
    status: int
    headers: tuple[tuple[str, str], ...] = ()

    def seen(self, status: int, body: bytes, *worlds: World) -> set[str]:
        """Return the ids and marks that an answer shows; a refusal may repeat the request's."""
        assert status == self.status, (self.method, self.path, self.body, status, body)
        text = body.decode()
        read = {mark for world in worlds for mark in world.marks if mark in text}
        read |= {*_ID.findall(text)}
        if text[:1] in ("{", "["):
            # Their ids are numbers, so only the keys tell them.
            read |= {f"experiment {number}" for number in _numbers(json.loads(text))}
        # GraphQL refuses with a 200.
        refused = status != 200 or '"errors"' in text
        sent = f"{self.path} {self.body} {self.headers}" if refused else ""
        return {each for each in read if each not in sent}


@dataclass(frozen=True, slots=True)
class Scope:
    """A project's developer in one view: what he asks, and how to ask it for status and body."""

    own: World
    requests: list[Asked]
    send: Callable[[Asked], tuple[int, bytes]]


def side_by_side(*scopes: Scope) -> int:
    """Send everything at once, in an order of no meaning; returns how many requests that were.

    Holds that each is answered as it must be, and that whatever is seen is seen in one project.
    """
    asked = [(scope, each) for scope in scopes for each in scope.requests]
    Random(120).shuffle(asked)
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        answers = list(pool.map(lambda pick: pick[0].send(pick[1]), asked))
    worlds = {scope.own.number: scope.own for scope in scopes}
    seen: dict[int, set[str]] = {number: set() for number in worlds}
    for (scope, each), answer in zip(asked, answers, strict=True):
        seen[scope.own.number] |= each.seen(*answer, *worlds.values())
    one, other = seen.values()
    assert not one & other
    for number, world in worlds.items():
        assert {*world.marks} <= seen[number]
    return len(asked)


def in_project(own: World, other: World) -> list[Asked]:
    """Return the requests in the view of a project."""
    return [
        *_about(own, *READS, other=False),
        *_about(other, *READS, other=True),
        *_about(other, *WRITES[::3], other=True),
        *several(other, own),
        *(each for number in range(ROUNDS) for each in _written(own, number)),
    ]


def everywhere(own: World, other: World) -> list[Asked]:
    """Return the requests in the view of everything, of a developer who is in one project."""
    readable = [endpoint for endpoint in READS if View.GLOBAL in endpoint.rule.views]
    apart = [endpoint for endpoint in READS if View.GLOBAL not in endpoint.rule.views]
    return [
        *_about(own, *readable, other=False),
        *_about(other, *readable[::2], other=True),
        *_about(own, *apart, *WRITES[::6], other=False, status=403),
        *_about(other, *WRITES[1::6], other=True, status=403),
        *several(other, own, view=View.GLOBAL),
    ]


def _about(
    world: World, *endpoints: Endpoint, other: bool, status: int | None = None
) -> Iterator[Asked]:
    """Yield a request to each endpoint, under its twins in turn."""
    for place, endpoint in enumerate(endpoints):
        keys = endpoint.keys
        expected = (endpoint.foreign if other else 200) if status is None else status
        yield Asked(*endpoint.about(world, keys[place % len(keys)]), expected)


def several(*worlds: World, view: View = View.PROJECT) -> Iterator[Asked]:
    """Yield requests with ids of several projects at once."""
    ids = [world.experiment for world in worlds]
    named = {"experiment_ids": ids}
    traces = [world.traced.trace for world in worlds]
    history = f"{_query('run_id', [world.run for world in worlds])}&metric_key=loss"
    places = {"locations": [location(each) for each in ids]}
    by_variable = {"query": _RUNS, "variables": {"data": {"experimentIds": ids}}}
    yield Asked("POST", "/graphql", by_variable, 200)
    yield Asked("POST", "/graphql", {"query": _RUNS_OF % json.dumps(ids)}, 200)
    yield Asked("GET", f"/ajax-api/2.0/mlflow/metrics/get-history-bulk?{history}", None, 200)
    yield Asked("POST", "/ajax-api/2.0/mlflow/experiments/search-datasets", named, 200)
    for twin in TWINS:
        older, newer = f"{twin}2.0/mlflow", f"{twin}3.0/mlflow"
        own_datasets = {"experiment_ids": [world.evaluated.experiment for world in worlds]}
        yield Asked("POST", f"{older}/runs/search", named, 200)
        yield Asked("POST", f"{older}/logged-models/search", named, 200)
        yield Asked("GET", f"{older}/traces?{_query('experiment_ids', ids)}", None, 200)
        yield Asked("POST", f"{newer}/traces/search", places, 200)
        yield Asked("POST", f"{newer}/traces/metrics", {**named, **COUNT}, 200)
        yield Asked("POST", f"{newer}/traces/batchGetInfos", {"trace_ids": traces}, 200)
        yield Asked("GET", f"{newer}/traces/batchGet?{_query('trace_ids', traces)}", None, 200)
        if view is View.PROJECT:
            yield Asked("POST", f"{newer}/datasets/search", own_datasets, 200)


def _query(name: str, values: list[str]) -> str:
    return urlencode({name: values}, doseq=True)


def _written(world: World, number: int) -> Iterator[Asked]:
    """Yield requests that write, under names that the other project takes as well."""
    secret = f"secret-{world.number}"
    name, tag = f"crowd-{number}", {"key": "secret", "value": secret}
    experiment = {"experiment_id": world.experiment}
    header = ("x-mlflow-experiment-id", world.experiment)
    batch = {"run_id": world.run, "params": [{"key": name, "value": secret}], "tags": [tag]}
    trace = f"{V3}/traces/{world.traced.trace}"
    version = {"name": world.own, "source": f"models:/{world.model}", "model_id": world.model}
    exported = spans(span(new_trace(), secret=secret))
    for method, path, body in (
        ("POST", f"{API}/experiments/create", {"name": name, "tags": [tag]}),
        ("POST", f"{API}/runs/create", {**experiment, "run_name": name, "tags": [tag]}),
        ("POST", f"{API}/runs/log-batch", batch),
        ("POST", f"{API}/logged-models", {**experiment, "name": name, "tags": [tag]}),
        ("POST", f"{API}/registered-models/create", {"name": name, "tags": [tag]}),
        ("POST", f"{API}/model-versions/create", version),
        ("POST", f"{V3}/datasets/create", {"name": name}),
        ("POST", f"{V3}/traces", trace_info(world.experiment, request_preview=secret)),
        ("POST", f"{trace}/assessments", feedback(name, rationale=secret)),
        ("PUT", f"{ARTIFACTS}/{world.files}/{name}.txt", secret.encode()),
    ):
        yield Asked(method, path, body, 200)
    yield Asked("POST", OTLP, exported, 200, (header,))


def _numbers(value: Any) -> Iterator[str]:
    """Yield what JSON has under the keys of experiments."""
    match value:
        case dict():
            for key, each in value.items():
                if key in _EXPERIMENTS:
                    yield from map(str, each if isinstance(each, list) else [each])
                else:
                    yield from _numbers(each)
        case list():
            for each in value:
                yield from _numbers(each)
