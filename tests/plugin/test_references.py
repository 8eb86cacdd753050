"""What a body refers to: nothing of another project, no reserved tag, no place of its own."""

import pytest

from tests.plugin.world import API, World
from tests.servers.mlflow import MLflow, project

_DATASET = {"dataset": {"name": "d", "digest": "1", "source_type": "local", "source": "x"}}
_METRIC = {"key": "loss", "value": 0.1, "timestamp": 3, "step": 3}


def _about(path: str, writer: World, named: World) -> tuple[str, dict[str, object]]:
    """Return a request of one project that refers to a run or model of the other."""
    bodies: dict[str, dict[str, object]] = {
        "runs/log-metric": {"run_id": writer.run, "model_id": named.model, **_METRIC},
        "runs/log-batch": {
            "run_id": writer.run,
            "metrics": [{"model_id": named.model, **_METRIC}],
        },
        "runs/log-inputs": {"run_id": writer.run, "models": [{"model_id": named.model}]},
        "runs/outputs": {"run_id": writer.run, "models": [{"model_id": named.model, "step": 1}]},
        "logged-models": {"experiment_id": writer.experiment, "source_run_id": named.run},
        "model-versions/create": {
            "name": "churn",
            "source": f"models:/{named.model}",
            "model_id": named.model,
        },
    }
    return f"{API}/{path}", bodies[path]


@pytest.mark.parametrize(
    "path",
    [
        "runs/log-metric",
        "runs/log-batch",
        "runs/log-inputs",
        "runs/outputs",
        "logged-models",
        "model-versions/create",
    ],
)
def test_a_row_refers_to_rows_of_its_own_project(
    server: MLflow, ours: World, fresh: World, path: str
) -> None:
    """Threats 99 and 100: MLflow 3.17 takes five, the first two even into the foreign model."""
    address, foreign = _about(path, fresh, ours)
    _, own = _about(path, fresh, fresh)
    before = server.contents()

    denied = server.ask("POST", address, fresh.grant, foreign)

    assert denied.status == 404, denied.body
    assert server.contents() == before
    assert server.ask("POST", address, fresh.grant, own).status == 200
    assert server.contents() != before


@pytest.mark.parametrize("spelling", ["source_run_id", "sourceRunId"])
def test_both_spellings_of_a_field_are_the_same(
    server: MLflow, ours: World, theirs: World, spelling: str
) -> None:
    """Threats 99 and 109."""
    body = {"experiment_id": ours.experiment, spelling: theirs.run}
    assert server.ask("POST", f"{API}/logged-models", ours.grant, body).status == 404
    twice = (
        f'{{"experiment_id": "{ours.experiment}", "{spelling}": "", "{spelling}": "{theirs.run}"}}'
    )
    answer = server.ask(
        "POST",
        f"{API}/logged-models",
        ours.grant,
        twice.encode(),
        [("content-type", "application/json")],
    )
    assert answer.status in (400, 404)


def test_a_version_made_from_a_run_of_another_project_is_refused(
    server: MLflow, ours: World, theirs: World
) -> None:
    """Threats 91 and 92, CVE-2023-1177 and its successors."""
    before = server.contents()
    sources = {
        f"runs:/{theirs.run}/model": {"run_id": theirs.run},
        f"runs:/{theirs.run}/other": {"run_id": ours.run},
        f"models:/{theirs.model}": {"run_id": ours.run},
        f"models:/{theirs.own}/1": {},
        f"mlflow-artifacts:/{theirs.files}": {"run_id": theirs.run},
        f"mlflow-artifacts:/{theirs.files}/../x": {"run_id": ours.run},
        f"mlflow-artifacts:/{theirs.experiment}/{theirs.run}/artifacts": {"run_id": ours.run},
        "s3://bucket/model": {},
        "gs://bucket/model": {"run_id": ours.run},
        "http://127.0.0.1:1/model": {},
        "file:///etc": {"run_id": ours.run},
        "/etc": {},
        "dummy-source": {},
    }

    for source, more in sources.items():
        body = {"name": "churn", "source": source, **more}
        answer = server.ask("POST", f"{API}/model-versions/create", ours.grant, body)
        assert answer.status in (400, 403, 404), (source, answer.body)
        prompt = [{"key": "mlflow.prompt.is_prompt", "value": "true"}]
        answer = server.ask(
            "POST", f"{API}/model-versions/create", ours.grant, {**body, "tags": prompt}
        )
        # CVE-2026-2614: the tag of a prompt switched the check of its source off.
        assert source == "dummy-source" or answer.status in (400, 403, 404), (source, answer.body)
    assert source == "dummy-source"
    changed = server.contents()
    assert not [path for path in changed if changed[path] != before.get(path) and _is_file(path)]


