"""Rows of MLflow's database, counted."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from sqlalchemy import (
    Connection,
    String,
    column,
    create_engine,
    func,
    inspect,
    make_url,
    select,
    table,
)
from sqlalchemy.exc import SQLAlchemyError

from extauthz.doctor.wire import Unreachable

_CONTENT: Final = ("experiments", "registered_models", "evaluation_datasets")
_INSTANCE: Final = "extauthz_instance"
# MLflow makes this experiment by itself.
_DEFAULT: Final = 0
_SECONDS: Final = 5


def rows_by_workspace(address: str) -> dict[str, int]:
    """Return how many experiments, models and datasets each workspace has; raises Unreachable."""
    counted: Counter[str] = Counter()
    with _connected(address) as connection:
        for name in _CONTENT:
            for workspace, count in _counted(connection, name):
                counted[workspace] += count
    return dict(counted)


def recorded_instance(address: str) -> str:
    """Return whose projects the database holds, empty if it does not say; raises Unreachable."""
    with _connected(address) as connection:
        if not inspect(connection).has_table(_INSTANCE):
            return ""
        found = connection.scalar(select(column("instance")).select_from(table(_INSTANCE)))
        return str(found or "")


def _counted(connection: Connection, name: str) -> Iterator[tuple[str, int]]:
    found = inspect(connection)
    columns = {it["name"] for it in found.get_columns(name)} if found.has_table(name) else set()
    if "workspace" not in columns:
        return
    workspace = column("workspace", String)
    rows = select(workspace, func.count()).select_from(table(name)).group_by(workspace)
    if name == "experiments":
        rows = rows.where(column("experiment_id") != _DEFAULT)
    yield from ((owner, count) for owner, count in connection.execute(rows))


@contextmanager
def _connected(address: str) -> Iterator[Connection]:
    try:
        url = make_url(address)
        sqlite = url.get_backend_name() == "sqlite"
        # SQLite would make an empty one.
        if sqlite and not Path(url.database or "").is_file():
            raise Unreachable(f"there is no database {url.database}")
        engine = create_engine(
            url, connect_args={"timeout" if sqlite else "connect_timeout": _SECONDS}
        )
        try:
            with engine.connect() as connection:
                yield connection
        finally:
            engine.dispose()
    except SQLAlchemyError as error:
        # What is raised quotes the address, and so the password.
        raise Unreachable(f"the database cannot be read ({type(error).__name__})") from None
