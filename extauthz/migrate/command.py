"""`extauthz migrate`: from one MLflow for everybody to a workspace for each project, or back."""

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from pydantic import SecretStr
from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from extauthz.edge.settings import SettingsError
from extauthz.migrate import binding, database
from extauthz.migrate.errors import Failed
from extauthz.migrate.files import Files, open_files
from extauthz.migrate.locations import Roots
from extauthz.migrate.moving import Mover
from extauthz.migrate.plan import Plan
from extauthz.migrate.planning import plan_back, plan_into, survey_of
from extauthz.migrate.projects import Directory, Listed
from extauthz.migrate.report import Report
from extauthz.migrate.settings import Settings
from extauthz.plugin.instance import recorded

DONE: Final = 0
FAILED: Final = 1
ORPHANS: Final = 3

Print = Callable[[str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class MigrateOptions:
    """The command line."""

    apply: bool = False
    undo: bool = False
    rebind: str = ""
    projects: Path | None = None
    token_file: Path | None = None
    as_json: bool = False
    in_use: bool = False
    any_suffix: bool = False


def migrate(settings: Settings, options: MigrateOptions, *, say: Print, tell: Print) -> int:
    """Plan, and carry it out if told to; returns the exit code: 3 where somebody must look.

    The report goes to `say`, and how far it is to `tell`. Raises SettingsError.
    """
    try:
        with database.opened(settings.database) as engine:
            if options.rebind:
                return _rebind(engine, options, say)
            return _migrate(engine, settings, options, say=say, tell=tell)
    except Failed as failed:
        tell(f"extauthz: {failed}")
        return FAILED
    except SQLAlchemyError as error:
        # What MLflow stores may be in its text, and so may passwords be.
        cause = getattr(error, "orig", None)
        tell(f"extauthz: the database failed ({str(cause or type(error)).splitlines()[0]})")
        return FAILED


def _rebind(engine: Engine, options: MigrateOptions, say: Print) -> int:
    before = recorded(engine) or "no instance"
    if not options.apply:
        say(f"The database is of {before}. With --apply it will be of {options.rebind}.")
        return DONE
    _check_unused(database.users(engine), options)
    binding.rebind(engine, options.rebind)
    say(f"The database was of {before}, and is now of {options.rebind}.")
    return DONE


def _migrate(
    engine: Engine, settings: Settings, options: MigrateOptions, *, say: Print, tell: Print
) -> int:
    users = database.users(engine)
    if options.apply:
        _check_unused(users, options)
    binding.check(engine, settings.instance)
    files, roots = open_files(settings.artifacts), Roots.of(settings.artifacts)
    report = Report(
        database=database.shown(engine),
        artifacts=settings.artifacts,
        instance=recorded(engine),
        plan=_plan(engine, settings, options, files, roots),
        users=users,
    )
    if options.apply:
        mover = Mover(
            engine,
            files,
            roots,
            tell,
            check=lambda: _check_unused(database.users(engine), options),
        )
        failures = mover.carry_out(report.plan)
        report = replace(report, applied=True, failures=failures)
    say(json.dumps(report.as_json(), indent=2) if options.as_json else report.as_text())
    if report.failures:
        return FAILED
    return ORPHANS if report.plan.orphans else DONE


def _plan(
    engine: Engine, settings: Settings, options: MigrateOptions, files: Files, roots: Roots
) -> Plan:
    with engine.connect() as connection:
        survey = survey_of(connection, files, roots, tag=settings.tag)
        if options.undo:
            return plan_back(survey)
        return plan_into(
            survey,
            _directory(settings, options),
            tag=settings.tag,
            by_suffix=not options.any_suffix,
        )


def _directory(settings: Settings, options: MigrateOptions) -> Directory:
    if options.projects is not None:
        return Listed(options.projects)
    token = settings.token
    if options.token_file is not None:
        try:
            token = SecretStr(options.token_file.read_text().strip())
        except OSError as error:
            raise SettingsError(f"{options.token_file} cannot be read: {error.strerror}") from None
    if not settings.gitlab_url or not token.get_secret_value():
        raise SettingsError(
            "Say which projects the paths mean: --projects FILE, or GITLAB_URL with --token-file "
            "FILE or GITLAB_SERVICE_TOKEN, a token with read_api that sees all of them"
        )
    from extauthz.migrate.gitlab import Asked  # noqa: PLC0415 - needs the server extra

    return Asked(settings.gitlab_url, token)


def _check_unused(users: list[str], options: MigrateOptions) -> None:
    if users and not options.in_use:
        raise Failed(
            f"The database is in use, by {', '.join(users)}: stop MLflow first. If none of them is "
            "MLflow, add --in-use"
        )
