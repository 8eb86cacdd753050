"""Shadows: projects whose address is that of a route of MLflow's."""

from typing import Final

from extauthz.doctor.deployment import Deployment, Probes
from extauthz.doctor.finding import Verdict, failed, passed, untested
from extauthz.doctor.projects import at_paths_with
from extauthz.edge.refusals import NotFound, Refusal
from extauthz.edge.routes import PREFIXES
from extauthz.edge.scope import Tracking, scope_of


async def shadowed(deployment: Deployment) -> Verdict:
    """Look for projects that cannot be opened under their own path."""
    if not deployment.gitlab or deployment.overseer is None:
        return untested(
            "GitLab, or a token to ask it with, is not known",
            "Give --gitlab, and --token-file of somebody who sees every project "
            "(GITLAB_SERVICE_TOKEN).",
        )
    tops = sorted({prefix.split("/")[1] for prefix in PREFIXES})
    # GitLab keeps `api` to itself, but an answer costs little.
    found = {path for top in tops for path in await at_paths_with(deployment, top)}
    if lost := sorted(path for path in found if is_shadowed(path)):
        return failed(
            f"MLflow's own routes are at the addresses of {', '.join(lost)}",
            "Rename the group or move the projects: their pages cannot be opened by their paths.",
        )
    return passed(f"no project is below {', '.join(prefix.rstrip('/') for prefix in PREFIXES)}")


def is_shadowed(project: str) -> bool:
    """Tell whether the address of a project's view is read as something else."""
    try:
        return scope_of(f"/{project}/tracking/") != Tracking(project, "/")
    except (NotFound, Refusal):
        return False


PROBES: Final[Probes] = {"shadowed groups": shadowed}
