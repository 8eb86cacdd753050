"""Whose a row is, whatever tags, names and its state say, and what a crash leaves behind."""

import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from http.client import HTTPException
from itertools import count
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.plugin.ownership import HELD, Developer
from tests.plugin.world import API, World, build
from tests.polling import eventually
from tests.servers.mlflow import MLflow, mlflow, project


def in_name_of(server: MLflow, world: World) -> Developer:
    """Return the developer of a project."""

    def ask(method: str, path: str, body: object) -> tuple[int, Any]:
        answer = server.ask(method, path, world.grant, body)
        return answer.status, answer.json

    return Developer(world, ask)


@pytest.mark.parametrize("held", HELD, ids=lambda each: f"{each.__name__}")
def test_rows_are_their_projects(
    server: MLflow, next_number: Callable[[], int], held: Callable[[Developer, Developer], None]
) -> None:
    """Threats 93, 95, 96 and 108."""
    held(*(in_name_of(server, build(server, next_number())) for _ in range(2)))


def test_no_row_is_left_without_an_owner_by_a_crash(tmp_path: Path) -> None:
    """Threat 94, mlflow-oidc-auth #268: there, a row was made first and then given to somebody."""
    numbers = range(101, 105)

    def create_until_it_crashes(number: int) -> None:
        with suppress(OSError, HTTPException):
            for place in count():
                for path in ("experiments/create", "registered-models/create"):
                    server.ask("POST", f"{API}/{path}", project(number), {"name": f"n{place}"})

    with mlflow(tmp_path) as server, ThreadPoolExecutor(len(numbers)) as pool:
        pool.map(create_until_it_crashes, numbers)
        eventually(lambda: len(_owners(tmp_path)), len(numbers), wait=60)
        whole = psutil.Process(server.pid)
        for process in (whole, *whole.children(recursive=True)):
            with suppress(psutil.NoSuchProcess):
                process.kill()
    assert _owners(tmp_path) == {f"p{number}" for number in numbers}


def _owners(folder: Path) -> set[str]:
    """Return the workspaces that rows are in, but for the experiment that MLflow makes itself."""
    owners = set()
    with closing(sqlite3.connect(folder / "mlflow.db", timeout=30)) as database:
        for table, mlflows in (
            ("experiments", "WHERE experiment_id != 0"),
            ("registered_models", ""),
        ):
            rows = database.execute(f"SELECT DISTINCT workspace FROM {table} {mlflows}")
            owners |= {row[0] for row in rows}
    return owners
