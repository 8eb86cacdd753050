"""A database as an older MLflow has left it: its schema is made by MLflow's own steps, so far."""

import subprocess
import sys
from pathlib import Path
from typing import Any, Final

from sqlalchemy import create_engine, text

from tests.migrate.predecessor import SCRIPTS, SPEECH, VISION, Predecessor
from tests.servers.processes import clean_environment

# The schema of MLflow 2.16, of when mlflow-sharinghub began: no workspaces, and no logged models.
THEN: Final = "4465047574b1"
PROJECTS: Final = {VISION: 101, SPEECH: 102}
_ROWS: Final = """
INSERT INTO experiments (experiment_id, name, artifact_location, lifecycle_stage)
VALUES (:id, :name, :root, 'active');
INSERT INTO experiment_tags (key, value, experiment_id) VALUES ('project', :path, :id);
INSERT INTO runs (run_uuid, name, source_type, user_id, status, lifecycle_stage, artifact_uri,
                  experiment_id, start_time)
VALUES (:run, :run, 'LOCAL', 'ann', 'FINISHED', 'active', :root || '/' || :run || '/artifacts',
        :id, 1);
INSERT INTO params (key, value, run_uuid) VALUES ('depth', :secret, :run);
INSERT INTO metrics (key, value, timestamp, run_uuid, step, is_nan)
VALUES ('loss', 0.5, 1, :run, 0, 0);
INSERT INTO latest_metrics (key, value, timestamp, run_uuid, step, is_nan)
VALUES ('loss', 0.5, 1, :run, 0, 0);
INSERT INTO registered_models (name, creation_time, last_updated_time) VALUES (:name, 1, 1);
INSERT INTO registered_model_tags (key, value, name) VALUES ('project', :path, :name);
INSERT INTO model_versions (name, version, creation_time, last_updated_time, current_stage, source,
                            run_id, status)
VALUES (:name, 1, 1, 1, 'Production', :root || '/' || :run || '/artifacts/more', :run, 'READY');
INSERT INTO registered_model_aliases (alias, version, name) VALUES ('champion', 1, :name);
INSERT INTO trace_info (request_id, experiment_id, timestamp_ms, status)
VALUES (:run, :id, 1, 'OK');
INSERT INTO trace_tags (key, value, request_id)
VALUES ('mlflow.artifactLocation', :root || '/traces/' || :run || '/artifacts', :run)
"""


def run_of(number: int) -> str:
    """Return the id of the run of a project, which is that of its trace as well."""
    return f"{number:032x}"


def experiment_of(number: int) -> int:
    """Return the id of the experiment of a project: one uses the one that every MLflow has."""
    return 0 if number == PROJECTS[VISION] else number


def name_of(number: int) -> str:
    """Return the name of the experiment of a project, and of its model."""
    return f"old ({number})"


def older(folder: Path) -> Predecessor:
    """Make it: an experiment, a run, a trace, a model and a file for each project."""
    folder.mkdir()
    before = Predecessor(folder, [])
    made = [sys.executable, str(SCRIPTS / "older.py"), before.database, THEN]
    subprocess.run(made, env=clean_environment(), check=True, capture_output=True)
    engine = create_engine(before.database)
    with engine.begin() as connection:
        for path, number in PROJECTS.items():
            for statement in _ROWS.split(";"):
                connection.execute(text(statement), _values(path, number))
            experiment = str(experiment_of(number))
            _write(before.artifacts / experiment / run_of(number), f"secret-{number}")
    engine.dispose()
    return before


def _values(path: str, number: int) -> dict[str, Any]:
    return {
        "id": experiment_of(number),
        "name": name_of(number),
        "path": path,
        "root": f"mlflow-artifacts:/{experiment_of(number)}",
        "run": run_of(number),
        "secret": f"secret-{number}",
    }


def _write(run: Path, content: str) -> None:
    file = run / "artifacts" / "more" / "data.txt"
    file.parent.mkdir(parents=True)
    file.write_text(content)
