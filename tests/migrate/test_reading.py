"""What was moved is there for those who may see it, and for nobody else."""

import random
import time
from pathlib import Path

from tests.migrate.integrity import holds
from tests.migrate.predecessor import (
    GONE,
    RENAMED,
    SPEECH,
    VISION,
    WANTED,
    Migrate,
    Predecessor,
    fill,
)
from tests.migrate.reading import hides, shows
from tests.migrate.runs import runs
from tests.polling import eventually
from tests.servers.mlflow import MLflow, everything, mlflow, plain_mlflow, project
from tests.servers.postgres import postgres
from tests.servers.s3 import s3

KILLS = 5
KNOWN = (VISION, RENAMED, SPEECH)


def test_with_sqlite_and_a_folder(before: Predecessor, migrate: Migrate) -> None:
    """There and back again, since the servers take so long to start."""
    migrate(before, "--apply")
    with mlflow(before.folder) as server:
        for path in KNOWN:
            shows(server, before.of(path))
        hides(server, before.of(VISION), project(102))
        hides(server, before.of(SPEECH), project(101))
        hides(server, before.of(SPEECH), everything(101))
        # Nobody's, since nobody knows its project.
        hides(server, before.of(GONE), everything(101, 102, 103))
        since = _made_since(server)

    back = migrate(before, "--undo", "--apply", listed=False)

    assert back.code == 0
    assert "1 experiments and models have no tag" in back.report["notes"][0]
    holds(before)
    with plain_mlflow(before.folder) as server:
        assert migrate(before, "--apply").code == 1, "it is in use"
        for run, text in [
            (since, b"since"),
            *((made.run, made.secret.encode()) for made in before.made),
        ]:
            answer = server.ask("GET", f"/get-artifact?run_uuid={run}&path=more/data.txt")
            assert answer.body == text


def _made_since(server: MLflow) -> str:
    """Make a run with a file in a project, and return its id."""
    grant, api = project(102), "/api/2.0"
    body = {"name": "since"}
    made = server.ask("POST", f"{api}/mlflow/experiments/create", grant, body).json
    run = server.ask("POST", f"{api}/mlflow/runs/create", grant, made).json["run"]["info"]
    path = f"{made['experiment_id']}/{run['run_id']}/artifacts/more/data.txt"
    put = server.ask("PUT", f"{api}/mlflow-artifacts/artifacts/{path}", grant, b"since")
    assert put.status == 200
    return str(run["run_id"])


def test_with_postgresql_and_s3(tmp_path: Path, migrate: Migrate) -> None:
    """There and back again, since the servers take so long to start."""
    with postgres(tmp_path / "postgres.log") as database, s3(tmp_path) as objects:
        settings = objects.environment | {
            "MLFLOW_BACKEND_STORE_URI": database.create("mlflow"),
            "MLFLOW_ARTIFACTS_DESTINATION": f"{objects.create('mlflow')}/some/where",
        }
        with plain_mlflow(tmp_path, env=settings) as server:
            before = Predecessor(tmp_path, fill(server, tmp_path, WANTED[1:3]), settings)
            refused = migrate(before, "--apply")
        kept = objects.contents("mlflow")

        _killed_a_few_times(before)
        # The server notices a moment later that somebody is gone.
        eventually(lambda: migrate(before).report["in_use_by"], [])
        done = migrate(before, "--apply")

        assert refused.code == 1
        assert "in use" in refused.err
        assert done.code == 0, done
        moved = objects.contents("mlflow")
        assert sorted(moved.values()) == sorted(kept.values())
        assert all(key.startswith("some/where/workspaces/p10") for key in moved)
        with mlflow(tmp_path, env=settings) as server:
            for made in before.made:
                shows(server, made)
            hides(server, before.of(SPEECH), project(101))

        assert migrate(before, "--apply").report["projects"] == []
        back = migrate(before, "--apply", "--undo")
        assert back.code == 0, back
        assert objects.contents("mlflow") == kept


def _killed_a_few_times(before: Predecessor) -> None:
    arguments = ("--projects", str(before.listed()))
    with runs(before) as process:
        process.run(*arguments)  # the first takes longer
        started = time.monotonic()
        process.run(*arguments)
        duration = time.monotonic() - started
        killed = [
            process.run(*arguments, "--apply", kill_after=random.uniform(0, 2 * duration))
            for _ in range(KILLS)
        ]
    assert min(killed) < 0
