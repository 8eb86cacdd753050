"""The provider instance that a database belongs to.

Workspaces are named after project ids, which mean something else at another GitLab.
"""

from contextlib import suppress
from typing import Final

from sqlalchemy import (
    Column,
    Engine,
    Integer,
    MetaData,
    String,
    Table,
    insert,
    inspect,
    select,
    update,
)
from sqlalchemy.exc import DatabaseError, IntegrityError

LONGEST: Final = 255
_TABLE: Final = Table(
    "extauthz_instance",
    MetaData(),
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("instance", String(LONGEST), nullable=False),
)
_ONLY: Final = 1


class ForeignInstance(Exception):  # noqa: N818 - says what it is
    """The database belongs to another provider instance."""


def claim(engine: Engine, instance: str) -> None:
    """Record the instance in a database that has none yet; raises ForeignInstance for another."""
    recorded = _recorded(engine) or _record(engine, instance)
    if recorded != instance:
        raise ForeignInstance(
            f"This database holds the projects of {recorded}, not of {instance}: "
            f"set INSTANCE_ID back to {recorded}, or use another database"
        )


def recorded(engine: Engine) -> str:
    """Return the instance that is recorded in a database, empty for none; changes nothing."""
    return (_read(engine) or "") if inspect(engine).has_table(_TABLE.name) else ""


def rebind(engine: Engine, instance: str) -> None:
    """Record an instance whatever has been recorded: the same one under another name."""
    if not recorded(engine):
        return claim(engine, instance)
    with engine.begin() as connection:
        connection.execute(update(_TABLE).values(instance=instance))
    return None


def _recorded(engine: Engine) -> str | None:
    # Another worker may create it at the same moment; if none did, the next statement fails.
    with suppress(DatabaseError):
        _TABLE.create(engine, checkfirst=True)
    return _read(engine)


def _read(engine: Engine) -> str | None:
    with engine.connect() as connection:
        return connection.scalar(select(_TABLE.c.instance))


def _record(engine: Engine, instance: str) -> str | None:
    try:
        with engine.begin() as connection:
            connection.execute(insert(_TABLE).values(id=_ONLY, instance=instance))
    except IntegrityError:
        return _recorded(engine)  # another worker was faster
    return instance
