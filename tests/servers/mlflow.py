"""The real MLflow with the plugin, as a process."""

import json
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace
from hashlib import sha256
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from extauthz.grant import HEADER, Grant, GrantKey, GrantSigner, View, Why
from extauthz.levels import Role
from extauthz.plugin.command import UVICORN_OPTIONS, command, environment
from tests.servers.ports import free_port
from tests.servers.postgres import postgres
from tests.servers.processes import answers, running, until
from tests.servers.s3 import s3

GRANT_KEY = SecretStr("a grant key for tests that is long enough")
INSTANCE = "gitlab.test"
# What coverage hands on to processes that a test starts.
_UNMEASURED = {"COVERAGE_PROCESS_CONFIG": ""}


@dataclass(frozen=True, slots=True)
class Answer:
    """What MLflow answered."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """The body, parsed."""
        return json.loads(self.body)


@dataclass(frozen=True, slots=True)
class MLflow:
    """Where MLflow listens, and what it keeps."""

    port: int
    folder: Path
    log: Path
    pid: int = 0
    kept: Callable[[], dict[str, str]] | None = None
    signer: GrantSigner = field(default_factory=lambda: GrantSigner(GrantKey(GRANT_KEY)))

    def ask(
        self,
        method: str,
        path: str,
        grant: Grant | str | None = None,
        body: object = None,
        headers: Sequence[tuple[str, str]] = (),
    ) -> Answer:
        """Send a request with its path as it stands; a body that is not bytes goes as JSON."""
        content = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
        with closing(HTTPConnection("127.0.0.1", self.port, timeout=60)) as connection:
            connection.putrequest(method, path)
            for name, value in (*self._grant(grant), *headers):
                connection.putheader(name, value)
            if content is not None:
                if not any(name.lower() == "content-type" for name, _ in headers):
                    kind = "application/octet-stream" if content is body else "application/json"
                    connection.putheader("Content-Type", kind)
                connection.putheader("Content-Length", str(len(content)))
            connection.endheaders(content)
            answer = connection.getresponse()
            return Answer(answer.status, dict(answer.getheaders()), answer.read())

    def contents(self) -> dict[str, str]:
        """Return a digest of the database and of every file, to compare with what was before."""
        if self.kept is not None:
            return self.kept()
        kept = [self.folder / "mlflow.db", *sorted((self.folder / "artifacts").rglob("*"))]
        return {str(path): _digest(path) for path in kept if path.is_file()}

    def _grant(self, grant: Grant | str | None) -> list[tuple[str, str]]:
        if grant is None:
            return []
        return [(HEADER, self.signer.sign(grant) if isinstance(grant, Grant) else grant)]


def _digest(file: Path) -> str:
    return sha256(file.read_bytes()).hexdigest()


@contextmanager
def mlflow_on_postgres_and_s3(folder: Path) -> Iterator[MLflow]:
    """Run MLflow with a PostgreSQL and an S3 of its own until the block ends."""
    with postgres(folder / "postgres.log") as database, s3(folder) as objects:
        env = objects.environment | {
            "MLFLOW_BACKEND_STORE_URI": database.create("mlflow"),
            "MLFLOW_ARTIFACTS_DESTINATION": objects.create("mlflow"),
        }
        kept = lambda: database.contents("mlflow") | objects.contents("mlflow")  # noqa: E731 - glue
        with mlflow(folder, env=env, kept=kept) as server:
            yield server


@contextmanager
def mlflow(
    folder: Path,
    *,
    env: Mapping[str, str] | None = None,
    kept: Callable[[], dict[str, str]] | None = None,
    workers: int = 1,
    measured: bool = False,
) -> Iterator[MLflow]:
    """Run MLflow until the block ends; `kept` digests what it keeps outside of its folder.

    Where coverage is measured, only one that is `measured` is: MLflow takes half as long again.
    """
    server = MLflow(free_port(), folder, folder / "mlflow.log", kept=kept)
    argv = command(host="127.0.0.1", port=server.port, workers=workers)
    settings = environment_in(folder) | dict(env or {}) | ({} if measured else _UNMEASURED)
    with running(argv, log=server.log, env=settings, cwd=folder) as process:
        until(lambda: answers(server.port, "/health"), process, log=server.log)
        yield replace(server, pid=process.pid)


@contextmanager
def plain_mlflow(folder: Path, *, env: Mapping[str, str] | None = None) -> Iterator[MLflow]:
    """Run MLflow without the plugin, in everything else as `mlflow` does, until the block ends."""
    server = MLflow(free_port(), folder, folder / "plain.log")
    argv = [sys.executable, "-m", "mlflow", "server", "--workers", "1"]
    argv += ["--uvicorn-opts", f"{UVICORN_OPTIONS} --no-access-log"]
    argv += ["--host", "127.0.0.1", "--port", str(server.port)]
    settings = environment_in(folder) | dict(env or {}) | _UNMEASURED
    with running(argv, log=server.log, env=settings, cwd=folder) as process:
        until(lambda: answers(server.port, "/health"), process, log=server.log)
        yield replace(server, pid=process.pid)


def environment_in(folder: Path) -> dict[str, str]:
    """Return the settings of MLflow that keeps everything in a folder."""
    return environment(
        grant_key=GRANT_KEY,
        instance=INSTANCE,
        backend_store_uri=f"sqlite:///{folder / 'mlflow.db'}",
        artifacts_destination=str(folder / "artifacts"),
    )


def project(number: int, role: Role = Role.WRITE, why: Why | None = None) -> Grant:
    """Return a grant for one project."""
    return Grant(
        view=View.PROJECT,
        instance=INSTANCE,
        role=role,
        why=why,
        subject="gitlab:7",
        name="Ann",
        project_id=number,
        project_path=f"group/project-{number}",
    )


def everything(*numbers: int) -> Grant:
    """Return a grant for the global view of these projects."""
    projects = tuple(sorted(numbers))
    return Grant(view=View.GLOBAL, instance=INSTANCE, why=Why.GLOBAL, projects=projects)


PUBLIC = Grant(view=View.PUBLIC, instance=INSTANCE)
SYSTEM = Grant(view=View.SYSTEM, instance=INSTANCE)
