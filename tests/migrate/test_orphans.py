"""What nobody can tell the owner of stays where it is, and is told."""

import pytest

from tests.migrate.integrity import workspace_of
from tests.migrate.predecessor import (
    GONE,
    IDS,
    RENAMED,
    SPEECH,
    VISION,
    Made,
    Migrate,
    Predecessor,
)

_UNTAG = "DELETE FROM experiment_tags WHERE experiment_id = :id AND key = 'project'"
_TAG = "UPDATE experiment_tags SET value = :path WHERE experiment_id = :id AND key = 'project'"
_RENAME = "UPDATE experiments SET name = :name WHERE experiment_id = :id"


def test_of_a_project_that_is_gone(before: Predecessor, migrate: Migrate) -> None:
    done = migrate(before, "--apply")

    assert done.orphans == {
        "experiment churn (103)": "unknown project",
        "model churn (103)": "unknown project",
        "evaluation dataset churn (103)": "unknown project",
    }
    details = [each["detail"] for each in done.report["orphans"]]
    assert details[0] == f"its tag names {GONE!r}, which is no known project"
    assert workspace_of(before, before.of(GONE)) == "default"


def test_without_a_tag(before: Predecessor, migrate: Migrate) -> None:
    """mlflow-sharinghub wrote the tag after the row, and a crash could come in between."""
    speech = before.of(SPEECH)
    before.execute(_UNTAG, id=speech.experiment)
    before.execute("DELETE FROM registered_model_tags WHERE name = :name", name=speech.name)

    done = migrate(before, "--apply")

    assert done.code == 3
    assert done.orphans["experiment churn (102)"] == "untagged"
    assert done.orphans["model churn (102)"] == "untagged"
    assert workspace_of(before, speech) == "default"


def test_the_experiment_that_every_mlflow_has_is_no_orphan_until_it_is_used(
    before: Predecessor, migrate: Migrate
) -> None:
    assert "experiment Default" not in migrate(before).orphans
    before.execute("UPDATE runs SET experiment_id = 0 WHERE run_uuid = :id", id=before.made[0].run)
    assert migrate(before).orphans["experiment Default"] == "untagged"


@pytest.mark.parametrize("tag", ["", "101", "vision", "acme/../vision", "acme/vision/", "a/b%2fc"])
def test_with_a_tag_that_is_no_path(before: Predecessor, migrate: Migrate, tag: str) -> None:
    """A number would be taken for the id of a project."""
    before.execute(_TAG, id=before.of(SPEECH).experiment, path=tag)
    listed = before.listed(IDS | {tag: 101} if tag else IDS)

    done = migrate(before, "--projects", str(listed))

    assert done.orphans["experiment churn (102)"] == "unknown project"


def test_letter_case_does_not_matter(before: Predecessor, migrate: Migrate) -> None:
    before.execute(_TAG, id=before.of(SPEECH).experiment, path="Acme/SPEECH")

    migrate(before, "--apply")

    assert workspace_of(before, before.of(SPEECH)) == "p102"


def test_when_name_and_tag_disagree(before: Predecessor, migrate: Migrate) -> None:
    """Somebody else's project may have taken the path over, and must not get the rows."""
    before.execute(_RENAME, id=before.of(RENAMED).experiment, name="sales (99)")

    done = migrate(before, "--apply")

    assert done.orphans["experiment sales (99)"] == "ambiguous"
    assert workspace_of(before, before.of(RENAMED)) == "default"
    assert workspace_of(before, before.of(VISION)) == "p101"
    again = migrate(before, "--apply", "--any-suffix")
    assert "experiment sales (99)" not in again.orphans
    assert workspace_of(before, before.of(RENAMED)) == "p101"


@pytest.mark.parametrize("name", ["sales", "sales (east)", "sales(99)", "99", "(99) sales"])
def test_only_a_number_at_the_end_of_a_name_is_a_witness(
    before: Predecessor, migrate: Migrate, name: str
) -> None:
    before.execute(_RENAME, id=before.of(RENAMED).experiment, name=name)
    assert f"experiment {name}" not in migrate(before).orphans


def test_a_name_that_the_project_has_in_use_stays(before: Predecessor, migrate: Migrate) -> None:
    """Names are unique in a workspace, and the project may have begun to use its own."""
    before.execute(
        "INSERT INTO experiments (experiment_id, name, workspace, lifecycle_stage)"
        " VALUES (77, 'churn (102)', 'p102', 'active')"
    )

    done = migrate(before, "--apply")

    assert done.code == 3
    assert done.orphans["experiment churn (102)"] == "name taken"
    assert "model churn (102)" not in done.orphans
    speech = before.of(SPEECH)
    assert workspace_of(before, speech) == "default"
    assert before.artifacts.joinpath(f"{speech.experiment}/{speech.file}").exists()


