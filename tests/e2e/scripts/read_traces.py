"""A reader's look at a trace: what is read, and how each write ended.

Takes an experiment and a trace.
"""

import json
import sys
from collections.abc import Callable
from typing import Any

import mlflow
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

EXPERIMENT, TRACE = sys.argv[1:]


def read() -> dict[str, Any]:
    trace = mlflow.get_trace(TRACE)
    found = mlflow.search_traces(locations=[EXPERIMENT], return_type="list")
    return {
        "spans": sorted(span.name for span in trace.data.spans),
        "assessments": sorted(each.name for each in trace.info.assessments),
        "found": [each.info.trace_id for each in found],
    }


def outcome(write: Callable[[], object]) -> int:
    try:
        write()
    except MlflowException as error:
        status: int = error.get_http_status_code()
        return status
    return 200


def main() -> None:
    client = MlflowClient()
    writes = {
        "assess": lambda: mlflow.log_feedback(trace_id=TRACE, name="bad", value=False),
        "tag": lambda: client.set_trace_tag(TRACE, "a", "b"),
        "untag": lambda: client.delete_trace_tag(TRACE, "shape"),
        "delete": lambda: client.delete_traces(EXPERIMENT, trace_ids=[TRACE]),
    }
    tried = {name: outcome(write) for name, write in writes.items()}
    json.dump({"read": read(), "writes": tried}, sys.stdout)


main()
