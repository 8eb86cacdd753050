"""A database in which three projects own rows of every kind, and what MLflow sees of it."""

from collections.abc import Iterator

import pytest
from sqlalchemy.orm import Session

from tests.mlflow_rows import Database, Restricted, projects


@pytest.fixture(scope="module")
def database() -> Iterator[Database]:
    with projects() as filled:
        yield filled


@pytest.fixture
def session(database: Database) -> Iterator[Session]:
    with Restricted(database.engine) as opened:
        yield opened
        opened.rollback()
