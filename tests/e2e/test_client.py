"""The unmodified MLflow client in a project's view."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.client import run_client
from tests.gitlab import DEVELOPER, GUEST
from tests.servers.stack import Stack
from tests.tenants import Project, Tenants


@dataclass(frozen=True, slots=True)
class Developed:
    """A project, and what its developer's script printed."""

    project: Project
    printed: dict[str, Any]


@pytest.fixture(scope="module")
def developed(whole_stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Developed:
    project = Tenants(whole_stack).project()
    token = project.tenants.token(project.member(DEVELOPER))
    printed = run_client(
        "develop",
        uri=project.caller(token).uri,
        folder=tmp_path_factory.mktemp("developer"),
        MLFLOW_TRACKING_TOKEN=token,
    )
    return Developed(project, printed)


def test_a_developer_does_everything_the_client_can(developed: Developed) -> None:
    done = developed.printed
    run, model = done["run_id"], done["model_id"]
    assert (done["version"], done["alias"]) == (1, 1)
    assert (done["experiments"], done["registered"]) == (["detector"], ["detector"])
    assert (done["runs"], done["models"], done["versions"]) == ([run], [model], [1])
    assert (done["losses"], done["tags"]) == ([0.25, 0.5], "blue")
    assert done["artifacts"] == ["notes", "weights.bin"]
    assert (done["hello"], done["weights"]) == ({"hello": "world"}, True)
    assert done["predicted"] == [2, 42]
    stored = developed.project.guest().get("runs/get", run_id=run)["run"]["info"]
    assert stored["status"] == "FINISHED"
    workspace = f"mlflow-artifacts:/workspaces/p{developed.project.id}/"
    assert stored["artifact_uri"].startswith(workspace)


def test_a_guest_reads_everything_and_writes_nothing(developed: Developed, tmp_path: Path) -> None:
    """Threat 110: 26 ways in which MLflow's own client writes."""
    project, done = developed.project, developed.printed
    token = project.tenants.token(project.member(GUEST))
    caller = project.caller(token)
    experiment = caller.get("experiments/get-by-name", experiment_name="detector")["experiment"]
    before = project.tenants.stack.mlflow.contents()
    tried = run_client(
        "read_only",
        *(done["run_id"], done["model_id"], experiment["experiment_id"]),
        uri=caller.uri,
        folder=tmp_path,
        MLFLOW_TRACKING_TOKEN=token,
    )
    known = {name: done[name] for name in tried["read"] if name in done}
    assert tried["read"] == known | {"rate": "0.1"}
    assert len(tried["writes"]) == 26
    for write, (status, shown) in tried["writes"].items():
        assert status == 403, (write, shown)
        assert "Read only: your role in this GitLab project only reads" in shown, write
    assert project.tenants.stack.mlflow.contents() == before
