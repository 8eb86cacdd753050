"""What MLflow can do and the table does not name: refused, whatever a later version adds."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from extauthz.plugin.rules import FLASK, NATIVE
from tests.plugin.world import World
from tests.servers.mlflow import PUBLIC, MLflow, environment_in, everything
from tests.servers.processes import clean_environment

# Printed by a process of its own: importing MLflow's server changes the one that does.
_ROUTES = """
import json
from fastapi.routing import iter_route_contexts
from mlflow.server import app
from mlflow.server.fastapi_app import create_fastapi_app
flask = [(m, rule.rule) for rule in app.url_map.iter_rules() for m in rule.methods]
native = [
    (method, context.path)
    for context in iter_route_contexts(create_fastapi_app().router.routes)
    for method in context.methods or ()
]
print(json.dumps({"flask": flask, "native": native}))
"""
_ASK_WITHOUT_THREADS = """
import anyio
from anyio.to_thread import current_default_thread_limiter
from extauthz.plugin.guard import server_info

async def ask():
    threads = current_default_thread_limiter()
    for _ in range(int(threads.total_tokens)):
        threads.acquire_on_behalf_of_nowait(object())
    with anyio.fail_after(30):
        print((await server_info()()).status_code)

anyio.run(ask)
"""
# Frameworks answer these by themselves for every rule.
_AUTOMATIC = {"HEAD", "OPTIONS"}
# In place of MLflow, which would be an error on its page: see `page`.
_OURS = {("GET", "/ajax-api/2.0/mlflow/gateway-proxy")}


@pytest.fixture(scope="module")
def routes() -> dict[str, list[tuple[str, str]]]:
    """Return every route of the installed MLflow."""
    listed = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", _ROUTES],
        capture_output=True,
        check=True,
        env=clean_environment() | {"MLFLOW_DISABLE_TELEMETRY": "true"},
    )
    found: dict[str, Any] = json.loads(listed.stdout)
    return {kind: [(method, path) for method, path in of] for kind, of in found.items()}


def test_the_table_names_routes_that_exist(routes: dict[str, list[tuple[str, str]]]) -> None:
    assert set(FLASK) <= set(routes["flask"])
    assert set(NATIVE) <= set(routes["native"])


def test_what_the_table_does_not_name_is_refused(
    server: MLflow, ours: World, routes: dict[str, list[tuple[str, str]]]
) -> None:
    """Threats 111 to 117."""
    unnamed = {
        *((method, path) for method, path in routes["flask"] if (method, path) not in FLASK),
        *((method, path) for method, path in routes["native"] if (method, path) not in NATIVE),
    }
    # Native routes shadow these two of Flask's, which are reached by other spellings only.
    shadowed = {(m, p.replace("{artifact_path:path}", "<path:artifact_path>")) for m, p in NATIVE}
    asked = sorted((m, p) for m, p in unnamed - shadowed - _OURS if m not in _AUTOMATIC)
    before = server.contents()

    answers = {
        (method, path): server.ask(
            method, _concrete(path), ours.grant, b"{}" if method != "GET" else None
        )
        for method, path in asked
    }

    assert len(answers) > 200
    assert {key: a.status for key, a in answers.items() if a.status != 403} == {}
    assert {a.json["error_code"] for a in answers.values()} == {"PERMISSION_DENIED"}
    assert server.contents() == before


@pytest.mark.parametrize(
    "path",
    [
        "//api/3.0/mlflow/server-info",
        "//api/2.0/mlflow-artifacts/artifacts/1/x",
        "/api/3.0/mlflow/workspaces",
        "/api/2.0/mlflow/unified-traces",
        "/api/2.0/mlflow/get-online-trace-details",
        "/ajax-api/3.0/jobs",
        "/gateway/anything",
        "/signup",
        "/api/2.0/mlflow/users/current",
        "/metrics",
        "/build/index.html",
        "/nothing/like/this",
    ],
)
@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"])
def test_closed_surfaces_stay_closed(server: MLflow, ours: World, method: str, path: str) -> None:
    """Threats 111 to 116."""
    assert server.ask(method, path, ours.grant).status == 403


@pytest.mark.parametrize(
    "path", ["//api/2.0/mlflow/experiments/get", "/api/2.0/mlflow/experiments%2Fget"]
)
def test_another_spelling_of_a_path_is_the_same_endpoint(
    server: MLflow, ours: World, theirs: World, path: str
) -> None:
    """Threat 37: stock MLflow answers both with 200, past any rule about the raw path."""
    own = server.ask("GET", f"{path}?experiment_id={ours.experiment}", ours.grant)
    foreign = server.ask("GET", f"{path}?experiment_id={theirs.experiment}", ours.grant)

    assert (own.status, foreign.status) == (200, 404)


def test_the_server_says_what_is_switched_off(server: MLflow, ours: World) -> None:
    for grant in (ours.grant, everything()):
        for prefix in ("/api", "/ajax-api"):
            answer = server.ask("GET", f"{prefix}/3.0/mlflow/server-info", grant)
            offered = answer.json
            assert offered["store_type"] == "SqlStore"
            assert offered["workspaces_enabled"] is False
            assert not [name for name, value in offered.items() if value is True]


def test_what_a_server_offers_is_told_whatever_else_waits_for_threads(tmp_path: Path) -> None:
    stores = {"_MLFLOW_SERVER_FILE_STORE": f"sqlite:///{tmp_path / 'mlflow.db'}"}
    stores["_MLFLOW_SERVER_ARTIFACT_ROOT"] = str(tmp_path)
    asked = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", _ASK_WITHOUT_THREADS],
        capture_output=True,
        check=False,
        cwd=tmp_path,
        env=clean_environment() | environment_in(tmp_path) | stores,
        timeout=60,
    )
    assert asked.stdout == b"200\n", asked.stderr


def test_the_pages_are_served(server: MLflow, ours: World) -> None:
    for grant in (ours.grant, everything()):
        assert b"<title>MLflow</title>" in server.ask("GET", "/", grant).body
    for grant in (ours.grant, everything(), PUBLIC):
        assert server.ask("GET", "/version", grant).body.startswith(b"3.")
        assert server.ask("GET", "/health", grant).body == b"OK"
        assert server.ask("GET", "/static-files/favicon.ico", grant).status == 200
        assert server.ask("HEAD", "/static-files/favicon.ico", grant).status == 200
    assert server.ask("GET", "/", PUBLIC).status == 403


def test_a_body_is_not_read_in_place_of_a_query(server: MLflow, ours: World) -> None:
    path = "/api/2.0/mlflow-artifacts/artifacts"
    body = {"path": "workspaces"}

    assert server.ask("GET", path, ours.grant, body).status == 400
    assert server.ask("GET", path, ours.grant).status == 400
    assert server.ask("GET", f"{path}?path=", ours.grant).status == 400


def _concrete(path: str) -> str:
    return (
        path.replace("<", "").replace(">", "").replace("{", "").replace("}", "").replace(":", "-")
    )
