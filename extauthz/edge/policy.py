"""The policy: from a caller's level in a project to what he may do there."""

from dataclasses import dataclass

from extauthz.edge.provider import Project, Reach, Visibility
from extauthz.edge.refusals import NotFound
from extauthz.grant import Why
from extauthz.levels import Role, role_of


@dataclass(frozen=True, slots=True)
class Policy:
    """What the operator decided. Topics are compared as they are written, as GitLab does."""

    mandatory_topics: frozenset[str] = frozenset()
    visitors_read: bool = False


@dataclass(frozen=True, slots=True)
class Verdict:
    """A role, and why it is only READ."""

    role: Role
    why: Why | None = None


def absent() -> NotFound:
    """Return the one answer for a project that is not there, hidden, or not for MLflow."""
    return NotFound("There is no such project, or you are not a member of it.")


def verdict_on(project: Project, policy: Policy) -> Verdict | None:
    """Return what a level alone allows; None means: as if the project did not exist."""
    if not policy.mandatory_topics <= project.topics:
        return None
    role = role_of(project.level)
    if role is None:
        return _visitor(project, policy)
    if project.archived:
        return Verdict(Role.READ, Why.ARCHIVED)
    return Verdict(role, Why.GUEST if role is Role.READ else None)


def within_reach(verdict: Verdict, reach: Reach) -> Verdict:
    """Return what is left of a verdict with a token that may not write."""
    if verdict.role is Role.WRITE and not reach.writes:
        return Verdict(Role.READ, Why.TOKEN)
    return verdict


def _visitor(project: Project, policy: Policy) -> Verdict | None:
    if policy.visitors_read and project.visibility is not Visibility.PRIVATE:
        return Verdict(Role.READ, Why.VISITOR)
    return None
