"""What is in a project before somebody looks at it."""

from dataclasses import dataclass
from typing import Any

from tests.plugin.world import API
from tests.servers.mlflow import project as grant_for
from tests.tenants import Project, unique

# What the pages of MLflow ask, relative to the view they are in.
SEARCH = "ajax-api/2.0/mlflow/experiments/search?max_results=100"
CREATE = "ajax-api/2.0/mlflow/experiments/create"
CREATE_RUN = "ajax-api/2.0/mlflow/runs/create"
# The one change that MLflow takes in a body of any type, so that a form could ask for it.
UPLOAD = "ajax-api/2.0/mlflow/upload-artifact"


@dataclass(frozen=True, slots=True)
class Run:
    """A run, by its id and that of its experiment."""

    id: str
    experiment: str


def experiment_in(project: Project) -> str:
    """Make an experiment in a project; returns its name."""
    name = unique("experiment")
    _ask(project, "POST", "experiments/create", {"name": name})
    return name


def experiments_in(project: Project) -> set[str]:
    """Return the names of the experiments in a project."""
    found = _ask(project, "GET", "experiments/search?max_results=100")
    return {experiment["name"] for experiment in found.get("experiments", [])}


def run_in(project: Project) -> Run:
    """Make a run in an experiment of its own."""
    made = _ask(project, "POST", "experiments/create", {"name": unique("experiment")})
    created = _ask(project, "POST", "runs/create", {"experiment_id": made["experiment_id"]})
    return Run(created["run"]["info"]["run_id"], made["experiment_id"])


def log(project: Project, run: Run, parameter: str, value: str) -> None:
    """Log a parameter of a run."""
    logged = {"run_id": run.id, "key": parameter, "value": value}
    _ask(project, "POST", "runs/log-parameter", logged)


def upload(project: Project, run: Run, path: str, content: str) -> None:
    """Keep a file with a run."""
    server, grant = project.tenants.stack.mlflow, grant_for(project.id)
    target = f"/{UPLOAD}?run_uuid={run.id}&path={path}"
    assert server.ask("POST", target, grant, content.encode()).status == 200


def model_in(project: Project) -> str:
    """Register a model; returns its name."""
    name = unique("model")
    _ask(project, "POST", "registered-models/create", {"name": name})
    return name


def artifacts_of(project: Project, run: Run) -> list[str]:
    """Return the names of the files of a run."""
    listed = _ask(project, "GET", f"artifacts/list?run_id={run.id}")
    return [file["path"] for file in listed.get("files", [])]


def _ask(project: Project, method: str, path: str, body: object = None) -> Any:
    server, grant = project.tenants.stack.mlflow, grant_for(project.id)
    answer = server.ask(method, f"{API}/{path}", grant, body)
    assert answer.status == 200, answer.body
    return answer.json
