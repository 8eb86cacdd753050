"""The SQL that the real MLflow executes for a request, as its own log tells it."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from extauthz.grant import Grant
from tests.servers.mlflow import MLflow, mlflow

# MLflow's switch for the log of SQLAlchemy, whose lines are there before the answer is.
_ECHO = {"MLFLOW_SQLALCHEMYSTORE_ECHO": "true", "PYTHONUNBUFFERED": "1"}
_STATEMENT = re.compile(
    r"INFO sqlalchemy\.engine\.Engine (SELECT|INSERT|UPDATE|DELETE|WITH)\b", re.IGNORECASE
)


@dataclass(frozen=True, slots=True)
class Counted:
    """How many statements of a kind a request took."""

    reads: int
    writes: int = 0


@contextmanager
def telling(folder: Path) -> Iterator[MLflow]:
    """Run an MLflow that logs its SQL until the block ends."""
    with mlflow(folder, env=_ECHO) as server:
        yield server


def count(server: MLflow, method: str, path: str, grant: Grant, body: object = None) -> Counted:
    """Return what a request takes once nothing about it is new any more."""
    for _ in range(2):
        before = server.log.stat().st_size
        answer = server.ask(method, path, grant, body)
        assert answer.status == 200, (path, answer.body)
    with server.log.open("rb") as log:
        log.seek(before)
        kinds = [kind.upper() for kind in _STATEMENT.findall(log.read().decode())]
    reads = sum(kind in ("SELECT", "WITH") for kind in kinds)
    return Counted(reads, len(kinds) - reads)
