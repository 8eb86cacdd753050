"""Errors of MLflow and of its database: the client learns what it can use, and nothing inside."""

import json
from typing import Any

import pytest

from extauthz.grant import Why
from extauthz.levels import Role
from tests.plugin.world import API, World
from tests.servers.mlflow import Answer, MLflow, project

_JSON = [("Content-Type", "application/json")]
# SQLite joins at most 64 tables.
_JOINS = " AND ".join(f"tags.a{at} = 'x'" for at in range(300))
_SEARCH = """query Search($data: MlflowSearchRunsInput) {
  mlflowSearchRuns(input: $data) { runs { info { runId } } }
}"""
_INSIDE = (b"sqlite", b"SQL", b"sqlalche", b"UNIQUE", b"Traceback", b"autoflush", b"FROM", b"tags_")


def _shown(server: MLflow, answer: Answer) -> list[bytes]:
    """Return what an answer shows of the server."""
    return [mark for mark in (*_INSIDE, str(server.folder).encode()) if mark in answer.body]


def _logged(server: MLflow, text: str) -> bool:
    return text in server.log.read_text()


@pytest.mark.parametrize(
    ("path", "body", "what"),
    [
        ("experiments/create", {"name": "churn"}, "Experiment(name=churn) already exists"),
        ("registered-models/create", {"name": "churn"}, "(name=churn) already exists"),
        ("registered-models/rename", {"name": "churn", "new_name": "{own}"}, "already exists"),
    ],
)
def test_a_name_that_is_taken_is_said_to_be_taken(
    server: MLflow, ours: World, path: str, body: dict[str, str], what: str
) -> None:
    sent = {key: value.format(own=ours.own) for key, value in body.items()}

    answer = server.ask("POST", f"{API}/{path}", ours.grant, sent)

    assert (answer.status, answer.json["error_code"]) == (400, "RESOURCE_ALREADY_EXISTS")
    assert what in answer.json["message"]
    assert not _shown(server, answer)


def test_what_the_database_refuses_is_not_quoted(server: MLflow, ours: World) -> None:
    body = {"experiment_id": ours.experiment, "new_name": ours.own}

    answer = server.ask("POST", f"{API}/experiments/update", ours.grant, body)

    assert answer.status == 400
    assert "The database refused this request" in answer.json["message"]
    assert not _shown(server, answer)
    assert _logged(server, "UNIQUE constraint failed: experiments.workspace, experiments.name")


def test_a_failure_is_told_without_its_text(server: MLflow, ours: World) -> None:
    body = {"experiment_ids": [ours.experiment], "filter": _JOINS}

    answer = server.ask("POST", f"{API}/runs/search", ours.grant, body)

    assert answer.status >= 500
    assert answer.json["message"] == "MLflow failed at this request; the server's log says why"
    assert not _shown(server, answer)
    assert _logged(server, "too many FROM clause terms")


def test_an_error_outside_of_mlflows_own_is_told_likewise(server: MLflow, ours: World) -> None:
    path = f"/ajax-api/2.0/mlflow/metrics/get-history-bulk?run_id={ours.run}&metric_key=loss"

    answer = server.ask("GET", f"{path}&max_results=many", ours.grant)

    assert (answer.status, answer.json["error_code"]) == (500, "INTERNAL_ERROR")
    assert answer.json["message"].startswith("MLflow failed at this request")


def test_graphql_lists_errors_without_their_insides(server: MLflow, ours: World) -> None:
    data = {"experimentIds": [ours.experiment], "filter": _JOINS}
    body = {"query": _SEARCH, "variables": {"data": data}}
    missing = {"query": '{ mlflowGetRun(input: {runId: "none"}) { run { info { runId } } } }'}

    answer = server.ask("POST", "/graphql", ours.grant, body)
    honest = server.ask("POST", "/graphql", ours.grant, missing)

    assert answer.json["errors"] == ["The database refused this request: check its values"]
    assert not _shown(server, answer)
    assert honest.json["errors"] == ["Run with id=none not found"]