@pytest.mark.parametrize("key", ["mlflow.artifactLocation", "mlflow.trace.spansLocation"])
def test_tags_that_move_a_location_are_reserved(server: MLflow, ours: World, key: str) -> None:
    """Threat 89: with such a tag of its own, MLflow 3.17 reads any file that the server can."""
    tag = {"key": key, "value": "file:///etc"}
    before = server.contents()
    for method, path, body in (
        ("POST", "experiments/set-experiment-tag", {"experiment_id": ours.experiment, **tag}),
        ("POST", "experiments/create", {"name": "tagged", "tags": [tag]}),
        ("POST", "runs/create", {"experiment_id": ours.experiment, "tags": [tag]}),
        ("POST", "runs/set-tag", {"run_id": ours.run, **tag}),
        ("POST", "runs/log-batch", {"run_id": ours.run, "metrics": [_METRIC], "tags": [tag]}),
        (
            "POST",
            "runs/log-inputs",
            {"run_id": ours.run, "datasets": [{"tags": [tag], **_DATASET}]},
        ),
        ("POST", "logged-models", {"experiment_id": ours.experiment, "tags": [tag]}),
        ("PATCH", f"logged-models/{ours.model}/tags", {"tags": [tag]}),
        ("POST", "registered-models/create", {"name": "tagged", "tags": [tag]}),
        ("POST", "registered-models/set-tag", {"name": "churn", **tag}),
        ("POST", "model-versions/set-tag", {"name": "churn", "version": "1", **tag}),
    ):
        answer = server.ask(method, f"{API}/{path}", ours.grant, body)
        assert (answer.status, answer.json["error_code"]) == (403, "PERMISSION_DENIED"), path
    assert server.contents() == before


@pytest.mark.parametrize(
    "location", ["file:///tmp/x", "/tmp/x", "s3://bucket/x", "mlflow-artifacts:/workspaces/p1/x"]
)
def test_an_experiment_does_not_choose_where_its_files_are(
    server: MLflow, ours: World, location: str
) -> None:
    """Threat 90, mlflow #24767: stock MLflow takes all of these."""
    before = server.contents()
    body = {"name": "elsewhere", "artifact_location": location}

    assert server.ask("POST", f"{API}/experiments/create", ours.grant, body).status == 400
    assert server.contents() == before


def test_names_taken_elsewhere_are_free_here(server: MLflow, theirs: World, number: int) -> None:
    """Threat 95."""
    for path in ("experiments/create", "registered-models/create"):
        answer = server.ask("POST", f"{API}/{path}", project(number), {"name": theirs.own})
        assert answer.status == 200, answer.body
        again = server.ask("POST", f"{API}/{path}", project(number), {"name": theirs.own})
        assert again.json["error_code"] == "RESOURCE_ALREADY_EXISTS"
        assert not [mark for mark in theirs.marks[:2] if mark.encode() in again.body]


def test_a_deleted_version_is_gone_and_its_name_renamed(server: MLflow, fresh: World) -> None:
    body = {"name": fresh.own, "new_name": "renamed"}
    assert server.ask("POST", f"{API}/registered-models/rename", fresh.grant, body).status == 200
    version = {"name": "renamed", "version": "1"}
    assert server.ask("DELETE", f"{API}/model-versions/delete", fresh.grant, version).status == 200
    gone = server.ask("GET", f"{API}/model-versions/get?name=renamed&version=1", fresh.grant)
    assert gone.status == 404


def _is_file(path: str) -> bool:
    """Tell an artifact from a database or one of its tables."""
    return "/" in path and not path.endswith("mlflow.db")
