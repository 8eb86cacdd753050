"""The provider instance that a database is bound to, read and changed on purpose."""

from sqlalchemy import Engine

from extauthz.edge.settings import SettingsError
from extauthz.plugin import instance as bound
from extauthz.plugin.instance import LONGEST, recorded


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
    if not instance or len(instance) > LONGEST or instance != instance.strip():
        raise SettingsError(f"--rebind takes the name of an instance, of {LONGEST} characters")
    bound.rebind(engine, instance)
