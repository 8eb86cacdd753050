"""One request for each endpoint of the table, about the objects of one project."""

from collections.abc import Iterator

from extauthz.plugin.rules import FLASK, NATIVE, Action, Key
from tests.plugin import endpoints_evaluation, endpoints_traces
from tests.plugin.endpoint import Endpoint, Fields
from tests.plugin.endpoint import extended as _with
from tests.plugin.world import World

__all__ = ("CREATES", "PAGES", "READS", "WRITES", "Endpoint", "is_write", "requests")


def _experiment(world: World) -> Fields:
    return {"experiment_id": world.experiment}


def _run(world: World) -> Fields:
    return {"run_id": world.run}


def _model(world: World) -> Fields:
    return {"model_id": world.model}


def _name(world: World) -> Fields:
    return {"name": world.own}


def _version(world: World) -> Fields:
    return {"name": world.own, "version": "1"}


def _stored(world: World) -> Fields:
    return {"artifact_path": f"{world.files}/data.txt"}


def _name_filter(world: World) -> Fields:
    return {"filter": f"name = '{world.own}'"}


_RUN_QUERY = (
    "query GetRun($data: MlflowGetRunInput!) {"
    " mlflowGetRun(input: $data) { run { info { runUuid } data { params { key value } } } } }"
)
_TAG = {"key": "colour", "value": "red"}
_METRIC = {"key": "loss", "value": 0.25, "timestamp": 2, "step": 2}
_SET = {"tags": [_TAG]}

READS = (
    Endpoint("POST", "2.0/mlflow/experiments/search", _with(_name_filter, max_results=9), 200),
    Endpoint("GET", "2.0/mlflow/experiments/search", _with(_name_filter, max_results=9), 200),
    Endpoint("GET", "2.0/mlflow/experiments/get", _experiment),
    Endpoint("GET", "2.0/mlflow/experiments/get-by-name", lambda w: {"experiment_name": w.own}),
    Endpoint("POST", "2.0/mlflow/runs/search", lambda w: {"experiment_ids": [w.experiment]}, 200),
    Endpoint("GET", "2.0/mlflow/runs/get", _run),
    Endpoint("GET", "2.0/mlflow/metrics/get-history", _with(_run, metric_key="loss")),
    Endpoint(
        "GET",
        "2.0/mlflow/metrics/get-history-bulk-interval",
        lambda w: {"run_ids": w.run, "metric_key": "loss", "max_results": 9},
    ),
    Endpoint(
        "GET",
        "/ajax-api/2.0/mlflow/metrics/get-history-bulk",
        _with(_run, metric_key="loss"),
        200,
    ),
    Endpoint(
        "POST",
        "/ajax-api/2.0/mlflow/experiments/search-datasets",
        lambda w: {"experiment_ids": [w.experiment]},
        200,
    ),
    Endpoint(
        "POST",
        "/graphql",
        lambda w: {"query": _RUN_QUERY, "variables": {"data": {"runId": w.run}}},
        200,
    ),
    Endpoint(
        "POST", "2.0/mlflow/logged-models/search", lambda w: {"experiment_ids": [w.experiment]}, 200
    ),
    Endpoint("GET", "2.0/mlflow/logged-models/<model_id>", _model),
    Endpoint("GET", "2.0/mlflow/logged-models/<model_id>/artifacts/directories", _model),
    Endpoint(
        "GET",
        "/ajax-api/2.0/mlflow/logged-models/<model_id>/artifacts/files",
        _with(_model, artifact_file_path="model.txt"),
    ),
    Endpoint("GET", "2.0/mlflow/registered-models/get", _name),
    Endpoint("GET", "2.0/mlflow/registered-models/alias", _with(_name, alias="champion")),
    Endpoint("GET", "2.0/mlflow/registered-models/search", _with(_name_filter, max_results=9), 200),
    Endpoint("POST", "2.0/mlflow/registered-models/get-latest-versions", _name),
    Endpoint("GET", "2.0/mlflow/registered-models/get-latest-versions", _name),
    Endpoint("GET", "2.0/mlflow/model-versions/get", _version),
    Endpoint("GET", "2.0/mlflow/model-versions/get-download-uri", _version),
    Endpoint(
        "GET", "2.0/mlflow/model-versions/search", lambda w: {"filter": f"run_id = '{w.run}'"}, 200
    ),
    Endpoint("GET", "2.0/mlflow/artifacts/list", _run),
    Endpoint("GET", "2.0/mlflow-artifacts/artifacts", lambda w: {"path": w.files}),
    Endpoint("GET", "2.0/mlflow-artifacts/artifacts/{artifact_path:path}", _stored),
    Endpoint("GET", "/get-artifact", _with(_run, path="data.txt")),
    Endpoint("GET", "/model-versions/get-artifact", _with(_version, path="model.txt")),
    *endpoints_evaluation.READS,
    *endpoints_traces.READS,
)

