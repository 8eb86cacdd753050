"""`extauthz doctor` as people run it."""

import json
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

from extauthz.cli import main
from extauthz.doctor.examination import PROBES
from tests.doctor.deployment import Deployment
from tests.doctor.gateways import Gateway
from tests.servers.ports import free_port
from tests.servers.processes import clean_environment, extauthz


def run(*arguments: str, env: dict[str, str] | None = None, folder: Path) -> tuple[int, str]:
    """Run it; returns the exit code and all that it prints."""
    done = subprocess.run(
        extauthz("doctor", *arguments),
        capture_output=True,
        text=True,
        env=clean_environment() | {"PYTHONIOENCODING": "utf-8"} | (env or {}),
        cwd=folder,
        timeout=100,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


def test_a_table_for_people(deployment: Deployment, healthy: Gateway, tmp_path: Path) -> None:
    settings = deployment.settings | {"GITLAB_SERVICE_TOKEN": deployment.service_token}
    lines = [f"{name}={value}" for name, value in settings.items()]
    (tmp_path / ".env").write_text("\n".join(lines))
    code, text = run(
        *("--connect", f"127.0.0.1:{healthy.port}", "--project", "acme/vision"),
        *("--token-file", str(deployment.token_file)),
        env={"SSL_CERT_FILE": str(deployment.pem)},
        folder=tmp_path,
    )
    assert code == 0, text
    assert text.startswith(f"extauthz at {deployment.url}\n")
    assert "✓ spoofed grant " in text
    assert " direct MLflow " in text
    assert text.rstrip().endswith("not tested")
    secrets = [deployment.token_file.read_text().strip(), deployment.service_token]
    secrets += [settings["GITLAB_OAUTH_CLIENT_SECRET"]]
    assert [secret for secret in secrets if secret in text] == []


def test_json_for_programs(deployment: Deployment, healthy: Gateway, tmp_path: Path) -> None:
    code, text = run(
        *(f"https://elsewhere.example.org:{free_port()}", "--json"),
        *("--connect", f"127.0.0.1:{healthy.port}", "--token-file", str(deployment.token_file)),
        env={"SSL_CERT_FILE": str(deployment.pem)},
        folder=tmp_path,
    )
    report = json.loads(text)
    assert code == 1
    assert [found["name"] for found in report["findings"]] == list(PROBES)
    assert report["summary"]["fail"] == 2
    (wrong, _) = [found for found in report["findings"] if found["status"] == "fail"]
    assert (wrong["name"], bool(wrong["remedy"])) == ("answers", True)
    assert deployment.token_file.read_text().strip() not in text


def test_nobody_there(tmp_path: Path) -> None:
    code, text = run(f"http://127.0.0.1:{free_port()}", folder=tmp_path)
    assert code == 1
    assert "✗ answers " in text
    assert "→ Look at the address" in text


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["mlflow.example.org"], "URL must look like"),
        (["https://ann:secret@mlflow.example.org"], "URL must not hold a name or a password"),
        (["https://mlflow.example.org", "--mlflow", "127.0.0.1:5001"], "--mlflow must look like"),
        (["https://mlflow.example.org", "--connect", "nowhere"], "'nowhere' is neither host:port"),
        (["https://mlflow.example.org", "--connect", "unix:/x"], "--connect takes host:port"),
        (["https://mlflow.example.org", "--project", "../x"], "--project takes the full path"),
        (["https://mlflow.example.org", "--token-file", "none"], "--token-file cannot be read"),
        (["https://mlflow.example.org", "--token-file", "two"], "must hold one token"),
        (["https://mlflow.example.org", "--seconds", "0"], "--seconds must be between"),
        (["https://mlflow.example.org", "--gitlab", "http://gitlab:x"], "--gitlab must look like"),
    ],
)
def test_wrong_arguments(
    arguments: Sequence[str],
    says: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "two").write_text("glpat-one\nglpat-two\n")
    assert main(["doctor", *arguments]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert says in printed.err
    assert "secret" not in printed.err
    assert "glpat" not in printed.err
