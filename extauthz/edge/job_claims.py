"""Job claims: what the id_token of a GitLab job says, once its signature is verified."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final

from extauthz.edge.job_tokens import is_meant_for
from extauthz.edge.provider import User
from extauthz.edge.refusals import Forbidden, Unauthenticated
from extauthz.levels import Level

# In seconds. Nothing revokes the token when its job ends or its user leaves the project.
OLDEST: Final = 900
# GitLab's clock and ours.
LEEWAY: Final = 30
_NUMBER: Final = re.compile(r"[1-9][0-9]{0,18}")
HOW_TO: Final = "Use one that GitLab made below `id_tokens` in .gitlab-ci.yml."
# GitLab tells the level of whoever started the job by its name.
_LEVELS: Final = MappingProxyType(
    {
        "guest": 10,
        "planner": 15,
        "reporter": 20,
        "security manager": 25,
        "security_manager": 25,
        "developer": 30,
        "maintainer": 40,
        "owner": 50,
    }
)


@dataclass(frozen=True, slots=True)
class Job:
    """A job in its project, and the level there of the user who started it (GitLab's numbers).

    `ends` is the Unix time after which its token proves nothing any more.
    """

    project_id: int
    project_path: str
    user: User
    level: int
    ends: float


def job_of(claims: Mapping[str, Any], *, issuer: str, audience: str, now: float) -> Job:
    """Return the job of a verified token, from its claims.

    Raises Unauthenticated, or Forbidden for a job that runs in another project than its code is of.
    """
    if claims.get("iss") != issuer:
        raise Unauthenticated(f"This CI token was not made by {issuer}. Use one of its own jobs'.")
    if not is_meant_for(audience, claims):
        raise Unauthenticated(
            "This CI token is meant for another service. Set `aud` of the token below `id_tokens` "
            f"in .gitlab-ci.yml to {audience}"
        )
    ends = _end(claims, now)
    project, path = _named(claims, "project_id", "project_path")
    user, login = _named(claims, "user_id", "user_login")
    _refuse_foreign(claims, project, path)
    level = _level(claims.get("user_access_level"))
    return Job(project, path, User(f"gitlab:{user}", login), level, ends)


def _end(claims: Mapping[str, Any], now: float) -> float:
    """Return when the token ends; refuse one that has, or has not begun."""
    expires, issued, begins = (_time(claims, name) for name in ("exp", "iat", "nbf"))
    if max(issued, begins) > now + LEEWAY:
        raise Unauthenticated(
            "This CI token is not good yet: the clocks of GitLab and of this server differ. Tell "
            "the administrator."
        )
    if now >= expires + LEEWAY or now >= issued + OLDEST:
        raise Unauthenticated(
            f"This CI token has ended: it is good for at most {OLDEST // 60} minutes after its job "
            "began. Use a project access token in longer jobs."
        )
    return float(min(expires, issued + OLDEST))


def _time(claims: Mapping[str, Any], name: str) -> int:
    seconds = claims.get(name)
    if isinstance(seconds, int) and not isinstance(seconds, bool):
        return seconds
    raise Unauthenticated(f"This CI token lacks a proper {name}. {HOW_TO}")


def _named(claims: Mapping[str, Any], number: str, name: str) -> tuple[int, str]:
    match claims.get(name):
        case str(text) if text and (known := _number(claims.get(number))):
            return known, text
    raise Unauthenticated(f"This CI token lacks a proper {number} or {name}. {HOW_TO}")


def _refuse_foreign(claims: Mapping[str, Any], project: int, path: str) -> None:
    """Refuse the job of a merge request from a fork: it runs code of one project in another."""
    here = _number(claims.get("job_project_id", project)), claims.get("job_project_path", path)
    if here != (project, path):
        raise Forbidden(
            "This job runs in another project than its code comes from, as in a merge request "
            "from a fork. Run a pipeline for a branch of the project itself."
        )


def _number(value: object) -> int | None:
    """Return an id, which GitLab writes as text."""
    text = str(value) if isinstance(value, int) else value
    return int(text) if isinstance(text, str) and _NUMBER.fullmatch(text) else None


def _level(name: object) -> int:
    """Return the level of a name; one that we do not know gives nothing."""
    return _LEVELS.get(name, Level.NONE) if isinstance(name, str) else Level.NONE