WRITES = (
    Endpoint("POST", "2.0/mlflow/experiments/update", _with(_experiment, new_name="renamed")),
    Endpoint("POST", "2.0/mlflow/experiments/delete", _experiment),
    Endpoint("POST", "2.0/mlflow/experiments/restore", _experiment),
    Endpoint("POST", "2.0/mlflow/experiments/set-experiment-tag", _with(_experiment, **_TAG)),
    Endpoint(
        "POST", "2.0/mlflow/experiments/delete-experiment-tag", _with(_experiment, key="secret")
    ),
    Endpoint("POST", "2.0/mlflow/runs/create", _experiment),
    Endpoint("POST", "2.0/mlflow/runs/update", _with(_run, run_name="renamed")),
    Endpoint("POST", "2.0/mlflow/runs/delete", _run),
    Endpoint("POST", "2.0/mlflow/runs/restore", _run),
    Endpoint("POST", "2.0/mlflow/runs/log-metric", _with(_run, **_METRIC)),
    Endpoint("POST", "2.0/mlflow/runs/log-parameter", _with(_run, **_TAG)),
    Endpoint("POST", "2.0/mlflow/runs/log-batch", _with(_run, metrics=[_METRIC])),
    Endpoint(
        "POST",
        "2.0/mlflow/runs/log-model",
        _with(
            _run,
            model_json='{"artifact_path": "m", "run_id": "x", "flavors": {"python_function": {}},'
            ' "utc_time_created": "2026-01-01 00:00:00.000000"}',
        ),
    ),
    Endpoint(
        "POST",
        "2.0/mlflow/runs/log-inputs",
        lambda w: {"run_id": w.run, "models": [{"model_id": w.model}]},
    ),
    Endpoint(
        "POST",
        "2.0/mlflow/runs/outputs",
        lambda w: {"run_id": w.run, "models": [{"model_id": w.model, "step": 0}]},
    ),
    Endpoint("POST", "2.0/mlflow/runs/set-tag", _with(_run, **_TAG)),
    Endpoint("POST", "2.0/mlflow/runs/delete-tag", _with(_run, key="spare")),
    Endpoint("POST", "2.0/mlflow/logged-models", _experiment),
    Endpoint(
        "PATCH", "2.0/mlflow/logged-models/<model_id>", _with(_model, status="LOGGED_MODEL_READY")
    ),
    Endpoint("DELETE", "2.0/mlflow/logged-models/<model_id>", _model),
    Endpoint("PATCH", "2.0/mlflow/logged-models/<model_id>/tags", _with(_model, **_SET)),
    Endpoint(
        "DELETE",
        "2.0/mlflow/logged-models/<model_id>/tags/<tag_key>",
        _with(_model, tag_key="secret"),
    ),
    Endpoint(
        "POST",
        "2.0/mlflow/logged-models/<model_id>/params",
        lambda w: {"model_id": w.model, "params": [_TAG]},
    ),
    Endpoint(
        "POST",
        "2.0/mlflow/registered-models/rename",
        lambda w: {"name": w.own, "new_name": f"{w.own}-renamed"},
    ),
    Endpoint("PATCH", "2.0/mlflow/registered-models/update", _with(_name, description="new")),
    Endpoint("DELETE", "2.0/mlflow/registered-models/delete", _name),
    Endpoint("POST", "2.0/mlflow/registered-models/set-tag", _with(_name, **_TAG)),
    Endpoint("DELETE", "2.0/mlflow/registered-models/delete-tag", _with(_name, key="secret")),
    Endpoint("POST", "2.0/mlflow/registered-models/alias", _with(_version, alias="next")),
    Endpoint("DELETE", "2.0/mlflow/registered-models/alias", _with(_name, alias="champion")),
    Endpoint(
        "POST",
        "2.0/mlflow/model-versions/create",
        lambda w: {"name": w.own, "source": f"runs:/{w.run}/m", "run_id": w.run},
    ),
    Endpoint("PATCH", "2.0/mlflow/model-versions/update", _with(_version, description="new")),
    Endpoint("DELETE", "2.0/mlflow/model-versions/delete", _version),
    Endpoint(
        "POST",
        "2.0/mlflow/model-versions/transition-stage",
        _with(_version, stage="Production", archive_existing_versions=False),
    ),
    Endpoint("POST", "2.0/mlflow/model-versions/set-tag", _with(_version, **_TAG)),
    Endpoint("DELETE", "2.0/mlflow/model-versions/delete-tag", _with(_version, key="secret")),
    Endpoint("PUT", "2.0/mlflow-artifacts/artifacts/{artifact_path:path}", _stored),
    Endpoint("DELETE", "2.0/mlflow-artifacts/artifacts/<path:artifact_path>", _stored),
    Endpoint(
        "POST",
        "/ajax-api/2.0/mlflow/upload-artifact",
        lambda w: {"run_uuid": w.run, "path": "data.txt"},
    ),
    *endpoints_evaluation.WRITES,
    *endpoints_traces.WRITES,
)

# Those that create something by a name, which is free in every project.
CREATES = (
    Endpoint("POST", "2.0/mlflow/experiments/create", lambda w: {"name": f"{w.own}-new"}),
    Endpoint("POST", "2.0/mlflow/registered-models/create", lambda w: {"name": f"{w.own}-new"}),
    *endpoints_evaluation.CREATES,
)

# The same for everybody who may ask.
PAGES = (
    ("GET", "/"),
    ("GET", "/health"),
    ("GET", "/version"),
    ("GET", "/static-files/<path:path>"),
    ("GET", "/api/3.0/mlflow/server-info"),
    ("GET", "/ajax-api/3.0/mlflow/server-info"),
    *endpoints_evaluation.PAGES,
)


def requests(*endpoints: Endpoint) -> Iterator[tuple[Endpoint, Key]]:
    """Yield each endpoint with each of its twins."""
    for endpoint in endpoints:
        for key in endpoint.keys:
            yield endpoint, key


def is_write(key: Key) -> bool:
    """Return whether an entry of the table changes anything."""
    return (NATIVE.get(key) or FLASK[key]).action is not Action.READ
