"""MLflow's database: whose it is, and which of its rows belong to nobody any more."""

import asyncio
import re
from collections.abc import Mapping
from typing import Final

from extauthz.doctor.deployment import Deployment, Probes
from extauthz.doctor.finding import Verdict, failed, passed, untested
from extauthz.doctor.projects import known_to_gitlab

_PROJECT: Final = re.compile(r"p([1-9][0-9]{0,18})")
_HOW: Final = "Name it with --database, or in MLFLOW_BACKEND_STORE_URI."
_NO_DRIVER: Final = "Run it where MLflow is installed: pip install 'extauthz[mlflow,stores]'."
_MOST_NAMED: Final = 20


async def instance(deployment: Deployment) -> Verdict:
    """See whether the database holds the ids of this GitLab."""
    if deployment.database is None or not deployment.instance:
        return untested("the database or the provider is not known", _HOW)
    try:
        from extauthz.doctor.rows import recorded_instance  # noqa: PLC0415 - needs SQLAlchemy

        address = deployment.database.get_secret_value()
        recorded = await asyncio.to_thread(recorded_instance, address)
    except ModuleNotFoundError as missing:
        return untested(f"{missing.name} is not installed here", _NO_DRIVER)
    if not recorded:
        return untested("the database names no GitLab: MLflow has not run with the plugin yet")
    if recorded != deployment.instance:
        return failed(
            f"the database holds the projects of {recorded}, not of {deployment.instance}",
            f"Set INSTANCE_ID={recorded}, or change it with `extauthz migrate --rebind`.",
        )
    return passed(f"the database holds the projects of {recorded}")


async def orphans(deployment: Deployment) -> Verdict:
    """List the workspaces whose project is gone, and what is in no project's workspace."""
    if deployment.database is None:
        return untested("the database is not known", _HOW)
    if not deployment.gitlab or deployment.overseer is None:
        return untested(
            "GitLab, or a token to ask it with, is not known",
            "Give --gitlab, and --token-file of somebody who sees every project "
            "(GITLAB_SERVICE_TOKEN).",
        )
    try:
        from extauthz.doctor.rows import rows_by_workspace  # noqa: PLC0415 - needs SQLAlchemy

        address = deployment.database.get_secret_value()
        owned = await asyncio.to_thread(rows_by_workspace, address)
    except ModuleNotFoundError as missing:
        return untested(f"{missing.name} is not installed here", _NO_DRIVER)
    outside = {name: rows for name, rows in owned.items() if not _PROJECT.fullmatch(name)}
    if outside:
        return failed(
            f"in no project: {_told(outside)}",
            "Nobody sees these rows. Move them into their projects with `extauthz migrate`.",
        )
    numbers = {int(name[1:]): name for name in owned}
    known = await known_to_gitlab(deployment, sorted(numbers))
    if gone := {numbers[it]: owned[numbers[it]] for it in sorted(numbers.keys() - known)}:
        return failed(
            f"GitLab shows no such project to this token: {_told(gone)}",
            "Nobody sees these rows while their project is gone. Restore it at GitLab, or delete "
            "them; if it is only hidden, give a token that sees every project.",
        )
    return passed(f"GitLab knows the projects of all workspaces ({len(owned)})")


def _told(rows: Mapping[str, int]) -> str:
    named = [f"{name} ({count})" for name, count in sorted(rows.items())]
    more = f" and {len(named) - _MOST_NAMED} more" if len(named) > _MOST_NAMED else ""
    return f"{', '.join(named[:_MOST_NAMED])}{more}"


PROBES: Final[Probes] = {"database's GitLab": instance, "orphan workspaces": orphans}
