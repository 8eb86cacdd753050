"""Edges that follow each other behind one Envoy, as when a process is restarted."""

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from http.client import HTTPConnection, HTTPException
from pathlib import Path

from tests.gitlab import GitLab
from tests.polling import eventually
from tests.servers.edge import Edge, edge
from tests.servers.mlflow import MLflow
from tests.servers.ports import free_port
from tests.servers.stack import SETTINGS, Stack, proxy


@dataclass(slots=True)
class Succession:
    """Where people sign in, and the edge that serves there now."""

    folder: Path
    gitlab: GitLab
    server: MLflow
    settings: Mapping[str, str]
    _running: ExitStack = field(default_factory=ExitStack, init=False)

    def start(self, **settings: str) -> Edge:
        """Run an edge, with other settings than before where they are given."""
        self.settings = {**self.settings, **settings}
        return self._running.enter_context(
            edge(
                self.folder,
                gitlab_url=self.gitlab.url,
                mlflow_url=f"http://127.0.0.1:{self.server.port}",
                settings=self.settings,
            )
        )

    def stop(self) -> None:
        """End the edge that runs."""
        self._running.close()

    def restart(self, front: Stack, **settings: str) -> None:
        """Run a new edge in place of the old one, and wait until Envoy knows it."""
        self.stop()
        self.start(**settings)
        for path in ("/version", "/auth/logout"):
            eventually(partial(_status, front.envoy.port, path), 200)


@contextmanager
def succession(
    folder: Path, gitlab: GitLab, server: MLflow, settings: Mapping[str, str] | None = None
) -> Iterator[tuple[Succession, Stack]]:
    """Run an edge that can be restarted, and an Envoy, before a GitLab and an MLflow."""
    port = free_port()
    public_url = f"http://127.0.0.1:{port}"
    client_id, secret = gitlab.create_application([f"{public_url}/auth/authorize"])
    login = {
        "PUBLIC_URL": public_url,
        "GITLAB_OAUTH_CLIENT_ID": client_id,
        "GITLAB_OAUTH_CLIENT_SECRET": secret,
    }
    edges = Succession(folder, gitlab, server, SETTINGS | login | dict(settings or {}))
    first = edges.start()
    try:
        with proxy(folder, first, server, port=port) as envoy:
            yield edges, Stack(gitlab, server, first, envoy, public_url)
    finally:
        edges.stop()


def _status(port: int, path: str) -> int:
    connection = HTTPConnection("127.0.0.1", port, timeout=20)
    try:
        connection.request("GET", path)
        return connection.getresponse().status
    except (OSError, HTTPException):
        return 0
    finally:
        connection.close()
