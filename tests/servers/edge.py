"""The real edge, as a process."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from pydantic import SecretStr

from extauthz.keys import Purpose, derive_text
from tests.servers.ports import free_port
from tests.servers.processes import answers, extauthz, running, until

SECRET_KEY = "a key for tests that is long enough"
GRANT_KEY = derive_text(SecretStr(SECRET_KEY), Purpose.GRANT)
INSTANCE = "gitlab.test"


@dataclass(frozen=True, slots=True)
class Edge:
    """Where the edge listens, and the process that does."""

    check: str
    pages: str
    admin_port: int
    pid: int
    log: Path


@contextmanager
def edge(
    folder: Path,
    *,
    gitlab_url: str = "",
    sharinghub_url: str = "",
    mlflow_url: str,
    settings: Mapping[str, str] | None = None,
) -> Iterator[Edge]:
    """Run the edge in front of one of the two providers until the block ends."""
    admin_port, log = free_port(), folder / "edge.log"
    check, pages = f"unix:{folder}/check.sock", f"unix:{folder}/pages.sock"
    argv = extauthz(
        *("serve", "--listen", check, "--admin-listen", f"127.0.0.1:{admin_port}"),
        *("--pages-listen", pages, "--drain-seconds", "0"),
    )
    env = {
        "GITLAB_URL": gitlab_url,
        "SHARINGHUB_URL": sharinghub_url,
        "MLFLOW_URL": mlflow_url,
        "SECRET_KEY": SECRET_KEY,
        "INSTANCE_ID": INSTANCE,
    } | dict(settings or {})
    with running(argv, log=log, env=env, cwd=folder) as process:
        until(lambda: answers(admin_port, "/readyz"), process, log=log)
        yield Edge(check, pages, admin_port, process.pid, log)
