"""What is odd, and moves all the same, or stops a migration before anything is lost."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

from extauthz.migrate import moving
from extauthz.migrate.folder import Folder
from extauthz.migrate.transfer import transfer
from tests.migrate.integrity import holds, workspace_of
from tests.migrate.predecessor import ODD, SPEECH, VISION, Migrate, Predecessor

# More than Python can call into itself, in a path that a file system still takes.
DEEP = 1_020


def test_files_with_odd_names_go_there_and_back(before: Predecessor, migrate: Migrate) -> None:
    speech = before.of(SPEECH)
    old = before.artifacts / str(speech.experiment) / speech.run / "artifacts"
    raw = os.fsencode(old) + b"/\xff\xfe.bin"
    for name in ODD:
        (old / name).parent.mkdir(parents=True, exist_ok=True)
        (old / name).write_text(name)
    Path(os.fsdecode(raw)).write_bytes(raw)
    kept = _below(old)

    assert migrate(before, "--apply").report["failures"] == []

    assert not old.exists()
    new = before.artifacts / "workspaces" / "p102" / str(speech.experiment)
    assert _below(new / speech.run / "artifacts") == kept
    migrate(before, "--undo", "--apply")
    assert _below(old) == kept
    assert not new.exists()


@pytest.fixture
def deep() -> Iterator[Path]:
    """A folder that is removed by what can do so: the cleaning up of pytest fails at it."""
    with TemporaryDirectory(prefix="deep-") as folder:
        (Path(folder) / "1").mkdir()
        yield Path(folder)
        subprocess.run(["rm", "-rf", f"{folder}/1", f"{folder}/2"], check=True)


def test_folders_nested_deeper_than_python_calls_itself(deep: Path) -> None:
    """Clients choose how deep, and one of them could have stopped the migration of all."""
    path = "d/" * DEEP
    below = os.open(deep / "1", os.O_RDONLY)
    for _ in range(DEEP):
        os.mkdir("d", dir_fd=below)
        above, below = below, os.open("d", os.O_RDONLY, dir_fd=below)
        os.close(above)
    os.close(os.open("f", os.O_CREAT, dir_fd=below))
    os.close(below)
    folder = Folder(deep)

    assert folder.sizes("1/") == {f"{path}f": 0}
    folder.copy(f"1/{path}f", f"2/{path}f")
    folder.remove([f"1/{path}f"])
    folder.prune("1")

    assert folder.sizes("2/") == {f"{path}f": 0}
    assert [each.name for each in deep.iterdir()] == ["2"]


def test_what_is_in_the_bin_moves_along(before: Predecessor, migrate: Migrate) -> None:
    """Deleted things can be restored, and keep their names from others."""
    vision, speech = before.of(VISION), before.of(SPEECH)
    delete = "UPDATE {} SET lifecycle_stage = 'deleted' WHERE experiment_id = :id"
    before.execute(delete.format("experiments"), id=speech.experiment)
    before.execute(delete.format("runs"), id=vision.experiment)

    assert migrate(before, "--apply").report["failures"] == []

    assert (workspace_of(before, vision), workspace_of(before, speech)) == ("p101", "p102")
    holds(before)


def test_prompts_move_as_models_do(before: Predecessor, migrate: Migrate) -> None:
    tags = f"('project', '{SPEECH}', 'ask', 'default'), ('mlflow.prompt.is_prompt', 'true', 'ask'"
    for row in (
        "registered_models (name, workspace) VALUES ('ask', 'default')",
        f"registered_model_tags VALUES {tags}, 'default')",
        "model_versions (name, version, source) VALUES ('ask', 1, 'dummy-source')",
        "model_version_tags VALUES ('mlflow.prompt.text', 'Why?', 'ask', 1, 'default')",
    ):
        before.execute(f"INSERT INTO {row}")

    migrate(before, "--apply")

    found = "SELECT workspace, source FROM model_versions WHERE name = 'ask'"
    assert [tuple(row) for row in before.execute(found)] == [("p102", "dummy-source")]
    tags = "SELECT workspace, value FROM model_version_tags WHERE name = 'ask'"
    assert [tuple(row) for row in before.execute(tags)] == [("p102", "Why?")]


def test_a_source_that_would_become_too_long_for_its_column_stays(
    before: Predecessor, migrate: Migrate
) -> None:
    """PostgreSQL would refuse it in the midst, and so stop the migration of all projects."""
    speech = before.of(SPEECH)
    deep = f"mlflow-artifacts:/{speech.experiment}/{speech.run}/artifacts/{'d/' * 300}"
    change = "UPDATE model_versions SET source = :at WHERE name = :name AND version = 2"
    before.execute(change, at=deep[:500].rstrip("/"), name=speech.name)

    done = migrate(before, "--apply")

    assert done.orphans[f"model {speech.name}"] == "elsewhere"
    assert "which is too long" in str(done.report["orphans"])
    before.execute(change, at=deep[:480].rstrip("/"), name=speech.name)
    assert f"model {speech.name}" not in migrate(before, "--apply").orphans


def test_an_mlflow_that_comes_back_meanwhile_stops_it(
    before: Predecessor, migrate: Migrate, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever restarts it may do so while files are copied."""
    others = list[subprocess.Popen[bytes]]()

    def restarted(*arguments: Any) -> None:
        transfer(*arguments)
        with (before.folder / "mlflow.db").open() as database:
            others.append(subprocess.Popen(["sleep", "60"], stdin=database))

    monkeypatch.setattr(moving, "transfer", restarted)
    done = migrate(before, "--apply")
    for other in others:
        other.terminate()
        other.wait()

    assert done.code == 1
    (failure,) = done.report["failures"]
    assert f"in use, by process {others[0].pid}: stop MLflow first" in failure
    homes = {workspace_of(before, before.of(path)) for path in (VISION, SPEECH)}
    assert homes == {"p101", "default"}
    holds(before)


def _below(folder: Path) -> dict[str, bytes]:
    found = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in found}
