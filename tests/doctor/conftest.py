"""One deployment for all tests of a process; each breaks an Envoy of its own before it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.certificates import certificate
from tests.doctor.deployment import HOST, Deployment, settings_of
from tests.doctor.gateways import Gateway, gateway
from tests.gitlab import DEVELOPER, GitLab
from tests.servers.edge import edge
from tests.servers.mlflow import MLflow, mlflow, plain_mlflow
from tests.servers.ports import free_port
from tests.servers.stack import SETTINGS


@pytest.fixture(scope="session")
def backend(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    folder = tmp_path_factory.mktemp("backend")
    url = f"https://{HOST}:{free_port()}"
    with GitLab.start() as gitlab, mlflow(folder) as server:
        settings = settings_of(gitlab, url)
        mlflow_url = f"http://127.0.0.1:{server.port}"
        given = SETTINGS | settings
        with edge(folder, gitlab_url=gitlab.url, mlflow_url=mlflow_url, settings=given) as running:
            yield Deployment(
                gitlab,
                server,
                running,
                url,
                certificate(folder / "front.pem", [HOST], days=60),
                settings,
                _furnished(gitlab, folder),
                gitlab.token("root", scopes=["read_api"]),
            )


@pytest.fixture
def deployment(backend: Deployment, monkeypatch: pytest.MonkeyPatch) -> Deployment:
    """The deployment, whose certificate is trusted."""
    monkeypatch.setenv("SSL_CERT_FILE", str(backend.pem))
    return backend


@pytest.fixture(scope="session")
def healthy(backend: Deployment, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """An Envoy as it should be."""
    folder = tmp_path_factory.mktemp("healthy")
    with gateway(folder, backend.edge, backend.mlflow.port, pem=backend.pem) as running:
        yield running


@pytest.fixture(scope="session")
def unguarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MLflow]:
    """An MLflow without the plugin."""
    with plain_mlflow(tmp_path_factory.mktemp("plain")) as running:
        yield running


def _furnished(gitlab: GitLab, folder: Path) -> Path:
    """Make a developer of one of two projects, and an administrator; return the former's token."""
    gitlab.create_user("root", admin=True)
    gitlab.create_user("ann")
    gitlab.create_project("acme/vision")
    gitlab.create_project("others/secret")
    gitlab.add_member("acme/vision", "ann", DEVELOPER)
    file = folder / "token"
    file.write_text(f"{gitlab.token('ann')}\n")
    return file
