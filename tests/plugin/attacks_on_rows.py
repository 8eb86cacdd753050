"""Requests that name rows of another project in a body, or rows that belong to nobody.

Those that name one in their address are in `endpoints`.
"""

import json

from tests.plugin.attack import NOWHERE, Attack
from tests.plugin.world_evaluation import label_schema, record, scorer
from tests.plugin.world_traces import CHILD_SPAN, OTLP, feedback, span, spans, trace_info

_ELEVEN = " ".join(
    f"a{n}: mlflowGetRun(input: {{}}) {{ run {{ info {{ runId }} }} }}" for n in range(11)
)
_METRIC = {"key": "loss", "value": 0.1, "timestamp": 3, "step": 3}
_RUN, _MODEL, _TRACE = "<theirs.run>", "<theirs.model>", "<theirs.traced.trace>"
_EXPERIMENT = "<theirs.experiment>"
_OWN = {"run_id": "<ours.run>"}
_ASSESS = "POST 3.0/mlflow/traces/<ours.traced.trace>/assessments"
_QUEUE = {"queue_id": "<ours.evaluated.queue>"}
_DATASET = "3.0/mlflow/datasets/<ours.evaluated.dataset>"
_RENAMED = {**feedback("renamed"), "update_mask": "assessmentName"}


def _header(experiment: str) -> tuple[tuple[str, str], ...]:
    return (("x-mlflow-experiment-id", experiment),)


GRAPHQL = tuple(
    Attack(85, "POST /graphql", body, status)
    for body, status in (
        ({"query": "{ __schema { types { name } } }"}, 403),
        ({"query": '{ __type(name: "Query") { name } }'}, 403),
        ({"query": "{ ...f } fragment f on Query { __schema { types { name } } }"}, 403),
        (
            {"query": '{ mlflowSearchModelVersions(input: {filter: ""}) { modelVersions { a } } }'},
            403,
        ),
        ({"query": 'mutation { testMutation(inputString: "x") { output } }'}, 403),
        ([{"query": "{ mlflowGetRun(input: {}) { run { info { runUuid } } } }"}] * 2, 400),
        ({"query": f"{{ {_ELEVEN} }}"}, 400),
    )
)

MODELS = (
    Attack(
        96,
        "POST 2.0/mlflow/registered-models/alias",
        {"name": "<theirs.own>", "alias": "champion", "version": "1"},
    ),
    Attack(
        96,
        "POST 2.0/mlflow/registered-models/rename",
        {"name": "<theirs.own>", "new_name": "taken"},
    ),
    Attack(
        96,
        "POST 2.0/mlflow/registered-models/rename",
        {"name": "<ours.own>", "new_name": "churn"},
        400,
    ),
    *(
        Attack(
            99, "POST 2.0/mlflow/logged-models", {"experiment_id": "<ours.experiment>", key: _RUN}
        )
        for key in ("source_run_id", "sourceRunId")
    ),
    Attack(99, "POST 2.0/mlflow/logged-models", {"experiment_id": _EXPERIMENT}),
    Attack(100, "POST 2.0/mlflow/runs/log-metric", {**_OWN, "model_id": _MODEL, **_METRIC}),
    Attack(
        100,
        "POST 2.0/mlflow/runs/log-batch",
        {**_OWN, "metrics": [{"model_id": _MODEL, **_METRIC}]},
    ),
    Attack(100, "POST 2.0/mlflow/runs/log-inputs", {**_OWN, "models": [{"model_id": _MODEL}]}),
    Attack(
        100, "POST 2.0/mlflow/runs/outputs", {**_OWN, "models": [{"model_id": _MODEL, "step": 1}]}
    ),
)

