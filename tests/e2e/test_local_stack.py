"""`extauthz demo` and `extauthz up`: the real Envoy, edge, MLflow and demo GitLab in one go."""

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import requests

import extauthz
from tests.servers.cli import Running, started
from tests.servers.ports import free_port

PROJECT = "acme/vision/detector"
ROOT = Path(__file__).parents[2]
# As the guide of mlflow-sharinghub shows them.
GITLAB_BLOCK = """\
GITLAB_URL=https://gitlab.example.com
GITLAB_OAUTH_CLIENT_ID=<client-id>
GITLAB_OAUTH_CLIENT_SECRET=<client-secret>
GITLAB_MANDATORY_TOPICS=sharinghub:aimodel
PROJECT_CACHE_TIMEOUT=30
LOGIN_AUTO_REDIRECT=false
"""
SHARINGHUB_BLOCK = """\
PROJECT_CACHE_TIMEOUT=30
LOGIN_AUTO_REDIRECT=false

SHARINGHUB_URL=http://sharinghub.example.com
"""
DEFAULT_TOKEN_BLOCK = f"{SHARINGHUB_BLOCK}SHARINGHUB_AUTH_DEFAULT_TOKEN=true\n"


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with started("demo", tmp_path_factory.mktemp("demo")) as running:
        yield running


def shown_after(label: str, output: str) -> str:
    """Return the commands below a label, up to the next empty line."""
    return output.partition(f"\n{label}")[2].partition("\n")[2].partition("\n\n")[0]


def bash(commands: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["bash", "-c", commands], capture_output=True, text=True, timeout=120, check=False
    )


def run_once(folder: Path, *argv: str, **environ: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "extauthz", *argv],
        cwd=folder,
        env={**os.environ, **environ},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def eventually(condition: Callable[[], bool], *, wait: float = 60) -> None:
    deadline = time.monotonic() + wait
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def test_the_demo_shows_who_there_is(demo: Running) -> None:
    assert f"{demo.url}/<group>/<project>/tracking/" in demo.output
    assert re.search(r"^bob +glpat-demo-bob +developer in acme/vision", demo.output, re.MULTILINE)


def test_the_allowed_curl_is_allowed(demo: Running) -> None:
    result = bash(
        shown_after("Allowed:", demo.output).replace("curl ", "curl -sS -w '\\n%{http_code}' ")
    )
    assert result.stdout.endswith("\n200"), result


def test_the_refused_curl_is_refused_with_a_reason(demo: Running) -> None:
    result = bash(
        shown_after("Refused:", demo.output).replace("curl ", "curl -sS -w '\\n%{http_code}' ")
    )
    assert result.stdout.endswith("\n403"), result
    assert "PERMISSION_DENIED" in result.stdout


def test_the_client_snippet_runs_as_it_is_pasted(demo: Running) -> None:
    result = bash(shown_after("With MLflow's own client:", demo.output))
    assert result.returncode == 0, result.stderr
    assert "metrics.loss" in result.stdout


def test_logs_are_readable_and_name_their_part(demo: Running) -> None:
    requests.get(demo.url, timeout=10)
    demo.until("outcome=ext_authz_denied")
    for line in demo.output.partition("Everything is ready")[0].strip().splitlines():
        assert re.match(r"(extauthz|gitlab  |mlflow  |edge    |envoy   ) \| ", line)
    assert "\033" not in demo.output


def test_no_log_holds_a_token_or_a_project(demo: Running) -> None:
    headers = {"Authorization": "Bearer glpat-demo-bob"}
    requests.get(f"{demo.url}/{PROJECT}/tracking/api/2.0/mlflow/none", headers=headers, timeout=10)
    demo.until("outcome=via_upstream")
    logs = [line for line in demo.output.splitlines() if " | " in line]
    assert not [line for line in logs if "glpat" in line or PROJECT in line]


def test_metrics_are_where_it_says(demo: Running) -> None:
    metrics = requests.get(f"http://127.0.0.1:{demo.ports['admin-port']}/metrics", timeout=10)
    assert metrics.status_code == 200


def test_ctrl_c_leaves_nothing_behind_but_the_data(tmp_path: Path) -> None:
    with started("demo", tmp_path) as first:
        (socket_folder,) = first.runtime.glob("extauthz-*")
        assert socket_folder.stat().st_mode & 0o777 == 0o700
        everything = first.everything()
        assert len(everything) >= 5
        first.process.send_signal(signal.SIGINT)
        assert first.process.wait(60) == 0
        assert first.output.endswith("extauthz | stopped\n")
        assert not [process for process in everything if process.is_running()]
        assert not [port for port in first.ports.values() if listens(port)]
        assert not list(first.runtime.iterdir())
    assert sorted(path.name for path in tmp_path.iterdir()) == ["data", "output"]
    assert (tmp_path / "data/demo/secret-key").stat().st_mode & 0o777 == 0o600


