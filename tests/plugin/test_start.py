"""MLflow refuses to start where the plugin could not protect it."""

import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import psutil
import pytest

from extauthz.plugin.command import LINE, UVICORN_OPTIONS, command
from tests.plugin.world import API, World
from tests.servers.mlflow import INSTANCE, MLflow, environment_in
from tests.servers.ports import free_port
from tests.servers.processes import clean_environment

STARTUP_FAILURE = 3
STARTED = {
    **environment_in(Path("nowhere")),
    "MLFLOW_ENABLE_WORKSPACES": "true",
    "MLFLOW_WORKSPACE_STORE_URI": "extauthz://",
    "_MLFLOW_SGI_NAME": "uvicorn",
}


def _create_app(environ: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    """Load the app as uvicorn does."""
    load = "from extauthz.plugin.app import create_app; create_app()"
    return subprocess.run(
        [sys.executable, "-W", "ignore", "-c", load],
        capture_output=True,
        check=False,
        env=clean_environment() | dict(environ),
        text=True,
        timeout=60,
    )


@pytest.mark.parametrize(
    ("changed", "line"),
    [
        ({"GRANT_KEY": ""}, "Set GRANT_KEY: the key that the edge signs grants with"),
        ({"INSTANCE_ID": ""}, "Set INSTANCE_ID: the host of your GitLab or SharingHub"),
        ({"MLFLOW_ENABLE_WORKSPACES": "false"}, f"start MLflow with: {LINE}"),
    ],
)
def test_what_is_missing_is_one_line(changed: dict[str, str], line: str) -> None:
    ended = _create_app(STARTED | changed)

    assert ended.returncode == STARTUP_FAILURE
    assert ended.stderr == f"extauthz: {line}\n"


def _serve(argv: list[str], environ: Mapping[str, str], folder: Path) -> str:
    """Run MLflow, which is expected to end by itself; returns what it printed."""
    ended = subprocess.run(
        argv,
        capture_output=True,
        check=False,
        cwd=folder,
        env=clean_environment() | dict(environ),
        text=True,
        timeout=120,
    )
    return ended.stdout + ended.stderr


def test_the_database_of_another_instance_is_left_alone(server: MLflow) -> None:
    # Several, because their supervisor would start most that end again and again.
    argv = command(host="127.0.0.1", port=free_port(), workers=2)
    environ = environment_in(server.folder) | {"INSTANCE_ID": "gitlab.elsewhere"}
    before = server.contents()

    printed = _serve(argv, environ, server.folder)

    assert f"set INSTANCE_ID back to {INSTANCE}" in printed
    assert server.contents() == before


def test_gunicorn_which_has_no_asgi_is_refused(tmp_path: Path) -> None:
    argv = command(host="127.0.0.1", port=free_port())
    at = argv.index("--uvicorn-opts")
    assert argv[at + 1].startswith(UVICORN_OPTIONS)
    argv[at : at + 2] = ["--gunicorn-opts", "--timeout 30"]
    # MLflow itself refuses the options of its middleware there.
    hosts = argv.index("--allowed-hosts")
    del argv[hosts : hosts + 2]
    environ = environment_in(tmp_path) | {"MLFLOW_SERVER_CORS_ALLOWED_ORIGINS": ""}

    assert f"start MLflow with: {LINE}" in _serve(argv, environ, tmp_path)


def test_other_users_of_the_machine_do_not_see_where_the_database_is(server: MLflow) -> None:
    """Its address may hold a password, and every user may list command lines."""
    whole = psutil.Process(server.pid)
    processes = [whole, *whole.children(recursive=True)]

    assert len(processes) > 1
    assert not [line for p in processes for line in p.cmdline() if str(server.folder) in line]


def test_queries_are_not_logged(server: MLflow, ours: World) -> None:
    path = f"{API}/experiments/search?max_results=5&filter=name%20=%20'never-logged'"

    assert server.ask("GET", path, ours.grant).status == 200

    assert "never-logged" not in server.log.read_text()