def test_rows_that_hold_an_exception_are_left_alone(server: MLflow, fresh: World) -> None:
    text = "(sqlite3.OperationalError) no such table [SQL: SELECT 1] (https://sqlalche.me/e/20)"
    tag = {"run_id": fresh.run, "key": "mlflow.note.content", "value": text}
    assert server.ask("POST", f"{API}/runs/set-tag", fresh.grant, tag).status == 200
    field = "run { data { tags { value } } }"
    query = {"query": f'{{ mlflowGetRun(input: {{runId: "{fresh.run}"}}) {{ {field} }} }}'}

    for answer in (
        server.ask("GET", f"{API}/runs/get?run_id={fresh.run}", fresh.grant),
        server.ask("POST", "/graphql", fresh.grant, query),
    ):
        assert answer.status == 200
        assert text in json.dumps(answer.json)


def test_a_refusal_of_ours_keeps_its_words(server: MLflow, ours: World) -> None:
    stale = project(ours.number, Role.READ, Why.STALE)

    answer = server.ask("POST", f"{API}/experiments/create", stale, {"name": "new"})

    assert (answer.status, answer.json["error_code"]) == (503, "TEMPORARILY_UNAVAILABLE")
    assert "GitLab cannot be reached" in answer.json["message"]
    assert int(answer.headers["retry-after"]) > 0


@pytest.mark.parametrize("depth", [5_000, 200_000])
@pytest.mark.parametrize("path", [f"{API}/runs/search", f"{API}/runs/set-tag", "/graphql"])
def test_json_that_is_nested_too_deep_is_malformed(
    server: MLflow, ours: World, path: str, depth: int
) -> None:
    for opening, closing in (("[", "]"), ('{"a":', "}")):
        nested = f"{opening * depth}1{closing * depth}"
        for body in (nested, f'{{"query": "{{ a }}", "run_id": {nested}}}', json.dumps(nested)):
            answer = server.ask("POST", path, ours.grant, body.encode(), _JSON)
            assert (answer.status, answer.json["error_code"]) == (400, "INVALID_PARAMETER_VALUE")


@pytest.mark.parametrize("body", [b"[1]", b"1", b"true", b'"1"', b'""', b"[]"])
def test_a_body_is_a_json_object(server: MLflow, ours: World, body: bytes) -> None:
    """Threat 109."""
    for path in (f"{API}/runs/set-tag", f"{API}/runs/search", "/graphql"):
        assert server.ask("POST", path, ours.grant, body, _JSON).status == 400


@pytest.mark.parametrize("field", ["filter", "order_by", "orderBy"])
def test_an_expression_may_be_just_so_long(server: MLflow, ours: World, field: str) -> None:
    """MLflow parses a megabyte of it for minutes, and holds everybody else up."""

    def ask(body: object) -> Answer:
        return server.ask("POST", f"{API}/runs/search", ours.grant, body)

    def sent(length: int) -> dict[str, Any]:
        text = f"tags.`{'x' * length}` = 'y'" if field == "filter" else [f"tags.{'x' * length}"]
        return {"experiment_ids": [ours.experiment], field: text}

    assert ask(sent(15_000)).status == 200
    assert ask(sent(17_000)).json["message"] == f"`{field}` has at most 16 KiB"
    # MLflow's oldest clients send JSON within JSON.
    assert ask(json.dumps(sent(17_000))).json["message"] == f"`{field}` has at most 16 KiB"
    query = f"{API}/experiments/search?{field}={'+' * 17_000}"
    assert server.ask("GET", query, ours.grant).json["message"] == f"`{field}` has at most 16 KiB"


def test_graphql_variables_are_an_object(server: MLflow, ours: World) -> None:
    body = {"query": _SEARCH, "variables": [1]}

    assert server.ask("POST", "/graphql", ours.grant, body).status == 400
