"""Databases of other releases of MLflow: told what to do, untouched until it is done."""

import subprocess
import sys
from pathlib import Path

from tests.migrate.older import PROJECTS, THEN, experiment_of, name_of, older, run_of
from tests.migrate.predecessor import Migrate, Predecessor
from tests.servers.mlflow import MLflow, mlflow, project
from tests.servers.processes import clean_environment

_API = "/api/2.0/mlflow"


def test_an_older_database_is_upgraded_by_mlflow_and_then_moved(
    tmp_path: Path, migrate: Migrate
) -> None:
    before = older(tmp_path / "mlflow")
    file = before.folder / "mlflow.db"
    kept = file.read_bytes()

    for arguments in ((), ("--apply",), ("--undo", "--apply"), ("--rebind", "x", "--apply")):
        refused = migrate(before, *arguments)
        assert (refused.code, refused.out) == (1, "")
        assert f"older MLflow (its schema is {THEN})" in refused.err
    assert file.read_bytes() == kept

    # As the message says.
    line = refused.err.partition("run: ")[2].strip()
    assert line == f"mlflow db upgrade {before.database}"
    subprocess.run(
        [sys.executable, "-m", *line.split()],
        env=clean_environment(),
        check=True,
        capture_output=True,
    )
    done = migrate(before, "--apply")
    assert (done.code, done.report["orphans"]) == (0, [])
    assert [each["workspace"] for each in done.report["projects"]] == ["p101", "p102"]
    with mlflow(before.folder) as server:
        for number in PROJECTS.values():
            _shows(server, number)
        assert _status(server, 101, f"runs/get?run_id={run_of(102)}") == 404


def test_a_newer_database_is_left_alone(before: Predecessor, migrate: Migrate) -> None:
    """MLflow's schema does not go back."""
    before.execute("UPDATE alembic_version SET version_num = 'f00dfeedf00d'")
    kept = (before.folder / "mlflow.db").read_bytes()

    refused = migrate(before, "--apply")

    assert refused.code == 1
    assert "newer than the MLflow here" in refused.err
    assert "f00dfeedf00d" in refused.err
    assert "db upgrade" not in refused.err
    assert (before.folder / "mlflow.db").read_bytes() == kept


def _shows(server: MLflow, number: int) -> None:
    grant, run, name = project(number), run_of(number), name_of(number)
    asked = f"{_API}/experiments/get-by-name?experiment_name={name.replace(' ', '%20')}"
    found = server.ask("GET", asked, grant).json["experiment"]
    assert found["experiment_id"] == str(experiment_of(number))
    got = server.ask("GET", f"{_API}/runs/get?run_id={run}", grant)
    assert got.status == 200, got.body
    data = got.json["run"]["data"]
    assert data["params"] == [{"key": "depth", "value": f"secret-{number}"}]
    assert [metric["value"] for metric in data["metrics"]] == [0.5]
    (model,) = server.ask("GET", f"{_API}/registered-models/search", grant).json[
        "registered_models"
    ]
    assert (model["name"], model["aliases"]) == (name, [{"alias": "champion", "version": "1"}])
    body = {"locations": [_location(number)]}
    (trace,) = server.ask("POST", "/api/3.0/mlflow/traces/search", grant, body).json["traces"]
    assert trace["trace_id"] == run
    for path in (
        f"/get-artifact?run_uuid={run}&path=more/data.txt",
        f"/model-versions/get-artifact?name={name.replace(' ', '%20')}&version=1&path=data.txt",
    ):
        answer = server.ask("GET", path, grant)
        assert (answer.status, answer.body) == (200, f"secret-{number}".encode())


def _location(number: int) -> dict[str, object]:
    place = {"experiment_id": str(experiment_of(number))}
    return {"type": "MLFLOW_EXPERIMENT", "mlflow_experiment": place}


def _status(server: MLflow, number: int, path: str) -> int:
    return server.ask("GET", f"{_API}/{path}", project(number)).status