TRACES = (
    Attack(
        101,
        "POST 2.0/mlflow/traces/link-to-run",
        {"trace_ids": [_TRACE], "run_id": "<ours.run>"},
        200,
    ),
    Attack(
        101,
        "POST 2.0/mlflow/traces/link-to-run",
        {"trace_ids": ["<ours.traced.trace>"], "run_id": _RUN},
    ),
    Attack(
        101,
        "POST 2.0/mlflow/traces/link-prompts",
        {
            "trace_id": "<ours.traced.trace>",
            "prompt_versions": [{"name": "<theirs.own>", "version": "1"}],
        },
    ),
    *(
        Attack(
            101,
            f"POST {version}/mlflow/traces/delete-traces",
            {"experiment_id": "<ours.experiment>", "request_ids": [_TRACE]},
            200,
        )
        for version in ("2.0", "3.0")
    ),
    Attack(
        101,
        f"POST {OTLP}",
        spans(span("<theirs.traced.trace>", CHILD_SPAN)),
        404,
        _header("<ours.experiment>"),
    ),
    *(
        Attack(
            102, f"{method} 3.0/mlflow/traces/{trace}/assessments/<theirs.traced.assessment>", body
        )
        for trace in ("<ours.traced.trace>", _TRACE)
        for method, body in (("GET", None), ("PATCH", _RENAMED))
    ),
    Attack(
        102,
        "POST 3.0/mlflow/traces/<theirs.traced.trace>/assessments",
        feedback("new", trace_id="<ours.traced.trace>"),
    ),
    Attack(102, _ASSESS, feedback("new", overrides="<theirs.traced.assessment>")),
    Attack(102, _ASSESS, feedback("new", metadata={"mlflow.assessment.sourceRunId": _RUN})),
    Attack(103, "POST 2.0/mlflow/traces", {"experiment_id": _EXPERIMENT, "timestamp_ms": 1}),
    Attack(103, "POST 3.0/mlflow/traces", trace_info(_EXPERIMENT, NOWHERE)),
    Attack(103, "POST 3.0/mlflow/traces", trace_info("<ours.experiment>", _TRACE)),
    Attack(104, f"POST {OTLP}", spans(span(NOWHERE)), 404, _header(_EXPERIMENT)),
    Attack(
        104,
        f"POST {OTLP}",
        spans(span(NOWHERE)),
        404,
        (*_header(_EXPERIMENT), ("X-MLFLOW-WORKSPACE", "p<theirs.number>")),
    ),
)

EVALUATION = (
    Attack(105, "POST 3.0/mlflow/datasets/create", {"name": "d", "experiment_ids": [_EXPERIMENT]}),
    Attack(
        105,
        "POST 3.0/mlflow/datasets/create",
        {"name": "d", "experiment_ids": ["<ours.experiment>", _EXPERIMENT]},
    ),
    Attack(105, f"POST {_DATASET}/add-experiments", {"experiment_ids": [_EXPERIMENT]}),
    Attack(105, f"POST {_DATASET}/remove-experiments", {"experiment_ids": [_EXPERIMENT]}, 200),
    Attack(
        105,
        f"POST {_DATASET}/records",
        {"records": json.dumps([record("a", "<theirs.evaluated.reviewed>")])},
    ),
    Attack(
        105,
        f"DELETE {_DATASET}/records",
        {"dataset_record_ids": ["<theirs.evaluated.record>"]},
        200,
    ),
    Attack(106, "POST 3.0/mlflow/scorers/register", scorer(_EXPERIMENT, "new")),
    Attack(
        106,
        "POST 3.0/mlflow/issues",
        {
            "experiment_id": "<ours.experiment>",
            "name": "i",
            "description": "d",
            "source_run_id": _RUN,
        },
    ),
    Attack(106, "POST 3.0/mlflow/label-schemas/create", label_schema(_EXPERIMENT, "new")),
    Attack(
        106,
        "POST 3.0/mlflow/review-queues/create",
        {
            "experiment_id": "<ours.experiment>",
            "name": "new",
            "queue_type": "CUSTOM",
            "schema_ids": ["<theirs.evaluated.schema>"],
        },
        400,
    ),
    Attack(
        106,
        "POST 3.0/mlflow/review-queues/items/add",
        {**_QUEUE, "item_ids": ["<theirs.evaluated.reviewed>"]},
    ),
    Attack(
        106,
        "POST 3.0/mlflow/review-queues/items/remove",
        {**_QUEUE, "item_ids": ["<theirs.evaluated.reviewed>"]},
        200,
    ),
)

# MLflow makes an experiment 0 for itself, which is no project's.
NOBODYS = (
    Attack(108, "GET 2.0/mlflow/experiments/get?experiment_id=0"),
    Attack(108, "GET 2.0/mlflow/experiments/get-by-name?experiment_name=Default"),
    Attack(108, "POST 2.0/mlflow/experiments/update", {"experiment_id": "0", "new_name": "mine"}),
    Attack(108, "POST 2.0/mlflow/experiments/delete", {"experiment_id": "0"}),
    Attack(108, "POST 2.0/mlflow/experiments/restore", {"experiment_id": "0"}),
    Attack(108, "POST 2.0/mlflow/runs/create", {"experiment_id": "0"}),
    Attack(108, "POST 2.0/mlflow/runs/create", {}),
    Attack(108, "POST 2.0/mlflow/logged-models", {"experiment_id": "0"}),
    Attack(108, "POST 3.0/mlflow/traces", trace_info("0", NOWHERE)),
    Attack(108, "POST 3.0/mlflow/datasets/create", {"name": "d", "experiment_ids": ["0"]}),
    Attack(108, f"POST {OTLP}", spans(span(NOWHERE)), 404, _header("0")),
    Attack(108, "POST 2.0/mlflow/experiments/restore", {"experiment_id": _EXPERIMENT}),
    Attack(108, "POST 2.0/mlflow/runs/restore", {"run_id": _RUN}),
)

ROWS = (*GRAPHQL, *MODELS, *TRACES, *EVALUATION, *NOBODYS)