def test_several_workers_serve_and_none_survives_us(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text(GITLAB_BLOCK)
    with started("demo", tmp_path, "--workers", "2") as running:
        assert sorted(path.name for path in running.runtime.glob("*/check*")) == [
            "check-0.sock",
            "check-1.sock",
        ]
        statuses = {requests.get(f"{running.url}/health", timeout=10).status_code for _ in range(9)}
        assert statuses == {200}
        everything = running.everything()
        running.process.kill()
        eventually(lambda: not [process for process in everything[1:] if process.is_running()])


def test_code_that_changes_is_what_answers_next(tmp_path: Path) -> None:
    package = tmp_path / "code/extauthz"
    shutil.copytree(
        Path(extauthz.__file__).parent, package, ignore=shutil.ignore_patterns("__pycache__")
    )
    (tmp_path / ".env").write_text(GITLAB_BLOCK)
    # Coverage of a copy would be of files that are gone.
    environ = {"PYTHONPATH": str(package.parent), "COVERAGE_PROCESS_CONFIG": None}
    with started("up", tmp_path, "--reload", environ=environ) as running:

        def edit(file: str, old: str, new: str) -> None:
            text = (package / file).read_text()
            assert old in text
            (package / file).write_text(text.replace(old, new))

        def refusal(*, port: str = "port", **headers: str) -> str:
            url = f"http://127.0.0.1:{running.ports[port]}/"
            try:
                return requests.get(url, headers=headers, timeout=10).text
            except requests.ConnectionError:
                return ""

        assert "edited" not in refusal() + refusal(x_y="1") + refusal(port="mlflow-port")
        edit("edge/refusals.py", '"UNAUTHENTICATED"', '"EDITED_EDGE"')
        eventually(lambda: "EDITED_EDGE" in refusal())
        edit("edge/envoy_replies.py", "malformed, ambiguous or too slow", "edited envoy")
        eventually(lambda: "edited envoy" in refusal(x_y="1"))
        edit("plugin/gate.py", "carries no grant", "has an edited plugin")
        eventually(lambda: "edited plugin" in refusal(port="mlflow-port"))

        edit("edge/refusals.py", "class Refusal", "a syntax error")
        running.until("edge has ended with exit code 1; it starts again when its code changes")
        edit("edge/refusals.py", "a syntax error", "class Refusal")
        eventually(lambda: "EDITED_EDGE" in refusal())


def test_a_busy_port_is_one_line(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", free_port())) as server:
        port = server.getsockname()[1]
        result = run_once(tmp_path, "demo", "--port", str(port))
    assert result.returncode == 1
    assert result.stderr == (
        f"extauthz: Port {port} for Envoy is not free (Address already in use): "
        "stop what uses it, or choose another with --port\n"
    )
    assert result.stdout == ""


def test_a_missing_envoy_is_one_line(tmp_path: Path) -> None:
    result = run_once(tmp_path, "demo", "--envoy", "/nowhere/envoy")
    assert result.returncode == 1
    assert result.stderr == "extauthz: There is no Envoy at /nowhere/envoy\n"


def test_a_provider_over_plain_http_is_warned_about(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("GITLAB_URL=http://gitlab.internal\n")
    warning, _ = run_once(tmp_path, "up", "--envoy", "/nowhere/envoy").stderr.splitlines()
    assert warning == (
        "extauthz: GITLAB_URL is plain http (http://gitlab.internal): tokens can be read on the way"
    )


@pytest.mark.parametrize("block", [SHARINGHUB_BLOCK, DEFAULT_TOKEN_BLOCK])
def test_the_sharinghub_blocks_start_as_they_stand(tmp_path: Path, block: str) -> None:
    (tmp_path / ".env").write_text(block)
    with started("up", tmp_path) as running:
        assert "SHARINGHUB_URL is plain http (http://sharinghub.example.com)" in running.output
        login = requests.get(f"{running.url}/auth/login", allow_redirects=False, timeout=10)
        public = requests.get(f"{running.url}/version", timeout=10)
    assert login.status_code == 302
    assert login.headers["location"].startswith("http://sharinghub.example.com/api/auth/login?")
    assert public.status_code == 200
