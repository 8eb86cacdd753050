"""What was moved is there for those who may see it, and for nobody else."""

from pathlib import Path

from sqlalchemy import NullPool, create_engine

from extauthz.doctor.rows import recorded_instance, rows_by_workspace
from extauthz.migrate.database import users
from tests.migrate.integrity import holds
from tests.migrate.predecessor import (
    GONE,
    ODD,
    RENAMED,
    SPEECH,
    VISION,
    WANTED,
    Made,
    Migrate,
    Predecessor,
    fill,
)
from tests.migrate.reading import hides, shows
from tests.migrate.runs import killed_ever_later, runs
from tests.polling import eventually
from tests.servers.mlflow import INSTANCE, MLflow, everything, mlflow, plain_mlflow, project
from tests.servers.postgres import postgres
from tests.servers.s3 import S3, s3

# Of some 60 changes, so that each kind of them is among those before which it is killed.
STRIDE = 11
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
        _write_odd(before.of(SPEECH), objects)
        kept = objects.contents("mlflow")
        _tells_no_password(before, migrate)

        _moves(before, objects)

        assert refused.code == 1
        assert "in use" in refused.err
        moved = objects.contents("mlflow")
        assert sorted(moved.values()) == sorted(kept.values())
        assert all(key.startswith("some/where/workspaces/p10") for key in moved)
        with mlflow(tmp_path, env=settings) as server:
            for made in before.made:
                shows(server, made)
            hides(server, before.of(SPEECH), project(101))

        assert migrate(before, "--apply").report["projects"] == []
        # As `extauthz doctor` sees it.
        assert rows_by_workspace(before.database) == {"p101": 3, "p102": 3}
        assert recorded_instance(before.database) == INSTANCE
        _moves(before, objects, "--undo")
        assert objects.contents("mlflow") == kept


def _moves(before: Predecessor, objects: S3, *direction: str) -> None:
    """Have it moved in spite of kills, after each of which all is there."""
    client = objects.client()

    def read(path: str) -> str:
        found = client.get_object(Bucket="mlflow", Key=f"some/where/{path}")
        return str(found["Body"].read().decode())

    arguments = ("--apply", "--projects", str(before.listed()), *direction)
    engine = create_engine(before.database, poolclass=NullPool)
    with runs(before) as process:
        for _ in killed_ever_later(process, *arguments, stride=STRIDE):
            # The server notices a moment later that somebody is gone.
            eventually(lambda: users(engine), list[str]())
            holds(before, read)
    engine.dispose()
    holds(before, read)


def _write_odd(made: Made, objects: S3) -> None:
    # SeaweedFS takes a backslash for a slash.
    for name in ODD - {"\\"}:
        key = f"some/where/{made.experiment}/{made.run}/artifacts/{name}"
        objects.client().put_object(Bucket="mlflow", Key=key, Body=name.encode())


def _tells_no_password(before: Predecessor, migrate: Migrate) -> None:
    ((now,),) = before.execute("SELECT version_num FROM alembic_version")
    set_to = "UPDATE alembic_version SET version_num = :to"
    before.execute(set_to, to="1b5f0d9ad7c1")
    secret = before.database.replace("postgres@", "postgres:hunter2@")
    refused = migrate(before, settings={"MLFLOW_BACKEND_STORE_URI": secret})
    before.execute(set_to, to=now)
    assert refused.code == 1
    assert "put its password where *** stands and run: mlflow db upgrade 'post" in refused.err
    assert "hunter2" not in refused.err
