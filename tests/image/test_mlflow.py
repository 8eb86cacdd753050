"""The image `mlflow`: MLflow, which serves nobody without a grant."""

from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from extauthz.levels import Role
from tests.image.container import USER, Container, container, run_once
from tests.plugin.world import API, ARTIFACTS
from tests.servers.mlflow import GRANT_KEY, INSTANCE, MLflow, project
from tests.servers.postgres import postgres
from tests.servers.processes import answers
from tests.servers.s3 import s3

SETTINGS = {"GRANT_KEY": GRANT_KEY.get_secret_value(), "INSTANCE_ID": INSTANCE}


@pytest.fixture
def running(data: Path) -> Iterator[tuple[Container, MLflow]]:
    with container("mlflow", env=SETTINGS, data=data) as started:
        started.until_healthy()
        yield started, MLflow(5001, data, data / "none")


def written(server: MLflow) -> str:
    """Make an experiment and a run with a file; returns the file's path."""
    owner = project(7)
    body = {"name": "churn"}
    experiment = server.ask("POST", f"{API}/experiments/create", owner, body).json["experiment_id"]
    run = server.ask("POST", f"{API}/runs/create", owner, {"experiment_id": experiment}).json
    path = f"workspaces/p7/{experiment}/{run['run']['info']['run_id']}/artifacts/a.txt"
    assert server.ask("PUT", f"{ARTIFACTS}/{path}", owner, b"content").status == 200
    return path


def test_it_serves_a_grant_keeps_the_data_and_stops_when_it_is_told_to(
    running: tuple[Container, MLflow], data: Path
) -> None:
    started, server = running
    assert server.ask("GET", "/health", None).status == 200
    assert answers(5002, "/metrics"), started.logs
    refused = server.ask("GET", f"{API}/experiments/search?max_results=10", None)
    assert refused.status == 403, started.logs
    assert "grant" in refused.body.decode()

    path = written(server)
    assert server.ask("GET", f"{ARTIFACTS}/{path}", project(7)).body == b"content"
    assert server.ask("GET", f"{ARTIFACTS}/{path}", project(8)).status == 404
    reader = server.ask("POST", f"{API}/experiments/create", project(7, Role.READ), {"name": "b"})
    assert reader.status == 403

    assert started.stop() == 0, started.logs
    kept = data / "mlartifacts" / path
    assert kept.read_bytes() == b"content"
    assert {kept.stat().st_uid, (data / "mlflow.db").stat().st_uid} == {USER}


def test_it_keeps_everything_in_postgresql_and_s3(tmp_path: Path) -> None:
    with postgres(tmp_path / "postgres.log") as database, s3(tmp_path) as objects:
        stores = {
            "MLFLOW_BACKEND_STORE_URI": database.create("mlflow"),
            "MLFLOW_ARTIFACTS_DESTINATION": objects.create("mlflow"),
        }
        with container("mlflow", env=SETTINGS | objects.environment | stores) as started:
            started.until_healthy()
            path = written(MLflow(5001, tmp_path, tmp_path / "none"))
            assert path in objects.contents("mlflow"), started.logs


@pytest.mark.parametrize(
    ("settings", "line"),
    [
        ({}, "extauthz: Set GRANT_KEY: the key that the edge signs grants with"),
        ({"GRANT_KEY": SETTINGS["GRANT_KEY"]}, "extauthz: Set INSTANCE_ID: "),
    ],
    ids=["no key", "no instance"],
)
def test_it_does_not_start_without_keys(data: Path, settings: Mapping[str, str], line: str) -> None:
    # With exit code 0, as `mlflow server` has it whatever becomes of the server.
    refused = run_once("mlflow", env=settings, data=data)
    assert line in refused.stderr
    assert "Traceback" not in refused.stderr
