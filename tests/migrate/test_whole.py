"""The whole way: from mlflow-sharinghub's database to people at the same addresses."""

import json
from dataclasses import asdict
from pathlib import Path

from tests.client import run_client
from tests.gitlab import GitLab
from tests.migrate.predecessor import (
    GONE,
    RENAMED,
    SCRIPTS,
    SPEECH,
    VISION,
    Migrate,
    Predecessor,
)
from tests.servers.mlflow import mlflow
from tests.servers.stack import gateway
from tests.tenants import Project, Tenants


def test_people_find_their_own_and_go_on(
    before: Predecessor, migrate: Migrate, tmp_path: Path
) -> None:
    with GitLab.start() as gitlab:
        gitlab.create_user("root", admin=True)
        gitlab.create_project(RENAMED, id=101)
        gitlab.move_project(RENAMED, VISION)
        gitlab.create_project(SPEECH, id=102)
        # The path of the one that is gone is somebody else's by now.
        gitlab.create_project(GONE, id=104)
        token = gitlab.token("root", scopes=("read_api",))
        settings = {"GITLAB_URL": gitlab.url, "GITLAB_SERVICE_TOKEN": token}

        done = migrate(before, "--apply", listed=False, settings=settings)

        assert done.orphans["experiment churn (103)"] == "ambiguous"
        with mlflow(before.folder) as server, gateway(tmp_path, gitlab, server) as stack:
            tenants = Tenants(stack)
            vision, speech, taken = (
                Project(tenants, path, number)
                for path, number in ((VISION, 101), (SPEECH, 102), (GONE, 104))
            )
            _goes_on(vision, before, tmp_path, path=RENAMED)
            _is_refused(vision, speech, before)
            names = taken.guest().get("experiments/search", max_results=100)
            assert names.get("experiments", []) == []


def _goes_on(project: Project, before: Predecessor, folder: Path, *, path: str) -> None:
    """Hold that the client finds all of it under a path, and does not begin anew."""
    made = before.of(path)
    developer = project.member(30)
    token = project.tenants.token(developer)
    uri = project.caller(token, path=path).uri
    told = json.dumps(asdict(made))

    found = run_client(
        str(SCRIPTS / "read"), told, uri=uri, folder=folder, MLFLOW_TRACKING_TOKEN=token
    )

    assert (found["experiment"], found["run"]) == (made.experiment, made.run)
    assert found["texts"] == [made.secret] * 3
    assert found["predicted"] == [2, 4]
    assert found["spans"] == ["answer"]
    assert found["records"] == 1
    assert found["models"] == [each.name for each in before.made if each.id == made.id]
    assert found["added"].startswith(f"mlflow-artifacts:/workspaces/p{made.id}/{made.experiment}/")


def _is_refused(owner: Project, other: Project, before: Predecessor) -> None:
    """Hold that people of another project, and strangers, find nothing."""
    made = before.of(VISION)
    asked = {"run_id": made.run}
    assert owner.guest().call("GET runs/get", **asked).status == 200
    assert owner.guest().call("POST runs/delete", **asked).status == 403
    assert other.developer().call("GET runs/get", **asked).status == 404
    by_name = {"experiment_name": made.name}
    assert other.developer().call("GET experiments/get-by-name", **by_name).status == 404
    assert other.developer().call("GET registered-models/get", name=made.name).status == 404
    stranger = owner.tenants.token(owner.tenants.user())
    assert owner.caller(stranger).call("GET runs/get", **asked).status == 404
    everywhere = owner.tenants.everywhere(stranger)
    assert everywhere.call("GET runs/get", **asked).status == 404
    assert everywhere.get("experiments/search", max_results=100) in ({}, {"experiments": []})
