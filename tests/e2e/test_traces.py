"""The unmodified MLflow client traces in a project's view, and others look on."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.caller import Caller
from tests.client import run_client
from tests.gitlab import DEVELOPER, GUEST
from tests.plugin.world_traces import new_trace, span, spans
from tests.polling import eventually
from tests.servers.stack import Stack
from tests.tenants import Project, Tenants

V3 = "/api/3.0/mlflow/traces"


@dataclass(frozen=True, slots=True)
class Traced:
    """A project, and what its developer's script printed."""

    project: Project
    printed: dict[str, Any]


@pytest.fixture(scope="module")
def traced(whole_stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Traced:
    project = Tenants(whole_stack).project()
    token = project.tenants.token(project.member(DEVELOPER))
    printed = run_client(
        "traces",
        uri=project.caller(token).uri,
        folder=tmp_path_factory.mktemp("developer"),
        MLFLOW_TRACKING_TOKEN=token,
    )
    return Traced(project, printed)


def export(caller: Caller, experiment: str, body: object) -> int:
    return caller.send("POST", "/v1/traces", body, ("x-mlflow-experiment-id", experiment)).status


def test_a_developers_traces_are_kept_and_found(traced: Traced) -> None:
    done = traced.printed
    assert done["spans"] == ["answer", "look_up"]
    assert done["tags"] == {"colour": "red", "shape": "round"}
    assert done["assessments"] == ["expected", "good"]
    assert done["found"] == [done["trace"]]
    assert done["deleted"] == 1
    folder = f"mlflow-artifacts:/workspaces/p{traced.project.id}/{done['experiment']}/traces"
    assert done["files"] == f"{folder}/{done['trace']}/artifacts"


@pytest.mark.parametrize("view", ["project", "everything"])
def test_a_guest_reads_them_and_changes_nothing(traced: Traced, tmp_path: Path, view: str) -> None:
    """Threat 104."""
    project, done = traced.project, traced.printed
    token = project.tenants.token(project.member(GUEST))
    caller = project.caller(token)
    if view == "everything":
        caller = project.tenants.everywhere(token)
        eventually(lambda: caller.send("GET", f"{V3}/{done['trace']}").status, 200)
    store = project.tenants.stack.mlflow
    before = store.contents()
    tried = run_client(
        "read_traces",
        *(done["experiment"], done["trace"]),
        uri=caller.uri,
        folder=tmp_path,
        MLFLOW_TRACKING_TOKEN=token,
    )
    assert tried["read"] == {name: done[name] for name in ("spans", "assessments", "found")}
    assert tried["writes"] == dict.fromkeys(("assess", "tag", "untag", "delete"), 403)
    assert store.contents() == before


def test_spans_go_to_the_project_of_the_address(traced: Traced) -> None:
    """Threat 104, CVE-2026-2652: OpenTelemetry's endpoint is no way around the permissions."""
    project, experiment = traced.project, traced.printed["experiment"]
    stranger = project.tenants.project().developer()
    store = project.tenants.stack.mlflow
    body = spans(span(new_trace()))
    before = store.contents()
    assert export(stranger, experiment, body) == 404
    assert export(stranger, experiment, spans(span(traced.printed["trace"]))) == 404
    assert export(stranger.in_view_of(project.guest()), experiment, body) == 404
    assert export(project.guest(), experiment, body) == 403
    assert export(stranger.in_view_of(project.tenants.everywhere("")), experiment, body) == 403
    assert export(Caller(stranger.port, project.guest().prefix, ()), experiment, body) == 401
    assert store.contents() == before
    own = stranger.post("experiments/create", name="own")["experiment_id"]
    assert export(stranger, own, body) == 200
