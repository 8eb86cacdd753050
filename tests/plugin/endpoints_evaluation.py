"""Requests for the endpoints of evaluation, about the objects of one project."""

import json

from tests.plugin.endpoint import TWINS, Endpoint, Fields
from tests.plugin.endpoint import extended as _with
from tests.plugin.world import World
from tests.plugin.world_evaluation import SCORER, label_schema, scorer


def _dataset(world: World) -> Fields:
    return {"dataset_id": world.evaluated.dataset}


def _experiment(world: World) -> Fields:
    return {"experiment_id": world.experiment}


def _scorer(world: World) -> Fields:
    return {"experiment_id": world.experiment, "name": SCORER}


def _issue(world: World) -> Fields:
    return {"issue_id": world.evaluated.issue}


def _schema(world: World) -> Fields:
    return {"schema_id": world.evaluated.schema}


def _queue(world: World) -> Fields:
    return {"queue_id": world.evaluated.queue}


def _own(world: World) -> Fields:
    return {"experiment_id": world.experiment, "name": world.own}


def _in_other(world: World) -> Fields:
    return {"experiment_ids": [world.evaluated.experiment]}


def _records(world: World) -> Fields:
    records = [{"inputs": {"question": "new"}, "expectations": {"answer": "new"}}]
    return {**_dataset(world), "records": json.dumps(records)}


_TAGS = json.dumps({"colour": "red"})
_DATASET = "3.0/mlflow/datasets/<dataset_id>"
_QUEUES = "3.0/mlflow/review-queues"

READS = (
    Endpoint("GET", _DATASET, _dataset),
    Endpoint("GET", "3.0/mlflow/datasets/search", _in_other, 200),
    Endpoint("POST", "3.0/mlflow/datasets/search", _in_other, 200),
    Endpoint("GET", f"{_DATASET}/records", _dataset),
    Endpoint("GET", f"{_DATASET}/experiment-ids", _dataset),
    Endpoint("GET", "3.0/mlflow/scorers/list", _experiment),
    Endpoint("GET", "3.0/mlflow/scorers/versions", _scorer),
    Endpoint("GET", "3.0/mlflow/scorers/get", _scorer),
    Endpoint("GET", "3.0/mlflow/issues/<issue_id>", _issue),
    Endpoint("POST", "3.0/mlflow/issues/search", _with(_experiment, include_trace_count=True), 200),
    Endpoint("GET", "3.0/mlflow/label-schemas/get", _schema),
    Endpoint("GET", "3.0/mlflow/label-schemas/get-by-name", _own),
    Endpoint("GET", "3.0/mlflow/label-schemas/list", _experiment),
    Endpoint("GET", f"{_QUEUES}/get", _queue),
    Endpoint("GET", f"{_QUEUES}/get-by-name", _own),
    Endpoint("GET", f"{_QUEUES}/list", _experiment),
    Endpoint("GET", f"{_QUEUES}/items/list", _queue),
)

WRITES = (
    Endpoint("POST", "3.0/mlflow/datasets/create", _with(_in_other, name="new", tags=_TAGS)),
    Endpoint("DELETE", _DATASET, _dataset),
    Endpoint("PATCH", f"{_DATASET}/tags", _with(_dataset, tags=_TAGS)),
    Endpoint("DELETE", f"{_DATASET}/tags/<key>", _with(_dataset, key="secret")),
    Endpoint("POST", f"{_DATASET}/records", _records),
    Endpoint(
        "DELETE",
        f"{_DATASET}/records",
        lambda w: {**_dataset(w), "dataset_record_ids": [w.evaluated.record]},
    ),
    Endpoint(
        "POST",
        f"{_DATASET}/add-experiments",
        lambda w: {**_dataset(w), "experiment_ids": [w.experiment]},
    ),
    Endpoint("POST", f"{_DATASET}/remove-experiments", lambda w: {**_dataset(w), **_in_other(w)}),
    Endpoint("POST", "3.0/mlflow/scorers/register", lambda w: scorer(w.experiment, "new")),
    Endpoint("DELETE", "3.0/mlflow/scorers/delete", _scorer),
    Endpoint("POST", "3.0/mlflow/issues", _with(_experiment, name="new", description="new")),
    Endpoint("PATCH", "3.0/mlflow/issues/<issue_id>", _with(_issue, status="resolved")),
    Endpoint(
        "POST", "3.0/mlflow/label-schemas/create", lambda w: label_schema(w.experiment, "new")
    ),
    Endpoint("PATCH", "3.0/mlflow/label-schemas/update", _with(_schema, name="renamed")),
    Endpoint("DELETE", "3.0/mlflow/label-schemas/delete", _schema),
    Endpoint("POST", f"{_QUEUES}/create", _with(_experiment, name="new", queue_type="CUSTOM")),
    Endpoint("POST", f"{_QUEUES}/get-or-create-user", _with(_experiment, user="ann")),
    Endpoint("POST", f"{_QUEUES}/update", _with(_queue, name="renamed")),
    Endpoint("POST", f"{_QUEUES}/delete", _queue),
    Endpoint(
        "POST", f"{_QUEUES}/items/add", lambda w: {**_queue(w), "item_ids": [w.evaluated.waiting]}
    ),
    Endpoint(
        "POST",
        f"{_QUEUES}/items/remove",
        lambda w: {**_queue(w), "item_ids": [w.evaluated.reviewed]},
    ),
    Endpoint(
        "POST",
        f"{_QUEUES}/items/set-status",
        lambda w: {
            **_queue(w),
            "item_id": w.evaluated.reviewed,
            "status": "COMPLETE",
            "completed_by": "ann",
        },
    ),
)

# Without an experiment, a dataset belongs to the project alone.
CREATES = (Endpoint("POST", "3.0/mlflow/datasets/create", lambda w: {"name": f"{w.own}-new"}),)

# Empty for everybody: what would make such a configuration is refused.
PAGES = tuple(("GET", f"{twin}3.0/mlflow/scorers/online-configs") for twin in TWINS)