_HOSTILE = (
    "UPDATE experiments SET artifact_location = :at WHERE experiment_id = :experiment",
    "UPDATE runs SET artifact_uri = :at WHERE run_uuid = :run",
    "UPDATE logged_models SET artifact_location = :at WHERE model_id = :model",
    "UPDATE trace_tags SET value = :at WHERE request_id = :trace AND key LIKE '%Location'",
    "INSERT INTO trace_tags VALUES ('mlflow.trace.archiveLocation', :at, :trace)",
)


@pytest.mark.parametrize("statement", _HOSTILE, ids=["experiment", "run", "model", "trace", "old"])
@pytest.mark.parametrize("place", ["theirs", "file:///etc", "s3://elsewhere/1", "up", "planted"])
def test_an_experiment_that_points_at_the_files_of_others_stays(
    before: Predecessor, migrate: Migrate, statement: str, place: str
) -> None:
    """Whoever could write to mlflow-sharinghub could have the rows say anything."""
    own, theirs = before.of(SPEECH), before.of(VISION)
    places = {
        "theirs": f"mlflow-artifacts:/{theirs.experiment}/{theirs.run}/artifacts",
        "up": f"mlflow-artifacts:/{own.experiment}/../{theirs.experiment}",
        "planted": f"mlflow-artifacts:/workspaces/p101/{theirs.experiment}",
    }
    values = {"at": places.get(place, place), **_ids(own)}
    before.execute(statement, **{key: values[key] for key in values if f":{key}" in statement})

    done = migrate(before, "--apply")

    assert done.orphans["experiment churn (102)"] == "elsewhere"
    assert places.get(place, place) in str(done.report["orphans"])
    assert workspace_of(before, own) == "default"
    assert workspace_of(before, theirs) == "p101"
    moved = before.artifacts / f"workspaces/p101/{theirs.experiment}/{theirs.file}"
    assert moved.read_text() == theirs.secret
    assert not (before.artifacts / "workspaces" / "p102").exists()


@pytest.mark.parametrize("column", ["source", "storage_location"])
@pytest.mark.parametrize("place", ["file:///etc/passwd", "/etc/passwd", "s3://elsewhere/1", "own"])
def test_a_model_from_anywhere_stays(
    before: Predecessor, migrate: Migrate, column: str, place: str
) -> None:
    """CVE-2023-1177, CVE-2024-3573: MLflow reads a model version wherever it comes from."""
    if place == "own":
        # Directly, past the artifact proxy, which is what keeps projects apart.
        place = f"file://{before.artifacts}/{before.of(VISION).experiment}/x"
    before.execute(
        f"UPDATE model_versions SET {column} = :at WHERE name = 'churn (102)' AND version = 2",
        at=place,
    )

    done = migrate(before, "--apply")

    assert done.orphans["model churn (102)"] == "elsewhere"
    assert f"version 2 comes from {place}" in str(done.report["orphans"])
    assert "experiment churn (102)" not in done.orphans


def test_a_model_from_another_project_moves_and_still_cannot_be_read_there(
    before: Predecessor, migrate: Migrate
) -> None:
    theirs = before.of(VISION)
    foreign = f"mlflow-artifacts:/{theirs.experiment}/{theirs.run}/artifacts/more"
    change = "UPDATE model_versions SET source = :at, storage_location = :at WHERE name = :name"
    before.execute(change, at=foreign, name="churn (102)")

    done = migrate(before, "--apply")

    assert "model churn (102)" not in done.orphans
    found = before.execute("SELECT DISTINCT source FROM model_versions WHERE name = 'churn (102)'")
    # Below the workspace of the project itself, where there is no such file.
    assert [tuple(row) for row in found] == [(foreign,)]


def test_a_dataset_of_two_projects_stays(before: Predecessor, migrate: Migrate) -> None:
    before.execute(
        "UPDATE entity_associations SET source_id = :dataset WHERE source_id = :other",
        dataset=before.of(SPEECH).dataset,
        other=before.of(VISION).dataset,
    )

    done = migrate(before, "--apply")

    assert done.orphans["evaluation dataset churn (102)"] == "ambiguous"
    assert done.orphans["evaluation dataset churn (101)"] == "untagged"


def test_files_of_no_experiment_are_told_and_stay(before: Predecessor, migrate: Migrate) -> None:
    stray = before.artifacts / "4711" / "a.txt"
    stray.parent.mkdir()
    stray.write_text("whose?")

    done = migrate(before, "--apply")

    assert "1 folders are of no experiment that there is, and stay: 4711" in done.report["notes"]
    assert stray.read_text() == "whose?"


def test_rows_that_belong_to_no_project_are_told(before: Predecessor, migrate: Migrate) -> None:
    before.execute(
        "INSERT INTO webhooks (webhook_id, name, url, status, workspace)"
        " VALUES ('w', 'w', 'https://x.test', 'ACTIVE', 'default')"
    )
    assert "1 rows of webhooks belong to no project, and stay" in migrate(before).report["notes"]


def _ids(made: Made) -> dict[str, object]:
    return {
        "experiment": made.experiment,
        "run": made.run,
        "model": made.model,
        "trace": made.trace,
    }
