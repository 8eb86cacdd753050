"""What requests cost the database: an exact number of statements, however long the page."""

from collections.abc import Iterator
from urllib.parse import urlencode

import pytest

from extauthz.grant import Grant
from tests.plugin.statements import Counted, count, telling
from tests.plugin.world import World, build
from tests.plugin.world_traces import trace
from tests.servers.mlflow import MLflow, everything

API, V3 = "/api/2.0/mlflow", "/api/3.0/mlflow"
OURS, THEIRS = 101, 102
# So many of each kind are in the longest page, all but one of them ours.
LONGEST = 6


PROJECT, GLOBAL = "project", "global"
# In the view of all projects, what is asked for by name or its files are found in one more step.
SEARCHES = {
    f"POST {API}/experiments/search": {PROJECT: 2, GLOBAL: 2},
    f"POST {API}/runs/search": {PROJECT: 7, GLOBAL: 6},
    f"POST {API}/logged-models/search": {PROJECT: 4, GLOBAL: 4},
    f"GET {API}/registered-models/search": {PROJECT: 5, GLOBAL: 5},
    f"GET {API}/model-versions/search": {PROJECT: 2, GLOBAL: 2},
    f"POST {V3}/traces/search": {PROJECT: 5, GLOBAL: 4},
    f"POST {V3}/datasets/search": {PROJECT: 4},
}
READS = {
    f"{API}/experiments/get?experiment_id={{world.experiment}}": {PROJECT: 2, GLOBAL: 2},
    f"{API}/runs/get?run_id={{world.run}}": {PROJECT: 7, GLOBAL: 7},
    f"{API}/logged-models/{{world.model}}": {PROJECT: 4, GLOBAL: 5},
    f"{API}/registered-models/get?name={{world.own}}": {PROJECT: 5, GLOBAL: 6},
    f"{API}/model-versions/get?name={{world.own}}&version=1": {PROJECT: 4, GLOBAL: 5},
    f"{API}/artifacts/list?run_id={{world.run}}": {PROJECT: 7, GLOBAL: 8},
    f"{V3}/traces/get?trace_id={{world.traced.trace}}": {PROJECT: 5, GLOBAL: 5},
}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MLflow]:
    with telling(tmp_path_factory.mktemp("telling")) as running:
        yield running


@pytest.fixture(scope="module")
def ours(server: MLflow) -> World:
    world = build(server, OURS)
    build(server, THEIRS)
    for number in range(LONGEST):
        fill(server, world, number)
    return world


def fill(server: MLflow, world: World, number: int) -> None:
    """Add one of each kind, with tags and the like of its own."""

    def write(path: str, body: object) -> dict[str, dict[str, dict[str, str]]]:
        answer = server.ask("POST", path, world.grant, body)
        assert answer.status == 200, answer.body
        found: dict[str, dict[str, dict[str, str]]] = answer.json or {}
        return found

    name, tags = f"more-{number}", [{"key": "number", "value": str(number)}]
    write(f"{API}/experiments/create", {"name": name, "tags": tags})
    started = {"experiment_id": world.experiment, "tags": tags}
    run = write(f"{API}/runs/create", started)["run"]["info"]["run_id"]
    metric = {"key": "loss", "value": number, "timestamp": 1, "step": 1}
    param = {"key": "depth", "value": str(number)}
    write(f"{API}/runs/log-batch", {"run_id": run, "metrics": [metric], "params": [param]})
    logged = {"experiment_id": world.experiment, "name": name, "source_run_id": run, "tags": tags}
    write(f"{API}/logged-models", logged)
    write(f"{API}/registered-models/create", {"name": name, "tags": tags})
    source = {"name": "churn", "source": f"models:/{world.model}", "model_id": world.model}
    write(f"{API}/model-versions/create", {**source, "tags": tags})
    evaluated = {"name": name, "experiment_ids": [world.experiment]}
    write(f"{V3}/datasets/create", evaluated)
    trace(server, world.grant, world.experiment)


def in_view(view: str, world: World) -> Grant:
    return world.grant if view == PROJECT else everything(OURS, THEIRS)


def page(endpoint: str, world: World, size: int) -> tuple[str, str, dict[str, object] | None]:
    """Return method, path and body of a search for a page of a size."""
    method, path = endpoint.split(" ")
    experiment = world.experiment
    place = {"type": "MLFLOW_EXPERIMENT", "mlflow_experiment": {"experiment_id": experiment}}
    fields: dict[str, object] = {"max_results": size}
    if method == "GET":
        return method, f"{path}?{urlencode(fields)}", None
    if path.endswith("traces/search"):
        fields["locations"] = [place]
    elif not path.endswith("experiments/search"):
        fields["experiment_ids"] = [experiment]
    return method, path, fields


@pytest.mark.parametrize(
    ("endpoint", "view", "reads"),
    [(each, view, reads) for each, views in SEARCHES.items() for view, reads in views.items()],
)
def test_a_search_costs_the_same_however_long_the_page_is(
    server: MLflow, ours: World, endpoint: str, view: str, reads: int
) -> None:
    grant = in_view(view, ours)
    for size in (1, 3, LONGEST):
        method, path, body = page(endpoint, ours, size)
        (rows,) = (
            value
            for value in server.ask(method, path, grant, body).json.values()
            if isinstance(value, list)
        )
        assert len(rows) == size
        assert count(server, method, path, grant, body) == Counted(reads)


@pytest.mark.parametrize(
    ("path", "view", "reads"),
    [(each, view, reads) for each, views in READS.items() for view, reads in views.items()],
)
def test_a_read_costs_what_it_is_known_to(
    server: MLflow, ours: World, path: str, view: str, reads: int
) -> None:
    asked = path.format(world=ours)
    assert count(server, "GET", asked, in_view(view, ours)) == Counted(reads)


@pytest.mark.parametrize("kind", ["metrics", "params", "tags"])
def test_writing_much_takes_no_more_statements_than_writing_little(
    server: MLflow, ours: World, kind: str
) -> None:
    def batch(size: int) -> dict[str, object]:
        more = {"timestamp": 1, "step": 1} if kind == "metrics" else {}
        each = [{"key": f"{kind}-{number}", "value": "1", **more} for number in range(size)]
        return {"run_id": ours.run, kind: each}

    path = f"{API}/runs/log-batch"
    few, many = (count(server, "POST", path, ours.grant, batch(size)) for size in (2, 40))
    assert few == many
