"""One object in the view of everything: read in the project that owns it, if there is one such."""

from urllib.parse import urlencode

import pytest

from tests.plugin.world import API, World
from tests.plugin.world_traces import get
from tests.servers.mlflow import MLflow, everything

# Every project has an experiment and a registered model of this name.
SHARED = "churn"
BY_NAME = [
    ("GET", f"{API}/experiments/get-by-name", {"experiment_name": SHARED}),
    ("GET", f"{API}/registered-models/get", {"name": SHARED}),
    ("GET", f"{API}/registered-models/alias", {"name": SHARED, "alias": "champion"}),
    ("GET", f"{API}/registered-models/get-latest-versions", {"name": SHARED}),
    ("POST", f"{API}/registered-models/get-latest-versions", {"name": SHARED}),
    ("GET", f"{API}/model-versions/get", {"name": SHARED, "version": "1"}),
    ("GET", f"{API}/model-versions/get-download-uri", {"name": SHARED, "version": "1"}),
    (
        "GET",
        "/model-versions/get-artifact",
        {"name": SHARED, "version": "1", "path": "model.txt"},
    ),
]
Named = tuple[str, str, dict[str, str]]
each_by_name = pytest.mark.parametrize("named", BY_NAME)


def ask(server: MLflow, named: Named, *projects: World) -> tuple[int, bytes]:
    method, path, fields = named
    grant = everything(*(project.number for project in projects))
    target, body = (path, fields) if method == "POST" else (f"{path}?{urlencode(fields)}", None)
    answer = server.ask(method, target, grant, body)
    return answer.status, answer.body


@each_by_name
def test_a_name_that_two_projects_use_leads_to_both(
    server: MLflow, ours: World, theirs: World, named: Named
) -> None:
    status, body = ask(server, named, ours, theirs)
    assert status == 409
    assert b"/auth/p/" in body
    for project in (ours, theirs):
        assert f"auth/p/{project.number}".encode() in body


@each_by_name
def test_a_name_is_not_ambiguous_because_of_a_project_that_is_hidden(
    server: MLflow, ours: World, theirs: World, named: Named
) -> None:
    status, body = ask(server, named, ours)
    assert status == 200
    assert theirs.model.encode() not in body


def test_no_more_projects_are_named_than_a_message_can_hold(
    server: MLflow, ours: World, theirs: World
) -> None:
    _, body = ask(server, BY_NAME[1], ours, theirs)
    assert body.count(b"auth/p/") == 2


@pytest.mark.parametrize(
    "query",
    [
        "",
        "name=",
        "name=churn&name=other",
        "name=churn&name=churn2",
    ],
)
def test_a_request_that_names_none_or_two_is_malformed_or_finds_nothing(
    server: MLflow, ours: World, query: str
) -> None:
    answer = server.ask("GET", f"{API}/registered-models/get?{query}", everything(ours.number))
    assert answer.status in (400, 404)


def test_two_ids_of_one_run_parameter_are_one_object_at_most(
    server: MLflow, ours: World, theirs: World
) -> None:
    """MLflow reads one of the two; the other could have decided the project."""
    query = urlencode({"run_id": theirs.run, "run_uuid": ours.run, "path": "data.txt"})
    answer = server.ask("GET", f"/get-artifact?{query}", everything(ours.number))
    assert answer.status == 400
    assert b"secret" not in answer.body


@pytest.mark.parametrize("prefix", ["/api", "/ajax-api"])
def test_a_stored_file_is_read_in_the_project_that_its_path_names(
    server: MLflow, ours: World, theirs: World, prefix: str
) -> None:
    root = f"{prefix}/2.0/mlflow-artifacts/artifacts"
    grant = everything(ours.number)
    own = server.ask("GET", f"{root}/{ours.files}/data.txt", grant)
    foreign = server.ask("GET", f"{root}/{theirs.files}/data.txt", grant)
    bare = f"{ours.experiment}/{ours.run}/artifacts/data.txt"
    nowhere = server.ask("GET", f"{root}/{bare}", grant)
    assert (own.status, own.body) == (200, f"secret-{ours.number}".encode())
    assert (foreign.status, nowhere.status) == (404, 404)


@pytest.mark.parametrize("method", ["PUT", "DELETE"])
def test_nothing_is_written_there(server: MLflow, ours: World, method: str) -> None:
    before = server.contents()
    path = f"/api/2.0/mlflow-artifacts/artifacts/{ours.files}/data.txt"
    assert server.ask(method, path, everything(ours.number), b"x").status == 403
    assert server.contents() == before


def test_one_request_narrows_no_other(server: MLflow, ours: World, theirs: World) -> None:
    """The thread that served it serves others next."""
    grant = everything(ours.number, theirs.number)
    for world in (ours, theirs) * 10:
        one = server.ask("GET", f"{API}/logged-models/{world.model}", grant)
        runs = server.ask(
            "POST",
            f"{API}/runs/search",
            grant,
            {"experiment_ids": [ours.experiment, theirs.experiment]},
        )
        assert one.status == 200
        assert {run["info"]["run_id"] for run in runs.json["runs"]} == {ours.run, theirs.run}


@pytest.mark.parametrize("version", ["2.0", "3.0"])
def test_the_files_and_spans_of_a_trace_are_read_in_its_project(
    server: MLflow, ours: World, theirs: World, version: str
) -> None:
    path = f"/ajax-api/{version}/mlflow/get-trace-artifact"
    both, one = everything(ours.number, theirs.number), everything(ours.number)
    asked = {"request_id": theirs.traced.trace}
    file = asked | {"path": theirs.traced.attachment}

    assert get(server, both, path, **file).body == f"secret-{theirs.number}".encode()
    spans = get(server, both, path, **asked)
    assert len(spans.json["spans"]) == 2
    assert f"secret-{theirs.number}".encode() in spans.body
    for query in (asked, file):
        hidden = get(server, one, path, **query)
        assert (hidden.status, hidden.json["error_code"]) == (404, "RESOURCE_DOES_NOT_EXIST")
    mixed = get(server, one, path, request_id=[ours.traced.trace, theirs.traced.trace])
    assert mixed.status == 400
    assert get(server, one, path, path=theirs.traced.attachment).status == 400
    upwards = get(server, both, path, **asked, path=f"../attachments/{ours.traced.attachment}")
    assert upwards.status == 400
