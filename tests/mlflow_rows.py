"""A database in which every table that MLflow maps has a row of each of three projects."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from typing import Any

from mlflow.store.db.base_sql_model import Base
from sqlalchemy import Column, Engine, Table, create_engine
from sqlalchemy.exc import SADeprecationWarning
from sqlalchemy.orm import Session
from sqlalchemy.pool import StaticPool
from sqlalchemy.schema import CreateTable

from extauthz.plugin import rows, writes

PROJECTS = (1, 2, 3)


class Restricted(Session):
    """Sessions as they are inside MLflow with the plugin."""


with warnings.catch_warnings():
    # MLflow's mappings use an option that SQLAlchemy has deprecated.
    warnings.simplefilter("ignore", SADeprecationWarning)
    rows.watch(Restricted)
writes.watch(Restricted)


@dataclass(frozen=True, slots=True)
class Database:
    """A database, and the row that each project has in each table."""

    engine: Engine
    rows: dict[int, dict[str, dict[str, Any]]]


@contextmanager
def projects() -> Iterator[Database]:
    """Fill a database in memory with a row of each project in each table."""
    memory = create_engine(
        "sqlite://", poolclass=StaticPool, connect_args={"check_same_thread": False}
    )
    written: dict[int, dict[str, dict[str, Any]]] = {number: {} for number in PROJECTS}
    with memory.begin() as connection:
        # The rows say nothing; only how they hang together matters.
        connection.exec_driver_sql("PRAGMA ignore_check_constraints = ON")
        for table in Base.metadata.sorted_tables:
            connection.execute(CreateTable(table))
            for number, rows_of in written.items():
                rows_of[table.name] = _row(table, number, rows_of)
                connection.execute(table.insert().values(rows_of[table.name]))
    yield Database(memory, written)
    memory.dispose()


def _row(table: Table, number: int, written: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """Return a row of a project: its keys lead to the rows that the project already has."""
    row = {column.name: _value(column, number) for column in table.columns if not column.computed}
    for key in table.foreign_key_constraints:
        if key.referred_table is not table:
            parent = written[key.referred_table.name]
            row |= {e.parent.name: parent[e.column.name] for e in key.elements}
    if table.name == "inputs":
        row |= {"source_type": "RUN_OUTPUT", "source_id": f"runs-{number}"}
    return row


def _value(column: Column[Any], number: int) -> object:
    if column.name == "workspace":
        return f"p{number}"
    if column.nullable:
        return None
    values = {
        bool: False,
        bytes: b"",
        date: date(2026, 1, number),
        dict: {},
        float: number,
        object: {},
        int: number,
        str: f"{column.table.name}-{number}"[-32:],
    }
    return values[column.type.python_type]
