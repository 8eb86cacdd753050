"""A developer's traces: a traced function, feedback on it, and finding all of it again."""

import json
import sys
from typing import Any

import mlflow
from mlflow import MlflowClient

EXPERIMENT = "assistant"


@mlflow.trace  # type: ignore[untyped-decorator] # MLflow is untyped
def answer(question: str) -> object:
    mlflow.update_current_trace(tags={"colour": "red"})
    return look_up(question)


@mlflow.trace  # type: ignore[untyped-decorator] # MLflow is untyped
def look_up(question: str) -> str:
    return question.upper()


def log_a_trace() -> str:
    with mlflow.start_run() as run:
        assert answer("why?") == "WHY?"
        mlflow.flush_trace_async_logging()
        trace_id: str = mlflow.get_last_active_trace_id()
        MlflowClient().link_traces_to_run([trace_id], run.info.run_id)
    mlflow.log_feedback(trace_id=trace_id, name="good", value=True)
    mlflow.log_expectation(trace_id=trace_id, name="expected", value="WHY?")
    mlflow.set_trace_tag(trace_id, "shape", "round")
    return trace_id


def find(trace_id: str) -> dict[str, Any]:
    trace = mlflow.get_trace(trace_id)
    found = mlflow.search_traces(
        filter_string="feedback.good = 'true' AND span.name = 'look_up'",
        return_type="list",
    )
    return {
        "spans": sorted(span.name for span in trace.data.spans),
        "tags": {name: trace.info.tags[name] for name in ("colour", "shape")},
        "assessments": sorted(each.name for each in trace.info.assessments),
        "files": trace.info.tags["mlflow.artifactLocation"],
        "found": [each.info.trace_id for each in found],
    }


def delete(experiment_id: str) -> int:
    answer("another?")
    mlflow.flush_trace_async_logging()
    spare: str = mlflow.get_last_active_trace_id()
    deleted: int = MlflowClient().delete_traces(experiment_id, trace_ids=[spare])
    return deleted


def main() -> None:
    experiment = mlflow.set_experiment(EXPERIMENT)
    trace_id = log_a_trace()
    done = {"trace": trace_id, "experiment": experiment.experiment_id, **find(trace_id)}
    json.dump(done | {"deleted": delete(experiment.experiment_id)}, sys.stdout)


main()
