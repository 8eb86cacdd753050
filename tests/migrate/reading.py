"""What was moved, read through MLflow with the plugin."""

from typing import Any
from urllib.parse import urlencode

from extauthz.grant import Grant, View
from tests.migrate.predecessor import Made
from tests.servers.mlflow import Answer, MLflow, everything, project

_V2, _V3 = "/api/2.0/mlflow", "/api/3.0/mlflow"
_AJAX = "/ajax-api/2.0/mlflow"


def _get(server: MLflow, grant: Grant, path: str, /, **query: object) -> Answer:
    return server.ask("GET", f"{path}?{urlencode(query)}", grant)


def _json(answer: Answer) -> Any:
    assert answer.status == 200, answer.body
    return answer.json


def shows(server: MLflow, made: Made) -> None:
    """Hold that everything is there for the members of the project, in both views."""
    for grant in (project(made.id), everything(101, 102)):
        _shows_rows(server, made, grant)
        _shows_files(server, made, grant)
    _shows_dataset(server, made, project(made.id))
    _shows_stored(server, made, project(made.id))


def hides(server: MLflow, made: Made, grant: Grant) -> None:
    """Hold that nothing of it is there for others."""
    refusals = {404} if grant.view is View.PROJECT else {404, 403}
    addresses: tuple[tuple[str, dict[str, object]], ...] = (
        (f"{_V2}/experiments/get", {"experiment_id": made.experiment}),
        (f"{_V2}/experiments/get-by-name", {"experiment_name": made.name}),
        (f"{_V2}/runs/get", {"run_id": made.run}),
        (f"{_V2}/registered-models/get", {"name": made.name}),
        (f"{_V2}/model-versions/get-download-uri", {"name": made.name, "version": 1}),
        (f"{_V2}/logged-models/{made.model}", {}),
        (f"{_V3}/traces/get", {"trace_id": made.trace}),
        (f"{_V3}/datasets/{made.dataset}", {}),
        ("/get-artifact", {"run_uuid": made.run, "path": "more/data.txt"}),
        (_stored(made, f"workspaces/p{made.id}/"), {}),
    )
    for path, query in addresses:
        answer = _get(server, grant, path, **query)
        assert answer.status in refusals, (path, answer.status, answer.body)
    # In another project, this is a name of a file that is not there; with S3, MLflow fails at it.
    assert _get(server, grant, _stored(made, "")).status in {404, 500}
    for path in ("experiments/search", "registered-models/search"):
        answer = _get(server, grant, f"{_V2}/{path}", max_results=100)
        assert answer.status == 200
        assert made.name.encode() not in answer.body


def _shows_rows(server: MLflow, made: Made, grant: Grant) -> None:
    by_name = _json(
        _get(server, grant, f"{_V2}/experiments/get-by-name", experiment_name=made.name)
    )
    assert by_name["experiment"]["experiment_id"] == str(made.experiment)
    within = {"experiment_ids": [str(made.experiment)]}
    (run,) = _json(server.ask("POST", f"{_V2}/runs/search", grant, within))["runs"]
    assert run["info"]["run_id"] == made.run
    assert {"key": "depth", "value": made.secret} in run["data"]["params"]
    assert run["inputs"]["dataset_inputs"][0]["dataset"]["name"] == made.secret
    model = _json(_get(server, grant, f"{_V2}/registered-models/get", name=made.name))
    assert model["registered_model"]["aliases"] == [{"alias": "champion", "version": "1"}]
    assert {"key": "secret", "value": made.secret} in model["registered_model"]["tags"]
    found = _get(server, grant, f"{_V2}/model-versions/search", filter=f"name='{made.name}'")
    versions = _json(found)["model_versions"]
    assert [each["version"] for each in versions] == ["2", "1"]
    assert all(each["tags"] == [{"key": "secret", "value": made.secret}] for each in versions)
    trace = _json(_get(server, grant, f"{_V3}/traces/get", trace_id=made.trace))
    assert trace["trace"]["trace_info"]["trace_id"] == made.trace
    assert trace["trace"]["spans"][0]["name"] == "answer"


def _shows_dataset(server: MLflow, made: Made, grant: Grant) -> None:
    """Datasets are only served in their project."""
    dataset = _json(_get(server, grant, f"{_V3}/datasets/{made.dataset}"))
    assert dataset["dataset"]["name"] == made.name
    records = _json(_get(server, grant, f"{_V3}/datasets/{made.dataset}/records"))
    assert made.secret in records["records"]


def _shows_files(server: MLflow, made: Made, grant: Grant) -> None:
    run = {"run_uuid": made.run, "path": "more/data.txt"}
    version = {"name": made.name, "version": 2, "path": "data.txt"}
    for path, query in (("/get-artifact", run), ("/model-versions/get-artifact", version)):
        answer = _get(server, grant, path, **query)
        assert (answer.status, answer.body) == (200, made.secret.encode()), (path, answer.body)
    attached = {"request_id": made.trace, "path": made.attachment}
    answer = _get(server, grant, f"{_AJAX}/get-trace-artifact", **attached)
    assert (answer.status, answer.body) == (200, made.secret.encode())
    model = f"{_AJAX}/logged-models/{made.model}/artifacts/files"
    answer = _get(server, grant, model, artifact_file_path="MLmodel")
    assert answer.status == 200, answer.body
    assert made.model.encode() in answer.body


def _shows_stored(server: MLflow, made: Made, grant: Grant) -> None:
    """Hold that addresses are good which clients have kept, in files or in their own notes."""
    for folder in ("", f"workspaces/p{made.id}/"):
        answer = server.ask("GET", _stored(made, folder), grant)
        assert (answer.status, answer.body) == (200, made.secret.encode())


def _stored(made: Made, folder: str) -> str:
    return f"/api/2.0/mlflow-artifacts/artifacts/{folder}{made.experiment}/{made.file}"
