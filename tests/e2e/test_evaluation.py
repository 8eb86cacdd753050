"""MLflow's unmodified client: datasets, scorers, reviews and prompts in a project's view."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.client import run_client
from tests.gitlab import DEVELOPER, GUEST
from tests.servers.stack import Stack
from tests.tenants import Project, Tenants


@dataclass(frozen=True, slots=True)
class Evaluated:
    """A project, its developer's name, and what his script printed."""

    project: Project
    developer: str
    printed: dict[str, Any]


@pytest.fixture(scope="module")
def evaluated(whole_stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Evaluated:
    project = Tenants(whole_stack).project()
    developer = project.member(DEVELOPER)
    token = project.tenants.token(developer)
    printed = run_client(
        "evaluate",
        uri=project.caller(token).uri,
        folder=tmp_path_factory.mktemp("developer"),
        MLFLOW_TRACKING_TOKEN=token,
    )
    return Evaluated(project, developer, printed)


def test_a_developer_has_datasets_and_scorers(evaluated: Evaluated) -> None:
    done = evaluated.printed
    assert (done["datasets"], done["dataset_tags"]["colour"]) == (["questions"], "blue")
    assert "size" not in done["dataset_tags"]
    assert (done["added"], done["records"]) == (True, [2, 1, 1])
    assert (done["sources"], done["source_id"]) == (["HUMAN", "TRACE"], True)
    assert (done["scorers"], done["guidelines"], done["first"]) == (["kind"], "Be brief", "Be kind")


def test_a_developer_has_traces_reviewed(evaluated: Evaluated) -> None:
    done = evaluated.printed
    assert done["schemas"] == ["Feedback", "polite"]
    assert done["queues"] == ["bob", "to read"]
    assert done["items"] == [[True, "complete"]]
    assert (done["owner"], done["completed_by"]) == (evaluated.developer, evaluated.developer)


def test_a_developer_has_prompts(evaluated: Evaluated) -> None:
    done = evaluated.printed
    assert done["prompt"] == [2, 1, "Hello Ann"]
    assert (done["prompts"], done["models"]) == (["greeting"], [])


def test_a_reader_reads_all_of_it_and_changes_nothing(evaluated: Evaluated, tmp_path: Path) -> None:
    """Threat 107: the client tries to tag what it loads, and goes on when it may not."""
    project, done = evaluated.project, evaluated.printed
    token = project.tenants.token(project.member(GUEST))
    store = project.tenants.stack.mlflow
    before = store.contents()

    tried = run_client(
        "evaluate_read_only",
        *(done["dataset_id"], done["queue_id"], done["trace_id"]),
        uri=project.caller(token).uri,
        folder=tmp_path,
        MLFLOW_TRACKING_TOKEN=token,
    )

    read = tried["read"]
    known = {name: done[name] for name in read if name in done}
    assert read == known | {"left": 1, "waiting": [True], "greeting": "Hello Ann"}
    assert len(tried["writes"]) == 14
    for write, (status, shown) in tried["writes"].items():
        assert status == 403, (write, shown)
        assert "Read only: your role in this GitLab project only reads" in shown, write
    assert store.contents() == before


def test_another_projects_developer_finds_none_of_it(evaluated: Evaluated, tmp_path: Path) -> None:
    """Threats 105 and 106, CVE-2026-118626."""
    other = evaluated.project.tenants.project()
    token = other.tenants.token(other.member(DEVELOPER))

    printed = run_client(
        "evaluate", uri=other.caller(token).uri, folder=tmp_path, MLFLOW_TRACKING_TOKEN=token
    )

    same = {"datasets", "scorers", "schemas", "queues", "prompts", "prompt", "records"}
    assert {name: printed[name] for name in same} == {
        name: evaluated.printed[name] for name in same
    }
    assert printed["dataset_id"] != evaluated.printed["dataset_id"]
    assert printed["queue_id"] != evaluated.printed["queue_id"]
