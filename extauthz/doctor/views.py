"""What a real token sees: its own project, and not that of others."""

from typing import Final

from extauthz.doctor.deployment import LIST, Deployment, Probes
from extauthz.doctor.envoy import bearer, is_lost
from extauthz.doctor.finding import Verdict, down, failed, passed, unchecked, untested
from extauthz.doctor.wire import Answer

_OK, _NOT_FOUND = 200, 404
_ABSENT: Final = (
    "Look at the project's members, and at GITLAB_MANDATORY_TOPICS or SHARINGHUB_STAC_COLLECTION: "
    "a project without them does not exist here."
)
_REFUSED: Final = "Look whether GitLab takes the token, and at the edge's log."
_NEEDED: Final = "Give a token of GitLab's in --token-file, and"


async def own(deployment: Deployment) -> Verdict:
    """See whether the token reads its project."""
    answer = await _listed(deployment, deployment.project)
    if answer is None:
        return untested(
            "no token or no project", f"{_NEEDED} a project that it reads in --project."
        )
    if answer.passed_the_edge_by:
        return unchecked()
    if answer.is_trouble:
        return down(answer.short)
    if is_lost(answer):
        return untested("the token gets lost: see `double enforcement`")
    if answer.status == _OK:
        return passed("the token reads its project")
    remedy = _ABSENT if answer.status == _NOT_FOUND else _REFUSED
    return failed(f"the token's own project: {answer.short}", remedy)


async def of_others(deployment: Deployment) -> Verdict:
    """See whether the token is kept from the project of others."""
    answer = await _listed(deployment, deployment.foreign_project)
    if answer is None:
        return untested(
            "no token or no project of others",
            f"{_NEEDED} a project that it must not read in --project-of-others.",
        )
    if answer.status == _OK:
        return failed(
            "the token reads the project of others",
            "Look at the project at GitLab: a member of a group above it, or of a group that it is "
            "shared with, may read it, and with VISITOR_ACCESS=read whoever sees it.",
        )
    if answer.status != _NOT_FOUND:
        return untested(f"the project of others: {answer.short}")
    return passed("the project of others does not exist for the token")


async def _listed(deployment: Deployment, project: str) -> Answer | None:
    if deployment.token is None or not project:
        return None
    token = bearer(deployment.token.get_secret_value())
    return await deployment.ask("GET", f"/{project}/tracking{LIST}", [token])


PROBES: Final[Probes] = {"own project": own, "project of others": of_others}
