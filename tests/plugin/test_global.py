"""The global view: one answer over the granted projects, exact to the last page."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from sqlite3 import connect
from typing import Any
from urllib.parse import urlencode

import pytest

from extauthz.grant import View
from extauthz.plugin.gate import PROJECTS
from extauthz.plugin.rules import Key
from tests.plugin.endpoints import READS, Endpoint, requests
from tests.plugin.world import API, World
from tests.servers.mlflow import SYSTEM, MLflow, everything, mlflow

EXPERIMENTS = 1_001
GRANTED = range(1, 102)
HIDDEN = range(102, 203)
PAGE = 7
LARGER_PAGE = 90


@pytest.fixture(scope="module")
def crowd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MLflow]:
    """Serve 1,001 experiments of 101 projects, and between them as many of 101 others."""
    with mlflow(tmp_path_factory.mktemp("crowd")) as server:
        _fill(server.folder / "mlflow.db")
        yield server


def _fill(database: Path) -> None:
    """Write rows as MLflow would; times and names repeat, across projects too."""
    rows = [
        (number, project, f"n{place % 90:03}-{place // 90}", place // 3)
        for place in range(EXPERIMENTS)
        for number, project in (
            (2 * place + 1, GRANTED[place % 101]),
            (2 * place + 2, HIDDEN[place % 101]),
        )
    ]
    with closing(connect(database)) as connection, connection:
        connection.executemany(
            "INSERT INTO experiments (experiment_id, workspace, name, lifecycle_stage,"
            " artifact_location, creation_time, last_update_time)"
            " VALUES (?, 'p' || ?, ?, 'active', 'mlflow-artifacts:/x', ?, ?)",
            [(number, project, name, time, time) for number, project, name, time in rows],
        )
        models = [
            (project, f"m{place % 13:02}-{place // 1313}", time) for place, project, _, time in rows
        ]
        connection.executemany(
            "INSERT OR IGNORE INTO registered_models (workspace, name, creation_time,"
            " last_updated_time) VALUES ('p' || ?, ?, ?, ?)",
            [(project, name, time, time) for project, name, time in models],
        )
        connection.executemany(
            "INSERT OR IGNORE INTO model_versions (workspace, name, version, creation_time,"
            " last_updated_time, current_stage, source, status)"
            " VALUES ('p' || ?, ?, 1, ?, ?, 'None', 'p' || ?, 'READY')",
            [(project, name, time, time, project) for project, name, time in models],
        )


def _pages(
    server: MLflow, path: str, field: str, query: dict[str, str], size: int = LARGER_PAGE
) -> list[list[dict[str, Any]]]:
    """Read a search page by page."""
    pages, token = [], ""
    while True:
        page = {"max_results": str(size)} | ({"page_token": token} if token else {})
        given = urlencode(query | page)
        answer = server.ask("GET", f"{API}/{path}?{given}", everything(*GRANTED))
        assert answer.status == 200, answer.body
        pages.append(answer.json.get(field, []))
        token = answer.json.get("next_page_token", "")
        if not token:
            return pages


def _rows(server: MLflow, query: str) -> list[Any]:
    """Ask the database itself."""
    with closing(connect(server.folder / "mlflow.db")) as connection:
        return connection.execute(query).fetchall()


_IS_GRANTED = "CAST(substr(workspace, 2) AS INTEGER) BETWEEN 1 AND 101"


@pytest.mark.parametrize(
    ("size", "order", "by"),
    [
        (PAGE, {}, "creation_time DESC, experiment_id ASC"),
        (LARGER_PAGE, {"order_by": "name ASC"}, "name ASC, experiment_id DESC"),
        (LARGER_PAGE, {"order_by": "last_update_time"}, "last_update_time, experiment_id DESC"),
    ],
)
def test_every_experiment_comes_once_in_mlflows_order(
    crowd: MLflow, size: int, order: dict[str, str], by: str
) -> None:
    """Threat 97: between them are those of projects that are hidden."""
    pages = _pages(crowd, "experiments/search", "experiments", order, size)
    expected = _rows(
        crowd, f"SELECT experiment_id FROM experiments WHERE {_IS_GRANTED} ORDER BY {by}"
    )

    assert [(int(e["experiment_id"]),) for page in pages for e in page] == expected
    assert len(expected) == EXPERIMENTS
    assert {len(page) for page in pages[:-1]} == {size}
    assert 0 < len(pages[-1]) <= size


@pytest.mark.parametrize(
    ("order", "by"),
    [
        ({}, "name ASC, workspace ASC"),
        ({"order_by": "name DESC"}, "name DESC, workspace ASC"),
        ({"order_by": "last_updated_timestamp ASC"}, "last_updated_time, name, workspace"),
    ],
)
def test_every_model_comes_once_with_the_versions_of_its_own_project(
    crowd: MLflow, order: dict[str, str], by: str
) -> None:
    """Threat 97."""
    pages = _pages(crowd, "registered-models/search", "registered_models", order)
    found = [
        (m["name"], [v["source"] for v in m["latest_versions"]]) for page in pages for m in page
    ]
    rows = _rows(
        crowd, f"SELECT name, workspace FROM registered_models WHERE {_IS_GRANTED} ORDER BY {by}"
    )

    assert found == [(name, [workspace]) for name, workspace in rows]
    assert {len(page) for page in pages[:-1]} == {LARGER_PAGE}
    assert 0 < len(pages[-1]) <= LARGER_PAGE


def test_every_version_comes_once(crowd: MLflow) -> None:
    """Threats 97 and 98: they are of no run, and others are between them."""
    pages = _pages(crowd, "model-versions/search", "model_versions", {})
    found = sorted((v["name"], v["source"]) for page in pages for v in page)

    assert found == sorted(
        _rows(crowd, f"SELECT name, workspace FROM model_versions WHERE {_IS_GRANTED}")
    )
    assert {len(page) for page in pages[:-1]} == {LARGER_PAGE}


def test_the_edge_learns_which_projects_own_rows(crowd: MLflow) -> None:
    answer = crowd.ask("GET", PROJECTS, SYSTEM)

    assert answer.json == {"projects": [*GRANTED, *HIDDEN]}
    assert crowd.ask("GET", PROJECTS, everything(*GRANTED)).status == 403
    assert crowd.ask("POST", f"{API}/experiments/search", SYSTEM, {"max_results": 5}).status == 403


def test_no_projects_is_an_empty_answer(server: MLflow, ours: World) -> None:
    """Threat 98."""
    for path, field in (
        ("experiments/search?max_results=5", "experiments"),
        ("registered-models/search", "registered_models"),
        ("model-versions/search", "model_versions"),
    ):
        answer = server.ask("GET", f"{API}/{path}", everything())
        assert (answer.status, answer.json.get(field, [])) == (200, [])
    assert server.ask("GET", f"{API}/runs/get?run_id={ours.run}", everything()).status == 404


def test_a_grant_for_thousands_of_projects_is_searched(server: MLflow, ours: World) -> None:
    projects = everything(*range(1, 5_001))
    answer = server.ask("POST", f"{API}/experiments/search", projects, {"max_results": 1_000})

    assert answer.status == 200
    assert ours.experiment in [
        experiment["experiment_id"] for experiment in answer.json["experiments"]
    ]


def _each_read() -> pytest.MarkDecorator:
    cases = list(requests(*READS))
    names = [f"{method} {path}" for _, (method, path) in cases]
    return pytest.mark.parametrize(("endpoint", "key"), cases, ids=names)


@_each_read()
def test_a_read_spans_the_granted_projects_or_is_sent_to_one(
    server: MLflow, ours: World, theirs: World, endpoint: Endpoint, key: Key
) -> None:
    """Threats 81 to 87, 99, 101 and 102: in the view of everything."""
    method, path, body = endpoint.about(theirs, key)
    before = server.contents()

    granted = server.ask(method, path, everything(ours.number, theirs.number), body)
    ungranted = server.ask(method, path, everything(ours.number), body)

    if View.GLOBAL in endpoint.rule.views:
        owner = server.ask(method, path, theirs.grant, body)
        assert (granted.status, granted.body) == (200, owner.body)
        assert ungranted.status == endpoint.foreign
        sent = f"{path} {body}"
        shown = [mark for mark in theirs.marks if mark.encode() in ungranted.body]
        assert not [mark for mark in shown if mark not in sent]
    else:
        assert (granted.status, ungranted.status) == (403, 403)
        assert "open it in its project" in granted.json["message"]
    assert server.contents() == before
