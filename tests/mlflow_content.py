"""The rows of many projects, as MLflow would have written them, put in by the thousand.

The same for MLflow with the plugin, where each project has a workspace, and for a plain one, where
all of them are in one.
"""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from mlflow.utils.workspace_utils import DEFAULT_WORKSPACE_NAME
from sqlalchemy import create_engine, text

from extauthz.plugin.context import workspace_of
from extauthz.plugin.tables import mapped, table_of

MOMENT = 1_767_225_600_000
RUNS = 2
# Of each run: parameters, and metrics.
LOGGED = 5
_AT_ONCE = 250

Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Content:
    """So many experiments, which belong to the projects in turn."""

    experiments: int
    projects: int

    def project_of(self, experiment: int) -> int:
        """Return the project that an experiment belongs to."""
        return (experiment - 1) % self.projects + 1

    def of(self, project: int) -> list[int]:
        """Return the experiments of a project."""
        return [*range(project, self.experiments + 1, self.projects)]


def fill(url: str, content: Content, *, workspaces: bool) -> None:
    """Put everything into a database that MLflow has made."""
    engine = create_engine(url)
    for first in range(1, content.experiments + 1, _AT_ONCE):
        rows = defaultdict[str, list[Row]](list)
        for experiment in range(first, min(first + _AT_ONCE, content.experiments + 1)):
            own = workspace_of(content.project_of(experiment))
            for table, row in _rows(experiment, own if workspaces else DEFAULT_WORKSPACE_NAME):
                rows[table].append(row)
        with engine.begin() as connection:
            for table, several in rows.items():
                connection.execute(table_of(mapped()[table]).insert(), several)
    if engine.dialect.name == "postgresql":
        with engine.begin() as connection:
            # It would do so by itself within a minute.
            connection.execute(text("ANALYZE"))
    engine.dispose()


def run_of(experiment: int, number: int = 0) -> str:
    """Return the id of a run."""
    return f"{experiment:016x}{number:016x}"


def _rows(experiment: int, workspace: str) -> Iterator[tuple[str, Row]]:
    """Yield the rows of an experiment, each after those it refers to, and their tables."""
    when = MOMENT + experiment
    row: Row = {"experiment_id": experiment, "name": f"experiment-{experiment}"}
    row |= {"workspace": workspace, "artifact_location": f"mlflow-artifacts:/{experiment}"}
    times = {"creation_time": when, "last_update_time": when}
    yield "experiments", row | times | {"lifecycle_stage": "active"}
    for key in ("team", "stage", "note"):
        yield "experiment_tags", {"experiment_id": experiment, "key": key, "value": "some words"}
    for number in range(RUNS):
        yield from _run(experiment, run_of(experiment, number), when + number)
    yield from _model(experiment, workspace, when)
    yield from _trace(experiment, f"tr-{experiment:032x}", when)


def _run(experiment: int, run: str, when: int) -> Iterator[tuple[str, Row]]:
    row: Row = {"run_uuid": run, "experiment_id": experiment, "name": "bold-run", "user_id": "ann"}
    row |= dict.fromkeys(("source_name", "entry_point_name", "source_version"), "")
    row |= {"source_type": "UNKNOWN", "status": "FINISHED", "lifecycle_stage": "active"}
    where = f"mlflow-artifacts:/{experiment}/{run}/artifacts"
    yield "runs", row | {"start_time": when, "end_time": when + 1_000, "artifact_uri": where}
    for key in ("mlflow.runName", "mlflow.user", "mlflow.source.name", "mlflow.source.type"):
        yield "tags", {"run_uuid": run, "key": key, "value": "some words"}
    for number in range(LOGGED):
        yield "params", {"run_uuid": run, "key": f"param-{number}", "value": "0.1"}
        metric = {"run_uuid": run, "key": f"metric-{number}", "value": 0.5, "timestamp": when}
        metric |= {"step": 0, "is_nan": False}
        yield "metrics", metric
        yield "latest_metrics", metric


def _model(experiment: int, workspace: str, when: int) -> Iterator[tuple[str, Row]]:
    name = {"workspace": workspace, "name": f"model-{experiment}"}
    times = {"creation_time": when, "last_updated_time": when}
    yield "registered_models", name | times | {"description": "some words"}
    for key in ("team", "stage"):
        yield "registered_model_tags", name | {"key": key, "value": "some words"}
    version: Row = name | {"version": 1}
    source = {"source": f"runs:/{run_of(experiment)}/model", "run_id": run_of(experiment)}
    more = {"current_stage": "None", "status": "READY"}
    yield "model_versions", version | times | source | more
    yield "model_version_tags", version | {"key": "team", "value": "some words"}


def _trace(experiment: int, trace: str, when: int) -> Iterator[tuple[str, Row]]:
    row: Row = {"request_id": trace, "experiment_id": experiment, "timestamp_ms": when}
    row |= {"execution_time_ms": 10, "status": "OK", "trace_name": "predict"}
    yield "trace_info", row
    where = f"mlflow-artifacts:/{experiment}/traces/{trace}/artifacts"
    for key, value in (("mlflow.artifactLocation", where), ("mlflow.traceName", "predict")):
        yield "trace_tags", {"request_id": trace, "key": key, "value": value}
    for key in ("mlflow.trace_schema.version", "mlflow.traceInputs"):
        yield "trace_request_metadata", {"request_id": trace, "key": key, "value": "3"}
