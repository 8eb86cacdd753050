"""The provider instance that a database is bound to, read and changed on purpose."""

from typing import Final

from sqlalchemy import Engine, MetaData, Table, inspect, select, update

from extauthz.edge.settings import SettingsError
from extauthz.plugin.instance import claim

_NAME: Final = "extauthz_instance"
_LONGEST: Final = 255


def recorded(engine: Engine) -> str:
    """Return the instance whose project ids the database holds, empty if it says of none."""
    if not inspect(engine).has_table(_NAME):
        return ""
    with engine.connect() as connection:
        return str(connection.scalar(select(_table(engine).c.instance)) or "")


def check(engine: Engine, instance: str) -> None:
    """Refuse to bring ids of one instance into the database of another; raises SettingsError."""
    kept = recorded(engine)
    if kept and instance and kept != instance:
        raise SettingsError(
            f"This database holds the projects of {kept}, not of {instance}: set INSTANCE_ID="
            f"{kept}, or change what it records with `extauthz migrate --rebind {instance} --apply`"
        )


def rebind(engine: Engine, instance: str) -> None:
    """Record another instance: the same one under another name, since the ids stay as they are."""
    if not instance or len(instance) > _LONGEST or instance != instance.strip():
        raise SettingsError(f"--rebind takes the name of an instance, of {_LONGEST} characters")
    if not recorded(engine):
        return claim(engine, instance)
    with engine.begin() as connection:
        connection.execute(update(_table(engine)).values(instance=instance))
    return None


def _table(engine: Engine) -> Table:
    return Table(_NAME, MetaData(), autoload_with=engine)
