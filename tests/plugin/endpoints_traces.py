"""Requests for the endpoints of traces, about the trace of one project."""

from tests.plugin.endpoint import UPLOADS, Endpoint, Fields
from tests.plugin.endpoint import extended as _with
from tests.plugin.world import World
from tests.plugin.world_traces import feedback, trace_info


def _older(world: World) -> Fields:
    return {"request_id": world.traced.trace}


def _trace(world: World) -> Fields:
    return {"trace_id": world.traced.trace}


def _assessment(world: World) -> Fields:
    return {**_trace(world), "assessment_id": world.traced.assessment}


def _experiment(world: World) -> Fields:
    return {"experiment_id": world.experiment}


def _experiments(world: World) -> Fields:
    return {"experiment_ids": [world.experiment]}


def _several(world: World) -> Fields:
    return {"trace_ids": [world.traced.trace]}


def _file(world: World) -> Fields:
    return {**_older(world), "path": world.traced.attachment}


def location(experiment: str) -> Fields:
    """Return where to search for traces."""
    return {"type": "MLFLOW_EXPERIMENT", "mlflow_experiment": {"experiment_id": experiment}}


_COUNT = {
    "view_type": "TRACES",
    "metric_name": "trace_count",
    "aggregations": [{"aggregation_type": "COUNT"}],
}
_FILTERS = {"filter_string1": "status = 'OK'", "filter_string2": "tag.secret LIKE 'secret-%'"}
_TAG = {"key": "colour", "value": "red"}
_ASSESSMENT = "3.0/mlflow/traces/<trace_id>/assessments/<assessment_id>"

READS = (
    Endpoint("GET", "2.0/mlflow/traces", _experiments, 200),
    Endpoint("GET", "2.0/mlflow/traces/<request_id>/info", _older),
    Endpoint(
        "POST",
        "3.0/mlflow/traces/search",
        lambda w: {"locations": [location(w.experiment)]},
        200,
    ),
    Endpoint("GET", "3.0/mlflow/traces/get", _trace),
    Endpoint("GET", "3.0/mlflow/traces/batchGet", _several, 200),
    Endpoint("POST", "3.0/mlflow/traces/batchGetInfos", _several, 200),
    Endpoint("GET", "3.0/mlflow/traces/<trace_id>", _trace),
    Endpoint("GET", _ASSESSMENT, _assessment),
    Endpoint("POST", "3.0/mlflow/traces/metrics", _with(_experiments, **_COUNT), 200),
    Endpoint(
        "POST",
        "3.0/mlflow/traces/calculate-filter-correlation",
        _with(_experiments, **_FILTERS),
        200,
    ),
    Endpoint("GET", "/ajax-api/2.0/mlflow/get-trace-artifact", _file),
    Endpoint("GET", "/ajax-api/3.0/mlflow/get-trace-artifact", _file),
)

WRITES = (
    Endpoint("POST", "2.0/mlflow/traces", _with(_experiment, timestamp_ms=1)),
    Endpoint("POST", "3.0/mlflow/traces", lambda w: trace_info(w.experiment)),
    Endpoint(
        "PATCH",
        "2.0/mlflow/traces/<request_id>",
        _with(_older, timestamp_ms=2_000_000_000_000, status="ERROR"),
    ),
    Endpoint("PATCH", "2.0/mlflow/traces/<request_id>/tags", _with(_older, **_TAG)),
    Endpoint("DELETE", "2.0/mlflow/traces/<request_id>/tags", _with(_older, key="secret")),
    Endpoint("PATCH", "3.0/mlflow/traces/<trace_id>/tags", _with(_trace, **_TAG)),
    Endpoint("DELETE", "3.0/mlflow/traces/<trace_id>/tags", _with(_trace, key="secret")),
    Endpoint("POST", "2.0/mlflow/traces/link-to-run", lambda w: {**_several(w), "run_id": w.run}),
    Endpoint(
        "POST",
        "2.0/mlflow/traces/link-prompts",
        lambda w: {**_trace(w), "prompt_versions": [{"name": w.own, "version": "1"}]},
    ),
    Endpoint(
        "POST",
        "2.0/mlflow/traces/delete-traces",
        lambda w: {**_experiment(w), "request_ids": [w.traced.trace]},
    ),
    Endpoint(
        "POST",
        "3.0/mlflow/traces/delete-traces",
        _with(_experiment, max_timestamp_millis=2_000_000_000_000),
    ),
    Endpoint(
        "POST",
        "3.0/mlflow/traces/<trace_id>/assessments",
        lambda w: {**_trace(w), **feedback("better")},
    ),
    Endpoint(
        "PATCH",
        _ASSESSMENT,
        lambda w: {**_assessment(w), **feedback("renamed"), "update_mask": "assessmentName"},
    ),
    Endpoint("DELETE", _ASSESSMENT, _assessment),
)
# What it is about comes in a header, or is an upload that has begun: see test_otlp, test_multipart.
APART = (("POST", "/v1/traces"), *UPLOADS)
