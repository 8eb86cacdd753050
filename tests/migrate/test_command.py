"""What a migration refuses to work on, and how it ends then."""

import subprocess
from pathlib import Path

import pytest
from sqlalchemy import create_engine

from extauthz.migrate.settings import Settings
from extauthz.plugin.instance import ForeignInstance, claim
from tests.migrate.predecessor import IDS, Migrate, Predecessor
from tests.servers.mlflow import INSTANCE
from tests.servers.processes import clean_environment, extauthz


def test_a_database_in_use_is_left_alone(before: Predecessor, migrate: Migrate) -> None:
    with (
        (before.folder / "mlflow.db").open() as database,
        subprocess.Popen(["sleep", "60"], stdin=database) as other,
    ):
        try:
            shown, done = migrate(before), migrate(before, "--apply")
            bound = migrate(before, "--rebind", "gitlab.new", "--apply")
            forced = migrate(before, "--apply", "--in-use")
        finally:
            other.terminate()

    assert shown.report["in_use_by"] == [f"process {other.pid}"]
    assert (shown.code, done.code, bound.code, forced.code) == (3, 1, 1, 3)
    assert "stop MLflow first" in done.err


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"MLFLOW_BACKEND_STORE_URI": "sqlite:////nowhere/mlflow.db"}, "there is no file"),
        ({"MLFLOW_BACKEND_STORE_URI": "mysql://u:secret@h/db"}, "SQLite or PostgreSQL"),
        ({"MLFLOW_BACKEND_STORE_URI": "./mlruns"}, "no address of a database"),
        ({"MLFLOW_ARTIFACTS_DESTINATION": "gs://bucket"}, "must be a folder or s3://"),
        ({"MLFLOW_REGISTRY_STORE_URI": "sqlite:///other.db"}, "unset MLFLOW_REGISTRY_STORE_URI"),
        ({"GITLAB_URL": "http://gitlab.example.com"}, "GITLAB_URL is plain http"),
        ({"GITLAB_URL": "gitlab"}, "GITLAB_URL must look like"),
    ],
)
def test_wrong_settings_end_with_2_and_one_line(
    before: Predecessor, migrate: Migrate, settings: dict[str, str], message: str
) -> None:
    done = migrate(before, settings=settings)
    assert (done.code, done.out) == (2, "")
    assert message in done.err
    assert "secret" not in done.err
    assert len(done.err.splitlines()) == 1


def test_it_must_be_told_what_paths_mean(before: Predecessor, migrate: Migrate) -> None:
    done = migrate(before, listed=False)
    assert done.code == 2
    assert "--projects FILE, or GITLAB_URL with --token-file" in done.err


def test_a_database_that_is_not_mlflows_is_not_touched(
    before: Predecessor, migrate: Migrate, tmp_path: Path
) -> None:
    file = tmp_path / "other.db"
    file.write_bytes(b"")
    done = migrate(before, settings={"MLFLOW_BACKEND_STORE_URI": f"sqlite:///{file}"})
    assert (done.code, file.read_bytes()) == (2, b"")
    file.write_text("no database at all, but long enough to be looked at as one of SQLite's")
    done = migrate(before, settings={"MLFLOW_BACKEND_STORE_URI": f"sqlite:///{file}"})
    assert done.code == 1
    assert "The database cannot be read" in done.err


def test_ids_of_one_instance_never_get_into_the_database_of_another(
    before: Predecessor, migrate: Migrate
) -> None:
    _bind(before)

    done = migrate(before, "--apply", settings={"INSTANCE_ID": "gitlab.elsewhere"})

    assert done.code == 2
    assert f"holds the projects of {INSTANCE}, not of gitlab.elsewhere" in done.err
    assert migrate(before).code == 3


def test_the_instance_is_bound_anew_only_on_purpose(before: Predecessor, migrate: Migrate) -> None:
    _bind(before)
    shown = migrate(before, "--rebind", "gitlab.new")
    assert (shown.code, shown.out) == (
        0,
        f"The database is of {INSTANCE}. With --apply it will be of gitlab.new.\n",
    )
    assert migrate(before).report["instance"] == INSTANCE

    done = migrate(before, "--rebind", "gitlab.new", "--apply")

    assert done.out == f"The database was of {INSTANCE}, and is now of gitlab.new.\n"
    now = {"INSTANCE_ID": "gitlab.new"}
    assert migrate(before, settings=now).report["instance"] == "gitlab.new"
    with pytest.raises(ForeignInstance):
        _bind(before)
    assert migrate(before, "--rebind", " ", "--apply").code == 2


def test_a_database_that_says_of_none_is_bound(before: Predecessor, migrate: Migrate) -> None:
    assert migrate(before, "--rebind", "gitlab.new", "--apply").code == 0
    assert migrate(before, settings={"INSTANCE_ID": ""}).report["instance"] == "gitlab.new"


@pytest.mark.parametrize(
    ("given", "instance"),
    [
        ({}, ""),
        ({"INSTANCE_ID": "gitlab.test"}, "gitlab.test"),
        ({"GITLAB_URL": "https://gitlab.test/x"}, "gitlab.test/x"),
        ({"SHARINGHUB_URL": "https://hub.test"}, "hub.test"),
        ({"SHARINGHUB_URL": "https://hub.test", "GITLAB_URL": "https://gitlab.test"}, "hub.test"),
    ],
)
def test_the_instance_is_that_of_the_deployment(given: dict[str, str], instance: str) -> None:
    """With SharingHub, GITLAB_URL only says whom to ask."""
    settings = Settings.load(given)
    assert settings.instance == instance
    assert settings.gitlab_url == given.get("GITLAB_URL", "")


def test_as_people_run_it(before: Predecessor) -> None:
    command = extauthz("migrate", "--projects", str(before.listed(IDS)))

    done = subprocess.run(
        command,
        env=clean_environment() | before.environment,
        cwd=before.folder,
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 3
    assert done.stderr == ""
    lines = done.stdout.splitlines()
    assert "p102  acme/speech" in lines
    assert (
        "    1 experiment, 1 run, 1 trace, 1 logged model, 1 model, 2 model versions, 1 alias, "
        "1 dataset" in lines
    )
    assert lines[-1].endswith("Stop MLflow, back up, then run this again with --apply.")


def test_failures_are_told_and_end_with_1(before: Predecessor, migrate: Migrate) -> None:
    """One project's trouble is not another's."""
    speech = before.of("acme/speech")
    other = before.artifacts / "workspaces" / "p102" / str(speech.experiment) / speech.file
    other.parent.mkdir(parents=True)
    other.write_text("not secret-102")

    done = migrate(before, "--apply")

    assert done.code == 1
    (failure,) = done.report["failures"]
    assert "differ: take the wrong one away" in failure
    assert other.read_text() == "not secret-102"
    other.unlink()
    again = migrate(before, "--apply")
    assert again.code == 3
    assert [each["workspace"] for each in again.report["projects"]] == ["p102"]


def _bind(before: Predecessor) -> None:
    """Do what the plugin does when it first starts."""
    engine = create_engine(before.database)
    claim(engine, INSTANCE)
    engine.dispose()
