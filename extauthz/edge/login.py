"""Login: where people who have no credential yet are sent."""

from typing import Protocol

from extauthz.edge.answers import Decision, Deny
from extauthz.edge.refusals import NotFound, Refusal
from extauthz.edge.request import Request
from extauthz.edge.scope import Page


class Login(Protocol):
    """Answers where people sign in and out."""

    def page(self, page: Page, request: Request) -> Decision:
        """Answer for a page of ours; raises a Refusal."""

    def refuse(self, refusal: Refusal, request: Request) -> Decision:
        """Answer a refused request; one for a person may end better once he has signed in."""


class NoLogin:
    """Where a token is the only way in."""

    def page(self, page: Page, request: Request) -> Decision:  # noqa: ARG002 - as every login
        """Refuse every page."""
        raise NotFound(
            "There is no browser login here. Use MLflow's client with a GitLab token in "
            "MLFLOW_TRACKING_TOKEN."
        )

    def refuse(self, refusal: Refusal, request: Request) -> Decision:
        """Only say what is missing."""
        return Deny(refusal, page=request.navigates, request_id=request.id)
