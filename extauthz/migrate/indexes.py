"""Indexes that a migration needs: MLflow has none by which a table is read for one experiment.

Without them, each project would read the runs of all the others.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from sqlalchemy import Engine, text

_TABLES: Final = ("runs", "logged_models")


@contextmanager
def indexed(engine: Engine, *, needed: bool) -> Iterator[None]:
    """Have them until the block ends; afterwards, those of a killed run are gone as well."""
    if needed:
        _execute(engine, "CREATE INDEX IF NOT EXISTS {index} ON {table} (experiment_id)")
    try:
        yield
    finally:
        _execute(engine, "DROP INDEX IF EXISTS {index}")


def _execute(engine: Engine, statement: str) -> None:
    with engine.begin() as connection:
        for table in _TABLES:
            index = f"extauthz_migrate_{table}"
            connection.execute(text(statement.format(index=index, table=table)))
