"""The way back."""

from pathlib import Path

from tests.migrate.integrity import workspace_of
from tests.migrate.predecessor import SPEECH, VISION, Migrate, Predecessor

# Of these, addresses change on the way.
_TABLES = (
    *("experiments", "experiment_tags", "runs", "tags", "params", "metrics", "logged_models"),
    *("registered_models", "registered_model_tags", "registered_model_aliases"),
    *("model_versions", "model_version_tags", "trace_info", "trace_tags"),
    *("evaluation_datasets", "evaluation_dataset_records", "entity_associations", "inputs"),
)


def _rows(before: Predecessor) -> dict[str, list[str]]:
    """Return every row there is, as text."""
    return {
        table: sorted(str(tuple(row)) for row in before.execute(f"SELECT * FROM {table}"))
        for table in _TABLES
    }


def test_there_and_back_again_nothing_has_changed(before: Predecessor, migrate: Migrate) -> None:
    rows, files = _rows(before), _files(before)

    migrate(before, "--apply")
    assert _rows(before) != rows
    shown = migrate(before, "--undo", listed=False)
    assert [each["target"] for each in shown.report["projects"]] == ["default", "default"]
    back = migrate(before, "--undo", "--apply", listed=False)

    assert back.code == 0
    assert _rows(before) == rows
    assert _files(before) == files
    assert not (before.artifacts / "workspaces").exists()
    again = migrate(before, "--undo", "--apply", listed=False)
    assert again.report["projects"] == []


def test_names_that_two_projects_use_since_stay_until_one_is_renamed(
    before: Predecessor, migrate: Migrate
) -> None:
    migrate(before, "--apply")
    rename = "UPDATE experiments SET name = :name WHERE experiment_id = :id"
    for path in (VISION, SPEECH):
        before.execute(rename, name="churn", id=before.of(path).experiment)

    back = migrate(before, "--undo", "--apply", listed=False)

    assert back.code == 3
    assert back.orphans == {"experiment churn": "name taken"}
    assert len(back.report["orphans"]) == 2
    assert workspace_of(before, before.of(VISION)) == "p101"
    before.execute(rename, name="churn (101)", id=before.of(VISION).experiment)
    assert migrate(before, "--undo", "--apply", listed=False).code == 0
    assert {workspace_of(before, made) for made in before.made} == {"default"}


def _files(before: Predecessor) -> dict[Path, bytes]:
    found = before.artifacts.rglob("*")
    return {path: path.read_bytes() for path in found if path.is_file()}
