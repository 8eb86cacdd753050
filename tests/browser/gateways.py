"""Edges and Envoys that browsers reach at an address of their own."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from extauthz.edge.site import Site
from tests.gitlab import GitLab
from tests.servers.edge import edge
from tests.servers.mlflow import MLflow
from tests.servers.ports import free_port
from tests.servers.stack import SETTINGS, Stack, proxy


@contextmanager
def gateway_at(
    folder: Path,
    gitlab: GitLab,
    server: MLflow,
    public_url: str,
    *,
    port: int | None = None,
    trusted: bool = False,
    settings: Mapping[str, str] | None = None,
) -> Iterator[Stack]:
    """Run an edge where people sign in, and an Envoy, under a public URL.

    Envoy listens on `port`; whatever else the URL names leads there. GitLab never asks whether a
    `trusted` application may act for somebody.
    """
    port, prefix = port or free_port(), Site.of(public_url).prefix
    client_id, secret = gitlab.create_application([f"{public_url}/auth/authorize"], trusted=trusted)
    given = {
        **SETTINGS,
        "PUBLIC_URL": public_url,
        "GITLAB_OAUTH_CLIENT_ID": client_id,
        "GITLAB_OAUTH_CLIENT_SECRET": secret,
        **(settings or {}),
    }
    url = f"http://127.0.0.1:{server.port}"
    with (
        edge(folder, gitlab_url=gitlab.url, mlflow_url=url, settings=given) as authorizer,
        proxy(folder, authorizer, server, port=port, prefix=prefix) as envoy,
    ):
        yield Stack(gitlab, server, authorizer, envoy, public_url)
