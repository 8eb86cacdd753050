"""Everything at once: GitLab, the edge, Envoy and MLflow, as processes."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from extauthz.edge.envoy_config import build
from extauthz.edge.envoy_options import EnvoyOptions
from tests.gitlab import GitLab
from tests.servers.edge import Edge, edge
from tests.servers.envoy import DEFAULT
from tests.servers.mlflow import GRANT_KEY, MLflow, mlflow
from tests.servers.ports import free_port
from tests.servers.processes import answers, running, until

SETTINGS = {
    "GRANT_KEY": GRANT_KEY.get_secret_value(),
    # Permissions are asked for again after a second, so that a test of their change need not wait.
    "PROJECT_CACHE_TIMEOUT": "1",
}


@dataclass(frozen=True, slots=True)
class Proxy:
    """A running Envoy."""

    port: int
    pid: int
    log: Path


@dataclass(frozen=True, slots=True)
class Stack:
    """The parts that serve one Envoy's clients."""

    gitlab: GitLab
    mlflow: MLflow
    edge: Edge
    envoy: Proxy
    public_url: str = "http://localhost:5000"


@contextmanager
def stack(folder: Path, settings: Mapping[str, str] | None = None) -> Iterator[Stack]:
    """Run one of each part until the block ends."""
    with (
        GitLab.start() as gitlab,
        mlflow(folder) as server,
        gateway(folder, gitlab, server, settings) as whole,
    ):
        yield whole


@contextmanager
def login_gateway(
    folder: Path,
    gitlab: GitLab,
    server: MLflow,
    settings: Mapping[str, str] | None = None,
    *,
    prefix: str = "",
) -> Iterator[Stack]:
    """Run an edge where people sign in, and an Envoy, before a GitLab and an MLflow.

    The public URL is Envoy's own address, with a path that may be empty.
    """
    port = free_port()
    public_url = f"http://127.0.0.1:{port}{prefix}"
    client_id, secret = gitlab.create_application([f"{public_url}/auth/authorize"])
    login = {
        "PUBLIC_URL": public_url,
        "GITLAB_OAUTH_CLIENT_ID": client_id,
        "GITLAB_OAUTH_CLIENT_SECRET": secret,
    }
    url = f"http://127.0.0.1:{server.port}"
    given = SETTINGS | login | dict(settings or {})
    with (
        edge(folder, gitlab_url=gitlab.url, mlflow_url=url, settings=given) as authorizer,
        proxy(folder, authorizer, server, port=port, prefix=prefix) as envoy,
    ):
        yield Stack(gitlab, server, authorizer, envoy, public_url)


@contextmanager
def gateway(
    folder: Path, gitlab: GitLab, server: MLflow, settings: Mapping[str, str] | None = None
) -> Iterator[Stack]:
    """Run an edge and an Envoy before an MLflow that is there already."""
    given = SETTINGS | dict(settings or {})
    url = f"http://127.0.0.1:{server.port}"
    with (
        edge(folder, gitlab_url=gitlab.url, mlflow_url=url, settings=given) as authorizer,
        proxy(folder, authorizer, server) as envoy,
    ):
        yield Stack(gitlab, server, authorizer, envoy)


@contextmanager
def proxy(
    folder: Path,
    authorizer: Edge,
    server: MLflow,
    *,
    port: int | None = None,
    prefix: str = "",
) -> Iterator[Proxy]:
    """Run an Envoy before an edge and an MLflow; `prefix` is the path of the public URL."""
    port, admin = port or free_port(), free_port()
    options = EnvoyOptions(
        listen=f"127.0.0.1:{port}",
        check=(authorizer.check,),
        pages=authorizer.pages,
        prefix=prefix,
        mlflow=f"127.0.0.1:{server.port}",
        mlflow_host=f"127.0.0.1:{server.port}",
        admin=f"127.0.0.1:{admin}",
    )
    config, log = folder / "envoy.yaml", folder / "envoy.log"
    config.write_text(build(options))
    argv = [str(DEFAULT), "-c", str(config), "--disable-hot-restart"]
    argv += ["--concurrency", "1", "-l", "error"]
    with running(argv, log=log) as process:
        until(lambda: answers(admin, "/ready"), process, log=log)
        yield Proxy(port, process.pid, log)
