"""Login with GitLab, as far as a check needs it: the pages behind it do the rest."""

from dataclasses import replace
from typing import Final
from urllib.parse import urlencode

from extauthz.edge.answers import Decision, Deny, Found, ToPages
from extauthz.edge.cookies import own_name, values_of
from extauthz.edge.credentials import SESSION_COOKIE, has_token
from extauthz.edge.page import Link
from extauthz.edge.refusals import NotFound, Refusal, Unauthenticated
from extauthz.edge.request import Request
from extauthz.edge.scope import Page
from extauthz.edge.site import Site
from extauthz.edge.wanted import has_tried, own_address, tried

# What the pages are told, in their query.
PROJECT: Final = "project"
TARGET: Final = "return_to"


class GitLabLogin:
    """Sends people to our own pages, where they sign in with GitLab."""

    def __init__(self, site: Site, *, automatic: bool) -> None:
        """`automatic` sends a browser without a session on at once, instead of showing a link."""
        self._site = site
        self._automatic = automatic

    def page(self, page: Page, request: Request) -> Decision:
        """Let a request for a page pass; the pages of a project are at the root."""
        if page.project is None:
            return ToPages(request.target)
        return Found(f"{self._address(page.name)}?{urlencode({PROJECT: page.project})}")

    def refuse(self, refusal: Refusal, request: Request) -> Decision:
        """Show the way in, or take it."""
        denial = Deny(refusal, page=request.navigates, request_id=request.id)
        target = own_address(request.target, self._site)
        if target is None or has_token(request.headers) or not request.navigates:
            return denial
        if isinstance(refusal, NotFound):
            return replace(denial, link=Link("Your projects", self._address()))
        if not isinstance(refusal, Unauthenticated):
            return denial
        if not values_of(own_name(SESSION_COOKIE, self._site), request.headers.get("cookie", "")):
            # A person has no use for what the refusal tells programs.
            denial = replace(denial, refusal=_welcome(refusal))
        way_in = login_address(self._site, target)
        # GitLab shows its own login in no frame.
        at_once = self._automatic and request.method == "GET" and request.fills_the_window
        if at_once and not has_tried(request, self._site):
            return Found(way_in, cookies=(tried(self._site), *refusal.cookies))
        return replace(denial, link=Link("Sign in with GitLab", way_in))

    def _address(self, page: str = "") -> str:
        return self._site.view(None, f"/auth/{page}")


def _welcome(refusal: Refusal) -> Refusal:
    return Unauthenticated(
        "This MLflow shows you what your GitLab account may see.", cookies=refusal.cookies
    )


def login_address(site: Site, target: str) -> str:
    """Return where to sign in on the way to an address of ours."""
    path = target.removeprefix(site.origin)
    return f"{site.view(None, '/auth/login')}?{urlencode({TARGET: path})}"
