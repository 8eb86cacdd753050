"""Experiments that are there before somebody looks for them."""

from tests.plugin.world import API
from tests.servers.mlflow import project as grant_for
from tests.tenants import Project, unique

# What the pages of MLflow ask, relative to the view they are in.
SEARCH = "ajax-api/2.0/mlflow/experiments/search?max_results=100"
CREATE = "ajax-api/2.0/mlflow/experiments/create"


def experiment_in(project: Project) -> str:
    """Make an experiment in a project; returns its name."""
    name = unique("experiment")
    server, grant = project.tenants.stack.mlflow, grant_for(project.id)
    made = server.ask("POST", f"{API}/experiments/create", grant, {"name": name})
    assert made.status == 200, made.body
    return name


def experiments_in(project: Project) -> set[str]:
    """Return the names of the experiments in a project."""
    server, grant = project.tenants.stack.mlflow, grant_for(project.id)
    found = server.ask("GET", f"{API}/experiments/search?max_results=100", grant)
    assert found.status == 200, found.body
    return {experiment["name"] for experiment in found.json.get("experiments", [])}
