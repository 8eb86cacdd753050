"""The record of a decision: what metrics and logs tell of it."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Self

from extauthz.edge.answers import Allow, Decision, Deny, Found, Moved, ToPages
from extauthz.edge.request import Request
from extauthz.edge.routes import is_public
from extauthz.edge.scope import Page, Redirect, Tracking

_FOUND, _MOVED, _OK = 302, 308, 200


class Outcome(StrEnum):
    """What became of a request."""

    ALLOWED = "allowed"
    REDIRECTED = "redirected"
    REFUSED = "refused"


class Place(StrEnum):
    """What a request asked for; NONE where nobody got as far as to tell."""

    PROJECT = "project"
    GLOBAL = "global"
    PUBLIC = "public"
    PAGE = "page"
    NONE = "none"


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """One decision. `reason` is that of a refusal, or `none`; `seconds` is how long it took.

    `project` and `subject` say whom it is about; they are for those alone who want to know.
    """

    outcome: Outcome
    reason: str
    view: Place
    status: int
    seconds: float
    method: str = ""
    request: str = ""
    project: str = ""
    subject: str = ""

    @classmethod
    def of(
        cls,
        decision: Decision,
        *,
        request: Request | None,
        scope: Tracking | Page | Redirect | None,
        seconds: float,
    ) -> Self:
        """Take down a decision, about as much of a request as was understood."""
        outcome, status, reason, subject = _told(decision)
        return cls(
            outcome=outcome,
            reason=reason,
            view=_place(request, scope),
            status=status,
            seconds=seconds,
            method=request.method if request else "",
            request=request.id if request else "",
            project=scope.project or "" if isinstance(scope, Tracking | Page) else "",
            subject=subject,
        )


def _told(decision: Decision) -> tuple[Outcome, int, str, str]:
    match decision:
        case Allow(subject=subject):
            return Outcome.ALLOWED, _OK, "none", subject
        case ToPages():
            return Outcome.ALLOWED, _OK, "none", ""
        case Moved():
            return Outcome.REDIRECTED, _MOVED, "none", ""
        case Found():
            return Outcome.REDIRECTED, _FOUND, "none", ""
        case Deny(refusal):
            return Outcome.REFUSED, refusal.status, refusal.reason, ""


def _place(request: Request | None, scope: Tracking | Page | Redirect | None) -> Place:
    match scope:
        case Tracking(path=path) if request and is_public(request.method, path):
            return Place.PUBLIC
        case Tracking(project=None):
            return Place.GLOBAL
        case Tracking():
            return Place.PROJECT
        case Page():
            return Place.PAGE
        case _:
            return Place.NONE
