"""The role rule: may this grant use this endpoint, and if not, in which words."""

from typing import Final

from extauthz.grant import Grant, View, Why
from extauthz.levels import Role
from extauthz.plugin.refusals import Denied, Refusal, Unavailable
from extauthz.plugin.refused import told
from extauthz.plugin.rules import Action, Rule

_READ_ONLY: Final = {
    Why.GUEST: "your role in this GitLab project only reads: changing it needs Developer or above",
    Why.ARCHIVED: "this GitLab project is archived: unarchive it to change it",
    Why.TOKEN: "your access token only reads: use one with the scope `api`",
    Why.VISITOR: "you are not a member of this GitLab project: visitors only read",
    Why.GLOBAL: (
        "all projects together can only be read: use the address of one project, "
        "`<project path>/tracking/`, as tracking URI"
    ),
}


def check(grant: Grant | None, rule: Rule | None, path: str = "") -> Rule:
    """Return the rule if the grant allows what it describes; raises Refusal.

    `path` is that of the endpoint, as MLflow registers it.
    """
    if grant is None:
        raise Denied("MLflow is served through Envoy only: this request carries no grant")
    if rule is None:
        raise Denied(f"This part of MLflow is switched off here: {told(path)}")
    if rule.action is not Action.READ and grant.role is not Role.WRITE:
        raise _read_only(grant)
    if grant.view not in rule.views:
        raise _elsewhere(grant)
    return rule


def reason(grant: Grant) -> str:
    """Return why a grant only reads, as a sentence; nothing for one that writes."""
    return "" if grant.role is Role.WRITE else f"{_read_only(grant)}."


def _read_only(grant: Grant) -> Refusal:
    if grant.why is Why.STALE:
        return Unavailable("GitLab cannot be reached: nothing can be changed until it can")
    why = Why.GLOBAL if grant.view is View.GLOBAL else grant.why
    return Denied(f"Read only: {_READ_ONLY.get(why or Why.GUEST)}")


def _elsewhere(grant: Grant) -> Refusal:
    if grant.view is View.GLOBAL:
        return Denied(
            "This belongs to one project: open it in its project, at `<project path>/tracking/`"
        )
    return Denied("Log in to use this part of MLflow")
