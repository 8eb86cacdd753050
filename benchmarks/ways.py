"""MLflow three times: behind Envoy and the edge with the plugin, behind Envoy alone, and bare.

The last two are one and the same MLflow without the plugin. Both have the same rows.
"""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.proxies import proxy
from benchmarks.timing import settings_of
from tests.gitlab import DEVELOPER, GitLab
from tests.mlflow_content import Content, fill
from tests.servers.edge import edge
from tests.servers.mlflow import GRANT_KEY, mlflow, plain_mlflow

# The caller's projects; everything is asked in one of them, or in all of them.
OWN = 10
PROJECT = 7
GROUP = "acme"


@dataclass(frozen=True, slots=True)
class Way:
    """One way to MLflow, and the processes on it."""

    name: str
    port: int
    prefix: str
    headers: dict[str, str]
    pids: dict[str, int]


@contextmanager
def ways(folder: Path, content: Content) -> Iterator[list[Way]]:
    """Run everything until the block ends; yields full, envoy and bare."""
    for name in ("ours", "plain"):
        (folder / name).mkdir()
    with ExitStack() as stack:
        start = stack.enter_context
        gitlab = start(GitLab.start())
        ours, plain = start(mlflow(folder / "ours")), start(plain_mlflow(folder / "plain"))
        fill(f"sqlite:///{ours.folder / 'mlflow.db'}", content, workspaces=True)
        fill(f"sqlite:///{plain.folder / 'mlflow.db'}", content, workspaces=False)
        settings = settings_of(gitlab.url) | {"GRANT_KEY": GRANT_KEY.get_secret_value()}
        url = f"http://127.0.0.1:{ours.port}"
        server = start(edge(folder, gitlab_url=gitlab.url, mlflow_url=url, settings=settings))
        full = start(proxy(folder, "full", upstream=ours.port, check=server.check))
        alone = start(proxy(folder, "alone", upstream=plain.port))
        headers = {"Authorization": f"Bearer {_developer(gitlab)}"}
        pids = {"edge": server.pid, "envoy": full.pid, "mlflow": ours.pid}
        yield [
            Way("full", full.port, f"/{GROUP}/project-{PROJECT}/tracking", headers, pids),
            Way("envoy", alone.port, "", headers, {"envoy": alone.pid, "mlflow": plain.pid}),
            Way("bare", plain.port, "", headers, {"mlflow": plain.pid}),
        ]


def _developer(gitlab: GitLab) -> str:
    """Make a developer of ten of the projects that own rows; returns his token."""
    gitlab.create_user("ann")
    for number in range(1, OWN + 1):
        gitlab.create_project(f"{GROUP}/project-{number}", id=number)
    gitlab.add_member(GROUP, "ann", DEVELOPER)
    return gitlab.token("ann")
