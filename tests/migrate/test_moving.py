"""From one MLflow for everybody into the workspaces of the projects."""

from pathlib import Path

from tests.migrate.integrity import holds, workspace_of
from tests.migrate.predecessor import GONE, RENAMED, SPEECH, VISION, Migrate, Predecessor

ROWS = {
    "experiments": 1,
    "runs": 1,
    "traces": 1,
    "logged models": 1,
    "models": 1,
    "model versions": 2,
    "aliases": 1,
    "datasets": 1,
}


def test_a_dry_run_is_the_default_and_changes_nothing(
    before: Predecessor, migrate: Migrate
) -> None:
    kept = _contents(before)

    for arguments in ((), ("--dry-run",)):
        done = migrate(before, *arguments)
        assert done.code == 3
        assert not done.report["applied"]

    assert _contents(before) == kept
    vision, speech = done.report["projects"]
    assert (vision["id"], vision["workspace"], vision["paths"]) == (101, "p101", [VISION, RENAMED])
    assert (speech["id"], speech["workspace"], speech["paths"]) == (102, "p102", [SPEECH])
    assert {name: speech["rows"][name] for name in ROWS} == ROWS
    assert {name: vision["rows"][name] for name in ROWS} == {n: 2 * c for n, c in ROWS.items()}
    files = [path for path in before.artifacts.glob("3/**/*") if path.is_file()]
    assert (speech["files"], speech["bytes"]) == (
        len(files),
        sum(path.stat().st_size for path in files),
    )


def test_projects_get_what_is_tagged_with_any_of_their_paths(
    before: Predecessor, migrate: Migrate
) -> None:
    done = migrate(before, "--apply")

    assert done.code == 3
    assert done.report["applied"]
    assert done.report["failures"] == []
    homes = {made.path: workspace_of(before, made) for made in before.made}
    assert homes == {VISION: "p101", RENAMED: "p101", SPEECH: "p102", GONE: "default"}
    holds(before)


def test_nothing_is_left_behind_of_what_has_moved(before: Predecessor, migrate: Migrate) -> None:
    old = {path.relative_to(before.artifacts) for path in _files(before)}
    gone = str(before.of(GONE).experiment)

    migrate(before, "--apply")

    new = {path.relative_to(before.artifacts) for path in _files(before)}
    homes = {str(made.experiment): f"workspaces/p{made.id}" for made in before.made}
    homes[gone] = "."
    assert new == {Path(homes[path.parts[0]]) / path for path in old}
    assert {path.name for path in before.artifacts.iterdir()} == {gone, "workspaces"}


def test_names_stay_as_they_are_byte_for_byte(before: Predecessor, migrate: Migrate) -> None:
    names = "SELECT experiment_id, name FROM experiments ORDER BY 1"
    models = "SELECT name FROM registered_models ORDER BY 1"
    kept = before.execute(names), before.execute(models)

    migrate(before, "--apply")

    assert (before.execute(names), before.execute(models)) == kept


def test_a_second_run_finds_nothing_to_do(before: Predecessor, migrate: Migrate) -> None:
    migrate(before, "--apply")
    kept = _contents(before)

    again = migrate(before, "--apply")

    assert again.code == 3
    assert again.report["projects"] == again.report["leftovers"] == []
    assert _contents(before) == kept


def test_it_ends_with_0_once_nobody_has_to_look_at_anything(
    before: Predecessor, migrate: Migrate
) -> None:
    listed = before.listed({VISION: 101, RENAMED: 101, SPEECH: 102, GONE: 103})
    done = migrate(before, "--apply", "--projects", str(listed))

    assert done.code == 0
    assert done.report["orphans"] == []
    holds(before)


def _files(before: Predecessor) -> list[Path]:
    return [path for path in before.artifacts.rglob("*") if path.is_file()]


def _contents(before: Predecessor) -> dict[str, bytes]:
    files = [before.folder / "mlflow.db", *_files(before)]
    return {str(path): path.read_bytes() for path in files}
