"""MLflow's database: opened, seen to be of this MLflow, and not in use."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from shlex import quote
from typing import Final

from alembic.script import ScriptDirectory
from mlflow.store.db.utils import (
    _get_alembic_config,
    _get_latest_schema_revision,
    _get_schema_version,
    create_sqlalchemy_engine,
)
from mlflow.version import VERSION
from sqlalchemy import URL, Engine, make_url, text
from sqlalchemy.exc import ArgumentError, DatabaseError

from extauthz.edge.settings import SettingsError
from extauthz.migrate.errors import Failed

_SETTING: Final = "MLFLOW_BACKEND_STORE_URI"
_CONNECTED: Final = text(
    "SELECT coalesce(nullif(application_name, ''), 'a client') || ' at '"
    " || coalesce(host(client_addr), 'this machine')"
    " FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
    " AND backend_type = 'client backend'"
)


@contextmanager
def opened(address: str) -> Iterator[Engine]:
    """Open the database until the block ends.

    Raises SettingsError for what is no database of MLflow's, Failed for one of another release.
    """
    _check_address(address)
    engine = create_sqlalchemy_engine(address)
    try:
        _check_release(engine)
        yield engine
    finally:
        engine.dispose()


def shown(engine: Engine) -> str:
    """Return the address of a database without its password."""
    return engine.url.render_as_string(hide_password=True)


def users(engine: Engine) -> list[str]:
    """Return who else has the database open, as far as it can be told."""
    if engine.dialect.name == "sqlite":
        return sorted(_openers(Path(str(engine.url.database))))
    with engine.connect() as connection:
        return sorted(connection.scalars(_CONNECTED))


def _check_address(address: str) -> None:
    try:
        url = make_url(address)
    except ArgumentError:
        # Its message quotes the address, and so the password.
        raise SettingsError(f"{_SETTING} is no address of a database") from None
    match url.get_backend_name():
        case "postgresql":
            return
        case "sqlite":
            _check_file(url)
        case name:
            raise SettingsError(f"{_SETTING} must be a SQLite or PostgreSQL database, not {name}")


def _check_file(url: URL) -> None:
    # SQLite would make an empty one.
    if not url.database or not Path(url.database).is_file():
        raise SettingsError(f"{_SETTING}: there is no file {url.database}")


def _check_release(engine: Engine) -> None:
    try:
        found = _get_schema_version(engine)
    except DatabaseError as error:
        raise Failed(f"The database cannot be read: {str(error.orig).splitlines()[0]}") from None
    if found is None:
        raise SettingsError(f"{_SETTING} is no database of MLflow's")
    if found == _get_latest_schema_revision():
        return
    if not _is_known(found):
        raise Failed(
            f"The database is newer than the MLflow here, {VERSION} (its schema is {found}), or of "
            "another program. MLflow cannot take it back: use the release of extauthz that is for "
            "its MLflow, or the backup of the database from before"
        )
    raise Failed(
        f"The database is of an older MLflow (its schema is {found}). Stop MLflow, back the "
        f"database up,{_reminder(engine)} and run: mlflow db upgrade {quote(shown(engine))}"
    )


def _is_known(revision: str) -> bool:
    """Tell whether this MLflow has been through a schema, and so can bring it to its own."""
    scripts = ScriptDirectory.from_config(_get_alembic_config(db_url=""))
    return any(step.revision == revision for step in scripts.walk_revisions())


def _reminder(engine: Engine) -> str:
    return " put its password where *** stands" if engine.url.password else ""


def _openers(file: Path) -> Iterator[str]:
    """Yield the processes of this machine, other than this one, that hold a file open."""
    wanted = file.resolve()
    for process in Path("/proc").glob("[0-9]*"):
        if process.name == str(os.getpid()):
            continue
        # Those of other users can only be looked into by root; others end meanwhile.
        with suppress(OSError):
            if any(_leads_to(handle, wanted) for handle in (process / "fd").iterdir()):
                yield f"process {process.name}"


def _leads_to(handle: Path, wanted: Path) -> bool:
    with suppress(OSError):
        return handle.readlink() == wanted
    return False
