"""Many rows, put into the database of before by SQL: the client would take minutes."""

from collections.abc import Iterator
from typing import Any, Final

from sqlalchemy import Connection, create_engine, text

from tests.migrate.predecessor import Predecessor

# What there is of each in a project, in an experiment, in a run, in a trace.
_EXPERIMENTS, _RUNS, _OF_RUNS, _TAGS = 3, 4, 8, 3
# Beyond what is there already.
_FIRST: Final = 10_000
_INSERTS: Final = {
    "experiments": "(experiment_id, name, artifact_location, lifecycle_stage, workspace)"
    " VALUES (:e, :name, :at, 'active', 'default')",
    "experiment_tags": "(key, value, experiment_id) VALUES ('project', :path, :e)",
    "runs": "(run_uuid, name, status, lifecycle_stage, artifact_uri, experiment_id)"
    " VALUES (:r, :r, 'FINISHED', 'active', :at || '/' || :r || '/artifacts', :e)",
    "params": "(key, value, run_uuid) VALUES (:key, 'some value', :r)",
    "tags": "(key, value, run_uuid) VALUES (:key, 'some value', :r)",
    "metrics": "(key, value, timestamp, run_uuid, step, is_nan) VALUES (:key, 0.5, 1, :r, 0, 0)",
    "latest_metrics": "(key, value, timestamp, run_uuid, step, is_nan)"
    " VALUES (:key, 0.5, 1, :r, 0, 0)",
    "trace_info": "(request_id, experiment_id, timestamp_ms, status) VALUES (:t, :e, 1, 'OK')",
    "trace_tags": "(key, value, request_id) VALUES (:key, 'some value', :t)",
    "registered_models": "(name, workspace) VALUES (:name, 'default')",
    "registered_model_tags": "(key, value, name, workspace)"
    " VALUES ('project', :path, :name, 'default')",
    "model_versions": "(name, version, source, storage_location, workspace)"
    " VALUES (:name, :v, :source, :source, 'default')",
}
# The address is what MLflow locates the files of a trace by.
_LOCATED = (
    "(key, value, request_id)"
    " VALUES ('mlflow.artifactLocation', :at || '/traces/' || :t || '/artifacts', :t)"
)
Rows = list[dict[str, Any]]


def path_of(project: int) -> str:
    """Return the path of one of the projects."""
    return f"bulk/project-{project}"


def pour(before: Predecessor, projects: range) -> int:
    """Give each of these projects some 400 rows; returns how many rows that are in all."""
    engine = create_engine(before.database)
    with engine.begin() as connection:
        count = sum(_insert(connection, *each) for each in _rows(projects))
    engine.dispose()
    return count


def _insert(connection: Connection, table: str, columns: str, rows: Rows) -> int:
    connection.execute(text(f"INSERT INTO {table} {columns}"), rows)
    return len(rows)


def _rows(projects: range) -> Iterator[tuple[str, str, Rows]]:
    models: Rows = [{"name": f"m{p} ({p})", "path": path_of(p)} for p in projects]
    experiments: Rows = [
        {"e": e, "at": f"mlflow-artifacts:/{e}", "path": path_of(p), "name": f"x{i} ({p})"}
        for p in projects
        for i in range(_EXPERIMENTS)
        for e in [_FIRST + p * _EXPERIMENTS + i]
    ]
    within = [
        {"e": each["e"], "at": each["at"], "r": f"r{each['e']}x{i}", "t": f"tr-{each['e']}x{i}"}
        for each in experiments
        for i in range(_RUNS)
    ]
    of_runs = [{"key": f"k{i}", "r": each["r"]} for each in within for i in range(_OF_RUNS)]
    of_traces = [{"key": f"k{i}", "t": each["t"]} for each in within for i in range(_TAGS)]
    versions = [
        {"name": model["name"], "v": i, "source": f"{each['at']}/{each['r']}/artifacts/model"}
        for model, each in zip(models, within[:: _EXPERIMENTS * _RUNS], strict=True)
        for i in (1, 2)
    ]
    for table, rows in (
        *(("experiments", experiments), ("experiment_tags", experiments), ("runs", within)),
        *((name, of_runs) for name in ("params", "tags", "metrics", "latest_metrics")),
        *(("trace_info", within), ("trace_tags", of_traces)),
        *(("registered_models", models), ("registered_model_tags", models)),
        ("model_versions", versions),
    ):
        yield table, _INSERTS[table], rows
    yield "trace_tags", _LOCATED, within
