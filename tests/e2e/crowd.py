"""Many projects with many rows, written straight into MLflow's tables, which is quick."""

import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from typing import Any

from tests.servers.mlflow import MLflow

Row = Mapping[str, Any]


def insert(server: MLflow, table: str, rows: Sequence[Row]) -> None:
    """Add rows to a table; all have the columns of the first."""
    columns = list(rows[0])
    places = ", ".join(f":{column}" for column in columns)
    statement = f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({places})"
    with closing(sqlite3.connect(server.folder / "mlflow.db", timeout=30)) as database, database:
        database.executemany(statement, rows)


def experiments(
    first_id: int, projects: Sequence[int], count: int, *, stage: str = "active"
) -> list[dict[str, Any]]:
    """Return rows of experiments, dealt out to projects in turn.

    Names are used once in each project, and times of creation again and again.
    """
    return [
        {
            "experiment_id": first_id + number,
            "name": f"{stage}-{number // len(projects)}",
            "workspace": f"p{projects[number % len(projects)]}",
            "artifact_location": "mlflow-artifacts:/",
            "lifecycle_stage": stage,
            "creation_time": 1_700_000_000_000 + number * 7919 % 211,
            "last_update_time": 1_700_000_000_000 + number * 6101 % 97,
        }
        for number in range(count)
    ]


def models(projects: Sequence[int], names: Iterable[str]) -> list[dict[str, Any]]:
    """Return rows of registered models: each name in each project."""
    return [
        {
            "name": name,
            "workspace": f"p{project}",
            "description": f"p{project}",
            "creation_time": 1_700_000_000_000,
            "last_updated_time": 1_700_000_000_000 + project * 31 % 5,
        }
        for name in names
        for project in projects
    ]


def versions(rows: Iterable[Row]) -> list[dict[str, Any]]:
    """Return rows of one to four versions for each model, by its project."""
    return [
        {
            "name": row["name"],
            "workspace": row["workspace"],
            "version": version,
            "creation_time": 1_700_000_000_000,
            "last_updated_time": 1_700_000_000_000,
            "current_stage": "None",
            "source": "mlflow-artifacts:/1",
            "status": "READY",
        }
        for row in rows
        for version in range(1, 2 + int(row["workspace"][1:]) % 4)
    ]
